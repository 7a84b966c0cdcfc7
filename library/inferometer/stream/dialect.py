"""The Dialect protocol: what one kind of server says, frame by frame.

A dialect knows nothing of HTTP chunks, compression, SSE grammar or time: `stream.frames` hands it
whole frames, and it answers with events. One object serves one answer, so it may keep running
totals. It never raises on any input: what it cannot read becomes `Skipped`, and a frame that says
nothing of interest becomes no event at all.
"""

from typing import Final, Literal, NamedTuple, Protocol

from inferometer.stream.events import Event

Framing = Literal["sse", "ndjson", "opaque"]
"""How a streamed answer is cut into frames. Whole JSON bodies are read by `Dialect.whole`."""

Operation = Literal[
    "chat",
    "text_completion",
    "generate_content",
    "embeddings",
    "rerank",
    "audio",
    "image",
    "infer",
    "other",
]

Streaming = Literal["true", "false", "unknown"]
"""What the request asked for. Where a dialect has a default (Ollama: true), the default counts."""


class Call(NamedTuple):
    """What a request asks for, read from its method, target and the first part of its body.

    `model` is None when it could not be read; it is an outside string, not yet a label.
    `choices` is the `n` of the request, 1 where it is absent, and `output_tokens_max` the limit
    it sets, None where it is absent. `echo` is true where the prompt comes back as output, so that
    a first token tells nothing. `guessed` is true where the route does not prove the dialect: the
    first frames may tell another one.
    """

    dialect: str
    operation: Operation
    model: str | None
    stream: Streaming
    choices: int = 1
    output_tokens_max: int | None = None
    echo: bool = False
    guessed: bool = False


class Dialect(Protocol):
    """Reads the frames of one answer.

    `terminated` tells whether a complete stream of this dialect ends with an event of its own:
    where it does, a clean end of the framing without that event is a truncation.
    `tokens_per_output` is 1 where the protocol promises one token for each output event (TGI,
    Ollama), else None.
    """

    name: str
    framing: Framing
    terminated: bool
    tokens_per_output: int | None

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one SSE event (`name` is its event field, b"" if absent) or line says."""
        ...

    def whole(self, body: bytes) -> list[Event]:
        """Return what a JSON body that was not streamed says: usage, finish reasons, errors."""
        ...


CHOICES_MAX: Final = 16
"""Choices that are followed apart; later ones only count tokens."""
