"""A body read by any dialect: never an exception, the same events wherever it is cut."""

from fuzz.pieces import choose, cut
from inferometer.stream.decode import DIALECTS, decoder
from inferometer.stream.dialect import Call, Streaming
from inferometer.stream.events import Event

NAMES = tuple(DIALECTS)
STREAMS: tuple[Streaming, ...] = ("true", "false", "unknown")
TYPES = (b"text/event-stream", b"application/x-ndjson", b"application/json", b"text/plain", b"")
WORDS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n",
    b'"usage":{"prompt_tokens":1,"completion_tokens":2}', b'"finish_reason":"stop"', b"null",
    b'"error":{"code":500}', b'{"token":{"id":1,"text":"a"},"generated_text":null}', b"[]", b"{}",
    b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}', b"-1", b"1e999",
    b'{"response":"a","done":false}\n', b'"done":true,"eval_count":3', b"9" * 30, b"NaN",
    b'{"type":"response.output_text.delta","delta":"a"}', b'{"text_output":"a","model_name":"m"}',
    b'{"content":"a","stop":false}', b"\\ud800", b"\n\n", b"event: error\n",
)  # fmt: skip


def check(data: bytes) -> None:
    """The whole body and its pieces give the same events, and the same verdict on reading it."""
    name, data = choose(data, NAMES)
    kind, data = choose(data, TYPES)
    stream, data = choose(data, STREAMS)
    body, pieces = cut(data)
    call = Call(dialect=name, operation="chat", model="m", stream=stream)
    whole = _events(call, kind, [body])
    assert _events(call, kind, pieces) == whole


def _events(call: Call, kind: bytes, pieces: list[bytes]) -> tuple[list[Event], object]:
    found = decoder(call, status=200, content_type=kind)
    events = [event for piece in pieces for event in found.feed(piece)]
    events += found.close(clean=True)
    return events, found.answer
