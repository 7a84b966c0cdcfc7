"""Reads a PromQL selector that a user wrote, so that nothing else can come in its place.

`http_requests_total{code=~"5.."}` becomes a `promql.Selector`, which is quoted again when it is
written. Ranges, functions and operators are refused: the rules add them. Names that need quotes
(Prometheus 3) are refused, since Prometheus 2.42 does not know them.
"""

import re
from typing import Final, NamedTuple, cast

from inferometer.documents import shown
from inferometer.slo.promql import Matcher, MatchOperator, Selector

MATCHERS_MAX: Final = 50

_EXPECTED: Final = "a PromQL selector"
_EXAMPLE: Final = """such as requests_total{code=~"5.."}; the rules add increase and sum"""
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
        | (?P<operator>=~|!~|!=|=)
        | (?P<mark>[{},])
        | "(?P<double>(?:[^"\\\n]|\\.)*)"
        | '(?P<single>(?:[^'\\\n]|\\.)*)'
        | `(?P<raw>[^`]*)`
    )""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\'\"])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})"
    r"|U(?P<U>[0-9a-fA-F]{8})|(?P<o>[0-3][0-7]{2})|(?P<wrong>.))"
)
_PLAIN: Final = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))
# What RE2 has and Python has not: such an expression is left to Prometheus.
_RE2_ONLY: Final = re.compile(r"\\[pPQEzC]|\[\[:|\(\?[-imsU]*U|\(\?<[a-zA-Z]|\\x\{")
# What Python has and RE2 has not.
_PYTHON_ONLY: Final = re.compile(
    r"\(\?(?:=|!|<=|<!|>|\(|P=|#)|(?<!\\)(?:\\\\)*\\[1-9ZuUN]|[*+?}]\+|\(\?-?[imsU]*-?[imsU]*[aLux]"
)
_CLASS_NAMES: Final = (
    "alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit"
)
_STRANGE_CLASS: Final = re.compile(rf"\[[^\]]*\[:(?!\^?(?:{_CLASS_NAMES}):\])\^?\w*:\]")
REPEATS_MAX: Final = 1000
"""How often RE2 lets a part of an expression be repeated, nested repeats multiplied."""
_PART: Final = re.compile(
    r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|\(|\)|\{(\d+)(?:,(\d*))?\}|.",
    re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str


def parse(text: str) -> Selector:
    """Return the selector. Raises ValueError(what it must be, a hint)."""
    tokens = _tokens(text)
    metric = tokens.pop(0).text if tokens[0].kind == "name" else ""
    matchers = _braces(tokens) if tokens[0].text == "{" else []
    if tokens[0].kind != "end":
        raise ValueError(_EXPECTED, f"{shown(tokens[0].text)} does not belong; {_EXAMPLE}")
    names = [matcher for matcher in matchers if matcher.label == "__name__"]
    if names and (metric or len(names) > 1 or names[0].operator != "="):
        raise ValueError(_EXPECTED, "name one metric, once")
    metric = metric or (names[0].value if names else "")
    if not metric:
        raise ValueError(_EXPECTED, f"name the metric; {_EXAMPLE}")
    return Selector(metric, tuple(m for m in matchers if m.label != "__name__"))


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            rest = text[at:].lstrip()
            raise ValueError(_EXPECTED, f"{shown(rest[:20])} does not belong; {_EXAMPLE}")
        kind, inside = match.lastgroup, match[match.lastgroup]
        if kind in ("double", "single"):
            inside = _ESCAPE.sub(lambda one, quote=kind: _unescaped(one, quote), inside)
        found.append(_Token("string" if kind in ("double", "single", "raw") else kind, inside))
        at = match.end()
    return [*found, _Token("end", "the end")]


def _unescaped(match: re.Match[str], quote: str) -> str:
    other = {"double": "'", "single": '"'}[quote]
    if match["wrong"] or match["plain"] == other:
        raise ValueError(_EXPECTED, f"{match[0]!r} is no escape; a backslash is written twice")
    if match["plain"]:
        return _PLAIN[match["plain"]]
    if match["x"] or match["o"]:
        code = int(match["x"], 16) if match["x"] else int(match["o"], 8)
        legal = code < 0x80  # noqa: PLR2004  (a byte that is no character by itself)
    else:
        code = int(match["u"] or match["U"], 16)
        legal = code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF  # noqa: PLR2004  (Unicode)
    if not legal:
        raise ValueError(_EXPECTED, f"{match[0]!r} is no character")
    return chr(code)


def _braces(tokens: list[_Token]) -> list[Matcher]:
    """Take `{label="value", ...}` from the tokens; a comma before the end is fine."""
    tokens.pop(0)
    matchers: list[Matcher] = []
    while tokens[0].text != "}" or tokens[0].kind != "mark":
        if len(matchers) == MATCHERS_MAX:
            raise ValueError(_EXPECTED, f"at most {MATCHERS_MAX} conditions")
        matchers.append(_matcher(tokens))
        if tokens[0] == _Token("mark", ","):
            tokens.pop(0)
        elif tokens[0] != _Token("mark", "}"):
            raise ValueError(_EXPECTED, f"{shown(tokens[0].text)} stands where , or }} must be")
    tokens.pop(0)
    return matchers


def _matcher(tokens: list[_Token]) -> Matcher:
    kinds = [token.kind for token in tokens[:3]]
    if kinds != ["name", "operator", "string"] or ":" in tokens[0].text:
        raise ValueError(_EXPECTED, f'conditions are such as code=~"5.."; {_EXAMPLE}')
    label, operator, value = (tokens.pop(0).text for _ in range(3))
    if operator in ("=~", "!~"):
        _check_regex(value)
    return Matcher(label, cast("MatchOperator", operator), value)


def _check_regex(text: str) -> None:
    """Refuse what Prometheus could not compile, as far as Python can tell."""
    if _PYTHON_ONLY.search(text):
        message = f"RE2 has no look-around, references, and flags but imsU: {shown(text)}"
        raise ValueError(_EXPECTED, message)
    if _STRANGE_CLASS.search(text):
        raise ValueError(_EXPECTED, f"{shown(text)} names a class that RE2 does not have")
    if _repeats(text) > REPEATS_MAX:
        raise ValueError(_EXPECTED, f"at most {REPEATS_MAX} repeats, nested ones multiplied")
    if _RE2_ONLY.search(text):
        return
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(_EXPECTED, f"{shown(text)} is no RE2 expression: {error}") from None


def _repeats(text: str) -> int:
    """Return how often its most repeated part is repeated, as RE2 counts: `(a{3}){2}` is 6."""
    most = 1
    groups = [1]  # the most repeated part of each open group, the outermost first
    last = 1  # and of what was just read, which a repeat would multiply
    for match in _PART.finditer(text):
        part = match[0]
        if part == "(":
            groups.append(1)
            last = 1
        elif part == ")" and len(groups) > 1:
            last = groups.pop()
        elif match[1] is not None:
            last *= max(1, int(match[1]), int(match[2] or 0))
        else:
            last = 1
        groups[-1] = max(groups[-1], last)
        most = max(most, last)
    return most
