"""Selectors that users write: read whole or refused, and never more than a selector."""

from pathlib import Path

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.promql import Matcher, Selector, equal
from inferometer.slo.selector import MATCHERS_MAX, REPEATS_MAX, parse
from support.promtool import Case, Promtool


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("up", Selector("up")),
        (" a:b { } ", Selector("a:b")),
        ('up{x="1",}', Selector("up", (equal("x", "1"),))),
        ("up{x='a\"b', y!=`d`}", Selector("up", (equal("x", 'a"b'), Matcher("y", "!=", "d")))),
        (r'{__name__="a b", x=~"5.."}', Selector("a b", (Matcher("x", "=~", "5.."),))),
        (r'u{x="\x41\u00e9\U0001F600\101\n\"\\"}', Selector("u", (equal("x", 'Aé😀A\n"\\'),))),
        ('u{x="} or vector(1) #"}', Selector("u", (equal("x", "} or vector(1) #"),))),
        ("u{sum='1', by='2'}", Selector("u", (equal("sum", "1"), equal("by", "2")))),
        (r'u{x=~"\\pL[[:alpha:]]"}', Selector("u", (Matcher("x", "=~", r"\pL[[:alpha:]]"),))),
    ],
)
def test_what_prometheus_takes_for_a_selector_is_one(text: str, selector: Selector) -> None:
    assert parse(text) == selector
    theirs = promql_parser.parse(text)
    assert isinstance(theirs, promql_parser.VectorSelector)
    values = [m.value for m in theirs.matchers.matchers if m.name != "__name__"]
    assert values == [matcher.value for matcher in selector.matchers]


def test_between_backquotes_a_backslash_is_a_backslash(promtool: Promtool, tmp_path: Path) -> None:
    """As in Prometheus itself; the parser above takes it for an escape."""
    text = r"up{x=`a\d`}"
    assert parse(text) == Selector("up", (equal("x", r"a\d"),))
    series = {r'up{x="a\\d"}': "1x5", 'up{x="other"}': "1x5"}
    case = Case(series, [(f"count({text})", 1, {"{}": 1.0})])
    assert promtool.test(tmp_path, [], case) == ""


@pytest.mark.req("SC-02", "SC-04")
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "name the metric"),
        ("{}", "name the metric"),
        ('{x="1"}', "name the metric"),
        ("up[5m]", "'[5m]' does not belong"),
        ("rate(up[5m])", "'(up[5m])' does not belong"),
        ("up or vector(1)", "does not belong"),
        ("sum(up)", "does not belong"),
        ("up offset 5m", "does not belong"),
        ("up{x=1}", "does not belong"),
        ('up{x="1"', "stands where , or } must be"),
        ('up{x="1" y="2"}', "stands where , or } must be"),
        ('up{,x="1"}', "conditions are such as"),
        ("up{", "conditions are such as"),
        ('up{"x.y"="1"}', "conditions are such as"),
        ('up{a:b="1"}', "conditions are such as"),
        ('up{x=="1"}', "conditions are such as"),
        ('up{x="\n"}', "does not belong"),
        (r'up{x="\q"}', "is no escape"),
        (r"""up{x="\'"}""", "is no escape"),
        (r'up{x="\xff"}', "is no character"),
        (r'up{x="\ud800"}', "is no character"),
        (r'up{x="\U00110000"}', "is no character"),
        ('up{__name__="x"}', "name one metric, once"),
        ('{__name__=~"x.*"}', "name one metric, once"),
        ('{__name__="x",__name__="y"}', "name one metric, once"),
        ('up{x=~"("}', "is no RE2 expression"),
        ('up{x=~"(?=a)"}', "RE2 has no look-around"),
        (r'up{x!~"(a)\\1"}', "RE2 has no look-around"),
    ],
)
def test_anything_else_is_refused_with_a_reason(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match="a PromQL selector") as caught:
        parse(text)
    assert hint in caught.value.args[1]


def test_conditions_have_a_greatest_number() -> None:
    def many(count: int) -> str:
        conditions = ",".join(f"l{n}='x'" for n in range(count))
        return f"up{{{conditions}}}"

    assert len(parse(many(MATCHERS_MAX)).matchers) == MATCHERS_MAX
    with pytest.raises(ValueError, match="a PromQL selector"):
        parse(many(MATCHERS_MAX + 1))


pieces = st.sampled_from(["up", "{", "}", "x", "=", "=~", ",", '"a"', "'", '"', "\\", "[5m]", " "])


@pytest.mark.req("SC-02")
@given(st.lists(st.one_of(pieces, st.text(max_size=3)), max_size=12).map("".join))
def test_what_is_read_comes_out_as_the_same_selector(text: str) -> None:
    try:
        selector = parse(text)
    except ValueError:
        return
    written = str(selector)
    assert parse(written) == selector or "\ufffd" in written
    assert isinstance(promql_parser.parse(written), promql_parser.VectorSelector)


@pytest.mark.req("SC-02", "SC-04")
@pytest.mark.parametrize(
    ("inside", "hint"),
    [
        ("(?x)a", "flags but imsU"),
        ("(?a)a", "flags but imsU"),
        ("(?i-x:a)", "flags but imsU"),
        (r"\u00e9", "RE2 has no"),
        (r"\N{DIGIT ONE}", "RE2 has no"),
        ("[[:foo:]]", "names a class that RE2 does not have"),
        (f"a{{{REPEATS_MAX + 1}}}", "at most 1000 repeats"),
        (f"a{{1,{REPEATS_MAX + 1}}}", "at most 1000 repeats"),
        ("(a{100}){100}", "at most 1000 repeats"),
        ("((a{10}|b{11})c{2}){100}", "at most 1000 repeats"),
    ],
)
def test_what_re2_could_not_compile_is_refused(
    promtool: Promtool, tmp_path: Path, inside: str, hint: str
) -> None:
    text = f"u{{x=~`{inside}`}}"
    with pytest.raises(ValueError, match=r"^a PromQL selector$|") as caught:
        parse(text)
    assert hint in str(caught.value.args[1])
    assert promtool.test(tmp_path, [], Case({"u": "1"}, [(f"count({text})", 0, {})])) != ""


@pytest.mark.parametrize(
    "inside",
    [
        "(?i)a|(?s:b)|(?U)c",
        r"\\\\u",
        "[[:^alpha:][:digit:]]",
        "[:foo:]",
        f"a{{{REPEATS_MAX}}}",
        "(a{100}b{9}){10}",
        r"(a\{100\}[{9}]{999})",
        r"\Q(a{9999}\E",
        r"\x{e9}",
        "a{2}b{3,}(c{4,5})?",
    ],
)
def test_what_re2_compiles_is_not(promtool: Promtool, tmp_path: Path, inside: str) -> None:
    text = f"u{{x=~`{inside}`}}"
    assert parse(text).matchers == (Matcher("x", "=~", inside),)
    assert promtool.test(tmp_path, [], Case({"u": "1"}, [(f"count({text})", 0, {})])) == ""
