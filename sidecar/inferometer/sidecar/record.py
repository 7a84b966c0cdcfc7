"""A finished request, written into the cells that share its labels."""

from collections.abc import Iterable
from typing import Final

from inferometer.metrics.cells import Exemplar, Histogram
from inferometer.sidecar.instruments import Instruments
from inferometer.stream.dialect import Call
from inferometer.stream.events import Finished, Reported
from inferometer.stream.outcome import censored_s, result, unanswered
from inferometer.stream.summary import SECOND_NS, Summary
from inferometer.stream.tokens import NO_RATE

_ENGINES: Final = {
    "tgi": "tgi",
    "triton": "triton",
    "ollama": "ollama",
    "llamacpp": "llamacpp",
    "torchserve": "torchserve",
    "tfserving": "tfserving",
}
"""Dialects that one engine alone speaks; of the others, who it is cannot be told from an answer."""


def count_times(
    bound: Instruments,
    summary: Summary,
    call: Call,
    exemplar: Exemplar | None,
    *,
    silence_ns: int = 0,
) -> None:
    """Count durations, waits and gaps; `silence_ns` is the longest that no output ended."""
    bound.duration(result(summary.outcome)).add(summary.duration_s, 1, exemplar)
    read_s, first_byte_s = summary.read_s, summary.ttfb_s
    if read_s is not None:
        bound.request_read.add(read_s)
    if first_byte_s is not None:
        bound.first_byte.add(first_byte_s, 1, exemplar)
    reason = unanswered(summary, call)
    if reason is not None:
        bound.no_first_token(reason).add()
        wait_s = censored_s(summary, call)
        if wait_s is not None:
            bound.censored.add(wait_s)
    longest_s = max(summary.longest_gap_s or 0.0, silence_ns / SECOND_NS)
    if longest_s:
        bound.longest_gap.add(longest_s, 1, exemplar)
    if summary.stalls:
        bound.stalls.add(summary.stalls, exemplar)
    tpot_s = summary.tpot_s
    if tpot_s is not None:
        bound.per_output_token.add(tpot_s, 1, exemplar)
    if summary.weights is not None:
        _count_token_gaps(bound.inter_token(summary.weights), summary)


def _count_token_gaps(cell: Histogram, summary: Summary) -> None:
    weights = summary.gap_tokens
    if weights and min(weights) == max(weights) == 1:  # the usual case
        cell.add_all(summary.gaps_s)
        return
    for gap_s, tokens in summary.token_gaps():
        cell.add(gap_s, tokens)


def count_tokens(bound: Instruments, summary: Summary, *, answered: bool) -> None:
    """Count tokens where they are known, and how they are known."""
    given, made = summary.input_tokens, summary.output_tokens
    if given is not None:
        bound.input_tokens.add(given)
        bound.tokens("input", summary.input_source).add(given)
    if made is not None:
        if summary.output_source not in NO_RATE:  # an estimate is no known count
            bound.output_tokens.add(made)
        bound.tokens("output", summary.output_source).add(made)
    if answered:
        bound.usage_requests(summary.output_source).add()
    if summary.cached_input_tokens is not None:
        bound.cached_input_tokens.add(summary.cached_input_tokens)
    if summary.reasoning_output_tokens is not None:
        bound.reasoning_output_tokens.add(summary.reasoning_output_tokens)


def count_said(bound: Instruments, dialect: str, said: Iterable[Finished | Reported]) -> None:
    """Count why generation stopped, and what the engine reports of itself."""
    engine = _ENGINES.get(dialect, "unknown")
    for event in said:
        if isinstance(event, Finished):
            bound.finish_reasons(event.reason).add()
        else:
            bound.reported(engine, event.phase).add(event.seconds)
