"""llama.cpp's own API: pieces of content, the last one with `stop`, counts and timings.

`POST /completion` (also `/completions`, `/infill`) of llama-server. Its OpenAI and Anthropic routes
speak those dialects. Builds before late 2025 report an error in a field named `error:` instead of
`data:` (ggml-org/llama.cpp#16109); it comes here as an event of that name.
"""

from typing import Final

from inferometer.stream.dialect import CHOICES_MAX, Framing
from inferometer.stream.dialects.openai import MS, TIMINGS
from inferometer.stream.events import Ended, Event, Failed, Finish, Finished
from inferometer.stream.finish import finish
from inferometer.stream.reading import (
    Message,
    choice,
    length,
    mapping,
    named,
    output,
    read,
    reported,
    text,
    usage,
    whole,
)

# Before `stop_type` (late 2024) three booleans told why.
_STOPS: Final[tuple[tuple[str, Finish], ...]] = (
    ("stopped_eos", "stop"),
    ("stopped_word", "stop"),
    ("stopped_limit", "length"),
)


class LlamaCpp:
    """Reads the events of one answer, or its whole body."""

    name = "llamacpp"
    framing: Framing = "sse"
    terminated = True
    tokens_per_output: int | None = None

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._named = False
        self._held: dict[int, int] = {}  # choice: tokens listed since its last output

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one event says."""
        if name == b"error":
            return [Failed()]
        message = read(data)
        if not isinstance(message, dict):
            return [] if message is None else [message]
        if message.get("error"):
            return [Failed()]
        index = choice(message.get("index"))
        listed = length(message.get("tokens"))
        events: list[Event] = []
        if not self._named:
            events += named(message.get("model"))
            self._named = bool(events)
        if text(message.get("content")):
            tokens = listed + self._held.pop(index, 0) if listed else None
            events.append(output("text", index, tokens))
        elif listed and index < CHOICES_MAX:
            self._held[index] = self._held.get(index, 0) + listed
        if message.get("stop") is True:
            events += _statistics(message)
            events += [Finished(_reason(message), index), Ended()]
        elif "tokens_predicted" in message:
            events += _usage(message, final=False)
        return events

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says."""
        message = whole(body)
        if not isinstance(message, dict):
            return [message]
        if message.get("error"):
            return [Failed()]
        events = named(message.get("model")) + _statistics(message)
        if message.get("stop") is True:
            events.append(Finished(_reason(message), choice(message.get("index"))))
        return events


def _usage(message: Message, *, final: bool) -> list[Event]:
    """Return the counts of a message; `cache_n` is the part of the prompt that was cached."""
    return usage(
        message.get("tokens_evaluated"),
        message.get("tokens_predicted"),
        cached=mapping(message.get("timings")).get("cache_n"),
        final=final,
    )


def _statistics(message: Message) -> list[Event]:
    times = reported(mapping(message.get("timings")), TIMINGS, MS)
    return _usage(message, final=True) + times


def _reason(message: Message) -> Finish:
    told = finish(message.get("stop_type"))
    if told is not None:
        return told
    return next((reason for member, reason in _STOPS if message.get(member) is True), "unknown")
