"""Queries of indicators: what the rules add themselves is taken off, all else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.documents import Items, Report, Scalar, Table
from inferometer.errors import Place
from inferometer.schema import Value
from inferometer.slo import selector
from inferometer.slo.document import RatioSource
from inferometer.slo.openslo.indicators import Indicator, Shelf, read_indicator, refer

AT = Place("x")
Data = str | dict[str, "Data"]


def node(data: Data) -> Scalar | Items | Table:
    if isinstance(data, str):
        return Scalar(data, quoted=True, place=AT)
    return Table(tuple((Scalar(k, quoted=False, place=AT), node(v)) for k, v in data.items()), AT)


def read(metric: str, query: str) -> tuple[Indicator | None, Report]:
    source: Data = {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}
    other: Data = {"metricSource": {"type": "Prometheus", "spec": {"query": "n"}}}
    ratio: Data = {"counter": "true", "bad": source, "total": other}
    spec: Data = {metric: ratio if metric == "ratioMetric" else source}
    report = Report()
    return read_indicator(Value("spec", node(spec), report), Shelf()), report


@pytest.mark.parametrize(
    "query",
    [
        'm{a="b"}',
        ' m{a="b"} ',
        'sum(m{a="b"})',
        'rate(m{a="b"}[5m])',
        'sum(rate(m{a="b"}[{{.window}}]))',
        'sum ( increase ( m{a="b"} [1h] ) )',
        'sum(\n  rate(m{a="b"}[$__rate_interval])\n)',
    ],
)
def test_what_the_rules_add_themselves_is_taken_off(query: str) -> None:
    found, report = read("ratioMetric", query)
    assert report.problems == []
    assert found == Indicator(ratio=RatioSource(None, 'm{a="b"}', "n"))


@pytest.mark.req("SC-02", "SC-04")
@pytest.mark.parametrize(
    "query",
    [
        "sum(a) + sum(b)",
        "sum(rate(a[5m])) or vector(1)",
        "sum by (x) (a)",
        "avg(a)",
        "rate(sum(a)[5m])",
        "sum(rate(a))",
        "sum(sum(a))",
        "histogram_quantile(0.9, rate(a_bucket[5m]))",
        "a[5m]",
        "1",
        "a offset 5m",
        "SELECT 1",
        "sum(",
        ")",
    ],
)
def test_anything_else_is_refused(query: str) -> None:
    found, report = read("ratioMetric", query)
    assert found is None
    assert [problem.code for problem in report.problems] == ["E11"]


def test_a_threshold_is_the_selector_of_a_gauge_and_nothing_around_it() -> None:
    assert read("thresholdMetric", "m")[0] == Indicator(gauge="m")
    found, report = read("thresholdMetric", "max(m)")
    assert found is None
    assert report.problems[0].hint == "record the expression by a rule, and name what it records"


@given(st.text(max_size=60) | st.text("sumrate()[]{}=\"',5m \n", max_size=60))
def test_whatever_is_taken_is_a_selector(query: str) -> None:
    found, report = read("ratioMetric", query)
    if found is None:
        assert report.problems
    else:
        assert found.ratio
        selector.parse(found.ratio.bad or "")


@pytest.mark.parametrize(
    "spec", ["x", {"ratioMetric": "x"}, {"thresholdMetric": {"metricSource": "x"}}]
)
def test_what_is_no_mapping_is_told_once(spec: Data) -> None:
    report = Report()
    assert read_indicator(Value("spec", node(spec), report), Shelf()) is None
    assert [problem.message.partition(" must")[2] for problem in report.problems] == [
        " be a mapping, got 'x'"
    ]


def test_a_reference_is_a_text() -> None:
    report = Report()
    assert refer(Value("indicatorRef", node(""), report), Shelf()) is None
    assert len(report.problems) == 1
    assert refer(Value("indicatorRef", node("a"), report), Shelf()) is None
    assert report.problems[1].hint == "give the file that holds it, too"
