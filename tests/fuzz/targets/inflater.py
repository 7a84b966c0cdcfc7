"""Inflating a copy: within its bounds whatever comes, and right where it is not given up."""

import gzip
import zlib

from fuzz.pieces import choose, cut
from inferometer.stream.frames import (
    PIECE_BYTES_MAX,
    RATIO_FREE_BYTES,
    RATIO_MAX,
    Inflater,
)

ENCODINGS = (b"gzip", b"deflate", b"br", b"zstd", b"x-gzip", b"identity", b"gzip, br", b"", b"x")
WORDS = (
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", b"\x78\x9c",
    b"\x28\xb5\x2f\xfd", b"\x00\x00\xff\xff",
)  # fmt: skip


def check(data: bytes) -> None:
    """Bounds for bytes as they come; equality for a body that was compressed rightly."""
    encoding, data = choose(data, ENCODINGS)
    body, pieces = cut(data)
    inflater = Inflater(encoding)
    received = inflated = 0
    for piece in pieces:
        out = inflater.feed(piece)
        received += len(piece)
        inflated += len(out)
        assert len(out) <= max(PIECE_BYTES_MAX, len(piece))
        assert inflated <= RATIO_MAX * received + RATIO_FREE_BYTES
        if inflater.failed:
            assert out == b""
            assert inflater.feed(b"x" * 100) == b""
            break
    if encoding in (b"gzip", b"deflate"):
        _check_round(encoding, body)


def _check_round(encoding: bytes, body: bytes) -> None:
    packed = gzip.compress(body, 1, mtime=0) if encoding == b"gzip" else zlib.compress(body, 1)
    inflater = Inflater(encoding)
    step = 1 + len(body) % 97
    out = b"".join(inflater.feed(packed[at : at + step]) for at in range(0, len(packed), step))
    assert inflater.failed or out == body
    assert not inflater.failed or len(body) > RATIO_FREE_BYTES
