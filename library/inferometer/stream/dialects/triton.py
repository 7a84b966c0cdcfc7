"""Triton's generate extension: outputs of a model as events, without a terminator.

`POST /v2/models/M[/versions/V]/generate_stream` and `/generate`. A tensor with one element is a
scalar, with several (n > 1) a list, one element for each choice. If asked for, the vLLM backend
tells how many tokens each response brought, and "None" as the finish reason of those that go on.

A model names its outputs as it likes. Where they are not those of the LLM backends the stream is
partial; read as empty it would look like one that brought no token.
"""

from typing import Final

from inferometer.stream.dialect import CHOICES_MAX, Framing
from inferometer.stream.events import Event, Failed, Finished, Skipped
from inferometer.stream.finish import finish
from inferometer.stream.reading import Message, count, named, output, read, text, usage, whole

_RUNNING: Final = "None"
_IMPOSSIBLE: Final = -1
_MEMBERS: Final = frozenset(
    {"text_output", "finish_reason", "num_output_tokens", "num_input_tokens"}
)
"""Outputs of the LLM backends, any of which proves one."""


class Triton:
    """Reads the events of one answer, or its whole body."""

    name = "triton"
    framing: Framing = "sse"
    terminated = False
    tokens_per_output: int | None = None

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._named = False
        self._proven = False  # an event with an output that is known was seen
        self._total = 0  # output tokens of all responses so far
        self._held: dict[int, int] = {}  # choice: tokens since its last output

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one event says."""
        if name == b"error":
            return [Failed()]
        message = read(data)
        if not isinstance(message, dict):
            return [] if message is None else [message]
        if message.get("error"):
            return [Failed()]
        events = [] if self._proven and self._named else self._first(message)
        brought = _elements(message.get("num_output_tokens"))
        for index, piece in enumerate(_elements(message.get("text_output"))[:CHOICES_MAX]):
            tokens = count(brought[index]) if index < len(brought) else None
            if text(piece):
                tokens = None if tokens is None else tokens + self._held.pop(index, 0)
                events.append(output("text", index, tokens))
            elif tokens:
                self._held[index] = self._held.get(index, 0) + tokens
        finishes = _finishes(message)
        if brought:
            events += self._usage(message, brought, final=bool(finishes))
        return events + finishes

    def _first(self, message: Message) -> list[Event]:
        """Return the model, and `Skipped` while no output is one that is known."""
        events: list[Event] = []
        if not self._proven:
            self._proven = not message.keys().isdisjoint(_MEMBERS)
            if not self._proven:
                events.append(Skipped("malformed"))
        if not self._named:
            model = named(message.get("model_name"))
            self._named = bool(model)
            events += model
        return events

    def _usage(self, message: Message, brought: list[object], *, final: bool) -> list[Event]:
        """Add what this response brought; an impossible number is left out and rejected."""
        if not brought:
            return usage(message.get("num_input_tokens"), final=final)
        counts = [count(tokens) for tokens in brought]
        self._total += sum(tokens for tokens in counts if tokens is not None)
        total = self._total if None not in counts else _IMPOSSIBLE
        return usage(message.get("num_input_tokens"), total, final=final)

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says."""
        message = whole(body)
        if not isinstance(message, dict):
            return [message]
        if message.get("error"):
            return [Failed()]
        events = named(message.get("model_name"))
        brought = _elements(message.get("num_output_tokens"))
        events += self._usage(message, brought, final=True)
        return events + _finishes(message)


def _elements(value: object) -> list[object]:
    """Return the elements of a tensor, which is a bare value if it has one; none if absent."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _finishes(message: Message) -> list[Event]:
    reasons = _elements(message.get("finish_reason"))[:CHOICES_MAX]
    return [
        Finished(reason, index)
        for index, value in enumerate(reasons)
        if value != _RUNNING and (reason := finish(value))
    ]
