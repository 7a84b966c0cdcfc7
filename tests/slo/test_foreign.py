from decimal import Decimal

import pytest

from inferometer.documents import Report, parse
from inferometer.schema import Value
from inferometer.slo.document import Foreign, GaugeSource, HistogramSource, RatioSource, Slice
from inferometer.slo.foreign import FILTERS_MAX, QUERY_CHARS_MAX, read_foreign


def read(text: str) -> tuple[Foreign | None, list[str]]:
    report = Report()
    node = parse(f"{{name: m, objective: 95, {text}}}".encode(), "x")[0]
    found = read_foreign(Value("the metric", node, report), "chat")
    return found, [problem.message for problem in report.problems]


@pytest.mark.parametrize(
    ("threshold", "value"),
    [("2.5s", "2.5"), ("500ms", "0.5"), ("2.5", "2.5"), ("100", "100")],
)
def test_a_threshold_is_a_duration_in_seconds_or_a_number(threshold: str, value: str) -> None:
    found, problems = read(f"histogram: {{metric: 'a:b', threshold: {threshold}}}")
    assert problems == []
    assert found
    assert found.id == "chat-m"
    assert found.source == HistogramSource("a:b", Decimal(value), ())


def test_filters_are_kept_as_data_whatever_they_hold() -> None:
    hostile = '"} or vector(1) #'
    found, problems = read(
        f"histogram: {{metric: a, threshold: 1, where: {{x: '{hostile}', y: '{{{{'}}}}"
    )
    assert problems == []
    assert found
    assert found.source == HistogramSource("a", Decimal(1), (("x", hostile), ("y", "{{")))


def test_a_ratio_has_a_total_and_its_good_or_bad_part() -> None:
    found, problems = read("ratio: {good: a, total: b}")
    assert problems == []
    assert found
    assert found.source == RatioSource("a", None, "b")


def test_filters_have_a_greatest_number_and_texts_a_greatest_length() -> None:
    def histogram(filters: int, chars: int) -> list[str]:
        where = ", ".join(f"l{n}: {'x' * chars}" for n in range(filters))
        return read(f"histogram: {{metric: a, threshold: 1, where: {{{where}}}}}")[1]

    assert histogram(FILTERS_MAX, 1) == []
    assert histogram(FILTERS_MAX + 1, 1) == ["where must be at most 20 labels, got a mapping"]
    assert histogram(1, QUERY_CHARS_MAX) == []
    assert histogram(1, QUERY_CHARS_MAX + 1)[0].startswith("l0 must be at most 2000 characters")


@pytest.mark.req("SC-02", "SC-04")
def test_a_ratio_takes_selectors_only_so_that_nothing_else_comes_in_their_place() -> None:
    found, problems = read("ratio: {bad: 'a} or vector(1) #', total: 'rate(b[5m])'}")
    assert found is None
    assert problems == [
        "bad must be a PromQL selector, got 'a} or vector(1) #'",
        "total must be a PromQL selector, got 'rate(b[5m])'",
    ]
    _, problems = read(f"ratio: {{bad: a, total: {'b' * (QUERY_CHARS_MAX + 1)}}}")
    assert problems == [problems[0]]
    assert problems[0].startswith("total must be at most 2000 characters long")


@pytest.mark.parametrize(
    ("bound", "operator"),
    [("at_most: 0.9", "<="), ("below: 0.9", "<"), ("at_least: 0.9", ">="), ("above: 0.9", ">")],
)
def test_a_gauge_has_one_bound_and_slices_of_time(bound: str, operator: str) -> None:
    sliced = "slice: {length: 5m, good_share: 90}"
    found, problems = read(f"gauge: {{metric: 'g{{a=\"b\"}}', {bound}}}, {sliced}")
    assert problems == []
    assert found
    assert isinstance(found.source, GaugeSource)
    assert (found.source.selector, found.source.operator) == ('g{a="b"}', operator)
    assert found.source.bound == Decimal("0.9")
    assert found.slice == Slice(300 * 10**9, Decimal(90))
    assert found.weight == "slice"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gauge: {metric: g, below: 1}", "a gauge says something about time only: it needs slice"),
        (
            "gauge: {metric: g, below: 1, above: 0}, slice: {length: 5m, good_share: 9}",
            "a gauge needs one bound: at_most, below, at_least or above",
        ),
        (
            "gauge: {metric: g, below: 1s}, slice: {length: 5m, good_share: 9}",
            "below must be a number, got '1s'",
        ),
        (
            "gauge: {metric: 'max(g)', below: 1}, slice: {length: 5m, good_share: 9}",
            "metric must be a PromQL selector, got 'max(g)'",
        ),
        (
            "gauge: {metric: g, below: 1}, ratio: {bad: a, total: b}, slice: {}",
            "a metric needs either histogram, ratio or gauge",
        ),
        ("gauge: x, slice: {length: 5m, good_share: 9}", "gauge must be a mapping, got 'x'"),
        (
            "ratio: {bad: a, total: b}, slice: {length: 5m}",
            "a slice needs length and good_share",
        ),
        (
            "ratio: {bad: a, total: b}, good: {ttft: 1s}",
            "conditions on one request cannot be told from metrics",
        ),
    ],
)
def test_what_says_nothing_about_a_metric_is_refused(text: str, expected: str) -> None:
    assert expected in read(text)[1]


def test_a_ratio_may_count_slices_of_time() -> None:
    found, problems = read("ratio: {bad: a, total: b}, slice: {length: 10m, good_share: 50}")
    assert problems == []
    assert found
    assert found.slice == Slice(600 * 10**9, Decimal(50))
    assert found.weight == "slice"
    plain = read("ratio: {bad: a, total: b}")[0]
    assert plain
    assert plain.weight == "event"


@pytest.mark.req("SC-02", "SC-04")
@pytest.mark.parametrize("label", ["__name__", "le"])
def test_filters_choose_neither_the_metric_nor_the_edge(label: str) -> None:
    """Prometheus refuses a second name, and all buckets but one would never be recorded."""
    _, problems = read(f"histogram: {{metric: a, threshold: 1, where: {{{label}: '1'}}}}")
    assert problems == [f"{label!r} is chosen by the rules"]
