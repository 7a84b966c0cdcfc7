"""Rules of how a request ended."""

from array import array
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.tap import Cause
from inferometer.stream.dialect import Call
from inferometer.stream.outcome import (
    CENSORS,
    Conclusion,
    Relay,
    censored_s,
    conclude,
    result,
    unanswered,
)
from inferometer.stream.summary import Answer, Outcome, Seen, Summary

STREAM = Answer(streamed=True, terminated=True)
WHOLE = Answer()
DONE = Seen(ended_ns=50, finished_ns=40, output=True)
OPEN = Seen(output=True)


def outcome(
    cause: str, answer: Answer = WHOLE, seen: Seen = OPEN, *, status: int = 200, retry: bool = False
) -> Outcome:
    head = Relay(cause, 100, status, 10 if status else None, retry)
    return conclude(head, answer, seen).outcome


@pytest.mark.req("DC-03")
@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("client_left", "client_cancel"),
        ("client_slow", "client_error"),
        ("client_bad", "client_error"),
        ("limit", "rejected"),
        ("connect_failed", "upstream_error"),
        ("connect_timeout", "timeout"),
        ("upstream_failed", "upstream_error"),
        ("upstream_timeout", "timeout"),
        ("drain_cut", "drain_cut"),
        ("proxy_error", "proxy_error"),
        ("something new", "proxy_error"),
    ],
)
def test_without_a_head_the_cause_is_the_outcome(cause: str, expected: Outcome) -> None:
    assert conclude(Relay(cause, 100), WHOLE, Seen()) == Conclusion(expected, 100)


def test_every_cause_and_every_outcome_is_known() -> None:
    found = {outcome(cause, status=0) for cause in get_args(Cause)}
    assert found | {"stream_error"} == set(get_args(Outcome))
    assert [cause for cause in get_args(Cause) if outcome(cause, status=0) == "proxy_error"] == [
        "proxy_error"
    ]


@pytest.mark.parametrize(
    ("status", "retry", "expected"),
    [
        (200, False, "success"),
        (204, False, "success"),
        (101, False, "success"),
        (304, False, "success"),
        (400, False, "client_error"),
        (404, True, "client_error"),
        (408, False, "timeout"),
        (429, False, "rejected"),
        (499, False, "client_error"),
        (500, False, "upstream_error"),
        (502, True, "upstream_error"),
        (503, False, "upstream_error"),
        (503, True, "rejected"),
        (504, False, "timeout"),
        (599, False, "upstream_error"),
    ],
)
def test_a_status_says_what_it_says(status: int, retry: bool, expected: Outcome) -> None:  # noqa: FBT001  # parametrize passes it
    assert outcome("complete", status=status, retry=retry) == expected


@pytest.mark.parametrize("cause", get_args(Cause))
def test_an_error_status_stays_whatever_happens_to_its_body(cause: str) -> None:
    head = Relay(cause, 100, 500, 10)
    assert conclude(head, WHOLE, Seen()) == Conclusion("upstream_error", 10)


def test_a_bad_request_whose_body_is_an_event_stream_is_the_clients_error() -> None:
    assert outcome("complete", WHOLE, Seen(), status=400) == "client_error"


@pytest.mark.parametrize("cause", ["complete", "client_left", "upstream_short", "drain_cut"])
def test_a_stream_whose_terminator_was_relayed_is_complete(cause: str) -> None:
    assert conclude(Relay(cause, 100, 200, 10), STREAM, DONE) == Conclusion("success", 50)
    at_once = Relay(cause, 50, 200, 10)
    expected = "drain_cut" if cause == "drain_cut" else "success"
    assert conclude(at_once, STREAM, DONE).outcome == expected


@pytest.mark.parametrize(
    ("cause", "expected"), [("client_left", "client_cancel"), ("upstream_short", "truncated")]
)
@pytest.mark.parametrize("seen", [OPEN, Seen(finished_ns=40, output=True), Seen()])
def test_a_stream_without_its_terminator_ends_with_who_left(
    cause: str, expected: Outcome, seen: Seen
) -> None:
    assert outcome(cause, STREAM, seen) == expected


@pytest.mark.req("DC-02")
def test_a_clean_framing_without_a_terminator_is_truncated_where_the_dialect_has_one() -> None:
    assert outcome("complete", STREAM, OPEN) == "truncated"
    assert outcome("complete", STREAM._replace(terminated=False), OPEN) == "success"
    assert outcome("complete", STREAM, Seen(output=True, partial=True)) == "success"
    assert outcome("complete", WHOLE, Seen()) == "success"


def test_finished_choices_and_a_clean_end_need_no_terminator() -> None:
    assert outcome("complete", STREAM, Seen(finished_ns=40, output=True)) == "success"


def test_a_terminator_with_neither_output_nor_finish_reason_is_an_error() -> None:
    """vllm#40986: a failure before the first token sends only `[DONE]`."""
    alone = Seen(ended_ns=50)
    assert conclude(Relay("complete", 60, 200, 10), STREAM, alone) == Conclusion("stream_error", 50)
    assert outcome("complete", STREAM, alone._replace(finished_ns=50)) == "success"
    assert outcome("complete", STREAM, alone._replace(partial=True)) == "success"
    assert outcome("complete", STREAM._replace(terminated=False), alone) == "success"


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("answer", [STREAM, WHOLE])
@pytest.mark.parametrize("cause", ["complete", "client_left", "upstream_short", "drain_cut"])
def test_an_error_inside_a_good_status_is_an_error(answer: Answer, cause: str) -> None:
    """Not a success with 0 tokens: guidellm#743, ggml-org/llama.cpp#14566."""
    for seen in (
        Seen(failed_ns=20),
        Seen(failed_ns=50, ended_ns=50),
        Seen(20, 50, 40, output=True),
    ):
        assert outcome(cause, answer, seen) == "stream_error"


def test_what_follows_a_terminator_changes_nothing() -> None:
    assert outcome("complete", STREAM, DONE._replace(failed_ns=60)) == "success"


def test_in_the_same_instant_the_order_is_fixed() -> None:
    order = ["proxy_error", "drain_cut", "upstream_timeout"]
    for cause in order:
        expected = "timeout" if cause == "upstream_timeout" else cause
        assert conclude(Relay(cause, 20, 500, 20), STREAM, Seen(20, 20)).outcome == expected
    left = Relay("client_left", 20, 200, 10)
    assert conclude(left, STREAM, Seen(failed_ns=20)).outcome == "stream_error"


MOMENTS = st.one_of(st.none(), st.integers(0, 9))


@given(
    st.builds(
        Relay, st.sampled_from(get_args(Cause)), st.integers(5, 9), st.integers(0, 600), MOMENTS
    ),
    st.builds(Answer, st.booleans(), st.none(), st.booleans()),
    st.builds(Seen, MOMENTS, MOMENTS, MOMENTS, st.booleans(), st.booleans()),
)
def test_there_is_exactly_one_outcome_and_it_is_not_later_than_the_end(
    relay: Relay, answer: Answer, seen: Seen
) -> None:
    found = conclude(relay, answer, seen)
    assert found.outcome in get_args(Outcome)
    assert found.moment_ns <= relay.moment_ns


def test_outcomes_have_three_results() -> None:
    assert result("success") == "ok"
    assert result("client_cancel") == "cancel"
    others = set(get_args(Outcome)) - {"success", "client_cancel"}
    assert {result(found) for found in others} == {"error"}


CALL = Call("openai_chat", "chat", "m", "true")


def summary(found: Outcome = "success", **facts: object) -> Summary:
    moments = dict.fromkeys(("t_body_ns", "t_byte_ns", "t_first_ns", "t_visible_ns", "t_last_ns"))
    tokens = dict.fromkeys(("input_tokens", "cached_input_tokens", "reasoning_output_tokens"))
    values: dict[str, object] = {
        **moments,
        **tokens,
        "output_tokens": None,
        "streamed": False,
        "measured": True,
        "t0_ns": 0,
        "t_end_ns": 3_000_000_000,
        "input_source": "none",
        "output_source": "none",
        "choices": 1,
        "gaps_s": array("f"),
        "gap_tokens": array("I"),
        "gaps_dropped": 0,
        "longest_gap_s": None,
        "client_stall_s": 0.0,
    }
    return Summary(outcome=found, **{**values, **facts})  # type: ignore[arg-type]  # any field


def test_a_stream_without_output_says_why() -> None:
    assert unanswered(summary("success", streamed=True), CALL) == "empty"
    for found in set(get_args(Outcome)) - {"success"}:
        assert unanswered(summary(found), CALL) == found


@pytest.mark.parametrize(
    ("found", "call"),
    [
        (summary("timeout", output_events=1), CALL),
        (summary("timeout", measured=False), CALL),
        (summary("timeout"), CALL._replace(stream="false")),
        (summary("timeout"), CALL._replace(operation="infer")),
    ],
)
def test_output_or_what_nobody_can_know_is_not_unanswered(found: Summary, call: Call) -> None:
    assert unanswered(found, call) is None
    assert censored_s(found, call) is None


def test_only_waits_that_were_broken_off_are_lower_bounds() -> None:
    for found in get_args(Outcome):
        expected = 3.0 if found in CENSORS else None
        assert censored_s(summary(found), CALL) == expected
