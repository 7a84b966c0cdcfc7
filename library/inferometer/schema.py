"""Readers that type the nodes of a document by a schema, field by field.

A `Reader` takes a `Value` (a node under the name that messages give it) and returns what it holds,
or None after it has told the `Report` what is wrong. So all faults of a document are told at once,
and a reader is a plain function that others combine. `Record` reads a mapping and knows in the end
which fields nobody asked for. Numbers stay exact: `Decimal`, and durations in whole nanoseconds.
Used alike by settings, web configuration and SLO documents.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

from inferometer.documents import (
    UNKNOWN_FIELD,
    WRONG_VALUE,
    Items,
    Node,
    Report,
    Scalar,
    Table,
    closest,
    nearest,
    shown,
)
from inferometer.errors import Place

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Value:
    """A node under the name that messages give it, and the report for its faults.

    A `secret` value is never shown.
    """

    name: str
    node: Node
    report: Report
    secret: bool = False

    def refuse(self, expected: str, *, hint: str = "", code: str = WRONG_VALUE) -> None:
        """Report `<name> must be <expected>, got <value>`."""
        match self.node:
            case Scalar(text="", quoted=False):
                got = "nothing"
            case Scalar(text=text):
                got = "something else" if self.secret else shown(text)
            case Items():
                got = "a list"
            case _:
                got = "a mapping"
        message = f"{self.name} must be {expected}, got {got}"
        self.report.add(self.node.place, message, hint=hint, code=code)


Reader = Callable[[Value], T | None]
"""Types a value; None after it has reported why it cannot."""

INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")
_DURATION: Final = re.compile(r"((?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_UNIT_NS: Final = {
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}


def text(value: Value) -> str | None:
    """Read a text that is not empty."""
    node = value.node
    if isinstance(node, Scalar) and node.text:
        return node.text
    value.refuse("a text")
    return None


def boolean(value: Value) -> bool | None:
    """Read `true` or `false`; the other spellings of YAML 1.1 get a hint."""
    word = _word(value)
    if word in ("true", "false"):
        return word == "true"
    guess = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(word.lower(), "")
    value.refuse("true or false", hint=f"write {guess or word.lower()}" if guess else "")
    return None


def integer(*, minimum: int, maximum: int) -> Reader[int]:
    """Return a reader of whole numbers in [minimum, maximum]: `12`, never `012` or `1_0`."""

    def read_integer(value: Value) -> int | None:
        word = _word(value)
        if INTEGER.fullmatch(word) and minimum <= int(word) <= maximum:
            return int(word)
        value.refuse(f"a whole number between {minimum} and {maximum}")
        return None

    return read_integer


def decimal(*, minimum: str, maximum: str, code: str = WRONG_VALUE) -> Reader[Decimal]:
    """Return a reader of decimal numbers in [minimum, maximum], exact to the digit."""

    def read_decimal(value: Value) -> Decimal | None:
        word = _word(value)
        if DECIMAL.fullmatch(word) and Decimal(minimum) <= Decimal(word) <= Decimal(maximum):
            return Decimal(word)
        bare = word.removesuffix("%").strip()
        hint = f"write {bare}, the percent sign is implied" if word.endswith("%") else ""
        hint = hint if DECIMAL.fullmatch(bare) else ""
        value.refuse(f"between {minimum} and {maximum}", hint=hint, code=code)
        return None

    return read_decimal


def duration_ns(*, minimum: str, maximum: str) -> Reader[int]:
    """Return a reader of durations with a unit (`ms s m h d`), in whole nanoseconds."""
    low_ns, high_ns = _parse_duration(minimum), _parse_duration(maximum)
    assert low_ns is not None, minimum
    assert high_ns is not None, maximum

    def read_duration(value: Value) -> int | None:
        word = _word(value)
        duration = _parse_duration(word)
        if duration is not None and low_ns <= duration <= high_ns:
            return duration
        hint = "a duration has a unit, such as 500ms, 2.5s, 5m, 1h or 30d"
        value.refuse(f"a duration from {minimum} to {maximum}", hint=hint)
        return None

    return read_duration


def _parse_duration(word: str) -> int | None:
    match = _DURATION.fullmatch(word)
    if not match:
        return None
    exact = Decimal(match[1]) * _UNIT_NS[match[2]]
    return int(exact) if exact == int(exact) else None


def one_of(*names: str) -> Reader[str]:
    """Return a reader of one of a few words."""

    def read_word(value: Value) -> str | None:
        word = _word(value)
        if word in names:
            return word
        close = closest(word, names)
        hint = f"did you mean {close!r}?" if close else ""
        value.refuse(f"one of {', '.join(names)}", hint=hint)
        return None

    return read_word


def listed(read_item: Reader[T], *, maximum: int, minimum: int = 1) -> Reader[tuple[T, ...]]:
    """Return a reader of a list of `minimum` to `maximum` items; a lone value is a list of one."""

    def read_list(value: Value) -> tuple[T, ...] | None:
        nodes = value.node.items if isinstance(value.node, Items) else (value.node,)
        if not minimum <= len(nodes) <= maximum:
            value.refuse(f"a list of {minimum} to {maximum} values", hint=f"it has {len(nodes)}")
            return None
        items = [read_item(Value(value.name, n, value.report, value.secret)) for n in nodes]
        found = tuple(item for item in items if item is not None)
        return found if len(found) == len(items) else None

    return read_list


def _word(value: Value) -> str:
    return value.node.text if isinstance(value.node, Scalar) else ""


class Record:
    """A mapping read field by field; what nobody asked for is an unknown field.

    A node that is no mapping is reported and read as an empty one.
    """

    def __init__(self, value: Value) -> None:
        """Start to read; `value.name` names the mapping in messages."""
        self.place = value.node.place
        self._value = value
        self._known: list[str] = []
        self._nodes: dict[str, tuple[Scalar, Node]] = {}
        if isinstance(value.node, Table):
            self._nodes = {key.text: (key, node) for key, node in value.node.pairs}
        else:
            value.refuse("a mapping")

    def __contains__(self, name: str) -> bool:
        """Tell whether the field is given, readable or not."""
        return name in self._nodes

    @property
    def known_given(self) -> bool:
        """Tell whether any of the fields asked for is given."""
        return any(name in self._nodes for name in self._known)

    def node(self, name: str) -> Node | None:
        """Return the node of a field as it is; None where it is absent."""
        self._known.append(name)
        return self._nodes[name][1] if name in self._nodes else None

    def place_of(self, name: str) -> Place:
        """Return where a field's value stands; where it is absent, the mapping's own place."""
        return self._nodes[name][1].place if name in self._nodes else self.place

    def pairs(self) -> Iterator[tuple[Scalar, Node]]:
        """Return every field, for a mapping whose keys are free; nothing is unknown then."""
        self._known.extend(self._nodes)
        return iter(self._nodes.values())

    def take(self, name: str, read_value: Reader[T], *, secret: bool = False) -> T | None:
        """Return a field that may be left out; None where it is absent or wrong (and reported)."""
        self._known.append(name)
        if name not in self._nodes:
            return None
        return read_value(Value(name, self._nodes[name][1], self._value.report, secret))

    def need(self, name: str, read_value: Reader[T], *, secret: bool = False) -> T | None:
        """Return a field that must be there; None after a report."""
        if name not in self._nodes and isinstance(self._value.node, Table):
            message = f"{self._value.name} needs a field {name!r}"
            self._value.report.add(self.place, message, hint=f"add `{name}: ...`")
        return self.take(name, read_value, secret=secret)

    def close(self) -> None:
        """Report the fields that nobody has asked for."""
        for name, (key, _) in self._nodes.items():
            if self._value.report.full:
                return
            if name not in self._known:
                message = f"unknown field {shown(name)} in {self._value.name}"
                hint = nearest(name, self._known)
                self._value.report.add(key.place, message, hint=hint, code=UNKNOWN_FIELD)
