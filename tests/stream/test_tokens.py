"""Rules of the ladder of token sources and of spreading a total over gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.events import Usage
from inferometer.stream.tokens import UNKNOWN, Count, Stated, spread


def stated(*usages: Usage) -> Stated:
    found = Stated()
    for usage in usages:
        found.take(usage)
    return found


def test_nothing_stated_is_unknown_and_not_zero() -> None:
    found = stated()
    assert found.input(complete=True) == UNKNOWN == Count(None, "none")
    assert found.output(complete=True, output_events=3) == UNKNOWN
    assert found.cached(UNKNOWN) is None
    assert found.reasoning(UNKNOWN) is None


def test_a_final_usage_is_the_servers_word() -> None:
    found = stated(Usage(5, 7))
    assert found.input(complete=False) == Count(5, "server")
    assert found.output(complete=False, output_events=9) == Count(7, "server")


def test_a_running_total_is_final_once_the_stream_is_complete() -> None:
    found = stated(Usage(5, 7, final=False))
    assert found.output(complete=False, output_events=7) == Count(7, "server_cumulative")
    assert found.input(complete=False) == Count(5, "server_cumulative")
    assert found.output(complete=True, output_events=7) == Count(7, "server")
    assert found.input(complete=True) == Count(5, "server")


def test_totals_are_merged_by_maximum_for_each_field_and_never_added() -> None:
    found = stated(Usage(5, 1, final=False), Usage(None, 9, 2), Usage(4, 3, 1, final=False))
    assert found.input(complete=True) == Count(5, "server")
    assert found.output(complete=True, output_events=1) == Count(9, "server")
    assert found.cached(Count(5, "server")) == 2
    assert found.rejected == 0


def test_a_final_number_below_what_was_stated_is_rejected() -> None:
    found = stated(Usage(5, 9, final=False), Usage(4, 8))
    assert found.rejected == 2
    assert found.output(complete=False, output_events=1) == Count(9, "server_cumulative")


def test_output_without_a_token_is_impossible() -> None:
    found = stated(Usage(5, 0))
    assert found.output(complete=True, output_events=0) == Count(0, "server")
    assert found.output(complete=True, output_events=1) == UNKNOWN
    assert found.rejected == 1


def test_a_running_total_that_output_has_overtaken_is_stale() -> None:
    found = stated(Usage(5, 1, final=False))
    assert found.output(complete=False, output_events=1) == Count(1, "server_cumulative")
    assert found.output(complete=False, output_events=2) == UNKNOWN
    assert found.rejected == 0


@pytest.mark.parametrize(
    ("whole", "known"),
    [
        (Count(4, "server"), 4),
        (Count(3, "server_cumulative"), None),
        (Count(3, "chunks"), 4),
        (UNKNOWN, 4),
    ],
)
def test_a_part_may_not_exceed_a_whole_that_the_server_stated(whole: Count, known: int) -> None:
    found = stated(Usage(None, None, 4, 4))
    assert found.cached(whole) == known
    assert found.reasoning(whole) == known
    assert found.rejected == (2 if known is None else 0)


def test_equal_shares_are_exact() -> None:
    assert list(spread(8, [1, 1, 1], rest=1)) == [2, 2, 2]
    assert list(spread(5, [1, 1, 1, 1], rest=1)) == [1, 1, 1, 1]


def test_remainders_are_rounded_up_at_even_distances() -> None:
    assert list(spread(6, [1] * 3, rest=1)) in ([2, 1, 2], [1, 2, 1])
    weights = spread(150, [1] * 99, rest=1)
    assert abs(sum(weights[:50]) - sum(weights[49:])) <= 2


def test_the_largest_remainders_are_rounded_up_first() -> None:
    # Shares: 7 * (2, 1, 3, 1) / 7 are whole; 5 of 7 are 1.43, .71, 2.14, .71.
    assert list(spread(7, [2, 1, 3], rest=1)) == [2, 1, 3]
    assert list(spread(5, [2, 1, 3], rest=1)) == [1, 1, 2]


def test_nothing_to_spread_over_is_nothing() -> None:
    assert list(spread(7, [], rest=0)) == []
    assert list(spread(7, [], rest=3)) == []


EVENTS = st.lists(st.integers(1, 5), max_size=40)


@given(st.integers(0, 10**8), EVENTS, st.integers(0, 20))
def test_shares_differ_from_the_exact_ones_by_less_than_a_token(
    total: int, events: list[int], rest: int
) -> None:
    weights = spread(total, events, rest=rest)
    events_all = sum(events) + rest
    assert len(weights) == len(events)
    for weight, n in zip(weights, events, strict=True):
        assert abs(weight * events_all - total * n) < events_all


@given(st.integers(0, 10**8), EVENTS)
def test_without_a_rest_the_whole_total_is_spread(total: int, events: list[int]) -> None:
    assert sum(spread(total, events, rest=0)) == (total if events else 0)
