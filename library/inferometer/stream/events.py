"""What an answer says, in every dialect: the small vocabulary between dialects and timelines.

Events carry no moment of their own: all events that one read completed share the moment of that
read (measurement.md calls them an arrival), so `Timeline.take(moment_ns, event)` gets it apart.
That also lets a dialect hand out the same event object for every token of a stream.
They are named tuples and not frozen dataclasses, because one is made for each token.
"""

from typing import Final, Literal, NamedTuple

Kind = Literal["text", "reasoning", "tool", "refusal", "audio"]
"""What was generated. All but `reasoning` are visible to a user."""

Finish = Literal[
    "stop", "length", "tool_calls", "content_filter", "error", "abort", "other", "unknown"
]
"""Why generation of a choice stopped: a closed set, whatever the server writes."""

Phase = Literal["queue", "prefill", "decode", "first_token", "load", "total"]
"""A part of a request's time that an engine reports of itself."""


class Output(NamedTuple):
    """A chunk with non-empty generated payload. `tokens` is None where the server does not tell."""

    kind: Kind = "text"
    choice: int = 0
    tokens: int | None = None


class Usage(NamedTuple):
    """Token counts stated by the server; None is unknown, never zero.

    `final` is False for a running total, which later ones replace by their maximum per field.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    final: bool = True


class Finished(NamedTuple):
    """A choice came to its end. `choice` None means all of them."""

    reason: Finish = "unknown"
    choice: int | None = None


class Failed(NamedTuple):
    """The server reported an error inside the body. Its text is not kept: it may quote a prompt."""


class Ended(NamedTuple):
    """The dialect's terminator was seen (`[DONE]`, `message_stop`, `done: true`)."""


class Reported(NamedTuple):
    """A phase the engine timed itself, in seconds."""

    phase: Phase
    seconds: float


class Named(NamedTuple):
    """The model name that the answer carries, as it stands there (unclean, unbounded)."""

    model: str


class Skipped(NamedTuple):
    """An event that could not be read was left out, so the stream is partial from here on."""

    reason: Literal["too_large", "malformed", "encoding"]


class Rejected(NamedTuple):
    """Usage numbers that cannot be true (negative, above 10^8, not integers) were ignored."""


Event = Output | Usage | Finished | Failed | Ended | Reported | Named | Skipped | Rejected

TOKENS_MAX: Final = 10**8
"""A larger count is a fault of the server, not a fact."""
