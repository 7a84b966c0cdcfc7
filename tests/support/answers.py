"""Bodies of answers and decoders for them, for the tests of `stream.decode`."""

import json
from collections.abc import Iterable

from inferometer.stream.decode import Decoder, decoder
from inferometer.stream.dialect import Call, Streaming
from inferometer.stream.events import Ended, Event, Finished, Named, Output, Usage

SSE = b"text/event-stream; charset=utf-8"
NDJSON = b"application/x-ndjson"
JSON = b"application/json"


def call(dialect: str = "openai_chat", stream: Streaming = "true") -> Call:
    return Call(dialect, "other" if dialect == "opaque" else "chat", "m", stream)


CALL = call()


def make(
    kind: bytes | None = SSE, *, call: Call = CALL, status: int = 200, encoding: bytes = b""
) -> Decoder:
    return decoder(call, status=status, content_type=kind or b"", encoding=encoding)


def events(found: Decoder, pieces: Iterable[bytes], *, clean: bool = True) -> list[Event]:
    read = [event for piece in pieces for event in found.feed(piece)]
    return [*read, *found.close(clean=clean)]


def sse(*messages: object) -> bytes:
    return b"".join(b"data: " + json.dumps(message).encode() + b"\n\n" for message in messages)


def chunk(text: str, **members: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}, **members}]}


CHAT = (
    sse({"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    + sse(chunk("Hel"), chunk("lo"), chunk(" 你"), chunk("\n"), chunk("", finish_reason="stop"))
    + sse({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4}})
    + b"data: [DONE]\n\n"
)
CHAT_EVENTS: list[Event] = [
    Named("m"),
    *[Output()] * 4,
    Finished("stop", 0),
    Usage(5, 4),
    Ended(),
]
OLLAMA = b"".join(
    json.dumps({"model": "m", "message": {"content": text}, "done": False}).encode() + b"\n"
    for text in ("a", "b")
) + (b'{"model":"m","message":{"content":""},"done":true,"prompt_eval_count":3,"eval_count":2}\n')
ANTHROPIC = (
    b'event: message_start\r\ndata: {"type":"message_start","message":{}}\r\n\r\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
STREAMS = [
    ("openai_chat", SSE, CHAT),
    ("anthropic", SSE, ANTHROPIC),
    ("ollama", NDJSON, OLLAMA),
    ("llamacpp", SSE, sse({"content": "a", "stop": False}) + b'error: {"code":500}\n\n'),
    ("tgi", SSE, sse({"token": {"id": 1, "text": "a"}, "generated_text": None})),
    ("triton", SSE, sse({"model_name": "m", "text_output": "a"}, {"error": "x"})),
]
WHOLE = (
    b'{"model":"m","choices":[{"index":0,"finish_reason":"length"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":9}}'
)
WHOLE_EVENTS: list[Event] = [Named("m"), Finished("length", 0), Usage(3, 9)]
