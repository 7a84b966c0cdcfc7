"""OpenAI's chunked dialects: chat completions, completions, and answers that are no token stream.

vLLM, SGLang, TGI, llama.cpp, Ollama, TensorRT-LLM, LMDeploy and most gateways speak them. A chunk
holds choices, each with a piece of output, and from time to time usage; `[DONE]` ends the stream.
What counts as output differs between chat and completions, everything else is read here once.
"""

from collections.abc import Callable
from typing import Final

from inferometer.stream.dialect import CHOICES_MAX, Framing
from inferometer.stream.events import Ended, Event, Failed, Finished, Kind, Phase, Skipped
from inferometer.stream.finish import finish
from inferometer.stream.reading import (
    Message,
    choice,
    count,
    items,
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

# vLLM's `metrics` (--enable-per-request-metrics). Its first token counts from being scheduled.
_METRICS: Final[tuple[tuple[str, Phase], ...]] = (
    ("queue_time_ms", "queue"),
    ("time_to_first_token_ms", "first_token"),
    ("generation_time_ms", "decode"),
)
# llama.cpp's `timings`, in its own dialect and in this one.
TIMINGS: Final[tuple[tuple[str, Phase], ...]] = (
    ("prompt_ms", "prefill"),
    ("predicted_ms", "decode"),
)
MS: Final = 0.001

_SILENT: Final = frozenset(("role", "content"))
"""Members of a delta that generate nothing unless `content` does."""

Payload = Callable[[Message], Kind | None]
"""What a choice of a chunk generated; None where it generated nothing."""


def _delta(piece: Message) -> Kind | None:
    """Return what a chat choice generated: visible output before reasoning if it has both.

    Role-only deltas, empty strings and null are no output.
    """
    delta = piece.get("delta")
    if not isinstance(delta, dict):
        return None
    content = delta.get("content")
    if content and (isinstance(content, str) or _written(content, "text")):
        return "text"
    if not content and _SILENT.issuperset(delta):
        return None  # the first chunk names the role, the last one is empty
    # vLLM's name, and the one of DeepSeek, SGLang and llama.cpp: read ahead of rarer output.
    thought = text(delta.get("reasoning")) or text(delta.get("reasoning_content"))
    if thought and len(delta) == 1:
        return "reasoning"
    return _rarer(delta) or ("reasoning" if thought or _written(content, "thinking") else None)


def _rarer(delta: Message) -> Kind | None:
    """Return what a delta without text generated for its user: a call, a refusal or speech."""
    called = any(_called(call) for call in items(delta.get("tool_calls")))
    if called or _generated(mapping(delta.get("function_call"))):
        return "tool"
    if text(delta.get("refusal")):
        return "refusal"
    return "audio" if _spoken(mapping(delta.get("audio"))) else None


def _written(content: object, member: str) -> bool:
    """Tell whether content that comes as parts (Mistral) has a part with a non-empty `member`."""
    return any(text(part.get(member)) or items(part.get(member)) for part in items(content))


def _called(call: Message) -> bool:
    return _generated(mapping(call.get("function"))) or _generated(mapping(call.get("custom")))


def _generated(function: Message) -> bool:
    """Tell whether a piece of a tool call generated anything: part of its name or its arguments."""
    return any(text(function.get(member)) for member in ("name", "arguments", "input"))


def _spoken(audio: Message) -> bool:
    return text(audio.get("data")) or text(audio.get("transcript"))


def _text(piece: Message) -> Kind | None:
    """Return what a completions choice generated."""
    return "text" if text(piece.get("text")) else None


def _tokens(piece: Message) -> int:
    """Return how many tokens a choice of a chunk lists, 0 where it lists none.

    vLLM's `token_ids` hold generated tokens only; logprobs may repeat an echoed prompt.
    """
    if ids := length(piece.get("token_ids")):
        return ids
    logprobs = piece.get("logprobs")
    if not isinstance(logprobs, dict):
        return 0
    return sum(length(logprobs.get(member)) for member in ("content", "refusal", "tokens"))


def _usage(stated: Message, *, output_tokens: object = None, final: bool = True) -> list[Event]:
    """Return what a `usage` object says, in every spelling that its servers use.

    Absent is unknown; where `output_tokens` is given it stands for the object's own number.
    """
    if not stated and output_tokens is None:
        return []
    if output_tokens is None:
        output_tokens = stated.get("completion_tokens", stated.get("output_tokens"))
    details = stated.get("prompt_tokens_details", stated.get("input_tokens_details"))
    parts = stated.get("completion_tokens_details", stated.get("output_tokens_details"))
    cached = mapping(details).get("cached_tokens") if details else None
    reasoning = mapping(parts).get("reasoning_tokens") if parts else None
    return usage(
        stated.get("prompt_tokens", stated.get("input_tokens")),
        output_tokens,
        cached=cached,
        reasoning=stated.get("reasoning_tokens") if reasoning is None else reasoning,  # SGLang
        final=final,
    )


def _failed(message: Message) -> bool:
    """Tell whether a chunk or body is an error: `error`, or vLLM's older `object: "error"`."""
    return bool(message.get("error")) or message.get("object") == "error"


def _total(pieces: list[Message], stated: Message) -> int | None:
    """Return the running total of the choice of this chunk, None if it cannot be told whose."""
    return count(stated.get("completion_tokens")) if len(pieces) == 1 else None


class _Chunks:
    """Reads the chunks of one answer; keeps what later chunks need, for at most 16 choices."""

    __slots__ = (
        "_finished",
        "_held",
        "_latest",
        "_many",
        "_named",
        "_payload",
        "_running",
        "_shown",
        "_timed",
    )

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._named = False
        self._timed = False
        self._many = False  # a choice beside the first was seen
        self._finished: set[int] = set()
        # True while every output came with a running total (vLLM's continuous_usage_stats): the
        # difference of two totals is then what came between, also where tokens were held back.
        self._running = True
        self._latest: dict[int, int] = {}  # choice: its latest running total
        self._shown: dict[int, int] = {}  # choice: its running total at its last output
        self._held: dict[int, int] = {}  # choice: tokens listed since its last output

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one chunk says."""
        if name == b"error":  # an event of this name; llama.cpp's old `error:` field reads as one
            return [Failed()]
        message = read(data)
        if not isinstance(message, dict):
            if message is None:
                return [Ended()] if data.strip() else []
            return [message]
        if _failed(message):
            return [Failed()]
        events: list[Event] = []
        if not self._named:
            events += named(message.get("model"))
            self._named = bool(events)
        pieces = items(message.get("choices"))
        stated = mapping(message.get("usage"))
        total = _total(pieces, stated) if stated else None
        last = not pieces
        for piece in pieces:
            last |= self._piece(piece, total, events)
        if stated:
            events += self._stated(pieces, stated, final=last)
        if last and not self._timed:
            times = _times(message)
            self._timed = bool(times)
            events += times
        return events

    def _piece(self, piece: Message, total: int | None, events: list[Event]) -> bool:
        """Read one choice of a chunk; tell whether it finished."""
        index = choice(piece.get("index"))
        if index:
            self._many = True
        kind = self._payload(piece)
        listed = _tokens(piece)
        if total is not None:
            self._count(index, total)
        if kind is not None:
            events.append(output(kind, index, self._brought(index, listed, total)))
        elif listed and index < CHOICES_MAX:
            self._held[index] = self._held.get(index, 0) + listed
        reason = finish(piece.get("finish_reason"))
        if reason is None:
            return False
        if index not in self._finished:  # SGLang says it twice (sgl-project/sglang#8417)
            if index < CHOICES_MAX:
                self._finished.add(index)
            events.append(Finished(reason, index))
        return True

    def _count(self, index: int, total: int) -> None:
        if index < CHOICES_MAX:
            self._latest[index] = total
        else:
            self._running = False

    def _brought(self, index: int, listed: int, total: int | None) -> int | None:
        """Return how many tokens an output brought, with those that were held back before it."""
        if total is None:
            self._running = False
        if self._running and total is not None:
            before = self._shown.get(index, 0)
            self._shown[index] = total
            return max(total - before, 0)
        return listed + self._held.pop(index, 0) if listed else None

    def _stated(self, pieces: list[Message], stated: Message, *, final: bool) -> list[Event]:
        """Return the usage of a chunk: a running total where it also holds unfinished choices.

        With several choices a running total belongs to the choice of its chunk (vLLM and SGLang),
        so the answer's is their sum, and only a chunk without choices is final.
        """
        if not pieces:
            return _usage(stated)
        if not self._many:
            return _usage(stated, final=final)
        total = sum(self._latest.values()) if self._running and self._latest else None
        return _usage(stated, output_tokens=total, final=False)


def _times(message: Message) -> list[Event]:
    times: list[Event] = []
    if "metrics" in message:
        times += reported(mapping(message["metrics"]), _METRICS, MS)
    if "timings" in message:
        times += reported(mapping(message["timings"]), TIMINGS, MS)
    return times


def _said(message: Message | Skipped) -> list[Event]:
    """Return what a body of chat, completions or vectors says: they differ in their output only."""
    if not isinstance(message, dict):
        return [message]
    if _failed(message):
        return [Failed()]
    events = named(message.get("model"))
    for piece in items(message.get("choices")):
        if reason := finish(piece.get("finish_reason")):
            events.append(Finished(reason, choice(piece.get("index"))))
    return events + _usage(mapping(message.get("usage"))) + _times(message)


class Chat:
    """`/v1/chat/completions`: each choice has a `delta` of its message."""

    name = "openai_chat"
    framing: Framing = "sse"
    terminated = True
    tokens_per_output: int | None = None

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._chunks = _Chunks(_delta)

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one chunk says."""
        return self._chunks.frame(name, data)

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says."""
        return _said(whole(body))


class Completions:
    """`/v1/completions`: `choices[].text`. An echoed prompt reads as output; the request tells."""

    name = "openai_completions"
    framing: Framing = "sse"
    terminated = True
    tokens_per_output: int | None = None

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._chunks = _Chunks(_text)

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one chunk says."""
        return self._chunks.frame(name, data)

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says."""
        return _said(whole(body))


class Vectors:
    """Embeddings, rerank, audio and images: usage and errors only, nothing of them is a token.

    Transcriptions and images may come as events; their ends differ, so none is required.
    """

    name = "openai_vectors"
    framing: Framing = "sse"
    terminated = False
    tokens_per_output: int | None = None

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._named = False

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return the model, usage or error of one event."""
        if name == b"error":
            return [Failed()]
        message = read(data)
        if not isinstance(message, dict):
            if message is None:
                return [Ended()] if data.strip() else []
            return [message]
        if _failed(message) or message.get("type") == "error":
            return [Failed()]
        events: list[Event] = []
        if not self._named:
            events += named(message.get("model"))
            self._named = bool(events)
        return events + _usage(mapping(message.get("usage")))

    def whole(self, body: bytes) -> list[Event]:
        """Return what a JSON body says. Ollama's `/api/embed` counts in a member of its own."""
        message = whole(body)
        if isinstance(message, dict) and "prompt_eval_count" in message:
            return named(message.get("model")) + usage(message["prompt_eval_count"])
        return _said(message)
