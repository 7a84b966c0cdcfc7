"""Anthropic's Messages API: blocks of content, usage that grows, a named event for each step.

`POST /v1/messages`, by Anthropic, vLLM, SGLang, Ollama, llama.cpp and gateways. Usage comes in
`message_start` and again in `message_delta`; the later one is cumulative and may be the only one
that has a field, so each field keeps its maximum. `input_tokens` leaves cached input out.
"""

from collections.abc import Mapping
from typing import Final

from inferometer.stream.dialect import Framing
from inferometer.stream.events import (
    Ended,
    Event,
    Failed,
    Finished,
    Kind,
    Rejected,
)
from inferometer.stream.finish import finish
from inferometer.stream.reading import (
    Message,
    count,
    mapping,
    named,
    output,
    read,
    text,
    usage,
    whole,
)

# The member of a delta that holds generated payload. Signatures and citations are none.
_DELTAS: Final[Mapping[object, tuple[str, Kind]]] = {
    "text_delta": ("text", "text"),
    "input_json_delta": ("partial_json", "tool"),
    "thinking_delta": ("thinking", "reasoning"),
}
# The member of a block that holds payload when it starts: a tool's name, or encrypted thought.
_STARTS: Final[Mapping[object, tuple[str, Kind]]] = {
    "text": ("text", "text"),
    "tool_use": ("name", "tool"),
    "server_tool_use": ("name", "tool"),
    "mcp_tool_use": ("name", "tool"),
    "thinking": ("thinking", "reasoning"),
    "redacted_thinking": ("data", "reasoning"),
}

_INPUT: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_FIELDS: Final = (*_INPUT, "output_tokens")


class Messages:
    """Reads the events of one message, or its whole body."""

    name = "anthropic"
    framing: Framing = "sse"
    terminated = True
    tokens_per_output: int | None = None

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._named = False
        self._counts: dict[str, int] = {}  # usage field: its maximum so far

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one event says; its type is a member of its data, as well as its name."""
        message = read(data)
        if not isinstance(message, dict):
            return [] if message is None else [message]
        kind = message.get("type")
        if kind == "content_block_delta":
            return _payload(mapping(message.get("delta")), _DELTAS)
        if kind == "content_block_start":
            return _payload(mapping(message.get("content_block")), _STARTS)
        if kind == "error" or name == b"error" or message.get("error"):
            return [Failed()]
        return self._step(kind, message)

    def _step(self, kind: object, message: Message) -> list[Event]:
        """Read an event about the message itself; pings and ends of blocks say nothing."""
        if kind == "message_start":
            started = mapping(message.get("message"))
            return self._name(started) + self._usage(started, final=False)
        if kind == "message_delta":
            reason = finish(mapping(message.get("delta")).get("stop_reason"))
            events = self._usage(message, final=reason is not None)
            return events if reason is None else [*events, Finished(reason)]
        return [Ended()] if kind == "message_stop" else []

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says."""
        message = whole(body)
        if not isinstance(message, dict):
            return [message]
        if message.get("type") == "error" or message.get("error"):
            return [Failed()]
        events = self._name(message) + self._usage(message, final=True)
        if reason := finish(message.get("stop_reason")):
            events.append(Finished(reason))
        return events

    def _name(self, message: Message) -> list[Event]:
        events = [] if self._named else named(message.get("model"))
        self._named = self._named or bool(events)
        return events

    def _usage(self, message: Message, *, final: bool) -> list[Event]:
        """Merge the usage of `message` into what is known; return all that is known now.

        Cached input is part of our input; while `input_tokens` is unknown so is the sum.
        """
        stated = message.get("usage")
        if not isinstance(stated, dict):
            return []
        rejected = False
        for field in _FIELDS:
            value = stated.get(field)
            known = count(value)
            rejected |= known is None and value is not None
            if known is not None:
                self._counts[field] = max(known, self._counts.get(field, 0))
        total = sum(self._counts.get(field, 0) for field in _INPUT)
        events = usage(
            total if "input_tokens" in self._counts else None,
            self._counts.get("output_tokens"),
            cached=self._counts.get("cache_read_input_tokens"),
            final=final,
        )
        return [*events, Rejected()] if rejected else events


def _payload(block: Message, members: Mapping[object, tuple[str, Kind]]) -> list[Event]:
    kind = block.get("type")
    member = members.get(kind) if isinstance(kind, str) else None
    if member is None or not text(block.get(member[0])):
        return []
    return [output(member[1])]
