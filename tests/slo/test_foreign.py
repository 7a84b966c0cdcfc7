from decimal import Decimal

import pytest

from inferometer.documents import Report, parse
from inferometer.schema import Value
from inferometer.slo.document import Foreign, HistogramSource, RatioSource
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
