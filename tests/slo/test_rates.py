from array import array
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.document import InterToken
from inferometer.slo.rates import gap_holds, itl_holds, tpot_holds
from inferometer.stream.summary import Summary

MS = 1_000_000
DONE = Summary(
    outcome="success",
    streamed=True,
    measured=True,
    t0_ns=0,
    t_body_ns=0,
    t_byte_ns=100 * MS,
    t_first_ns=100 * MS,
    t_visible_ns=100 * MS,
    t_last_ns=500 * MS,
    t_end_ns=500 * MS,
    input_tokens=None,
    input_source="none",
    cached_input_tokens=None,
    reasoning_output_tokens=None,
    output_tokens=5,
    output_source="server",
    choices=1,
    gaps_s=array("f", [0.1, 0.1, 0.2]),
    gap_tokens=array("I", [1, 1, 2]),
    gaps_dropped=0,
    longest_gap_s=0.2,
    client_stall_s=0.0,
)
UNREAD = DONE._replace(measured=False)
WHOLE = DONE._replace(streamed=False)


def itl(within_ms: float, share: str = "99") -> InterToken:
    return InterToken(round(within_ms * MS), Decimal(share))


def test_the_longest_gap_may_equal_the_limit() -> None:
    assert gap_holds(DONE, 200 * MS) is True
    assert gap_holds(DONE, 200 * MS - 1) is False
    assert gap_holds(DONE._replace(longest_gap_s=None), 1) is True


def test_each_token_of_a_gap_took_its_part_of_it() -> None:
    assert itl_holds(DONE, itl(100)) is True
    assert itl_holds(DONE, itl(99.9)) is False


@pytest.mark.parametrize(("share", "holds"), [("25", True), ("25.001", False)])
def test_the_share_is_that_of_tokens_and_may_equal_the_limit(*, share: str, holds: bool) -> None:
    uneven = DONE._replace(gaps_s=array("f", [0.1, 0.9]), gap_tokens=array("I", [1, 3]))
    assert itl_holds(uneven, itl(100, share)) is holds


def test_gaps_without_tokens_count_for_nothing() -> None:
    silent = DONE._replace(gaps_s=array("f", [9.0, 0.1]), gap_tokens=array("I", [0, 1]))
    assert itl_holds(silent, itl(100)) is True


@given(st.integers(1, 10**12), st.integers(1, 1000))
def test_a_gap_that_equals_the_limit_holds_however_it_is_kept(limit_ns: int, tokens: int) -> None:
    one = DONE._replace(
        gaps_s=array("f", [tokens * limit_ns / 10**9]), gap_tokens=array("I", [tokens])
    )
    assert itl_holds(one, InterToken(limit_ns, Decimal(100))) is True


def test_the_mean_time_per_token_leaves_the_first_token_and_client_stalls_out() -> None:
    assert tpot_holds(DONE, 100 * MS) is True
    assert tpot_holds(DONE, 100 * MS - 1) is False
    assert tpot_holds(DONE._replace(client_stall_s=0.2), 50 * MS) is True


def test_without_anything_to_measure_rates_hold() -> None:
    single = DONE._replace(output_tokens=1, gaps_s=array("f"), gap_tokens=array("I"))
    assert itl_holds(single, itl(1)) is True
    assert tpot_holds(single, 1) is True


@pytest.mark.parametrize(
    "unknown",
    [
        UNREAD,
        WHOLE,
        DONE._replace(output_tokens=None, output_source="none"),
        DONE._replace(output_source="chunks"),
        DONE._replace(choices=2),
        DONE._replace(t_first_ns=None),
        DONE._replace(t_last_ns=None),
    ],
)
def test_a_rate_without_its_parts_is_unknown(unknown: Summary) -> None:
    assert tpot_holds(unknown, 10**12) is None


def test_gaps_that_could_not_be_seen_are_unknown() -> None:
    for unseen in (UNREAD, WHOLE):
        assert gap_holds(unseen, 10**12) is None
        assert itl_holds(unseen, itl(10**6)) is None
    assert itl_holds(DONE._replace(gap_tokens=array("I")), itl(10**6)) is None
