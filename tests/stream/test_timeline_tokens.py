"""Rules of counting the tokens of one request, and of what is lost where events are.

Issues cited are faults that other projects shipped; each has a test here.
"""

import pytest

from inferometer.stream.events import (
    Ended,
    Finished,
    Named,
    Output,
    Rejected,
    Skipped,
    Usage,
)
from inferometer.stream.summary import Answer
from inferometer.stream.timeline import Arrival
from support.timelines import MS, STREAM, T0, TOKEN, TOKENS, Timed, gaps, summary, taken


def test_a_stream_without_usage_is_not_one_of_zero_tokens() -> None:
    """gpustack/gpustack#4874, ferro-labs/ai-gateway#281."""
    found = summary(TOKENS)
    assert (found.output_tokens, found.output_source) == (4, "chunks")
    assert (found.input_tokens, found.input_source) == (None, "none")
    assert (found.tpot_s, found.weights, list(found.gap_tokens)) == (None, None, [])


def test_framing_is_no_token() -> None:
    """braintrustdata/braintrust-sdk-javascript#2110."""
    framing: list[Timed] = [(1, Named("m")), (2, Finished("stop", 0)), (3, Ended())]
    found = summary(framing)
    assert (found.output_events, found.output_tokens, found.ttft_s) == (0, None, None)


def test_a_chunk_may_bring_many_tokens() -> None:
    """Speculative decoding: a gap is not an inter-token latency (vllm#45678)."""
    found = summary([*TOKENS, (410, Usage(7, 20))])
    assert (found.weights, list(found.gap_tokens)) == ("uniform", [5, 5, 5])
    assert [round(s, 4) for s, _ in found.token_gaps()] == [0.004, 0.004, 0.012]


def test_tokens_that_are_told_with_each_event_weigh_exactly() -> None:
    told: list[Timed] = [(100, Output("text", 0, 1)), (200, Output("text", 0, 4))]
    told += [(200, Output("text", 0, 1)), (300, Output("text", 0, 2))]
    for end in ([], [(310.0, Usage(3, 8))]):
        found = summary([*told, *end])
        assert (found.weights, list(found.gap_tokens)) == ("exact", [5, 2])
        assert found.output_source == ("server" if end else "token_ids")
        assert found.output_tokens == 8


def test_a_total_that_disagrees_with_what_was_told_is_spread() -> None:
    told: list[Timed] = [(100, Output("text", 0, 1)), (200, Output("text", 0, 1))]
    found = summary([*told, (300, Usage(3, 4))])
    assert (found.weights, list(found.gap_tokens)) == ("uniform", [2])


def test_tokens_told_by_some_events_only_are_not_exact() -> None:
    found = summary([(100, Output("text", 0, 1)), (200, TOKEN), (300, Output("text", 0, 3))])
    assert (found.output_source, found.output_tokens) == ("chunks", 3)
    assert found.weights is None


def test_where_the_protocol_promises_it_an_event_is_a_token() -> None:
    answer = STREAM._replace(tokens_per_output=1)
    found = summary([(100, TOKEN), (120, TOKEN), (120, TOKEN), (140, TOKEN)], answer=answer)
    assert (found.output_source, found.output_tokens) == ("events", 4)
    assert (found.weights, list(found.gap_tokens)) == ("exact", [2, 1])
    assert found.tpot_s == pytest.approx(0.04 / 3)


def test_usage_of_an_aborted_stream_is_not_lost() -> None:
    """litellm#14457."""
    running = [(at, event) for at, event in TOKENS for event in (event, Usage(5, 4, final=False))]
    found = summary(running, outcome="client_cancel")
    assert (found.output_tokens, found.output_source) == (4, "server_cumulative")
    assert found.input_source == "server_cumulative"
    assert summary(TOKENS, outcome="client_cancel").output_tokens == 4


@pytest.mark.req("DC-06")
def test_impossible_usage_is_ignored_and_counted() -> None:
    events: list[Timed] = [*TOKENS, (410, Rejected()), (410, Usage(9, 0, 10, 2))]
    found = summary(events)
    assert (found.output_tokens, found.output_source) == (4, "chunks")
    assert (found.cached_input_tokens, found.reasoning_output_tokens) == (None, 2)
    assert found.usage_rejected == 3


def test_cached_and_reasoning_tokens_are_subsets() -> None:
    found = summary([*TOKENS, (410, Usage(9, 4, 8, 3))])
    assert (found.cached_input_tokens, found.reasoning_output_tokens) == (8, 3)


@pytest.mark.parametrize("loss", [Skipped("too_large"), Skipped("malformed"), Skipped("encoding")])
def test_after_a_loss_token_figures_are_unmeasured_and_a_taken_first_token_stays(
    loss: Skipped,
) -> None:
    found = summary([*TOKENS[:2], (325, loss), *TOKENS[2:], (410, Usage(1, 4))])
    assert not found.measured
    assert found.ttft_s == pytest.approx(0.3)
    assert (found.weights, list(found.gap_tokens), found.tpot_s) == (None, [], None)
    assert gaps(found) == [0.02, 0.06]  # none across the loss
    assert (found.output_tokens, found.output_source) == (4, "server")


def test_after_a_loss_a_first_token_cannot_be_told_any_more() -> None:
    timeline = taken([])
    timeline.dropped()
    assert timeline.take(T0 + MS, TOKEN) == Arrival(first=False, visible=False, gap_ns=None)
    found = timeline.finish("success", T0 + 2 * MS, answer=STREAM)
    assert (found.ttft_s, found.output_events) == (None, 1)
    assert (found.output_tokens, found.output_source) == (None, "none")  # a count would be too low


def test_an_opaque_answer_is_unmeasured() -> None:
    found = summary([(5, Usage(1))], answer=Answer(opaque="type"))
    assert (found.measured, found.streamed) == (False, False)
