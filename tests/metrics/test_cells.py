import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.metrics.cells import Counter, Exemplar, Gauge, Histogram, Shown

EXEMPLAR = Exemplar("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1_700_000_000.0)


def test_a_value_on_an_edge_lies_below_it() -> None:
    cell = Histogram((0.1, 1.0))
    for value in (0.0, 0.1, 0.100001, 1.0, 1.000001):
        cell.add(value)
    assert cell.counts == [2, 2, 1]


def test_a_weight_counts_as_often() -> None:
    cell = Histogram((0.1, 1.0))
    cell.add(0.5, 7)
    assert cell.counts == [0, 7, 0]
    assert cell.sum == 3.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.001])
def test_a_value_that_would_spoil_the_sum_is_refused_and_changes_nothing(value: float) -> None:
    cell = Histogram((0.1, 1.0))
    with pytest.raises(ValueError, match="a histogram cannot count"):
        cell.add(value)
    assert cell.counts == [0, 0, 0]
    assert cell.sum == 0


@pytest.mark.parametrize("n", [-1, math.nan, math.inf])
def test_a_counter_never_goes_back(n: float) -> None:
    cell = Counter()
    cell.add(2)
    with pytest.raises(ValueError, match="a counter cannot grow by"):
        cell.add(n)
    assert cell.value == 2


def test_a_gauge_goes_both_ways() -> None:
    cell = Gauge()
    cell.set(5)
    cell.add(-7.5)
    cell.add()
    assert cell.value == -1.5


def test_the_latest_exemplar_of_a_bucket_is_kept() -> None:
    cell = Histogram((0.1, 1.0))
    cell.add(0.5)
    assert cell.exemplars is None
    cell.add(0.5, 1, EXEMPLAR)
    cell.add(0.6, exemplar=EXEMPLAR)
    cell.add(5, exemplar=EXEMPLAR)
    assert cell.exemplars == [None, Shown(EXEMPLAR, 0.6), Shown(EXEMPLAR, 5)]


def test_a_counter_keeps_its_latest_exemplar() -> None:
    cell = Counter()
    cell.add()
    assert cell.exemplar is None
    cell.add(3, EXEMPLAR)
    assert cell.exemplar == Shown(EXEMPLAR, 3)


@given(
    st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=30, unique=True),
    st.lists(st.floats(min_value=0, max_value=1e9), max_size=50),
)
def test_each_value_is_counted_in_exactly_the_bucket_that_le_says(
    limits: list[float], values: list[float]
) -> None:
    edges = tuple(sorted(limits))
    cell = Histogram(edges)
    for value in values:
        cell.add(value)
    expected = [sum(value <= edge for value in values) for edge in (*edges, math.inf)]
    assert [sum(cell.counts[: n + 1]) for n in range(len(cell.counts))] == expected


@given(st.lists(st.floats(0, 100), max_size=150))
def test_values_counted_together_are_counted_like_one_by_one(values: list[float]) -> None:
    together, one_by_one = Histogram((0.5, 1.0, 20.0)), Histogram((0.5, 1.0, 20.0))
    together.add_all(values)
    for value in values:
        one_by_one.add(value)
    assert together.counts == one_by_one.counts
    assert together.sum == pytest.approx(one_by_one.sum)


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("beside", [0, 100])
def test_values_that_would_spoil_the_sum_are_counted_none_at_all(wrong: float, beside: int) -> None:
    cell = Histogram((0.5, 1.0))
    with pytest.raises(ValueError, match="cannot count"):
        cell.add_all([*[0.1] * beside, wrong])
    assert cell.counts == [0, 0, 0]
    assert cell.sum == 0
