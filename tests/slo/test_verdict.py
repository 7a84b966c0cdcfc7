from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.metrics.catalog import VERDICT_PAIRS
from inferometer.slo.document import BAD_OUTCOMES, EndToEnd, FirstToken, Good, InterToken
from inferometer.slo.verdict import CAUSES, GOOD, Reason, Verdict
from inferometer.stream.summary import Outcome, Summary
from support.judging import DONE, EMPTY, MS, WHOLE, at, judge
from support.replay import Story, reference, replayed, stories

TTFT = FirstToken(100 * MS)


def verdict(good: Good, summary: Summary, *, stream: bool | None = True) -> tuple[str, str]:
    given = judge(good, stream=stream).end(summary)
    assert given is not None
    return given.verdict, given.reason


def test_a_success_within_all_limits_is_good_and_equal_is_within() -> None:
    good = Good(
        ttft=FirstToken(50 * MS),
        tpot_ns=50 * MS,
        itl=InterToken(50 * MS, Decimal(100)),
        gap_ns=50 * MS,
        e2e=EndToEnd(250 * MS),
    )
    assert verdict(good, DONE) == ("good", "none")


@pytest.mark.parametrize(
    ("good", "reason"),
    [
        (Good(ttft=FirstToken(50 * MS - 1)), "ttft"),
        (Good(gap_ns=50 * MS - 1), "gap"),
        (Good(itl=InterToken(49 * MS)), "itl"),
        (Good(tpot_ns=50 * MS - 1), "tpot"),
        (Good(e2e=EndToEnd(250 * MS - 1)), "e2e"),
    ],
)
def test_a_success_beyond_one_limit_is_bad_for_that_reason(good: Good, reason: str) -> None:
    assert verdict(good, DONE) == ("bad", reason)


@pytest.mark.parametrize("outcome", BAD_OUTCOMES)
def test_every_outcome_on_the_list_is_bad(outcome: Outcome) -> None:
    assert verdict(Good(), DONE._replace(outcome=outcome)) == ("bad", "error")


@pytest.mark.parametrize("outcome", BAD_OUTCOMES)
def test_an_outcome_taken_off_the_list_is_excluded_as_unlisted(outcome: Outcome) -> None:
    assert verdict(Good(errors=()), DONE._replace(outcome=outcome)) == ("excluded", "unlisted")


@pytest.mark.parametrize("outcome", ["client_error", "client_cancel"])
def test_what_the_client_caused_is_excluded(outcome: Outcome) -> None:
    summary = EMPTY._replace(outcome=outcome, t_end_ns=at(90))
    assert verdict(Good(ttft=TTFT, e2e=EndToEnd(200 * MS)), summary) == ("excluded", outcome)


@pytest.mark.parametrize(
    ("end_ms", "told"),
    [(100, ("excluded", "client_cancel")), (100.1, ("bad", "ttft"))],
)
def test_a_client_that_leaves_without_output_has_seen_a_violation_only_after_the_limit(
    end_ms: float, told: tuple[str, str]
) -> None:
    summary = EMPTY._replace(outcome="client_cancel", t_end_ns=at(end_ms))
    assert verdict(Good(ttft=TTFT), summary) == told


def test_a_client_that_leaves_after_output_is_excluded() -> None:
    summary = DONE._replace(outcome="client_cancel", t_end_ns=at(900))
    assert verdict(Good(ttft=TTFT, itl=InterToken(MS)), summary) == ("excluded", "client_cancel")


# Early verdicts.


def test_a_hang_is_bad_right_after_the_limit_of_the_first_token_and_only_once() -> None:
    one = judge(Good(ttft=TTFT))
    assert one.sweep(at(100)) is None
    assert one.sweep(at(100) + 1) == Verdict("bad", "ttft")
    assert one.sweep(at(200)) is None
    assert one.end(EMPTY._replace(outcome="upstream_error", t_end_ns=at(600_000))) is None


def test_a_first_token_in_time_is_never_late_afterwards() -> None:
    one = judge(Good(ttft=TTFT))
    one.output(at(100))
    one.output(at(300))
    assert one.sweep(at(500)) is None
    assert one.end(DONE._replace(t_first_ns=at(100))) == GOOD


def test_a_first_token_that_came_late_is_bad_even_if_swept_later() -> None:
    one = judge(Good(ttft=TTFT))
    one.output(at(101))
    assert one.sweep(at(500)) == Verdict("bad", "ttft")


def test_a_request_that_does_not_end_is_bad_right_after_its_limit() -> None:
    one = judge(Good(e2e=EndToEnd(200 * MS)), stream=False)
    assert one.sweep(at(200)) is None
    assert one.sweep(at(200) + 1) == Verdict("bad", "e2e")


def test_a_gap_is_bad_as_soon_as_it_is_too_long_also_while_it_lasts() -> None:
    one = judge(Good(gap_ns=100 * MS))
    one.gap(at(10), at(110))
    assert one.sweep(at(110)) is None
    one.gap(at(110), at(210) + 1)
    assert one.sweep(at(211)) == Verdict("bad", "gap")


def test_gaps_are_of_no_interest_without_a_limit() -> None:
    one = judge(Good(ttft=TTFT))
    one.output(at(1))
    one.gap(at(1), at(90_000))
    assert one.sweep(at(90_000)) is None


def test_the_first_cause_in_time_wins_whatever_is_told_first() -> None:
    one = judge(Good(gap_ns=100 * MS, e2e=EndToEnd(300 * MS)))
    one.gap(at(250), at(400))
    one.gap(at(150), at(250) + 1)
    one.gap(at(160), at(400))
    assert one.sweep(at(400)) == Verdict("bad", "gap")
    one = judge(Good(gap_ns=100 * MS, e2e=EndToEnd(300 * MS)))
    one.gap(at(150), at(400))
    assert one.sweep(at(400)) == Verdict("bad", "gap")
    one = judge(Good(gap_ns=100 * MS, e2e=EndToEnd(200 * MS)))
    one.gap(at(150), at(400))
    assert one.sweep(at(400)) == Verdict("bad", "e2e")


def test_a_limit_passed_before_the_error_wins_over_it() -> None:
    failed = EMPTY._replace(outcome="timeout", t_end_ns=at(500))
    assert verdict(Good(ttft=TTFT), failed) == ("bad", "ttft")
    assert verdict(Good(ttft=FirstToken(500 * MS)), failed) == ("bad", "error")


def test_a_limit_passed_before_it_wins_over_every_exclusion() -> None:
    for outcome in ("client_error", "client_cancel", "rejected"):
        summary = EMPTY._replace(outcome=outcome, t_end_ns=at(500))
        assert verdict(Good(ttft=TTFT, errors=()), summary) == ("bad", "ttft")


def test_waiting_over_the_limit_is_told_until_output_comes() -> None:
    one = judge(Good(ttft=TTFT))
    assert not one.waiting_over(at(100))
    assert one.waiting_over(at(101))
    assert one.sweep(at(101)) == Verdict("bad", "ttft")
    assert one.waiting_over(at(101))
    one.output(at(102))
    assert not one.waiting_over(at(103))
    assert not judge(Good(e2e=EndToEnd(MS))).waiting_over(at(500))


# Limits that depend on the prompt, and on the end of the body.

GROWING = FirstToken(100 * MS, per_1k_prompt_tokens_ns=50 * MS)


def test_until_usage_is_known_the_bytes_of_the_body_bound_the_limit() -> None:
    one = judge(Good(ttft=GROWING))
    assert one.sweep(at(10_000)) is None
    one.prompt(None, 4_000)
    assert one.sweep(at(10_000)) is None
    one.body_done(at(20))
    assert one.sweep(at(300)) is None
    assert one.sweep(at(300) + 1) == Verdict("bad", "ttft")


@pytest.mark.parametrize(
    ("first_ms", "tokens", "cached", "told"),
    [
        (90, None, None, GOOD),
        (150, 1_000, None, GOOD),
        (150.1, 1_000, None, Verdict("bad", "ttft")),
        (150, 1_000, 500, Verdict("bad", "ttft")),
        (125, 1_000, 500, GOOD),
        (100, 1_000, 2_000, GOOD),
        (150, None, None, Verdict("excluded", "unmeasured")),
    ],
)
def test_between_base_and_bound_the_verdict_waits_for_usage(
    first_ms: float, tokens: int | None, cached: int | None, told: Verdict
) -> None:
    one = judge(Good(ttft=GROWING))
    one.body_done(at(0))
    one.prompt(None, 4_000)
    one.output(at(first_ms))
    assert one.sweep(at(249)) is None
    summary = DONE._replace(
        t_first_ns=at(first_ms), input_tokens=tokens, cached_input_tokens=cached
    )
    assert one.end(summary) == told


def test_a_limit_by_length_is_certain_no_sooner_than_the_length() -> None:
    one = judge(Good(ttft=GROWING, e2e=EndToEnd(200 * MS)))
    one.body_done(at(300))
    one.prompt(None, 1_000)
    assert one.sweep(at(400)) == Verdict("bad", "e2e")


def test_an_answer_before_the_end_of_the_body_is_judged_by_what_the_server_told() -> None:
    one = judge(Good(ttft=GROWING))
    one.output(at(120))
    early = DONE._replace(t_body_ns=None, t_first_ns=at(120), input_tokens=1_000)
    assert one.sweep(at(500)) is None
    assert one.end(early) == GOOD
    assert verdict(Good(ttft=GROWING), early._replace(input_tokens=100)) == ("bad", "ttft")


def test_an_estimated_number_of_tokens_is_not_known() -> None:
    one = judge(Good(ttft=GROWING))
    one.output(at(150))
    estimated = DONE._replace(t_first_ns=at(150), input_source="chunks")
    assert one.end(estimated) == Verdict("excluded", "unmeasured")
    one = judge(Good(ttft=GROWING))
    one.prompt(1_000, None)
    one.output(at(150))
    assert one.end(estimated) == GOOD


def test_a_client_that_leaves_after_its_exact_limit_has_seen_a_violation() -> None:
    one = judge(Good(ttft=GROWING))
    one.body_done(at(0))
    one.prompt(None, 100_000)
    left = EMPTY._replace(outcome="client_cancel", input_tokens=1_000, t_end_ns=at(151))
    assert one.end(left) == Verdict("bad", "ttft")
    one = judge(Good(ttft=GROWING))
    assert one.end(left._replace(t_end_ns=at(150))) == Verdict("excluded", "client_cancel")


def test_from_body_counts_from_the_end_of_the_request_body() -> None:
    good = Good(ttft=FirstToken(100 * MS, from_body=True), e2e=EndToEnd(200 * MS, from_body=True))
    one = judge(good)
    assert one.sweep(at(10_000)) is None
    one.body_done(at(10_000))
    assert one.sweep(at(10_100)) is None
    one.output(at(10_100))
    assert one.sweep(at(10_200)) is None
    assert one.sweep(at(10_201)) == Verdict("bad", "e2e")
    slow = DONE._replace(
        t_body_ns=at(1_000), t_first_ns=at(1_100), t_last_ns=at(1_200), t_end_ns=at(1_200)
    )
    assert judge(good).end(slow) == GOOD
    assert judge(good).end(slow._replace(t_body_ns=None)) == Verdict("excluded", "unmeasured")


# What could not be measured.

TOKENS = [
    Good(ttft=TTFT),
    Good(gap_ns=100 * MS),
    Good(itl=InterToken(100 * MS)),
    Good(tpot_ns=100 * MS),
]


@pytest.mark.parametrize("good", TOKENS)
@pytest.mark.parametrize("stream", [True, None])
def test_an_answer_that_could_not_be_read_is_unmeasured(good: Good, *, stream: bool | None) -> None:
    opaque = WHOLE._replace(measured=False, output_tokens=None, output_source="none")
    assert verdict(good, opaque, stream=stream) == ("excluded", "unmeasured")


def test_what_could_not_be_measured_is_bad_all_the_same_if_something_else_is_broken() -> None:
    opaque = WHOLE._replace(measured=False, output_tokens=None, output_source="none")
    good = Good(ttft=TTFT, e2e=EndToEnd(200 * MS))
    assert verdict(good, opaque) == ("bad", "e2e")


@pytest.mark.parametrize("good", [*TOKENS, Good(), Good(e2e=EndToEnd(250 * MS))])
def test_token_objectives_hold_for_requests_that_do_not_stream(good: Good) -> None:
    assert verdict(good, WHOLE, stream=False) == ("good", "none")
    assert verdict(good, WHOLE, stream=None) == ("good", "none")


def test_whether_it_streams_may_turn_out_at_the_end() -> None:
    one = judge(Good(ttft=FirstToken(10 * MS)), stream=None)
    one.output(at(50))
    assert one.sweep(at(100)) is None
    assert one.end(DONE) == Verdict("bad", "ttft")


def test_a_stream_that_was_answered_whole_has_a_first_token_but_no_rates() -> None:
    whole = WHOLE._replace(t_first_ns=at(90), t_last_ns=at(90), t_end_ns=at(90))
    assert verdict(Good(ttft=TTFT), whole) == ("good", "none")
    for good in TOKENS[1:]:
        assert verdict(good, whole) == ("excluded", "unmeasured")


def test_after_going_blind_the_absence_of_output_proves_nothing() -> None:
    one = judge(Good(ttft=TTFT))
    one.blind(at(100))
    one.blind(at(500))
    assert one.sweep(at(300)) is None
    one.output(at(300))
    late = DONE._replace(measured=False, t_first_ns=at(300), t_end_ns=at(400))
    assert one.end(late) == Verdict("excluded", "unmeasured")


def test_going_blind_after_the_limit_leaves_what_was_certain() -> None:
    one = judge(Good(ttft=TTFT))
    one.blind(at(101))
    assert one.sweep(at(300)) == Verdict("bad", "ttft")


def test_a_first_token_seen_in_time_holds_also_when_later_events_were_lost() -> None:
    assert verdict(Good(ttft=TTFT), DONE._replace(measured=False)) == ("good", "none")


def test_output_whose_first_token_cannot_be_timed_leaves_ttft_unknown() -> None:
    one = judge(Good(ttft=TTFT))
    one.output(at(10))
    assert one.end(DONE._replace(t_first_ns=None)) == Verdict("excluded", "unmeasured")


def test_a_success_without_output_is_unmeasured_before_the_limit_and_bad_after_it() -> None:
    assert verdict(Good(ttft=TTFT), EMPTY._replace(t_end_ns=at(100))) == ("excluded", "unmeasured")
    assert verdict(Good(ttft=TTFT), EMPTY) == ("bad", "ttft")
    assert verdict(Good(itl=InterToken(MS), gap_ns=MS, tpot_ns=MS), EMPTY) == ("good", "none")


def test_every_verdict_has_its_series() -> None:
    pairs = {("good", "none"), *(("bad", cause) for cause in CAUSES)}
    excluded = set(get_args(Reason)) - {"none", *CAUSES}
    assert pairs | {("excluded", reason) for reason in excluded} <= set(VERDICT_PAIRS)


# The same answers as a slow reference that replays the moments.


@settings(max_examples=400)
@given(stories(), st.sets(st.integers(0, 80), max_size=8))
def test_the_verdict_is_that_of_the_reference_whenever_one_sweeps(
    story: Story, sweeps: set[int]
) -> None:
    expected = reference(story)
    assert replayed(story, set())[0] == expected
    assert replayed(story, sweeps)[0] == expected


@settings(max_examples=30)
@given(stories())
def test_whoever_sweeps_always_gets_no_later_than_at_the_end_and_never_revises(
    story: Story,
) -> None:
    always, seldom = set(range(80)), set(range(0, 80, 7))
    (verdict_1, ms_1), (verdict_2, ms_2) = replayed(story, always), replayed(story, seldom)
    assert verdict_1 == verdict_2
    assert ms_1 <= ms_2 <= story.end_ms
