"""Rules of the figures that a finished request yields."""

from array import array

import pytest

from inferometer.stream.summary import Summary

MS = 1_000_000
SUMMARY = Summary(
    outcome="success",
    streamed=True,
    measured=True,
    t0_ns=100 * MS,
    t_body_ns=110 * MS,
    t_byte_ns=150 * MS,
    t_first_ns=200 * MS,
    t_visible_ns=300 * MS,
    t_last_ns=1200 * MS,
    t_end_ns=1200 * MS,
    input_tokens=10,
    input_source="server",
    cached_input_tokens=None,
    reasoning_output_tokens=None,
    output_tokens=11,
    output_source="server",
    choices=1,
    gaps_s=array("f", [0.5, 0.25, 0.25]),
    gap_tokens=array("I", [5, 0, 5]),
    gaps_dropped=0,
    longest_gap_s=0.5,
    client_stall_s=0.0,
)


def test_every_time_counts_from_the_request_head() -> None:
    times = (SUMMARY.read_s, SUMMARY.ttfb_s, SUMMARY.ttft_s, SUMMARY.ttfo_s, SUMMARY.duration_s)
    assert times == pytest.approx((0.01, 0.05, 0.1, 0.2, 1.1))


def test_a_moment_that_never_came_is_unknown() -> None:
    none = SUMMARY._replace(t_body_ns=None, t_byte_ns=None, t_first_ns=None, t_visible_ns=None)
    assert (none.read_s, none.ttfb_s, none.ttft_s, none.ttfo_s) == (None,) * 4
    assert none.tpot_s is None


def test_time_per_output_token_is_a_mean_over_all_but_the_first() -> None:
    """Not that of the last two chunks (ai-gateway#1170), nor over all (guidellm#1144)."""
    assert SUMMARY.tpot_s == pytest.approx(1.0 / 10)


def test_time_that_the_client_did_not_read_is_taken_off() -> None:
    assert SUMMARY._replace(client_stall_s=0.5).tpot_s == pytest.approx(0.05)
    assert SUMMARY._replace(client_stall_s=7.0).tpot_s == 0.0


@pytest.mark.parametrize(
    "unknown",
    [
        {"output_tokens": 1},
        {"output_tokens": None, "output_source": "none"},
        {"output_source": "chunks"},
        {"choices": 2},
        {"measured": False},
        {"streamed": False},
        {"t_last_ns": None},
    ],
)
def test_time_per_output_token_is_unknown_where_a_part_of_it_is(unknown: dict[str, object]) -> None:
    assert SUMMARY._replace(**unknown).tpot_s is None  # type: ignore[arg-type]  # any field


def test_two_tokens_are_enough_for_a_time_per_token() -> None:
    assert SUMMARY._replace(output_tokens=2).tpot_s == pytest.approx(1.0)


def test_gaps_of_tokens_are_shared_and_weighted_by_them() -> None:
    seconds, tokens = zip(*SUMMARY.token_gaps(), strict=True)
    assert seconds == pytest.approx((0.1, 0.05))
    assert tokens == (5, 5)
    assert list(SUMMARY._replace(gap_tokens=array("I")).token_gaps()) == []
