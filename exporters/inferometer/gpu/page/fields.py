"""The list of fields: which of DCGM's families are shown, from a file that users have already.

A CSV file of dcgm-exporter (`NAME, type, help`) replaces the list; its `label` rows put a fact
about the device on every series. A YAML list of `+NAME` and `-NAME` changes the list, and turns
families of our own on and off, too. Both names of a family are known. A line that is no field line
is a Problem; a field that nobody here knows is `unknown`, since one file serves many machines.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from inferometer.documents import Items, Node, Report, Scalar, parse, shown
from inferometer.errors import Place, Problem, SettingsError, UserError
from inferometer.gpu.page.families import OPTIONAL, OWN
from inferometer.metrics.dcgm import FAMILIES, DcgmFamily
from inferometer.metrics.metric import Kind

BYTES_MAX: Final = 1 << 20
LINE_CHARS_MAX: Final = 4096
HELP_CHARS_MAX: Final = 400
UNKNOWN_MAX: Final = 64
"""Unknown fields that get a series; all of them are logged."""

LABELS: Final = {
    "DCGM_FI_DRIVER_VERSION": "driver_version",
    "DCGM_FI_DEV_VBIOS_VERSION": "vbios_version",
    "DCGM_FI_DEV_SERIAL": "serial",
    "DCGM_FI_DEV_NAME": "model",
    "DCGM_FI_DEV_UUID": "uuid",
    "DCGM_FI_DEV_PCI_BUSID": "pci_bus_id",
    "DCGM_FI_DEV_MINOR_NUMBER": "minor",
}
"""Fields that are facts about a device, and where `Identity` has them."""

_COLUMNS: Final = 3
_NAME: Final = re.compile(r"DCGM_[A-Z0-9_]{1,120}")
_OWN_NAME: Final = re.compile(r"inferometer_gpu_[a-z0-9_]{1,80}")
_CHANGE: Final = re.compile(r"([+-]) ?(\S+)")
_KNOWN: Final[dict[str, DcgmFamily]] = {f.classic: f for f in reversed(FAMILIES)} | {
    f.renamed: f for f in reversed(FAMILIES) if f.renamed != f.classic
}


class Field(NamedTuple):
    """A family that is shown, with the type and help that the file gives it."""

    family: DcgmFamily
    kind: Kind
    help: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What is shown. `labels` are names of DCGM's with the attribute of `Identity`.

    `unknown` was asked for and is known to nobody here; `hidden` and `extra` are families of our
    own that are left out, or shown on request.
    """

    chosen: tuple[Field, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    extra: frozenset[str] = field(default_factory=frozenset)


def default() -> Fields:
    """Return the list without a file."""
    return Fields(tuple(map(_as_is, filter(lambda f: f.on, FAMILIES))))


def load(path: Path | None) -> Fields:
    """Return the list of a file, the default without one. Raises SettingsError with all Problems.

    Its form goes by the name of the file: `.yaml` or `.yml`, else CSV.
    """
    if path is None:
        return default()
    try:
        with path.open("rb") as stream:
            content = stream.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise SettingsError([Problem(Place(str(path)), f"cannot be read: {reason}")]) from None
    return read(content, str(path))


def read(content: bytes, source: str) -> Fields:
    """Return the list that `content` holds; `source` names it in places. Raises SettingsError."""
    report = Report()
    if source.lower().endswith((".yaml", ".yml")):
        found = _read_changes(content, source, report)
    else:
        found = _read_csv(content, source, report)
    if report.problems:
        raise SettingsError(report.problems)
    return found


def _as_is(family: DcgmFamily) -> Field:
    return Field(family, family.kind, family.help)


# DCGM's own form.


def _read_csv(content: bytes, source: str, report: Report) -> Fields:
    if len(content) > BYTES_MAX:
        report.add(Place(source), f"longer than {BYTES_MAX} bytes", hint="split the file")
        return Fields()
    chosen: dict[str, Field] = {}
    labels: dict[str, str] = {}
    unknown: dict[str, None] = {}
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        row = _row(line, Place(source, number, 1), report)
        if row is None:
            continue
        name, kind, help_ = row
        family = _KNOWN.get(name)
        if kind == "label":
            known = LABELS.get(name)
            labels |= {name: known} if known else {}
            unknown |= {} if known else {name: None}
        elif family is None:
            unknown[name] = None
        else:
            kind_: Kind = "counter" if kind == "counter" else "gauge"
            chosen.setdefault(family.classic, Field(family, kind_, help_ or family.help))
        if report.full:
            break
    return Fields(tuple(chosen.values()), tuple(labels.items()), tuple(unknown))


def _row(line: str, place: Place, report: Report) -> tuple[str, str, str] | None:
    """Return a row; None for comments and empty lines, and after a report."""
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    cells = _cells(line)
    if cells is None:
        report.add(place, f"is no line of a CSV file: {shown(line)}", hint="check its quotes")
        return None
    if len(cells) != _COLUMNS:
        message = f"must have 3 columns, got {len(cells)}: {shown(line)}"
        report.add(place, message, hint="write NAME, type, help; a help with commas needs quotes")
        return None
    name, kind, help_ = cells
    if not _NAME.fullmatch(name):
        hint = "a name begins with DCGM_ and has capital letters"
        report.add(place, f"{shown(name)} is no name of a field", hint=hint)
        return None
    if kind not in ("gauge", "counter", "label"):
        message = f"the type of {name} must be gauge, counter or label, got {shown(kind)}"
        report.add(place, message)
        return None
    return name, kind, help_[:HELP_CHARS_MAX]


def _cells(line: str) -> list[str] | None:
    if len(line) > LINE_CHARS_MAX:
        return None
    try:
        rows = list(csv.reader([line], strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return [cell.strip() for cell in rows[0]] if rows else None


# The form of our own.


def _read_changes(content: bytes, source: str, report: Report) -> Fields:
    try:
        documents = parse(content, source)
    except UserError as error:
        for problem in error.problems:
            report.add(problem.place, problem.message, hint=problem.hint, code=problem.code)
        return Fields()
    chosen = {one.family.classic: one for one in default().chosen}
    labels: dict[str, str] = {}
    unknown: dict[str, None] = {}
    own: dict[str, bool] = {}
    for sign, name in _changes(documents, report):
        family, on = _KNOWN.get(name), sign == "+"
        if family is not None:
            chosen.pop(family.classic, None)
            chosen |= {family.classic: _as_is(family)} if on else {}
        elif name in OWN:
            own[name] = on
        elif name in LABELS and on:
            labels[name] = LABELS[name]
        else:
            unknown[name] = None
    order = {f.classic: rank for rank, f in enumerate(FAMILIES)}
    return Fields(
        tuple(sorted(chosen.values(), key=lambda one: order[one.family.classic])),
        tuple(labels.items()),
        tuple(unknown),
        hidden=frozenset(name for name, on in own.items() if not on),
        extra=frozenset(name for name, on in own.items() if on and name in OPTIONAL),
    )


def _changes(documents: Iterable[Node], report: Report) -> Iterable[tuple[str, str]]:
    hint = "write +NAME or -NAME"
    for document in documents:
        if not isinstance(document, Items):
            report.add(document.place, "must be a list of fields", hint=f"{hint} after each dash")
            continue
        for item in document.items:
            match = _CHANGE.fullmatch(item.text) if isinstance(item, Scalar) else None
            name = match[2] if match else ""
            if match and (_NAME.fullmatch(name) or _OWN_NAME.fullmatch(name)):
                yield match[1], name
            else:
                word = shown(item.text) if isinstance(item, Scalar) else "a list or mapping"
                report.add(item.place, f"{word} is no change of the list", hint=hint)
