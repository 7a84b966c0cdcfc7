"""Which dialect a stream speaks, told by its first frames, where the route does not tell.

Gateways give routes names of their own, and `/generate` is the name of several. Only what is
certain counts: members that no other dialect has in that place.
"""

from collections.abc import Callable, Mapping
from typing import Final

from inferometer.stream.dialect import Operation
from inferometer.stream.reading import Message, items, mapping, read

FRAMES_MAX: Final = 8
"""Frames looked at before giving up; pings and comments may come first."""

OPERATIONS: Final[Mapping[str, Operation]] = {
    "openai_chat": "chat",
    "openai_completions": "text_completion",
    "openai_responses": "chat",
    "anthropic": "chat",
    "tgi": "text_completion",
    "triton": "text_completion",
    "ollama": "chat",
    "llamacpp": "text_completion",
}
"""What a dialect that was recognised generates."""

AMBIGUOUS: Final = frozenset({"opaque", "tgi"})
"""Dialects that a route does not prove: none at all, and TGI, whose `/generate` others have too."""


def recognise(data: bytes) -> str | None:
    """Return the name of the dialect that a frame belongs to; None where it does not tell."""
    message = read(data)
    if not isinstance(message, dict):
        return None
    return next((name for name, is_sign in _SIGNS if is_sign(message)), None)


def _is_responses(message: Message) -> bool:
    kind = message.get("type")
    return isinstance(kind, str) and kind.startswith("response.")


def _is_anthropic(message: Message) -> bool:
    return message.get("type") in ("message_start", "content_block_start", "content_block_delta")


def _is_chat(message: Message) -> bool:
    if message.get("object") == "chat.completion.chunk":
        return True
    return any("delta" in choice for choice in items(message.get("choices")))


def _is_completions(message: Message) -> bool:
    return isinstance(message.get("choices"), list)


def _is_tgi(message: Message) -> bool:
    token = "text" in mapping(message.get("token")) and "generated_text" in message
    return token or "error_type" in message


def _is_triton(message: Message) -> bool:
    return "text_output" in message and "model_name" in message


def _is_ollama(message: Message) -> bool:
    payload = "message" in message or "response" in message
    return payload and isinstance(message.get("done"), bool)


def _is_llamacpp(message: Message) -> bool:
    return "content" in message and isinstance(message.get("stop"), bool)


_SIGNS: Final[tuple[tuple[str, Callable[[Message], bool]], ...]] = (
    ("openai_responses", _is_responses),
    ("anthropic", _is_anthropic),
    ("openai_chat", _is_chat),
    ("openai_completions", _is_completions),
    ("tgi", _is_tgi),
    ("triton", _is_triton),
    ("ollama", _is_ollama),
    ("llamacpp", _is_llamacpp),
)
