"""OpenAI's Responses API: typed events, ended by one that carries the whole response.

`POST /v1/responses`, by OpenAI, vLLM, SGLang, Ollama and llama.cpp. Deltas carry the output; the
`.done` events repeat what deltas brought and are no output. There is no `[DONE]`: a stream that
ends without `response.completed`, `.incomplete` or `.failed` was cut short.
"""

from collections.abc import Mapping
from typing import Final

from inferometer.stream.dialect import Framing
from inferometer.stream.events import Ended, Event, Failed, Finish, Finished, Kind
from inferometer.stream.finish import finish
from inferometer.stream.reading import (
    Message,
    items,
    mapping,
    named,
    output,
    read,
    text,
    usage,
    whole,
)

# Events with a non-empty `delta`. The endings of audio's differ between revisions of the API.
_DELTAS: Final[Mapping[str, Kind]] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "tool",
    "response.custom_tool_call_input.delta": "tool",
    "response.mcp_call_arguments.delta": "tool",
    "response.code_interpreter_call_code.delta": "tool",
    "response.audio.delta": "audio",
    "response.audio.transcript.delta": "audio",
    "response.output_audio.delta": "audio",
    "response.output_audio_transcript.delta": "audio",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
}

_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call"})
"""Items whose name is generated; it comes with `response.output_item.added`."""

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Responses:
    """Reads the typed events of one response, or its whole body."""

    name = "openai_responses"
    framing: Framing = "sse"
    terminated = True
    tokens_per_output: int | None = None

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._named = False

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one event says; its type is a member of its data."""
        message = read(data)
        if not isinstance(message, dict):
            return [] if message is None else [message]
        kind = message.get("type")
        if not isinstance(kind, str):
            # vLLM reports an early failure as a chat completion would.
            return [Failed()] if name == b"error" or message.get("error") else []
        if kind in _DELTAS:
            return [output(_DELTAS[kind])] if text(message.get("delta")) else []
        return self._step(kind, message)

    def _step(self, kind: str, message: Message) -> list[Event]:
        """Read an event that is no delta: a call begins, an error, the response in a new state."""
        if kind == "response.output_item.added":
            item = mapping(message.get("item"))
            return [output("tool")] if _is_call(item) and text(item.get("name")) else []
        if kind == "error":
            return [Failed()]
        response = mapping(message.get("response"))
        events: list[Event] = []
        if not self._named:
            events += named(response.get("model"))
            self._named = bool(events)
        if kind in _ENDS:
            events += _body(response, kind.removeprefix("response."))
            events.append(Ended())
        return events

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says.

        A response that is still queued or in progress (`background`) has no finish reason yet.
        """
        message = whole(body)
        if not isinstance(message, dict):
            return [message]
        return named(message.get("model")) + _body(message, message.get("status"))


def _body(response: Message, status: object) -> list[Event]:
    """Return finish reason, usage and error of a response object in its final state."""
    stated = mapping(response.get("usage"))
    events = usage(
        stated.get("input_tokens"),
        stated.get("output_tokens"),
        cached=mapping(stated.get("input_tokens_details")).get("cached_tokens"),
        reasoning=mapping(stated.get("output_tokens_details")).get("reasoning_tokens"),
    )
    if reason := _reason(response, status):
        events.append(Finished(reason))
    if status == "failed" or response.get("error"):
        events.append(Failed())
    return events


def _reason(response: Message, status: object) -> Finish | None:
    if status == "incomplete":
        return finish(mapping(response.get("incomplete_details")).get("reason")) or "unknown"
    if status == "completed":
        called = any(_is_call(item) for item in items(response.get("output")))
        return "tool_calls" if called else "stop"
    return finish(status) if status in ("failed", "cancelled") else None


def _is_call(item: Message) -> bool:
    kind = item.get("type")
    return isinstance(kind, str) and kind in _CALLS
