"""Rules of keeping gaps."""

import pytest

from inferometer.stream.gaps import GAPS_MAX, Gaps

MS = 1_000_000


def collected(*tokens: int | None) -> Gaps:
    gaps = Gaps(stall_ns=1000 * MS)
    for n in tokens:
        gaps.add(20 * MS, n)
    return gaps


def test_without_gaps_there_is_no_longest_one() -> None:
    gaps = collected()
    assert gaps.longest_s is None
    assert list(gaps.uniform(5, 1)) == []
    assert list(gaps.exact(None)) == []


def test_gaps_are_kept_up_to_a_limit_and_heard_beyond_it() -> None:
    gaps = Gaps(stall_ns=1000 * MS)
    slots = [gaps.add(10 * MS, 1) for _ in range(GAPS_MAX)]
    assert slots == list(range(GAPS_MAX))
    assert gaps.add(2000 * MS, 1) == -1
    gaps.amend(-1, 1)
    assert (gaps.dropped, gaps.stalls, gaps.longest_s) == (1, 1, 2.0)
    assert len(gaps.seconds) == len(gaps.exact(None)) == GAPS_MAX
    assert list(gaps.exact(None)) == [1] * GAPS_MAX


def test_sixteen_kibibytes_hold_the_gaps_of_a_request() -> None:
    gaps = collected(*[None] * GAPS_MAX)
    assert gaps.seconds.itemsize * len(gaps.seconds) == 16 << 10
    assert (gaps._events, gaps._tokens) == (None, None)  # nothing else until it says something


@pytest.mark.parametrize(("gap_ns", "stalls"), [(1000 * MS, 1), (1000 * MS - 1, 0)])
def test_a_stall_begins_at_its_limit(gap_ns: int, stalls: int) -> None:
    gaps = Gaps(stall_ns=1000 * MS)
    gaps.add(gap_ns, None)
    assert gaps.stalls == stalls


def test_tokens_of_one_arrival_add_up() -> None:
    gaps = collected(2, 3)
    gaps.amend(0, 4)
    gaps.add(20 * MS, 1)
    assert list(gaps.exact(None)) == [6, 3, 1]


def test_tokens_that_come_late_leave_the_earlier_gaps_at_zero() -> None:
    assert list(collected(None, 3, None).exact(None)) == [0, 3, 0]
    gaps = collected(None, None)
    gaps.amend(1, 5)
    assert list(gaps.exact(None)) == [0, 5]


def test_events_stand_for_tokens_where_each_is_one() -> None:
    gaps = collected(None, None)
    gaps.amend(0, None)
    gaps.amend(0, None)
    gaps.add(20 * MS, None)
    assert list(gaps.exact(1)) == [3, 1, 1]
    assert list(gaps.exact(2)) == [6, 2, 2]


def test_a_total_is_spread_by_events() -> None:
    gaps = collected(None, None)
    gaps.amend(0, None)
    assert list(gaps.uniform(8, 4)) == [4, 2]


def test_absurd_counts_stay_in_their_array() -> None:
    gaps = collected(1 << 40)
    gaps.amend(0, 1 << 40)
    gaps.add(MS, 1 << 40)
    assert list(gaps.exact(None)) == [(1 << 32) - 1] * 2
