"""What is known of a request when it is over, and of its answer before that. Plain records."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from inferometer.stream.tokens import NO_RATE, UsageSource, Weights

Outcome = Literal[
    "success",
    "client_error",
    "rejected",
    "upstream_error",
    "stream_error",
    "truncated",
    "timeout",
    "client_cancel",
    "drain_cut",
    "proxy_error",
]

SECOND_NS: Final = 1_000_000_000


class Summary(NamedTuple):
    """A finished request. All moments are monotonic nanoseconds; None is unknown, never zero.

    A named tuple, as one is made for each request: a frozen dataclass takes four times as long.
    """

    outcome: Outcome
    streamed: bool  # an answer that came as a stream whose events were read
    measured: bool  # False: opaque, or events were dropped or skipped: token objectives unknown
    t0_ns: int  # the read that completed the request head
    t_body_ns: int | None  # request body complete
    t_byte_ns: int | None  # first response body byte
    t_first_ns: int | None  # first output event
    t_visible_ns: int | None  # first output a user can see
    t_last_ns: int | None  # last output event
    t_end_ns: int
    input_tokens: int | None
    input_source: UsageSource
    cached_input_tokens: int | None
    reasoning_output_tokens: int | None
    output_tokens: int | None
    output_source: UsageSource
    choices: int
    gaps_s: Sequence[float]  # array("f"), at most 4,096: seconds between arrivals of one choice
    gap_tokens: Sequence[int]  # array("I"), weight of each gap, same length; or empty: unknown
    gaps_dropped: int  # gaps beyond those kept
    longest_gap_s: float | None
    client_stall_s: float  # time the client did not read, between first and last output
    weights: Weights | None = None  # how `gap_tokens` are known; None where they are not
    stalls: int = 0  # gaps of at least `stall_s`
    output_events: int = 0  # also those of a stream whose first token could not be timed
    usage_rejected: int = 0  # statements about tokens that cannot be true
    breaches: int = 0  # events that the state did not allow; they changed nothing

    @property
    def ttft_s(self) -> float | None:
        """Time to first token; None without output, and where the first one could be missed."""
        return _seconds(self.t0_ns, self.t_first_ns)

    @property
    def ttfo_s(self) -> float | None:
        """Time to first output that a user can see."""
        return _seconds(self.t0_ns, self.t_visible_ns)

    @property
    def ttfb_s(self) -> float | None:
        """Time to first body byte, which is not a token."""
        return _seconds(self.t0_ns, self.t_byte_ns)

    @property
    def read_s(self) -> float | None:
        """Time from request head to the end of the request body; None if it never ended."""
        return _seconds(self.t0_ns, self.t_body_ns)

    @property
    def duration_s(self) -> float:
        """Time from request head to the end: last output, last byte, or when a failure was sure."""
        return (self.t_end_ns - self.t0_ns) / SECOND_NS

    @property
    def tpot_s(self) -> float | None:
        """Mean time per output token after the first; None where any part of it is unknown.

        With several choices the tokens of one are not known, so it is None then, too.
        """
        known = self.streamed and self.measured and self.output_source not in NO_RATE
        if not known or self.choices > 1 or self.output_tokens is None or self.output_tokens < 2:  # noqa: PLR2004  # a rate needs two
            return None
        if self.t_first_ns is None or self.t_last_ns is None:
            return None
        decode_s = (self.t_last_ns - self.t_first_ns) / SECOND_NS - self.client_stall_s
        return max(decode_s, 0.0) / (self.output_tokens - 1)

    def token_gaps(self) -> Iterator[tuple[float, int]]:
        """Yield (seconds per token, number of tokens) of each gap kept; nothing where unknown."""
        for gap_s, tokens in zip(self.gaps_s, self.gap_tokens, strict=False):
            if tokens:
                yield gap_s / tokens, tokens


class Answer(NamedTuple):
    """What the decoder knows of an answer as a whole.

    `opaque` says why its events were not read, None where they were. `terminated` tells whether
    a complete stream ends with an event of its own.
    """

    streamed: bool = False
    opaque: str | None = None
    terminated: bool = False
    tokens_per_output: int | None = None


class Seen(NamedTuple):
    """What the events of an answer say about its end; moments are None where nothing came.

    `finished_ns` is when every choice known had finished. `output` is true after any output,
    `partial` where events were lost, so that absence proves nothing.
    """

    failed_ns: int | None = None
    ended_ns: int | None = None
    finished_ns: int | None = None
    output: bool = False
    partial: bool = False


def _seconds(start_ns: int, end_ns: int | None) -> float | None:
    return None if end_ns is None else (end_ns - start_ns) / SECOND_NS
