import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inferometer.metrics.estimate import kaplan_meier, quantile, survival

EDGES = (1.0, 2.0, 4.0, math.inf)
COUNTS = st.lists(st.integers(0, 50), min_size=4, max_size=4)
SHARES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("counts", "q", "expected"),
    [
        ([10, 0, 0, 0], 0.5, 0.5),  # from 0 up to the first edge
        ([0, 10, 0, 0], 0.5, 1.5),
        ([5, 5, 0, 0], 0.5, 1.0),
        ([1, 1, 1, 1], 0.75, 4.0),
        ([0, 0, 0, 10], 0.5, 4.0),  # beyond all edges: the highest one is a lower bound
        ([0, 0, 8, 0], 0.25, 2.5),
        ([0, 5, 0, 5], 0.0, 1.0),
        ([0, 5, 0, 0], 1.0, 2.0),
    ],
)
def test_a_quantile_follows_the_rule_of_prometheus(
    counts: list[float], q: float, expected: float
) -> None:
    assert quantile(EDGES, counts, q) == pytest.approx(expected)


def test_without_samples_nothing_is_known() -> None:
    assert quantile(EDGES, [0, 0, 0, 0], 0.99) is None
    assert kaplan_meier(EDGES, [0, 0, 0, 0], [0, 0, 0, 0], 0.99) is None
    assert quantile((), (), 0.5) is None


def test_a_first_edge_below_zero_is_not_interpolated() -> None:
    assert quantile((-1.0, math.inf), [5, 0], 0.5) == -1.0


def test_a_single_bucket_tells_no_quantile() -> None:
    assert quantile((math.inf,), [5], 0.5) is None


def test_the_textbook_example_of_kaplan_and_meier() -> None:
    # 10 at risk: 2 answered and 1 gave up, then 3 of 7 answered, then 2 gave up.
    assert survival([2, 3, 0, 0], [1, 0, 2, 2]) == pytest.approx([0.8, 0.8 * 4 / 7] + [16 / 35] * 2)


def test_waits_given_up_push_the_quantile_up_and_never_down() -> None:
    answered = [90, 5, 5, 0]
    alone = quantile(EDGES, answered, 0.95)
    with_storm = kaplan_meier(EDGES, answered, [0, 2, 1, 0], 0.95)
    assert alone == pytest.approx(2.0)
    assert with_storm is not None
    assert with_storm > 2.0


def test_a_quantile_beyond_every_answer_is_unknown() -> None:
    assert kaplan_meier(EDGES, [10, 0, 0, 0], [0, 0, 0, 90], 0.5) is None
    assert kaplan_meier(EDGES, [0, 0, 0, 0], [5, 5, 5, 5], 0.5) is None


@given(COUNTS, SHARES)
def test_without_waits_given_up_it_is_the_ordinary_quantile(counts: list[int], q: float) -> None:
    assert kaplan_meier(EDGES, counts, [0] * 4, q) == quantile(EDGES, counts, q)


@given(COUNTS, COUNTS)
def test_survival_falls_from_one_and_stays_a_share(events: list[int], censored: list[int]) -> None:
    shares = survival(events, censored)
    assert all(0 <= share <= 1 for share in shares)
    assert shares == sorted(shares, reverse=True)


@given(COUNTS, COUNTS, SHARES, SHARES)
def test_a_higher_quantile_is_never_smaller(
    events: list[int], censored: list[int], a: float, b: float
) -> None:
    low, high = (kaplan_meier(EDGES, events, censored, q) for q in sorted((a, b)))
    assume(high is not None)
    assert low is not None
    assert high is not None
    assert low <= high + 1e-9


@given(COUNTS, COUNTS, SHARES)
def test_giving_up_never_makes_the_answer_look_faster(
    events: list[int], censored: list[int], q: float
) -> None:
    alone = quantile(EDGES, events, q)
    honest = kaplan_meier(EDGES, events, censored, q)
    assert honest is None or alone is None or honest >= alone - 1e-6
