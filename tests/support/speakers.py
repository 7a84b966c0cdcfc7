"""Every dialect in one table: how to ask, how it answers, and what can be known of its tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from support import engine_frames, openai_frames
from support.script import Script, plain, request, script
from support.turns import PLAIN, Frame, Manner, Turn, dumps, play

Body = dict[str, Any]
_MESSAGES: Final = [{"role": "user", "content": "Say hello."}]


def _chat_body(turn: Turn) -> Body:
    more = {"n": turn.choices} if turn.choices > 1 else {}
    return {"model": turn.model, "messages": _MESSAGES, **more}


def _prompt_body(turn: Turn) -> Body:
    more = {"n": turn.choices} if turn.choices > 1 else {}
    return {"model": turn.model, "prompt": "Say hello.", **more}


def _input_body(turn: Turn) -> Body:
    return {"model": turn.model, "input": "Say hello."}


def _inputs_body(turn: Turn) -> Body:
    return {"inputs": "Say hello.", "parameters": {"max_new_tokens": turn.output_tokens}}


def _text_input_body(_: Turn) -> Body:
    return {"text_input": "Say hello.", "parameters": {}}


@dataclass(frozen=True, slots=True)
class Speaker:
    """One dialect. `whole_target` is where an answer that does not stream is asked for.

    `source` is the rung of the usage ladder for the output of a clean stream with usage,
    `cut_source` the one for a stream that breaks before its end. `terminated`: a clean end of the
    framing without the dialect's own end is a truncation.
    """

    name: str
    target: str
    operation: str
    body: Callable[[Turn], Body]
    frames: Callable[[Turn], list[Frame]]
    whole: Callable[[Turn], bytes]
    whole_target: str = ""
    content_type: str = "text/event-stream"
    source: str = "server"
    cut_source: str = "chunks"
    terminated: bool = True
    stream_key: bool = True
    reasons: bool = True
    calls_tools: bool = True

    def path(self, *, stream: bool = True) -> str:
        """Return the route."""
        return self.target if stream or not self.whole_target else self.whole_target

    def ask(self, turn: Turn, *, stream: bool = True, case: str = "") -> bytes:
        """Return the whole request; `case` goes into the query, to tell exchanges apart."""
        body = self.body(turn)
        if self.stream_key:
            body["stream"] = stream
        if stream and turn.usage and self.name.startswith("openai"):
            body["stream_options"] = {"include_usage": True}
        target = self.path(stream=stream) + (f"?case={case}" if case else "")
        fields = ("Content-Type", "application/json")
        return request("POST", target, fields, body=dumps(body))

    def script(self, turn: Turn, manner: Manner = PLAIN) -> Script:
        """Return the streamed answer."""
        return play(self.frames(turn), self.content_type, manner, ending=turn.ending)

    def whole_script(self, turn: Turn) -> Script:
        """Return the answer to a request that does not stream."""
        return script(plain(self.whole(turn)))


CHAT: Final = Speaker(
    name="openai_chat",
    target="/v1/chat/completions",
    operation="chat",
    body=_chat_body,
    frames=openai_frames.chat,
    whole=openai_frames.whole_chat,
)
COMPLETIONS: Final = Speaker(
    name="openai_completions",
    target="/v1/completions",
    operation="text_completion",
    body=_prompt_body,
    frames=openai_frames.completions,
    whole=openai_frames.whole_completion,
    reasons=False,
    calls_tools=False,
)
RESPONSES: Final = Speaker(
    name="openai_responses",
    target="/v1/responses",
    operation="chat",
    body=_input_body,
    frames=openai_frames.responses,
    whole=openai_frames.whole_response,
)
ANTHROPIC: Final = Speaker(
    name="anthropic",
    target="/v1/messages",
    operation="chat",
    body=_chat_body,
    frames=engine_frames.anthropic,
    whole=engine_frames.whole_anthropic,
)
TGI: Final = Speaker(
    name="tgi",
    target="/generate_stream",
    operation="generate_content",
    body=_inputs_body,
    frames=engine_frames.tgi,
    whole=engine_frames.whole_tgi,
    whole_target="/generate",
    cut_source="events",
    stream_key=False,
    reasons=False,
    calls_tools=False,
)
TRITON: Final = Speaker(
    name="triton",
    target="/v2/models/m/generate_stream",
    operation="generate_content",
    body=_text_input_body,
    frames=engine_frames.triton,
    whole=engine_frames.whole_triton,
    whole_target="/v2/models/m/generate",
    source="chunks",
    terminated=False,
    stream_key=False,
    reasons=False,
    calls_tools=False,
)
OLLAMA_CHAT: Final = Speaker(
    name="ollama_chat",
    target="/api/chat",
    operation="chat",
    body=_chat_body,
    frames=engine_frames.ollama_chat,
    whole=engine_frames.whole_ollama,
    content_type="application/x-ndjson",
    cut_source="events",
)
OLLAMA_GENERATE: Final = Speaker(
    name="ollama_generate",
    target="/api/generate",
    operation="generate_content",
    body=_prompt_body,
    frames=engine_frames.ollama_generate,
    whole=engine_frames.whole_ollama,
    content_type="application/x-ndjson",
    cut_source="events",
    calls_tools=False,
)
LLAMACPP: Final = Speaker(
    name="llamacpp",
    target="/completion",
    operation="text_completion",
    body=_prompt_body,
    frames=engine_frames.llamacpp,
    whole=engine_frames.whole_llamacpp,
    cut_source="token_ids",
    reasons=False,
    calls_tools=False,
)

SPEAKERS: Final = (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    ANTHROPIC,
    TGI,
    TRITON,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    LLAMACPP,
)
"""All that stream tokens. TorchServe and TF Serving do not: see `engine_frames`."""
