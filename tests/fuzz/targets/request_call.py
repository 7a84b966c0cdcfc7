"""What a request asks for, from its first line and a prefix of its body: never an exception."""

from fuzz.pieces import choose
from inferometer.stream.request import DIALECTS, read, route

TARGETS = (
    b"/v1/chat/completions",
    b"/v1/completions",
    b"/generate",
    b"/api/generate",
    b"/v2/models/m/generate_stream",
    b"/predictions/m",
    b"/v1/models/m:predict",
    b"/",
)
WORDS = (
    b'{"model":"m","stream":true}', b'"n":2', b'"max_tokens":5', b'"echo":true', b"%2F", b"//",
    b"?x=/y", b"http://h/", b"\n",
)  # fmt: skip


def check(data: bytes) -> None:
    """Types and bounds hold whatever target and body are."""
    target, data = choose(data, (*TARGETS, None))
    override, data = choose(data, (None, *DIALECTS))
    line, _, body = data.partition(b"\n")
    found = route(b"POST", line if target is None else target)
    call = read(found, body, content_type=None, override=override)
    assert call.model is None or (isinstance(call.model, str) and call.model)
    assert call.stream in ("true", "false", "unknown")
    assert isinstance(call.choices, int)
    assert call.choices >= 1
    assert call.output_tokens_max is None or call.output_tokens_max >= 1
    assert isinstance(call.echo, bool)
