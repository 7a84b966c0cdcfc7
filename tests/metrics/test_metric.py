import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.metrics.ladders import FIRST
from inferometer.metrics.metric import EXTRA_EDGES_MAX, Ladder, edges

LADDER = Ladder("L", (0.1, 1.0, 10.0))


def test_a_declared_limit_is_an_exact_edge() -> None:
    assert edges(FIRST, [0.3, 3.0]) == tuple(sorted((*FIRST.edges, 0.3, 3.0)))


def test_a_limit_that_is_an_edge_costs_nothing() -> None:
    assert edges(LADDER, [1.0, 0.1 + 1e-10, 10.0 - 1e-10]) == LADDER.edges


def test_limits_that_are_one_within_a_billionth_become_one_edge() -> None:
    assert edges(LADDER, [0.1 + 0.2, 0.3]) == (0.1, 0.3, 1.0, 10.0)


def test_a_ladder_takes_eight_limits_and_refuses_the_ninth() -> None:
    limits = [2.0 + step for step in range(EXTRA_EDGES_MAX)]
    assert len(edges(LADDER, limits)) == len(LADDER.edges) + EXTRA_EDGES_MAX
    with pytest.raises(ValueError, match="9 limits are no edges of L, at most 8 can be"):
        edges(LADDER, [*limits, 1.5])


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_is_a_positive_number(limit: float) -> None:
    with pytest.raises(ValueError, match="a bucket edge must be a positive number"):
        edges(LADDER, [limit])


@given(st.lists(st.floats(min_value=1e-6, max_value=1e6), max_size=EXTRA_EDGES_MAX))
def test_edges_ascend_and_hold_the_ladder_and_every_limit(limits: list[float]) -> None:
    merged = edges(LADDER, limits)
    assert list(merged) == sorted(set(merged))
    assert set(LADDER.edges) <= set(merged)
    assert all(any(abs(limit - edge) <= 1e-9 for edge in merged) for limit in limits)
