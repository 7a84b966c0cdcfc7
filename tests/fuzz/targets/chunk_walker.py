"""The chunk walker against a reader that knows the whole body and goes byte by byte."""

from differential.reference import read_chunked
from fuzz.pieces import cut
from inferometer.sidecar.chunks import ChunkWalker
from inferometer.sidecar.heads import Refused

WORDS = (
    b"0\r\n\r\n", b"1\r\nx\r\n", b"A\r\n0123456789\r\n", b';ext="v"\r\n', b"\r\n", b"\n", b"\r",
    b"0\r\nX: y\r\n\r\n", b"Content-Length: 1\r\n", b"000000000000001", b"ffffffffffffffff", b"0x1",
    b" 1", b"\x00", b"\x80",
)  # fmt: skip


def check(data: bytes) -> None:
    """Walking must find what the reference finds, and forward only what it can read."""
    body, pieces = cut(data)
    expected = read_chunked(body)
    walker = ChunkWalker()
    payload, forwarded, refused = b"", b"", False
    behind: list[bytes] = []
    for piece in pieces:
        if walker.done or refused:
            behind.append(piece)
            continue
        try:
            raw, part = walker.feed(piece)
        except Refused as error:
            if error.status != 400:
                raise
            refused = True
            continue
        forwarded += raw
        payload += part
    assert body.startswith(forwarded)
    read_on = read_chunked(forwarded)
    assert read_on.payload == payload, "what was forwarded holds another payload"
    assert not read_on.wrong, "what is wrong was forwarded"
    assert refused <= expected.wrong, "a valid body was refused"
    if expected.wrong:
        assert not walker.done, "a malformed body has an end"
        assert expected.payload.startswith(payload)
        return
    assert payload == expected.payload
    assert walker.done == (expected.rest is not None)
    if walker.done:
        assert walker.rest + b"".join(behind) == expected.rest
