"""What a judge makes of deadlines from headers, of fluidity, and of a weight in tokens."""

from array import array
from decimal import Decimal

import pytest

from inferometer.errors import Place
from inferometer.slo.deadlines import NOTHING, Asked
from inferometer.slo.document import FirstToken, Fluidity, Good
from inferometer.slo.verdict import GOOD, Judge, Verdict
from support.judging import DONE, MS, T0, WHOLE, at, judge, slo

TTFT = FirstToken(100 * MS)  # so 50 to 400 ms may be asked for
GROWING = FirstToken(100 * MS, per_1k_prompt_tokens_ns=50 * MS)
LATE = Verdict("bad", "ttft")
SLOW = Verdict("bad", "tpot")
UNMEASURED = Verdict("excluded", "unmeasured")


# Deadlines from headers.


@pytest.mark.parametrize(
    ("asked_ms", "limit_ms", "clamped"),
    [(200, 200, 0), (400, 400, 0), (401, 400, 1), (50, 50, 0), (49, 50, 1), (100, 100, 0)],
)
def test_a_header_moves_the_deadline_of_the_first_token_within_the_clamp(
    asked_ms: int, limit_ms: int, clamped: int
) -> None:
    one = judge(Good(ttft=TTFT), asked=Asked(ttft_ns=asked_ms * MS))
    assert one.sweep(at(limit_ms)) is None
    assert not one.waiting_over(at(limit_ms))
    assert one.sweep(at(limit_ms) + 1) == LATE
    assert one.waiting_over(at(limit_ms) + 1)
    assert one.clamped == clamped


@pytest.mark.parametrize(
    ("asked_ms", "told", "clamped"),
    [(50, GOOD, 0), (49, SLOW, 0), (24, SLOW, 1), (400, GOOD, 1), (200, GOOD, 0)],
)
def test_a_header_moves_the_time_per_token_within_the_clamp(
    asked_ms: int, told: Verdict, clamped: int
) -> None:
    one = judge(Good(tpot_ns=50 * MS), asked=Asked(tpot_ns=asked_ms * MS))
    assert one.end(DONE) == told  # 50 ms a token
    assert one.clamped == clamped


@pytest.mark.parametrize(
    ("asked_ms", "tokens", "limit_ms", "clamped"),
    [
        (150, 0, 150, 0),
        (150, 4_000, 150, 0),  # its class would give 300 ms, so from 150 to 1200 may be asked for
        (149, 4_000, 150, 1),
        (1_000, 4_000, 1_000, 0),
        (1_201, 4_000, 1_200, 1),
        (1_000, 0, 400, 1),
    ],
)
def test_what_is_allowed_grows_with_the_prompt(
    asked_ms: int, tokens: int, limit_ms: int, clamped: int
) -> None:
    for late_ns, told in ((0, GOOD), (1, LATE)):
        one = judge(Good(ttft=GROWING), asked=Asked(ttft_ns=asked_ms * MS))
        one.body_done(at(0))
        one.prompt(None, 100_000)
        first_ns = at(limit_ms) + late_ns
        one.output(first_ns)
        assert one.sweep(at(1_300)) is None
        assert one.end(DONE._replace(t_first_ns=first_ns, input_tokens=tokens)) == told
        assert one.clamped == clamped


def test_until_usage_is_known_the_bytes_of_the_body_bound_what_may_be_asked_for() -> None:
    one = judge(Good(ttft=GROWING), asked=Asked(ttft_ns=5_000 * MS))
    one.body_done(at(0))
    one.prompt(None, 4_000)
    assert one.sweep(at(1_200)) is None
    assert one.sweep(at(1_200) + 1) == LATE
    assert one.clamped == 1


def test_a_verdict_that_was_given_early_still_tells_at_the_end_what_was_clamped() -> None:
    one = judge(Good(ttft=GROWING), asked=Asked(ttft_ns=120 * MS))
    one.body_done(at(0))
    one.prompt(None, 1_000)
    assert one.sweep(at(500)) == LATE
    assert one.clamped == 0
    assert one.end(DONE._replace(input_tokens=8_000)) is None
    assert one.clamped == 1, "half of 500 ms are more than 120"


def test_a_deadline_that_the_class_does_not_have_is_not_made_by_a_header() -> None:
    one = judge(Good(gap_ns=100 * MS), asked=Asked(MS, MS))
    assert one.sweep(at(10_000)) is None
    assert one.end(DONE) == GOOD
    assert one.clamped == 0


def test_a_class_without_headers_is_never_changed() -> None:
    one = Judge(slo(Good(ttft=TTFT)), t0_ns=T0, stream=True, asked=Asked(400 * MS))
    assert one.sweep(at(100) + 1) == LATE
    assert judge(Good(ttft=TTFT), asked=NOTHING).clamped == 0


# Fluidity.


def fluid(first_ms: int | None, minimum: str = "0.75") -> Fluidity:
    return Fluidity(
        None if first_ms is None else first_ms * MS, 50 * MS, Decimal(minimum), Place("x")
    )


ONE_LATE = DONE._replace(gaps_s=array("f", [0.05, 0.051, 0.05, 0.05]), longest_gap_s=0.051)
"""Five tokens, of which the third comes 1 ms late."""


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (fluid(50, "0.8"), GOOD),
        (fluid(50, "0.81"), Verdict("bad", "fluidity")),
        (fluid(51, "1"), GOOD),  # one millisecond of slack
        (fluid(49, "0.6"), GOOD),
        (fluid(49, "0.61"), Verdict("bad", "fluidity")),
    ],
)
def test_the_share_of_tokens_on_time_is_judged_at_the_end(limit: Fluidity, told: Verdict) -> None:
    one = judge(Good(fluidity=limit))
    one.output(at(50))
    one.gap(at(50), at(250))
    assert one.sweep(at(90_000)) is None, "however late, tokens to come may outweigh it"
    assert one.end(ONE_LATE) == told


def test_the_first_token_of_fluidity_may_have_the_limit_of_ttft_with_all_that_moves_it() -> None:
    strict = fluid(None, "1")
    for ttft, tokens, asked in (
        (FirstToken(51 * MS), None, NOTHING),
        (FirstToken(100 * MS), None, Asked(51 * MS)),
        (FirstToken(MS, per_1k_prompt_tokens_ns=50 * MS), 1_000, NOTHING),
        (FirstToken(31 * MS, from_body=True), None, NOTHING),
    ):
        summary = ONE_LATE._replace(input_tokens=tokens, t_body_ns=at(20))
        assert judge(Good(ttft=ttft, fluidity=strict), asked=asked).end(summary) == GOOD
        later = summary._replace(gaps_s=array("f", [0.052, 0.05, 0.05, 0.05]), longest_gap_s=0.052)
        late = judge(Good(ttft=ttft, fluidity=strict), asked=asked).end(later)
        assert late == Verdict("bad", "fluidity")


def test_fluidity_without_a_known_first_deadline_is_unmeasured() -> None:
    grown = DONE._replace(input_tokens=None, input_source="none")
    assert judge(Good(ttft=GROWING, fluidity=fluid(None))).end(grown) == UNMEASURED
    assert judge(Good(fluidity=fluid(None))).end(DONE) == UNMEASURED


def test_fluidity_says_nothing_about_what_failed_or_did_not_stream() -> None:
    strict = Good(fluidity=fluid(1, "1"))
    left = ONE_LATE._replace(outcome="client_cancel")
    assert judge(strict).end(left) == Verdict("excluded", "client_cancel")
    assert judge(strict).end(ONE_LATE._replace(outcome="truncated")) == Verdict("bad", "error")
    assert judge(strict, stream=False).end(WHOLE) == GOOD
    assert judge(strict).end(WHOLE) == UNMEASURED


def test_tpot_wins_over_fluidity_at_the_same_end() -> None:
    both = Good(tpot_ns=MS, fluidity=fluid(1, "1"))
    assert judge(both).end(DONE) == SLOW


# A weight in tokens.


@pytest.mark.parametrize("stream", [True, False])
def test_unknown_tokens_are_unmeasured_where_a_class_weighs_by_them(*, stream: bool) -> None:
    summary = DONE if stream else WHOLE
    unknown = summary._replace(output_tokens=None, output_source="none")
    estimated = summary._replace(output_source="chunks")
    for one, told in ((summary, GOOD), (unknown, UNMEASURED), (estimated, UNMEASURED)):
        by_token = Judge(slo(Good(), weight="token"), t0_ns=T0, stream=stream)
        assert by_token.end(one) == told
        by_request = Judge(slo(Good()), t0_ns=T0, stream=stream)
        assert by_request.end(one) == GOOD


def test_what_is_bad_is_bad_without_known_tokens() -> None:
    one = Judge(slo(Good(ttft=TTFT), weight="token"), t0_ns=T0, stream=True)
    unknown = DONE._replace(outcome="truncated", output_tokens=None, output_source="none")
    assert one.end(unknown) == Verdict("bad", "error")
