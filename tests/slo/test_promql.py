"""Composed PromQL parses to the tree that was composed, whatever names and values hold."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.slo.promql import (
    Expr,
    Matcher,
    Matching,
    Selector,
    aggregate,
    aggregate_without,
    any_of,
    binary,
    call,
    chain,
    duration,
    equal,
    number,
    regex,
    string,
    subquery,
    vector,
    window,
)
from inferometer.slo.render import WRAPPERS, Home
from inferometer.slo.rule import Group, Rule
from inferometer.slo.yaml_text import document
from support.promtool import Case, Promtool

HOSTILE: Final = (
    '"',
    "\\",
    "\n",
    '"} or vector(1) #',
    "{{ $labels.x }}",
    "'`",
    "\x00\x01\x7f\x85\u2028\ufeff\ufffd",
    "\\u0041\\",
    "é😀",
    "",
    "a" * 5000,
)
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
names = st.one_of(
    st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True),
    st.sampled_from(
        ["by", "ON", "inf", "NaN", "sum", "offset", "bool", "start", "a.b", "é", "a b"]
    ),
    texts.filter(lambda text: text and "\ufffd" not in text),
)
labels = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
operators = st.sampled_from(["=", "!="])
# U+FFFD becomes a regular expression, see below.
matchers = st.builds(Matcher, labels, operators, texts.filter(lambda text: "\ufffd" not in text))
selectors = st.builds(Selector, names, st.lists(matchers, max_size=3).map(tuple))

Tree = Any
"""An expression as nested tuples, the same for what was composed and what was parsed."""


def leaf(selector: Selector, seconds: int = 0) -> Tree:
    found = tuple((m.label, m.operator, m.value) for m in selector.matchers)
    return ("selector", selector.metric, found, seconds)


Read = Callable[[Any], Tree]


def parsed(node: Any) -> Tree:
    """Return what the parser understood."""
    read: dict[str, Read] = {
        "ParenExpr": lambda node: parsed(node.expr),
        "NumberLiteral": lambda node: ("number", node.val),
        "StringLiteral": lambda node: ("string", node.val),
        "VectorSelector": lambda node: parsed_selector(node, 0),
        "MatrixSelector": lambda node: parsed_selector(
            node.vector_selector, round(node.range.total_seconds())
        ),
        "Call": lambda node: ("call", node.func.name, *map(parsed, node.args)),
        "AggregateExpr": lambda node: (
            "aggregate",
            str(node.op),
            node.modifier and tuple(node.modifier.labels),
            parsed(node.expr),
        ),
        "SubqueryExpr": lambda node: ("subquery", parsed(node.expr), node.range.total_seconds()),
        "BinaryExpr": lambda node: (
            "binary",
            str(node.op),
            node.modifier and node.modifier.matching and tuple(node.modifier.matching.labels),
            parsed(node.lhs),
            parsed(node.rhs),
        ),
    }
    return read[type(node).__name__](node)


def parsed_selector(node: Any, seconds: int) -> Tree:
    operator = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!="}
    every = [(m.name, operator[str(m.op)], m.value) for m in node.matchers.matchers]
    metric = node.name or next(value for name, _, value in every if name == "__name__")
    return ("selector", metric, tuple(m for m in every if m[0] != "__name__"), seconds)


Pair = tuple[Expr, Tree]


def leaves() -> st.SearchStrategy[Pair]:
    numbers = st.decimals(0, 10**6, places=3)
    return st.one_of(
        selectors.map(lambda s: (vector(s), leaf(s))),
        selectors.map(
            lambda s: (call("increase", window(s, 300)), ("call", "increase", leaf(s, 300)))
        ),
        numbers.map(
            lambda n: (call("vector", number(n)), ("call", "vector", ("number", float(n))))
        ),
    )


def larger(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    def joined(left: Pair, operator: str, right: Pair, on: tuple[str, ...] | None) -> Pair:
        expr = binary(left[0], operator, right[0], Matching(on))
        return expr, ("binary", operator, on or None, left[1], right[1])

    operator = st.sampled_from(
        "or and unless == != > < >= <= + - * / %".split()  # noqa: SIM905  (as one reads them)
    )
    on = st.sampled_from([None, ("slo",), ("namespace", "slo")])
    return st.one_of(
        st.builds(joined, inner, operator, inner, on),
        inner.map(lambda p: (call("abs", p[0]), ("call", "abs", p[1]))),
        inner.map(
            lambda p: (aggregate("sum", p[0], by=["slo"]), ("aggregate", "sum", ("slo",), p[1]))
        ),
        inner.map(
            lambda p: (
                call("max_over_time", subquery(p[0], 3600, step_s=60)),
                ("call", "max_over_time", ("subquery", p[1], 3600.0)),
            )
        ),
    )


@pytest.mark.req("SC-02")
@given(st.recursive(leaves(), larger, max_leaves=12))
@settings(deadline=None)
def test_what_is_composed_parses_to_the_same_tree(pair: Pair) -> None:
    expr, tree = pair
    assert parsed(promql_parser.parse(str(expr))) == tree


@pytest.mark.req("SC-02")
@given(texts)
def test_a_string_stays_what_it_was(text: str) -> None:
    expr = call("label_replace", vector("up"), "a", text, "b", text)
    tree = parsed(promql_parser.parse(str(expr)))
    assert tree[4] == tree[6] == ("string", text)


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        string("\ud800")


def test_the_character_that_prometheus_cannot_print_is_named_by_its_number() -> None:
    assert str(equal("x", "a.\ufffd")) == r'x=~"a\\.\\x{FFFD}"'
    assert str(Matcher("x", "!=", "\ufffd")) == r'x!~"\\x{FFFD}"'
    assert str(any_of("x", ["\ufffd", "b"])) == r'x=~"\\x{FFFD}|b"'


def test_a_name_of_a_label_cannot_be_quoted_so_it_must_be_legal() -> None:
    with pytest.raises(ValueError, match="no name of a label"):
        str(equal('a="b"} or', "x"))


@pytest.mark.req("SC-02", "SC-05")
def test_the_tools_of_prometheus_read_hostile_texts_as_data(
    promtool: Promtool, tmp_path: Path
) -> None:
    """Each text is a label of a rule, and is asked for by a selector: the real engine finds it."""
    hostile = [text for text in HOSTILE if text]
    given_rules = tuple(
        Rule(f"hostile:{n}", call("vector", number(1)), (("x", text),))
        for n, text in enumerate(hostile)
    )
    found = tuple(
        Rule(f"found:{n}", call("count", vector(Selector(f"hostile:{n}", (how,)))))
        for n, text in enumerate(hostile)
        for how in (equal("x", text), any_of("x", ["never", text]))
    )
    path = tmp_path / "rules.yaml"
    path.write_text(
        document(WRAPPERS["prometheus"]("", [Group("g", given_rules + found)], Home())), "utf-8"
    )
    expect = [(str(rule.expr), 1, {"{}": 1.0}) for rule in found]
    assert promtool.test(tmp_path, [path], Case({}, expect)) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("14.4", "14.4"),
        ("1E+3", "1000"),
        ("2592000", "2592000"),
        ("0.0001", "0.0001"),
        ("-1", "-1"),
    ],
)
def test_numbers_are_written_without_an_exponent(value: str, text: str) -> None:
    assert str(number(Decimal(value))) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (60, "1m"),
        (90, "90s"),
        (5400, "90m"),
        (3600, "1h"),
        (604800, "7d"),
        (Decimal("0.5"), "500ms"),
    ],
)
def test_durations_are_whole_in_their_unit(seconds: Decimal | int, text: str) -> None:
    assert duration(seconds) == text


def test_parentheses_stand_only_where_the_tree_needs_them() -> None:
    a, b, c = vector("a"), vector("b"), vector("c")
    assert str(binary(binary(a, "-", b), "-", c)) == "a - b - c"
    assert str(binary(a, "-", binary(b, "-", c))) == "a - (b - c)"
    assert str(binary(binary(a, "+", b), "*", c)) == "(a + b) * c"
    assert str(chain("and", [a, b, c], Matching(("slo",)))) == "a\nand on (slo) b\nand on (slo) c"
    assert str(binary(a, ">", number(0), as_bool=True)) == "a > bool 0"
    assert str(binary(a, "*", b, Matching(("slo",), ("owner",)))) == (
        "a * on (slo) group_left (owner) b"
    )
    assert str(aggregate("max", a)) == "max(a)"
    assert str(aggregate_without("sum", a, ["window"])) == "sum without (window) (a)"
    assert str(window("a", 3600, offset_s=86400)) == "a[1h] offset 1d"
    assert str(vector("a", offset_s=60)) == "a offset 1m"


def test_a_selector_takes_further_conditions() -> None:
    assert str(Selector("a", (equal("x", "1"),)).where(equal("y", "2"))) == 'a{x="1",y="2"}'


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_text_as_a_regular_expression_takes_itself_only(text: str) -> None:
    assert re.fullmatch(regex(text), text)
    assert not re.fullmatch(regex(text), text + "x")
