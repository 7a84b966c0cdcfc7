"""Taking the injected event out of an answer: at most that one, wherever the bytes are cut."""

import json

from fuzz.pieces import cut
from inferometer.sidecar.inject import Stripper

WORDS = (
    b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n', b"data: ", b"data:", b"\n\n",
    b"\r\n\r\n", b'"choices":[]', b'"choices" : []', b'"usage":{', b'"error":{}',
    b"data: [DONE]\n\n",
    b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', b"\n", b"\r", b"event: x\n",
)  # fmt: skip


def check(data: bytes) -> None:
    """The pieces and the whole lose the same bytes: nothing, or one event without choices."""
    body, pieces = cut(data)
    whole, result = _strip([body])
    assert _strip(pieces) == (whole, result)
    if whole == body:
        assert result != "stripped"
        return
    assert result == "stripped"
    size = len(body) - len(whole)
    starts = [at for at in range(len(body)) if body[:at] + body[at + size :] == whole]
    assert starts, "more than one part was taken out"
    assert any(_is_ours(body[at : at + size]) for at in starts)


def _strip(pieces: list[bytes]) -> tuple[bytes, str]:
    stripper = Stripper()
    passed = b"".join([stripper.feed(piece) for piece in pieces])
    return passed + stripper.close(), stripper.result


def _is_ours(event: bytes) -> bool:
    line = event.strip(b"\r\n")
    if not line.startswith(b"data:") or b"\n" in line or b"\r" in line:
        return False
    try:
        message = json.loads(line[5:])
    except ValueError:
        return False
    return message.get("choices") == [] and isinstance(message.get("usage"), dict)
