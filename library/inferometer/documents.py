"""YAML and JSON files as nodes that know their line.

Nodes hold text only: `no`, `012` and `1_0` are what they say until `schema` types them. Every
fault becomes a `Problem` with its place, and all that can be told are told at once. What makes
YAML unsafe or surprising is refused: anchors and aliases, tags, duplicate keys, tabs, control
characters, deep nesting, large files. So no input costs more than a bounded amount of work,
whatever it holds. Types and field names do not belong here.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import yaml

from inferometer.errors import Place, Problem, UserError
from inferometer.log import brief

BYTES_MAX: Final = 1 << 20
"""A longer file is refused: a document that people write by hand is a hundredth of that."""
NODES_MAX: Final = 100_000
"""Scalars (keys too), lists and mappings of a file; bounds memory to some 30 MB."""
DOCUMENTS_MAX: Final = 1000
"""Documents of a file; each costs more than a value does."""
DEPTH_MAX: Final = 16
"""Lists and mappings inside each other."""
PROBLEMS_MAX: Final = 200
"""Faults that are told at once; more help nobody and cost time."""
SHOWN_CHARS_MAX: Final = 100
"""Characters of a wrong value that its message shows."""

UNKNOWN_FIELD: Final = "E01"
WRONG_VALUE: Final = "E02"
DUPLICATE: Final = "E04"
FEATURE_OR_LIMIT: Final = "E05"


class Scalar(NamedTuple):
    """A text. `quoted` tells `""` (an empty text) from nothing at all."""

    text: str
    quoted: bool
    place: Place


class Items(NamedTuple):
    """A list (YAML sequence)."""

    items: tuple["Node", ...]
    place: Place


class Table(NamedTuple):
    """A mapping in the order of the file; keys are unique."""

    pairs: tuple[tuple[Scalar, "Node"], ...]
    place: Place


Node = Scalar | Items | Table


@dataclass(slots=True)
class Report:
    """Collects Problems up to `PROBLEMS_MAX`; a last one says that there are more."""

    problems: list[Problem] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Tell whether further Problems would be dropped."""
        return len(self.problems) > PROBLEMS_MAX

    def add(self, place: Place, message: str, *, hint: str = "", code: str = WRONG_VALUE) -> None:
        """Keep one Problem, or say once that there are too many."""
        if self.full:
            return
        if len(self.problems) == PROBLEMS_MAX:
            message, hint = "there are more problems, which are not shown", "cure these first"
        self.problems.append(Problem(place, message, hint, code))


def shown(text: str) -> str:
    """Return `text` as messages show values: quoted, escaped, short, without URL credentials."""
    start, end = text.find("://"), text.rfind("@")
    if 0 <= start < end:  # badly written credentials may hold spaces, too
        text = f"{text[:start]}://***{text[end:]}"
    return repr(brief(text, SHOWN_CHARS_MAX))


def closest(word: str, names: Iterable[str]) -> str:
    """Return what `word` was probably meant to be, empty if nothing is near."""
    return "".join(difflib.get_close_matches(word[:64], sorted(names), n=1))


def nearest(word: str, names: Iterable[str]) -> str:
    """Return a hint that names what `word` was probably meant to be, else all `names`."""
    known = sorted(names)
    close = closest(word, known)
    if close:
        return f"did you mean {close!r}?"
    return f"known here: {', '.join(known)}" if known else ""


# Reading text into nodes.


def read(path: Path | str) -> tuple[Node, ...]:
    """Return one node for each YAML document of a file. Raises UserError with all Problems."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        problem = Problem(Place(str(path)), f"cannot be read: {reason}", code=FEATURE_OR_LIMIT)
        raise UserError([problem]) from None
    return parse(content, str(path))


def parse(text: bytes, source: str) -> tuple[Node, ...]:
    """Return one node for each YAML document in `text`; `source` names it in places.

    Raises UserError with every Problem up to the first one that makes the rest unreadable.
    """
    report = Report()
    builder = _Builder(source, report)
    decoded = _decode(text, source, report)
    if decoded is not None:
        try:
            for event in yaml.parse(decoded, Loader=_LOADER):
                if not builder.take(event):
                    break
        except yaml.MarkedYAMLError as error:
            message = f"not YAML: {error.problem}"
            place = _place(source, error.problem_mark)
            report.add(place, message, hint=_syntax_hint(error), code=FEATURE_OR_LIMIT)
        except (yaml.YAMLError, ValueError):  # the pure loader on an escape beyond Unicode
            report.add(Place(source), "not YAML: bad characters", code=FEATURE_OR_LIMIT)
    if report.problems:
        raise UserError(report.problems)
    return tuple(builder.documents)


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is built in
_UNPRINTABLE = r"\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff"
_REFUSED: Final = re.compile(f"[{_UNPRINTABLE}]")
_LINE_END: Final = re.compile("\r\n|\r|\n")


def _decode(text: bytes, source: str, report: Report) -> str | None:
    """Return the text, or None where size, encoding or characters are refused."""
    if len(text) > BYTES_MAX:
        message = f"longer than {BYTES_MAX} bytes"
        report.add(Place(source), message, hint="split the file", code=FEATURE_OR_LIMIT)
        return None
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = _LINE_END.split(text[: error.start].decode("utf-8", "replace"))
        place = Place(source, len(before), len(before[-1]) + 1)
        message = f"byte 0x{text[error.start]:02x} is not UTF-8"
        report.add(place, message, hint="save the file as UTF-8", code=FEATURE_OR_LIMIT)
        return None
    if not _REFUSED.search(decoded):
        return decoded
    for number, line in enumerate(_LINE_END.split(decoded), 1):
        match = _REFUSED.search(line)
        if match:
            message, hint = f"character {match[0]!r} is not allowed", "take it out"
            if match[0] == "\t":
                message, hint = "a tab is not allowed", r"use spaces; \t in double quotes"
            place = Place(source, number, match.start() + 1)
            report.add(place, message, hint=hint, code=FEATURE_OR_LIMIT)
            if report.full:
                break
    return None


def _syntax_hint(error: yaml.MarkedYAMLError) -> str:
    if str(error.problem).startswith("mapping values"):
        return "check the indentation; a text with a colon and a space needs quotes"
    if not error.context or not error.context_mark:
        return ""
    return f"the parser was {error.context}, from line {error.context_mark.line + 1}"


class _Mark(Protocol):
    """Where the parser stands, counted from 0."""

    line: int
    column: int


def _place(source: str, mark: _Mark | None) -> Place:
    return Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come: in a mapping keys and values alternate."""

    place: Place
    mapping: bool
    children: list[Node] = field(default_factory=list)
    keys: dict[str, Place] = field(default_factory=dict)


class _Builder:
    """Builds nodes from parser events without recursion; what it refuses goes to the report."""

    def __init__(self, source: str, report: Report) -> None:
        self.documents: list[Node] = []
        self._source = source
        self._report = report
        self._open: list[_Open] = []
        self._nodes = 0

    def take(self, event: yaml.Event) -> bool:
        """Take the next event; False where reading on would cross a limit."""
        if isinstance(event, yaml.NodeEvent):
            place = _place(self._source, event.start_mark)
            self._nodes += 1
            if self._nodes > NODES_MAX:
                self._limit(place, f"more than {NODES_MAX} values")
                return False
            if isinstance(event, yaml.ScalarEvent):
                return self._take_scalar(event, place)
            self._check_properties(event, place)
            return self._begin(event, place)
        if isinstance(event, yaml.CollectionEndEvent):
            return self._add(self._finished())
        if isinstance(event, yaml.DocumentStartEvent) and event.tags:
            self._refuse(_place(self._source, event.start_mark), "a %TAG directive")
        return True

    def _take_scalar(self, event: yaml.ScalarEvent, place: Place) -> bool:
        if event.anchor is not None or event.tag is not None:
            self._check_properties(event, place)
        quoted = not event.implicit[0]
        if quoted:  # an escape may stand for what a file may not hold; a tab is fine here
            match = _REFUSED.search(event.value.replace("\t", ""))
            if match:
                self._refuse(place, f"character {match[0]!r}")
        return self._add(Scalar(event.value, quoted, place))

    def _begin(self, event: yaml.NodeEvent, place: Place) -> bool:
        """Open a list or mapping; an alias, which is refused, stands for an empty text."""
        if not isinstance(event, yaml.CollectionStartEvent):
            return self._add(Scalar("", quoted=False, place=place))
        if len(self._open) == DEPTH_MAX:
            self._limit(place, f"nested deeper than {DEPTH_MAX}")
            return False
        self._open.append(_Open(place, isinstance(event, yaml.MappingStartEvent)))
        return True

    def _check_properties(self, event: yaml.NodeEvent, place: Place) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._refuse(place, "an alias", hint="write the value again")
        elif event.anchor is not None:
            self._refuse(place, "an anchor", hint="write the value at each place")
        if getattr(event, "tag", None) is not None:
            self._refuse(place, "a tag", hint="leave it out: the schema knows the type")

    def _refuse(self, place: Place, what: str, *, hint: str = "take it out") -> None:
        self._report.add(place, f"{what} is not allowed", hint=hint, code=FEATURE_OR_LIMIT)

    def _limit(self, place: Place, message: str) -> None:
        hint = "a document is made for people to read"
        self._report.add(place, message, hint=hint, code=FEATURE_OR_LIMIT)

    def _finished(self) -> Node:
        closed = self._open.pop()
        if not closed.mapping:
            return Items(tuple(closed.children), closed.place)
        keys, values = closed.children[::2], closed.children[1::2]
        pairs = zip(keys, values, strict=True)
        return Table(tuple((k, v) for k, v in pairs if isinstance(k, Scalar)), closed.place)

    def _add(self, node: Node) -> bool:
        if not self._open:
            self.documents.append(node)
            if len(self.documents) > DOCUMENTS_MAX:
                self._limit(node.place, f"more than {DOCUMENTS_MAX} documents")
                return False
            return True
        parent = self._open[-1]
        if parent.mapping and len(parent.children) % 2 == 0:
            self._check_key(node, parent.keys)
        parent.children.append(node)
        return not self._report.full

    def _check_key(self, node: Node, keys: dict[str, Place]) -> None:
        if not isinstance(node, Scalar):
            self._refuse(node.place, "a key that is no text", hint="write `name: value`")
            return
        first = keys.setdefault(node.text, node.place)
        if first is not node.place:
            message = f"key {shown(node.text)} stands here again"
            hint = f"the first one is at line {first.line}"
            self._report.add(node.place, message, hint=hint, code=DUPLICATE)
