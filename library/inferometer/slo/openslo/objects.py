"""What every OpenSLO object has: its kind, its name, and our own notes among its annotations."""

from typing import Final, NamedTuple

from inferometer.documents import UNKNOWN_FIELD, Node, Report, Scalar, Table, closest, shown
from inferometer.errors import Place
from inferometer.schema import Reader, Record, Value, boolean, integer, one_of, text
from inferometer.slo.classes import identifier
from inferometer.slo.document import Alerts

NOT_TAKEN: Final = "E15"
"""Right OpenSLO, but nothing that rules could count rightly."""
IGNORED: Final = "W12"
"""Right OpenSLO that changes nothing here."""
VERSION: Final = "openslo/v1"
KINDS: Final = (
    "SLO",
    "SLI",
    "Service",
    "DataSource",
    "AlertPolicy",
    "AlertCondition",
    "AlertNotificationTarget",
)
ALERTING: Final = frozenset({"AlertPolicy", "AlertCondition", "AlertNotificationTarget"})
NOTES: Final = ("namespace", "owner", "min-bad", "page", "ticket")
"""Annotations of ours, each after `PREFIX`."""
PREFIX: Final = "inferometer/"
TEXT_CHARS_MAX: Final = 1050
"""Characters of a description or a name, as the specification says for the former."""


class Notes(NamedTuple):
    """What OpenSLO has no field for: the annotations `inferometer/...` of an SLO."""

    namespace: str = ""
    owner: str = ""
    alerts: Alerts = Alerts()


class Object(NamedTuple):
    """An object whose `spec` is still to be read."""

    kind: str
    name: str
    notes: Notes
    spec: Value
    place: Place


def is_openslo(node: Node) -> bool:
    """Tell whether a document says that it is OpenSLO, of any version."""
    return isinstance(node, Table) and any(
        key.text == "apiVersion" and isinstance(value, Scalar) and value.text.startswith("openslo/")
        for key, value in node.pairs
    )


def read_object(value: Value) -> Object | None:
    """Read the head of an object; None after a report where nothing can be made of it."""
    record = Record(value)
    version = record.need("apiVersion", one_of(VERSION))
    kind = record.need("kind", one_of(*KINDS))
    name_reader = identifier if kind == "SLO" else short_text
    found = record.need("metadata", lambda inner: _read_metadata(inner, name_reader))
    spec = record.need("spec", lambda inner: inner)
    record.close()
    if version is None or kind is None or spec is None:
        return None
    name, notes = found or ("", Notes())
    return Object(
        kind, name, notes, Value(f"spec of {kind}", spec.node, value.report), value.node.place
    )


def short_text(value: Value) -> str | None:
    """Read a text of a bounded length."""
    word = text(value)
    if word is not None and len(word) > TEXT_CHARS_MAX:
        value.refuse(f"at most {TEXT_CHARS_MAX} characters long")
        return None
    return word


def ignore(record: Record, *names: str) -> None:
    """Take fields as known whose content changes nothing here."""
    for name in names:
        record.node(name)


def not_taken(report: Report, place: Place, message: str, hint: str) -> None:
    """Report what OpenSLO allows and we cannot count."""
    report.add(place, message, hint=hint, code=NOT_TAKEN)


def _read_metadata(value: Value, name_reader: Reader[str]) -> tuple[str, Notes]:
    record = Record(value)
    name = record.need("name", name_reader) or ""
    notes = record.take("annotations", _read_notes) or Notes()
    ignore(record, "displayName", "labels")
    record.close()
    return name, notes


def _read_notes(value: Value) -> Notes:
    """Read our own annotations; those of others are theirs."""
    whole = Record(value)
    ours = [(key, node) for key, node in whole.pairs() if key.text.startswith(PREFIX)]
    for key, _ in ours:
        word = key.text.removeprefix(PREFIX)
        if word not in NOTES:
            near = closest(word, NOTES)
            hint = f"did you mean {PREFIX + near!r}?" if near else f"known here: {', '.join(NOTES)}"
            message = f"unknown annotation {shown(key.text)}"
            value.report.add(key.place, message, hint=hint, code=UNKNOWN_FIELD)
    record = Record(Value("annotations", Table(tuple(ours), value.node.place), value.report))
    min_bad = record.take(f"{PREFIX}min-bad", integer(minimum=1, maximum=1_000_000))
    page = record.take(f"{PREFIX}page", boolean)
    ticket = record.take(f"{PREFIX}ticket", boolean)
    return Notes(
        namespace=record.take(f"{PREFIX}namespace", identifier) or "",
        owner=record.take(f"{PREFIX}owner", short_text) or "",
        alerts=Alerts(min_bad or 10, page is not False, ticket is not False),
    )
