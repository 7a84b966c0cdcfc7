"""The chunk walker against a reader that knows the whole body and goes byte by byte."""

from typing import NamedTuple

from fuzz.pieces import cut
from inferometer.sidecar.chunks import SIZE_LINE_BYTES_MAX, TRAILER_BYTES_MAX, ChunkWalker
from inferometer.sidecar.heads import Refused

WORDS = (
    b"0\r\n\r\n", b"1\r\nx\r\n", b"A\r\n0123456789\r\n", b';ext="v"\r\n', b"\r\n", b"\n", b"\r",
    b"0\r\nX: y\r\n\r\n", b"Content-Length: 1\r\n", b"000000000000001", b"ffffffffffffffff", b"0x1",
    b" 1", b"\x00", b"\x80",
)  # fmt: skip
HEX = b"0123456789abcdefABCDEF"
TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
FRAMING = (b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade", b"trailer")


class Read(NamedTuple):
    """What a body says: `rest` once it is complete, `wrong` if it cannot become so."""

    payload: bytes
    rest: bytes | None = None
    wrong: bool = False


def check(data: bytes) -> None:
    """Walking must find what the reference finds, and forward only what it can read."""
    body, pieces = cut(data)
    expected = reference(body)
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
    read_on = reference(forwarded)
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


def reference(body: bytes) -> Read:
    """Read a chunked body (RFC 9112, section 7.1) with the limits that the walker states."""
    payload = b""
    at = 0
    while True:
        size, end = _size(body, at)
        if end < 0:
            return Read(payload, wrong=size < 0)
        if size == 0:
            return _trailers(body, end, payload)
        part = body[end : end + size]
        payload += part
        if len(part) < size:
            return Read(payload)
        ending = body[end + size : end + size + 2]
        if ending != b"\r\n":
            return Read(payload, wrong=not b"\r\n".startswith(ending))
        at = end + size + 2


def _size(body: bytes, at: int) -> tuple[int, int]:
    """Return a size and where its line ends: (0, -1) while it is cut, (-1, -1) if it is wrong."""
    line, found, _ = body[at:].partition(b"\r\n")
    text = line if found else line.removesuffix(b"\r")
    digits, semicolon, extension = text.partition(b";")
    printable = all((byte >= 0x20 and byte != 0x7F) or byte == 0x09 for byte in extension)
    wrong = (
        any(byte not in HEX for byte in digits)
        or len(digits) > 15
        or (not digits and (semicolon or found or line))
        or not printable
        or len(extension) > 254
        or len(line) + 2 > SIZE_LINE_BYTES_MAX + (0 if found else 2)
    )
    if wrong:
        return -1, -1
    return (int(digits, 16), at + len(line) + 2) if found else (0, -1)


def _trailers(body: bytes, at: int, payload: bytes) -> Read:
    start = at
    while True:
        line, found, _ = body[at:].partition(b"\r\n")
        if not found:
            # A line that is cut may still become a valid one, as far as its bytes tell.
            return Read(payload, wrong=not _may_be_field(body[at:], body[start:]))
        at += len(line) + 2
        if not line:
            too_long = at - start > TRAILER_BYTES_MAX
            return Read(payload, wrong=True) if too_long else Read(payload, rest=body[at:])
        name, colon, value = line.partition(b":")
        if not (colon and name and set(name) <= TOKEN and _is_value(value)):
            return Read(payload, wrong=True)
        if name.lower() in FRAMING:
            return Read(payload, wrong=True)


def _is_value(value: bytes) -> bool:
    return all((byte >= 0x20 and byte != 0x7F) or byte == 0x09 for byte in value)


def _may_be_field(begun: bytes, section: bytes) -> bool:
    if len(section) > TRAILER_BYTES_MAX:
        return False
    name, _, value = begun.removesuffix(b"\r").partition(b":")
    return set(name) <= TOKEN and _is_value(value)
