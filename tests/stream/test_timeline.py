"""Rules of turning events and moments into the figures of one request.

Issues cited are faults that other projects shipped; each has a test here.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.dialect import CHOICES_MAX
from inferometer.stream.events import (
    Ended,
    Event,
    Failed,
    Finished,
    Named,
    Output,
    Rejected,
    Reported,
    Skipped,
    Usage,
)
from inferometer.stream.gaps import GAPS_MAX
from inferometer.stream.summary import Answer, Seen, Summary
from inferometer.stream.timeline import FINISHED_MAX, NEXT, Arrival, State, Timeline
from support.timelines import (
    CALL,
    MS,
    REASONING,
    STREAM,
    T0,
    TOKEN,
    TOKENS,
    Timed,
    gaps,
    summary,
    taken,
)


@pytest.mark.parametrize(
    "noise",
    [Usage(5, 1, final=False), Named("m"), Reported("queue", 0.1), Rejected()],
)
def test_the_first_token_is_the_first_output_and_not_the_first_byte(noise: Event) -> None:
    """Role chunks came 1.3 s before the first token (vllm#15106)."""
    found = summary([(10, noise), *TOKENS])
    assert found.ttfb_s == pytest.approx(0.01)
    assert found.ttft_s == pytest.approx(0.3)


def test_the_first_token_is_not_that_of_the_last_chunk() -> None:
    """aibrix#2477, litellm#31404."""
    assert summary(TOKENS).t_first_ns == T0 + 300 * MS
    assert summary([], outcome="truncated").ttft_s is None  # nor the end of the request


def test_reasoning_is_output_but_not_visible() -> None:
    """Skipping it made TTFT minutes late (kubernetes-sigs/inference-perf#559)."""
    found = summary([(100, REASONING), (200, REASONING), (500, TOKEN)])
    assert found.ttft_s == pytest.approx(0.1)
    assert found.ttfo_s == pytest.approx(0.5)
    assert summary([(100, REASONING)]).ttfo_s is None


def test_a_request_has_one_first_token() -> None:
    """vllm#8115: two samples for one request."""
    timeline = Timeline(CALL, t0_ns=T0)
    events: list[Event] = [REASONING, REASONING, TOKEN, Output("tool"), Finished("stop", 0), TOKEN]
    arrivals = [timeline.take(T0 + i * MS, event) for i, event in enumerate(events)]
    assert [arrival.first for arrival in arrivals if arrival].count(True) == 1
    assert [arrival.visible for arrival in arrivals if arrival].count(True) == 1


def test_an_echoed_prompt_gives_no_first_token() -> None:
    found = summary(TOKENS, call=CALL._replace(echo=True))
    assert (found.ttft_s, found.ttfo_s, found.tpot_s) == (None, None, None)
    assert (found.output_events, found.t_last_ns) == (4, T0 + 400 * MS)


def test_the_body_of_the_request_has_its_moment() -> None:
    timeline = taken([])
    timeline.body_done(T0 + 40 * MS)
    found = timeline.finish("client_cancel", T0 + 50 * MS, answer=Answer())
    assert found.read_s == pytest.approx(0.04)
    assert found.t_byte_ns is None


def test_terminators_and_usage_never_move_the_end_of_a_stream() -> None:
    after: list[Timed] = [(500, Finished("stop", 0)), (600, Usage(1, 4)), (900, Ended())]
    assert summary([*TOKENS, *after]).duration_s == pytest.approx(0.4)


def test_a_body_that_is_not_streamed_ends_with_its_last_byte() -> None:
    found = summary([(100, Named("m")), (250, Usage(3, 9))], answer=Answer())
    assert found.duration_s == pytest.approx(0.25)
    assert (found.ttft_s, found.tpot_s, found.output_source) == (None, None, "server")


def test_a_success_without_any_body_ends_when_it_was_certain() -> None:
    assert summary([], answer=Answer()).t_end_ns == T0 + 9000 * MS


def test_a_failure_ends_when_it_became_certain() -> None:
    assert summary(TOKENS, outcome="truncated").t_end_ns == T0 + 9000 * MS


@pytest.mark.req("DC-02")
def test_a_first_token_that_was_taken_stays_after_a_later_failure() -> None:
    found = summary([*TOKENS, (500, Failed())], outcome="stream_error")
    assert found.ttft_s == pytest.approx(0.3)


def test_a_stream_asked_for_and_answered_whole_has_its_first_token_at_its_last_byte() -> None:
    timeline = taken([(100, Named("m")), (700, Named("m"))])
    for event in (TOKEN, Usage(3)):
        timeline.take(timeline.last_byte_ns, event)
    found = timeline.finish("success", T0 + 720 * MS, answer=Answer())
    assert found.ttft_s == pytest.approx(0.7)
    assert found.duration_s == pytest.approx(0.7)
    assert (found.output_tokens, found.output_source) == (None, "none")  # not one token


def test_gaps_lie_between_arrivals_of_one_choice() -> None:
    two: list[Timed] = [(100, Output("text", 0)), (110, Output("text", 1))]
    two += [(130, Output("text", 0)), (160, Output("text", 1))]
    found = summary(two, call=CALL._replace(choices=2))
    assert gaps(found) == [0.03, 0.05]
    assert found.longest_gap_s == pytest.approx(0.05)
    assert (found.t_first_ns, found.t_last_ns) == (T0 + 100 * MS, T0 + 160 * MS)
    assert found.tpot_s is None


@pytest.mark.req("DC-05")
def test_output_of_one_moment_is_one_arrival() -> None:
    """Coalescing makes no gaps of zero and hides no tokens."""
    found = summary(
        [(100, TOKEN), (150, TOKEN), (150, TOKEN), (150, TOKEN), (170, TOKEN), (170, Usage(1, 5))]
    )
    assert gaps(found) == [0.05, 0.02]
    assert list(found.gap_tokens) == [3, 1]


def test_an_arrival_is_heard_at_once_with_its_gap() -> None:
    timeline = Timeline(CALL, t0_ns=T0)
    assert timeline.take(T0 + MS, REASONING) == Arrival(first=True, visible=False, gap_ns=None)
    assert timeline.take(T0 + MS, REASONING) is None
    assert timeline.take(T0 + MS, TOKEN) == Arrival(first=False, visible=True, gap_ns=None)
    assert timeline.take(T0 + 5 * MS, TOKEN) == Arrival(first=False, visible=False, gap_ns=4 * MS)
    assert timeline.take(T0 + 6 * MS, Usage(1, 2)) is None


def test_gaps_beyond_the_limit_are_heard_but_not_kept() -> None:
    events: list[Timed] = [(float(i), TOKEN) for i in range(GAPS_MAX + 3)]
    events += [(float(GAPS_MAX + 503), TOKEN), (5000.0, Usage(1, GAPS_MAX + 4))]
    found = summary(events)
    assert len(found.gaps_s) == len(found.gap_tokens) == GAPS_MAX
    assert found.gaps_dropped == 3
    assert found.longest_gap_s == pytest.approx(0.501)
    assert set(found.gap_tokens) == {1}


def test_stalls_are_gaps_from_a_limit_on() -> None:
    found = summary([(0, TOKEN), (1000, TOKEN), (1999, TOKEN), (4000, TOKEN)])
    assert found.stalls == 2
    timeline = Timeline(CALL, t0_ns=T0, stall_s=0.02)
    for at in (0, 10, 30):
        timeline.take(T0 + at * MS, TOKEN)
    assert timeline.finish("success", T0, answer=STREAM).stalls == 1


def test_choices_beyond_the_limit_only_count_tokens() -> None:
    events = [(float(i), Output("text", i)) for i in range(CHOICES_MAX + 1)]
    found = summary([*events, (50.0, Output("text", CHOICES_MAX))])
    assert found.choices == CHOICES_MAX
    assert gaps(found) == []
    assert found.t_last_ns == T0 + (CHOICES_MAX - 1) * MS
    assert found.output_events == CHOICES_MAX + 2


def stalled(events: Sequence[Timed], *stalls: tuple[float, float]) -> Summary:
    timeline = Timeline(CALL, t0_ns=T0)
    marks: list[tuple[float, Event | float]] = [*events, *((end, start) for start, end in stalls)]
    for at, mark in sorted(marks, key=lambda pair: pair[0]):
        if isinstance(mark, float):
            timeline.stall(T0 + round(mark * MS), T0 + round(at * MS))
        else:
            timeline.take(T0 + round(at * MS), mark)
    return timeline.finish("success", T0 + 9000 * MS, answer=STREAM)


SLOW: list[Timed] = [(100, TOKEN), (200, TOKEN), (2000, TOKEN), (2100, TOKEN), (2150, Usage(1, 4))]


def test_gaps_in_which_the_client_did_not_read_are_not_the_servers() -> None:
    found = stalled(SLOW, (210.0, 1990.0))
    assert gaps(found) == [0.1, 0.1]
    assert found.stalls == 0
    assert found.longest_gap_s == pytest.approx(0.1)
    assert list(found.gap_tokens) == [1, 1]
    assert found.client_stall_s == pytest.approx(1.78)
    assert found.tpot_s == pytest.approx((2.0 - 1.78) / 3)


def test_stalls_before_the_first_and_after_the_last_output_do_not_count() -> None:
    found = stalled(SLOW, (20.0, 90.0), (2110.0, 2900.0))
    assert found.client_stall_s == 0.0
    assert gaps(found) == [0.1, 1.8, 0.1]


def test_several_stalls_in_one_gap_add_up() -> None:
    assert stalled(SLOW, (300.0, 400.0), (500.0, 800.0)).client_stall_s == pytest.approx(0.4)


def test_an_event_that_the_state_does_not_allow_is_counted_and_changes_nothing() -> None:
    timeline = taken([*TOKENS, (410, Ended()), (500, TOKEN), (600, Finished("stop"))])
    found = timeline.finish("success", T0, answer=STREAM)
    assert (found.breaches, found.output_events, found.t_last_ns) == (2, 4, T0 + 400 * MS)
    assert timeline.state is State.OVER


def test_a_terminator_may_come_twice_and_the_first_one_counts() -> None:
    timeline = taken([(1, TOKEN), (2, Ended()), (3, Ended())])
    assert (timeline.breaches, timeline.seen.ended_ns) == (0, T0 + 2 * MS)


def test_every_state_is_entered_by_the_table() -> None:
    assert set(NEXT.values()) | {State.WAITING} == set(State)
    for (state, event), then in NEXT.items():
        assert state in State
        assert then is not State.WAITING
        assert event in (Output, Finished, Failed, Ended)


@pytest.mark.parametrize(
    ("events", "seen"),
    [
        ([], Seen()),
        ([TOKEN], Seen(output=True)),
        ([Failed(), Failed(), Ended()], Seen(failed_ns=T0, ended_ns=T0 + 2 * MS)),
        ([Finished("error", 0)], Seen(failed_ns=T0)),
        ([TOKEN, Finished("abort")], Seen(failed_ns=T0 + MS, output=True)),
        ([TOKEN, Finished("stop", 0)], Seen(finished_ns=T0 + MS, output=True)),
        ([Skipped("malformed")], Seen(partial=True)),
    ],
)
def test_what_was_seen_tells_how_it_may_have_ended(events: list[Event], seen: Seen) -> None:
    assert taken([(float(i), event) for i, event in enumerate(events)]).seen == seen


def test_a_request_has_finished_when_every_choice_has() -> None:
    call = CALL._replace(choices=2)
    first: list[Timed] = [
        (1, Output("text", 0)),
        (2, Finished("stop", 0)),
        (3, Finished("stop", 0)),
    ]
    assert taken(first, call=call).seen.finished_ns is None
    both: list[Timed] = [*first, (4, Output("text", 1)), (5, Finished("length", 1))]
    assert taken(both, call=call).seen.finished_ns == T0 + 5 * MS
    unannounced: list[Timed] = [(1, TOKEN), (1, Output("text", 1)), (2, Finished("stop", 0))]
    assert taken(unannounced).seen.finished_ns is None
    assert taken([(1, TOKEN), (2, Finished())], call=call).seen.finished_ns == T0 + 2 * MS


def test_a_choice_that_nobody_announced_is_measured() -> None:
    """A list of prompts has more choices than `n`, and one may end before another begins."""
    late: list[Timed] = [(1, TOKEN), (2, Finished("stop", 0)), (3, Output("text", 1))]
    timeline = taken(late)
    assert timeline.seen.finished_ns is None
    assert (timeline.breaches, timeline.state) == (0, State.STREAMING)


def test_finished_choices_are_remembered_up_to_a_limit() -> None:
    call = CALL._replace(choices=FINISHED_MAX + 1)
    ends = [(1.0, Finished("stop", i)) for i in range(FINISHED_MAX + 9)]
    timeline = taken(ends, call=call)
    assert timeline.seen.finished_ns is None
    assert len(timeline._finished) == FINISHED_MAX


COUNTS = st.one_of(st.none(), st.integers(0, 10**8))
KINDS = st.sampled_from(["text", "reasoning"])
REASONS = st.sampled_from(["stop", "error"])
EVENTS = st.one_of(
    st.builds(Output, KINDS, st.integers(0, 20), COUNTS),
    st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans()),
    st.builds(Finished, REASONS, st.one_of(st.none(), st.integers(0, 20))),
    st.sampled_from([Failed(), Ended(), Skipped("malformed"), Rejected(), Named("m")]),
)


@given(
    st.lists(st.tuples(st.integers(0, 50), EVENTS), max_size=40),
    st.booleans(),
    st.one_of(st.none(), st.just(1)),
)
def test_any_events_make_a_summary_that_holds_together(
    events: list[tuple[int, Event]],
    streamed: bool,  # noqa: FBT001  # hypothesis passes it
    tokens_per_output: int | None,
) -> None:
    at, timed = 0, []
    for step, event in events:
        at += step
        timed.append((float(at), event))
    answer = Answer(streamed=streamed, tokens_per_output=tokens_per_output)
    found = summary(timed, answer=answer)
    assert len(found.gap_tokens) in (0, len(found.gaps_s))
    assert (found.output_tokens is None) == (found.output_source == "none")
    assert (found.input_tokens is None) == (found.input_source == "none")
    assert all(gap > 0 for gap in found.gaps_s)
    if found.weights and not found.gaps_dropped:
        assert sum(found.gap_tokens) <= (found.output_tokens or 0)
    if found.t_first_ns is not None and found.t_visible_ns is not None:
        assert found.t_first_ns <= found.t_visible_ns
    assert found.tpot_s is None or found.tpot_s >= 0
