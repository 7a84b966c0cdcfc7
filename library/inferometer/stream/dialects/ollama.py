"""Ollama's own API: one JSON object on each line, the last one with `done` and statistics.

`POST /api/chat`, `/api/generate` and, whole, `/api/embed`. It streams unless told otherwise, one
token on each line (in practice, not by contract). A count of zero is left out, so a prompt that
was cached wholly is unknown. An error is a line of its own, after which nothing comes.
"""

from typing import Final

from inferometer.stream.dialect import Framing
from inferometer.stream.events import Ended, Event, Failed, Finished, Kind, Phase
from inferometer.stream.finish import finish
from inferometer.stream.reading import (
    Message,
    length,
    named,
    output,
    read,
    reported,
    text,
    usage,
    whole,
)

_DURATIONS: Final[tuple[tuple[str, Phase], ...]] = (
    ("load_duration", "load"),
    ("prompt_eval_duration", "prefill"),
    ("eval_duration", "decode"),
    ("total_duration", "total"),
)
_NS: Final = 1e-9


class Ollama:
    """Reads the lines of one answer, or its whole body."""

    name = "ollama"
    framing: Framing = "ndjson"
    terminated = True
    tokens_per_output: int | None = 1

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._named = False

    def frame(self, name: bytes, data: bytes) -> list[Event]:  # noqa: ARG002  a line has no name
        """Return what one line says."""
        message = read(data)
        if not isinstance(message, dict):
            return [] if message is None else [message]
        if message.get("error"):
            return [Failed()]
        events: list[Event] = []
        if not self._named:
            events += named(message.get("model"))
            self._named = bool(events)
        kind = _kind(message)
        if kind is not None:
            # With `logprobs` a line lists its tokens; else it is one, as `tokens_per_output` says.
            events.append(output(kind, tokens=length(message.get("logprobs"))))
        if message.get("done") is True:
            events += _statistics(message)
            events.append(Ended())
        return events

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says."""
        message = whole(body)
        if not isinstance(message, dict):
            return [message]
        if message.get("error"):
            return [Failed()]
        return named(message.get("model")) + _statistics(message)


def _kind(message: Message) -> Kind | None:
    """Return what a line generated: of a chat in `message`, of a generation beside it."""
    chat = message.get("message")
    if isinstance(chat, dict):
        if text(chat.get("content")):
            return "text"
        if length(chat.get("tool_calls")):
            return "tool"
        return "reasoning" if text(chat.get("thinking")) else None
    if text(message.get("response")):
        return "text"
    return "reasoning" if text(message.get("thinking")) else None


def _statistics(message: Message) -> list[Event]:
    events = usage(message.get("prompt_eval_count"), message.get("eval_count"))
    events += reported(message, _DURATIONS, _NS)
    if message.get("done") is True:
        events.append(Finished(finish(message.get("done_reason")) or "unknown"))
    return events
