"""Finds comparisons of a quantile of latency with a number in PromQL that a user wrote.

What is recognised is `histogram_quantile(...)` of a latency that we or an engine show, on the side
of `>` or `>=` that must not be large and with a plain number on the other side; between the two may
be parentheses, `max`, `min`, `avg` and `sort`, and factors that change the unit. Whatever else an
expression says is passed over in silence: this is no parser of PromQL, and it never raises. Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from typing import Final, NamedTuple

from inferometer.metrics.catalog import METRICS
from inferometer.slo.check import ENGINES

CHARS_MAX: Final = 10_000
"""A longer expression is not looked at."""
FOUND_MAX: Final = 20
"""Calls that are looked at in one expression."""
NUMBER_MAX: Final = 1e9
"""A limit above this, or below its inverse, is none of a latency."""

_CALL: Final = "histogram_quantile"
_WAITS: Final = re.compile(
    "time_to_first|first_response|inter_(?:token|chunk)_latency|per_output_token|per_token_duration"
    "|e2e_request_latency|request_duration|longest_gap"
)
"""What a user waits for, in names of metrics."""
_TOKEN: Final = re.compile(
    r"""\s*(?:
        \#[^\n]*
        | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
        | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
        | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
        | (?P<mark>==|!=|>=|<=|=~|!~|[-+*/%^()\[\]{},=<>@:.])
    )""",
    re.VERBOSE | re.DOTALL,
)
_SETS: Final = frozenset({"and", "or", "unless"})
_MATCHING: Final = frozenset({"on", "ignoring"})
_GROUPING: Final = frozenset({"by", "without"})
_KEEPING: Final = frozenset({"max", "min", "avg", "sort", "sort_desc"})
"""What changes which series there are, and not the size of their values."""
_CLOSING: Final = {")": "(", "]": "[", "}": "{"}
_DIGITS: Final = Context(prec=9)


class Limit(NamedTuple):
    """A metric, the quantile of it (None if it is no plain number), and the limit in its unit."""

    metric: str
    quantile: Decimal | None
    limit: Decimal


class _Token(NamedTuple):
    kind: str
    text: str


class _Term(NamedTuple):
    """Tokens from `start` to before `end` that are the quantile, times `scale`."""

    start: int
    end: int
    scale: Decimal = Decimal(1)


_END: Final = _Token("end", "")


def limits(expr: str) -> tuple[Limit, ...]:
    """Return the limits of latencies in an expression, each once."""
    tokens = _tokens(expr) if len(expr) <= CHARS_MAX else []
    pairs = _pairs(tokens)
    calls = [at for at, one in enumerate(tokens) if one.text == _CALL and one.kind == "name"]
    found: dict[Limit, None] = {}
    for at in calls[:FOUND_MAX]:
        if at + 1 not in pairs:
            continue
        end = pairs[at + 1]
        limit = _limit(tokens, pairs, _Term(at, end + 1))
        if limit is not None:
            quantile = _quantile(tokens, at + 2)
            metrics = _metrics(tokens, at + 2, end)
            found |= dict.fromkeys(Limit(metric, quantile, limit) for metric in metrics)
    return tuple(found)


def is_latency(metric: str) -> bool:
    """Tell whether a histogram is of what a user waits for, and shown by us or by an engine."""
    ours = metric in METRICS and METRICS[metric].kind == "histogram"
    return (ours or metric.startswith(ENGINES)) and _WAITS.search(metric) is not None


def _tokens(expr: str) -> list[_Token]:
    """Return tokens between two ends; none if something is no PromQL."""
    found, at, expr = [_END], 0, expr.rstrip()
    while at < len(expr):
        match = _TOKEN.match(expr, at)
        if match is None:
            return []
        if match.lastgroup is not None:
            found.append(_Token(match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return [*found, _END]


def _pairs(tokens: Sequence[_Token]) -> Mapping[int, int]:
    """Return where each bracket has its other one; nothing if they do not fit together."""
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for at, one in enumerate(tokens):
        if one.kind != "mark":
            continue
        if one.text in _CLOSING.values():
            stack.append(at)
        elif one.text in _CLOSING:
            if not stack or tokens[stack[-1]].text != _CLOSING[one.text]:
                return {}
            other = stack.pop()
            pairs |= {other: at, at: other}
    return {} if stack else pairs


def _limit(tokens: Sequence[_Token], pairs: Mapping[int, int], first: _Term) -> Decimal | None:
    term: _Term | None = first
    while term is not None:
        compared = _compared(tokens, pairs, term)
        if compared is not None:
            limit = _DIGITS.divide(compared, term.scale)
            return limit if 1 / NUMBER_MAX <= limit <= NUMBER_MAX else None
        term = _scaled(tokens, term) or _wrapped(tokens, pairs, term)
    return None


def _compared(tokens: Sequence[_Token], pairs: Mapping[int, int], term: _Term) -> Decimal | None:
    """Return the number that a term must not be above, None if it stands in no comparison."""
    after = term.end
    if tokens[after].text in (">", ">=") and _begins(tokens, pairs, term.start - 1):
        at = after + 1 + (tokens[after + 1].text == "bool")
        return _number(tokens[at]) if _ends(tokens[min(at + 1, len(tokens) - 1)]) else None
    at = term.start - 1 - (tokens[term.start - 1].text == "bool")
    if tokens[at].text in ("<", "<=") and _ends(tokens[after]):
        limit = _number(tokens[at - 1])
        return limit if limit is not None and _begins(tokens, pairs, at - 2) else None
    return None


def _begins(tokens: Sequence[_Token], pairs: Mapping[int, int], at: int) -> bool:
    """Tell whether nothing before is part of the same comparison."""
    if tokens[at].text == ")" and tokens[pairs[at] - 1].text in _MATCHING:
        return tokens[pairs[at] - 2].text in _SETS
    return tokens[at] == _END or tokens[at].text in ("(", ",") or tokens[at].text in _SETS


def _ends(token: _Token) -> bool:
    """Tell whether nothing after is part of the same comparison."""
    return token == _END or token.text in (")", ",") or token.text in _SETS


def _scaled(tokens: Sequence[_Token], term: _Term) -> _Term | None:
    """Return a term with the factor beside it, None without one."""
    before, after = tokens[term.start - 1].text, tokens[term.end].text
    if after in ("*", "/"):
        factor = _number(tokens[term.end + 1])
        if factor is not None:
            scale = term.scale * factor if after == "*" else term.scale / factor
            return _Term(term.start, term.end + 2, scale)
    elif before == "*":
        factor = _number(tokens[term.start - 2])
        if factor is not None:
            return _Term(term.start - 2, term.end, term.scale * factor)
    return None


def _wrapped(tokens: Sequence[_Token], pairs: Mapping[int, int], term: _Term) -> _Term | None:
    """Return a term with what is around it and keeps its value, None if nothing does."""
    opening, closing = term.start - 1, term.end
    if tokens[opening].text != "(" or pairs[opening] != closing:
        return None
    before, start, end = tokens[opening - 1], opening, closing + 1
    if before.text == ")" and tokens[pairs[opening - 1] - 1].text in _GROUPING:
        start = pairs[opening - 1] - 2  # max by (model) (...)
        if tokens[start].text not in _KEEPING:
            return None
    elif before.kind == "name" and before.text in _KEEPING:
        start = opening - 1
        if tokens[end].text in _GROUPING and end + 1 in pairs:
            end = pairs[end + 1] + 1  # max(...) by (model)
    elif before.kind == "name" and before.text not in (*_SETS, "bool"):
        return None
    return _Term(start, end, term.scale)


def _number(token: _Token) -> Decimal | None:
    """Return a number that a latency may be compared with or converted by."""
    if token.kind != "number" or not 1 / NUMBER_MAX <= float(token.text) <= NUMBER_MAX:
        return None
    return _DIGITS.create_decimal(token.text)


def _quantile(tokens: Sequence[_Token], at: int) -> Decimal | None:
    return _number(tokens[at]) if tokens[at + 1].text == "," else None


def _metrics(tokens: Sequence[_Token], start: int, end: int) -> Iterator[str]:
    """Yield the latencies that are named between two tokens, also as `{__name__="..."}`."""
    for at in range(start, end):
        text, before = tokens[at].text, [one.text for one in tokens[at - 2 : at]]
        if tokens[at].kind == "string":
            is_name = before == ["__name__", "="] or before[-1] == "{"
            text = text[1:-1] if is_name else ""
        metric = text.removesuffix("_bucket")
        if is_latency(metric):
            yield metric
