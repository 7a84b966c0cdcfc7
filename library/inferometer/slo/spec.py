"""SLO documents from files: read whole, checked, and held to what one sidecar can carry.

`load` raises SpecError with every problem of all files at once, sorted by place, each with a
stable code: E01 unknown field, E02 wrong value, E03 objective out of range, E04 something twice,
E05 a limit or a feature of YAML, E06 parts that do not go together, E08 a wrong window, E11 a wrong
selector. What is legal but unwise is found by `check`.
What one request is worth does not belong here, see `match` and `verdict`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from inferometer.documents import (
    DUPLICATE,
    FEATURE_OR_LIMIT,
    Items,
    Node,
    Report,
    Table,
    read,
)
from inferometer.errors import Place, Problem, SpecError, UserError
from inferometer.metrics.catalog import (
    CLASSES_MAX,
    EXTRA_EDGES_MAX,
    FIRST,
    GAP,
    LENGTH,
    TOKEN,
    Ladder,
)
from inferometer.metrics.metric import SAME_EDGE
from inferometer.schema import Record, Value, boolean, duration_ns, integer, one_of, text
from inferometer.slo.classes import (
    ID_CHARS_MAX,
    INCOMPLETE,
    identifier,
    read_class,
)
from inferometer.slo.document import Alerts, Class, Document, Objective, Window
from inferometer.slo.foreign import read_foreign
from inferometer.slo.openslo import reading
from inferometer.slo.openslo.objects import is_openslo
from inferometer.slo.zones import WRONG_WINDOW, check_zone, read_zone

__all__ = ["SLOS_MAX", "Class", "Document", "Read", "edges", "examine", "load", "unsupported"]

SLOS_MAX: Final = 500
"""SLOs of all documents together."""
_NAME_CHARS_MAX: Final = 200

_LADDERS: Final[Mapping[Objective, Ladder]] = {
    "ttft": FIRST,
    "tpot": TOKEN,
    "itl": TOKEN,
    "gap": GAP,
    "e2e": LENGTH,
}


class Read(NamedTuple):
    """What was read: the documents of the files without a Problem, and all Problems by place.

    `warnings` tell what changes nothing, and keep nothing from being read.
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def load(paths: Iterable[Path | str]) -> tuple[Document, ...]:
    """Return the documents of all files in their order. Raises SpecError with every Problem."""
    found = examine(paths)
    if found.problems:
        raise SpecError(found.problems)
    return found.documents


def examine(paths: Iterable[Path | str], *, zones: Collection[str] = ()) -> Read:
    """Return what can be read, for those who tell more about it than its faults.

    Documents are ours, or OpenSLO's, which may refer to each other from file to file. `zones` are
    the known timezones: a file with other problems is held to them here, since `check` never sees
    it.
    """
    report, warnings = Report(), Report()
    values = [Value("the document", node, report) for node in _read_all(paths, report)]
    openslo = reading.read([one for one in values if is_openslo(one.node)], warnings)
    documents = []
    for value in values:
        if not is_openslo(value.node):
            documents.append(_read_document(value))
        elif value.node.place in openslo:
            documents.append(openslo[value.node.place])
    _check_ids(documents, report)
    broken = {problem.place.source for problem in report.problems}
    for document in documents:
        if document.place.source in broken:
            check_zone(document, zones, report)
    whole = (document for document in documents if document.place.source not in broken)
    return Read(tuple(whole), tuple(sorted(report.problems)), tuple(sorted(warnings.problems)))


def _read_all(paths: Iterable[Path | str], report: Report) -> Iterator[Node]:
    for path in paths:
        try:
            nodes = read(path)
        except UserError as error:
            for problem in error.problems:
                report.add(problem.place, problem.message, hint=problem.hint, code=problem.code)
            continue
        if not nodes:
            hint = "begin with `apiVersion: inferometer/v1`"
            report.add(Place(str(path)), "holds no document", hint=hint, code=INCOMPLETE)
        yield from nodes


def unsupported(documents: Iterable[Document]) -> list[Problem]:
    """Return what keeps a sidecar from judging these documents, sorted by place.

    Foreign metrics and windows are no obstacle: they are the business of the rules rendered from
    the same document, and say nothing about a single request.
    """
    documents = tuple(documents)
    report = Report()
    classes = [one for document in documents for one in document.classes]
    if len(classes) > CLASSES_MAX:
        message = f"a sidecar judges at most {CLASSES_MAX} classes, these are {len(classes)}"
        report.add(classes[CLASSES_MAX].place, message, code=FEATURE_OR_LIMIT)
    _check_unique(((one.id, one.place) for one in classes), "SLO id", report)
    _check_unique(((one.name, one.place) for one in documents), "document name", report)
    for ladder, extra in _extra_edges(documents).items():
        for limit, one in extra[EXTRA_EDGES_MAX:]:
            message = f"limit {limit:g} s would be bucket edge {EXTRA_EDGES_MAX + 1} or later"
            hint = f"use an edge there is: {', '.join(f'{e:g}' for e in ladder.edges)}"
            report.add(one.place, message, hint=hint, code=FEATURE_OR_LIMIT)
    return sorted(report.problems)


def edges(documents: Iterable[Document]) -> Mapping[str, tuple[float, ...]]:
    """Return the limits in seconds that each ladder needs as further edges, by ladder name.

    Ladders that need none are left out. `unsupported` has refused more than a ladder can take.
    """
    found = {
        ladder.name: tuple(sorted(limit for limit, _ in extra))
        for ladder, extra in _extra_edges(documents).items()
        if extra
    }
    assert all(len(extra) <= EXTRA_EDGES_MAX for extra in found.values()), found
    return found


def _extra_edges(documents: Iterable[Document]) -> dict[Ladder, list[tuple[float, Class]]]:
    """Return the limits that are no edges yet, in the order of the documents, with their class."""
    extra: dict[Ladder, list[tuple[float, Class]]] = {ladder: [] for ladder in _LADDERS.values()}
    for one in (one for document in documents for one in document.classes):
        for objective, limit in one.thresholds_s().items():
            ladder = _LADDERS.get(objective)
            if ladder is None:
                continue
            known = (*ladder.edges, *(edge for edge, _ in extra[ladder]))
            if not any(abs(limit - edge) <= SAME_EDGE for edge in known):
                extra[ladder].append((limit, one))
    return extra


class _Promise(NamedTuple):
    """Where an SLO id is declared, in which namespace."""

    namespace: str
    id: str
    place: Place


def _promises(document: Document) -> Iterator[_Promise]:
    for one in document.classes:
        yield _Promise(document.namespace, one.id, one.place)
    for metric in document.foreign:
        yield _Promise(document.namespace, metric.id, metric.place)


def _check_ids(documents: Sequence[Document], report: Report) -> None:
    names = (((d.namespace, d.name), d.place) for d in documents if d.name)
    _check_unique(names, "document name", report)
    every = [one for document in documents for one in _promises(document) if one.id]
    _check_unique((((one.namespace, one.id), one.place) for one in every), "SLO id", report)
    for one in every:
        if len(one.id) > ID_CHARS_MAX:
            message = f"the SLO id {one.id!r} has more than {ID_CHARS_MAX} characters"
            hint = "it is the name of the document, a hyphen, and the name of the class"
            report.add(one.place, message, hint=hint, code=FEATURE_OR_LIMIT)
    if len(every) > SLOS_MAX:
        message = f"more than {SLOS_MAX} SLOs"
        report.add(every[SLOS_MAX].place, message, code=FEATURE_OR_LIMIT)


def _check_unique(
    named: Iterable[tuple[str | tuple[str, str], Place]], what: str, report: Report
) -> None:
    first: dict[str | tuple[str, str], Place] = {}
    for key, place in named:
        if key in first:
            name = key if isinstance(key, str) else key[1]
            hint = f"the first one is at {first[key]}"
            report.add(place, f"{what} {name!r} is taken", hint=hint, code=DUPLICATE)
        first.setdefault(key, place)


def _read_document(value: Value) -> Document:
    record = Record(value)
    record.need("apiVersion", one_of("inferometer/v1"))
    record.need("kind", one_of("SLO"))
    name, namespace, owner = record.need("metadata", _read_metadata) or ("", "", "")
    classes = [
        one
        for entry in _entries(record, "classes", value.report)
        for one in read_class(Value("the class", entry, value.report), name)
    ]
    foreign = [
        read_foreign(Value("the metric", entry, value.report), name)
        for entry in _entries(record, "metrics", value.report)
    ]
    promises = "classes" in record or "metrics" in record
    if not promises and isinstance(value.node, Table):
        message = "the document promises nothing"
        value.report.add(record.place, message, hint="add classes", code=INCOMPLETE)
    document = Document(
        name=name,
        namespace=namespace,
        owner=owner,
        service=record.take("service", _short_text) or "",
        window=record.take("window", _read_window) or Window(),
        alerts=record.take("alerts", _read_alerts) or Alerts(),
        classes=tuple(classes),
        foreign=tuple(one for one in foreign if one is not None),
        place=record.place,
    )
    record.close()
    return document


def _entries(record: Record, name: str, report: Report) -> Iterator[Node]:
    """Yield the entries of a list of mappings, as many as could ever be of use."""
    node = record.node(name)
    if node is None:
        return
    if not isinstance(node, Items) or not 1 <= len(node.items) <= SLOS_MAX:
        Value(name, node, report).refuse(f"a list of 1 to {SLOS_MAX} mappings")
        return
    for item in node.items:
        if report.full:
            return
        yield item


def _short_text(value: Value) -> str | None:
    word = text(value)
    if word is not None and len(word) > _NAME_CHARS_MAX:
        value.refuse(f"at most {_NAME_CHARS_MAX} characters long")
        return None
    return word


def _read_metadata(value: Value) -> tuple[str, str, str] | None:
    record = Record(value)
    name = record.need("name", identifier)
    namespace = record.take("namespace", identifier)
    owner = record.take("owner", _short_text)
    record.close()
    return name or "", namespace or "", owner or ""


def _read_window(value: Value) -> Window | None:
    record = Record(value)
    days = record.take("rolling", _read_days)
    calendar = record.take("calendar", one_of("week", "month", "quarter"))
    timezone = record.take("timezone", read_zone)
    record.close()
    if ("rolling" in record) == ("calendar" in record):
        value.refuse("either rolling or calendar", hint="such as {rolling: 30d}", code=WRONG_WINDOW)
    if "timezone" in record and "calendar" not in record:
        place = record.place_of("timezone")
        value.report.add(
            place, "a rolling window has no timezone", hint="take it out", code=WRONG_WINDOW
        )
    unit = cast("Literal['week', 'month', 'quarter'] | None", calendar)
    place = record.place_of("timezone")
    return Window(None if unit else days or 30, unit, timezone or "UTC", place)


_days: Final = duration_ns(minimum="7d", maximum="90d")
_DAY_NS: Final = 86400 * 10**9


def _read_days(value: Value) -> int | None:
    report = Report()
    length_ns = _days(Value(value.name, value.node, report))
    if length_ns is not None and length_ns % _DAY_NS == 0:
        return length_ns // _DAY_NS
    value.refuse("whole days from 7d to 90d", hint="such as 30d", code=WRONG_WINDOW)
    return None


def _read_alerts(value: Value) -> Alerts | None:
    record = Record(value)
    min_bad = record.take("min_bad", integer(minimum=1, maximum=1_000_000))
    page, ticket = record.take("page", boolean), record.take("ticket", boolean)
    record.close()
    return Alerts(min_bad or 10, page is not False, ticket is not False)
