"""PromQL as values that are composed, and never as text that is pasted together.

An `Expr` is a piece of PromQL with the strength of its outermost operator, so that composing adds
the parentheses the tree needs. Names, label values and strings are quoted, whatever they hold, so
that data stays data. What a rule says belongs into `rules` and `alerts`.
Source of grammar and precedence: Prometheus, "Query language: operators", and its lexer.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, NamedTuple

MatchOperator = Literal["=", "!=", "=~", "!~"]

_ATOM: Final = 9
_UNARY: Final = 6
_STRENGTH: Final = {
    **dict.fromkeys(("or",), 1),
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", ">", "<", ">=", "<="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
}
_SET: Final = frozenset({"or", "and", "unless"})
_COMPARISON: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# What a lexer would take for a number, an operator or an aggregation: quoted as a metric name.
_RESERVED: Final = re.compile(
    r"""and|or|unless|atan2|sum|avg|count|min|max|group|stddev|stdvar|topk|bottomk|count_values
    |quantile|limitk|limit_ratio|offset|by|without|on|ignoring|group_left|group_right|bool|start
    |end|inf|nan|smoothed|anchored|fill|fill_left|fill_right|step|range""",
    re.VERBOSE | re.IGNORECASE,
)
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Control characters, and U+FFFD, which the lexer takes for broken UTF-8.
_SPECIAL: Final = re.compile('[\\\\"\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffd]')
_UNREADABLE: Final = "\ufffd"
_NAMED: Final = r"\x{FFFD}"
_AS_REGEX: Final[Mapping[str, MatchOperator]] = {"=": "=~", "!=": "!~"}
_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


@dataclass(frozen=True, slots=True)
class Expr:
    """A piece of PromQL, and how strongly its outermost operator binds."""

    text: str
    strength: int = _ATOM

    def __str__(self) -> str:
        """Return the PromQL."""
        return self.text


class Matcher(NamedTuple):
    """One condition on a label; for `=~` and `!~` the value is a regular expression."""

    label: str
    operator: MatchOperator
    value: str

    def __str__(self) -> str:
        """Return it as it stands in braces. Raises ValueError for an illegal name of a label."""
        if not _LABEL.fullmatch(self.label):
            message = f"no name of a label: {self.label!r}"
            raise ValueError(message)
        if _UNREADABLE not in self.value:
            return f"{self.label}{self.operator}{string(self.value)}"
        # Prometheus prints a rule and parses that again: it prints this character as itself, and
        # then takes it for broken UTF-8. Only a regular expression can name it in plain letters.
        known = self.value if self.operator in _AS_REGEX.values() else regex(self.value)
        operator = _AS_REGEX.get(self.operator, self.operator)
        return f"{self.label}{operator}{string(known.replace(_UNREADABLE, _NAMED))}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric and conditions on its labels, without a range; see `vector` and `window`."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def where(self, *more: Matcher) -> "Selector":
        """Return the selector with further conditions."""
        return replace(self, matchers=(*self.matchers, *more))

    def __str__(self) -> str:
        """Return the PromQL."""
        if _METRIC.fullmatch(self.metric) and not _RESERVED.fullmatch(self.metric):
            inside = ",".join(map(str, self.matchers))
            return f"{self.metric}{{{inside}}}" if inside else self.metric
        name = Matcher("__name__", "=", self.metric)  # 2.42 has no other way to quote a name
        return f"{{{','.join(map(str, (name, *self.matchers)))}}}"


def equal(label: str, value: str) -> Matcher:
    """Return the condition that a label has this value; `""` also means absent."""
    return Matcher(label, "=", value)


def any_of(label: str, values: Iterable[str]) -> Matcher:
    """Return the condition that a label has one of these values."""
    return Matcher(label, "=~", "|".join(map(regex, values)))


def string(text: str) -> str:
    """Return a string literal, which also every Go program would read as `text`.

    Raises ValueError for a lone surrogate, which no UTF-8 text can hold.
    """
    text.encode("utf-8")
    return f'"{_SPECIAL.sub(_escaped, text)}"'


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    return _ESCAPES.get(found) or f"\\u{ord(found):04x}"


def regex(text: str) -> str:
    """Return the RE2 expression that takes exactly `text`."""
    return _META.sub(r"\\\g<0>", text)


def duration(seconds: Decimal | int) -> str:
    """Return a duration in the largest unit in which it is whole: `90m`, `30d`."""
    ms = int(seconds * 1000)
    assert ms > 0, seconds
    unit, unit_ms = next(unit for unit in _UNITS_MS if ms % unit[1] == 0)
    return f"{ms // unit_ms}{unit}"


def number(value: Decimal | int) -> Expr:
    """Return a number, exact and without an exponent."""
    text = f"{Decimal(value):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return Expr(text, _UNARY if text.startswith("-") else _ATOM)


def vector(selector: Selector | str, *, offset_s: int = 0) -> Expr:
    """Return the present values of a selector; a text is the name of a metric."""
    chosen = Selector(selector) if isinstance(selector, str) else selector
    return Expr(f"{chosen}{_offset(offset_s)}")


def window(selector: Selector | str, seconds: Decimal | int, *, offset_s: int = 0) -> Expr:
    """Return the samples of a selector over a time."""
    chosen = Selector(selector) if isinstance(selector, str) else selector
    return Expr(f"{chosen}[{duration(seconds)}]{_offset(offset_s)}")


def _offset(seconds: int) -> str:
    return f" offset {duration(seconds)}" if seconds else ""


def subquery(expr: Expr, seconds: Decimal | int, *, step_s: int) -> Expr:
    """Return the values of an expression over a time, at each step."""
    return Expr(f"{_inside(expr, _ATOM)}[{duration(seconds)}:{duration(step_s)}]")


def call(function: str, *arguments: Expr | str) -> Expr:
    """Return a call; a plain text becomes a string literal."""
    texts = (string(one) if isinstance(one, str) else one.text for one in arguments)
    return Expr(f"{function}({', '.join(texts)})")


def aggregate(operator: str, expr: Expr, *, by: Sequence[str] | None = None) -> Expr:
    """Return an aggregation, over everything or `by` some labels."""
    over = "" if by is None else f" by ({', '.join(by)}) "
    return Expr(f"{operator}{over}({expr.text})")


def one_each(expr: Expr, *, by: Sequence[str]) -> Expr:
    """Return one whole series of all that have the same values of some labels."""
    return Expr(f"topk by ({', '.join(by)}) (1, {expr.text})")


def aggregate_without(operator: str, expr: Expr, labels: Sequence[str]) -> Expr:
    """Return an aggregation that takes some labels away."""
    return Expr(f"{operator} without ({', '.join(labels)}) ({expr.text})")


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of an operator find each other; `left` copies labels from the right.

    `on` None compares all labels; `left` None is one-to-one.
    """

    on: tuple[str, ...] | None = None
    left: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """Return what stands after the operator."""
        if self.on is None:
            return ""
        many = "" if self.left is None else f" group_left ({', '.join(self.left)})"
        return f" on ({', '.join(self.on)}){many}"


_ALL: Final = Matching()


def binary(
    left: Expr, operator: str, right: Expr, matching: Matching = _ALL, *, as_bool: bool = False
) -> Expr:
    """Return two expressions joined by an operator; set operators begin a line of their own."""
    strength = _STRENGTH[operator]
    assert not as_bool or operator in _COMPARISON, operator
    # All of these associate to the left: the same strength needs parentheses on the right only.
    first, second = _inside(left, strength), _inside(right, strength + 1)
    gap = "\n" if operator in _SET else " "
    word = f"{operator} bool" if as_bool else operator
    return Expr(f"{first}{gap}{word}{matching} {second}", strength)


def chain(operator: str, parts: Sequence[Expr], matching: Matching = _ALL) -> Expr:
    """Return several expressions joined by the same operator."""
    joined, *rest = parts
    for part in rest:
        joined = binary(joined, operator, part, matching)
    return joined


def _inside(expr: Expr, strength: int) -> str:
    return expr.text if expr.strength >= strength else f"({expr.text})"
