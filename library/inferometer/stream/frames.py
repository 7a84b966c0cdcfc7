"""A body as it came to a body that can be read: Content-Encodings inflated on a copy, in bounds.

What comes out is cut into frames by `stream.split`. A server's compression is no reason to measure
nothing, but neither may a few bytes of it become gigabytes here: the ratio and the size of each
piece are limited. An encoding that cannot be bounded or read is left alone.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Final

RATIO_MAX: Final = 100
"""Inflated bytes for each byte received; a bomb has more, text never."""

RATIO_FREE_BYTES: Final = 64 << 10
"""Inflated bytes that are no bomb whatever the ratio: the start of a stream may be a long run."""

PIECE_BYTES_MAX: Final = 2 << 20
"""Inflated bytes of one piece, which is at most one read of 64 KiB."""

SLICE_BYTES: Final = 1 << 10
"""Bytes inflated at a time, so that a bomb is told by its first ones and not when all is there."""

MEMBERS_MAX: Final = 16
"""gzip members in one body."""


class _UnreadableError(Exception):
    """The compressed bytes are broken, or inflate to too much."""


_Engine = Callable[[bytes, int], bytes]
"""Inflates a piece to at most so many bytes, or raises _UnreadableError."""


class Inflater:
    """Inflates the copy of a body, within limits.

    `failed` is true from the start where the encoding is not known or its library is missing, and
    from the first piece on that is broken or breaks a limit; nothing can be read after it.
    """

    def __init__(self, encoding: bytes) -> None:
        """Start for a Content-Encoding; `identity` and an empty one pass as they are."""
        codings = [part.strip().lower() for part in encoding.split(b",")]
        codings = [coding for coding in codings if coding not in (b"", b"identity")]
        self.identity = not codings
        maker = _ENGINES.get(codings[0]) if len(codings) == 1 else None
        self._engine = None if maker is None else maker()
        self.failed = not self.identity and self._engine is None
        self._received = 0
        self._inflated = 0

    def feed(self, data: bytes) -> bytes:
        """Return the next piece, b"" where nothing came out yet or `failed`."""
        if self.identity:
            return data
        if self._engine is None:
            return b""
        pieces: list[bytes] = []
        room = PIECE_BYTES_MAX
        for start in range(0, len(data), SLICE_BYTES):
            part = data[start : start + SLICE_BYTES]
            self._received += len(part)
            limit = RATIO_MAX * self._received + RATIO_FREE_BYTES - self._inflated
            try:
                pieces.append(self._engine(part, min(limit, room)))
            except _UnreadableError:
                self._engine = None
                self.failed = True
                return b""
            self._inflated += len(pieces[-1])
            room -= len(pieces[-1])
        return b"".join(pieces)


class _Zlib:
    """Inflates gzip or deflate; what follows the last member is ignored."""

    def __init__(self, wbits: int, members_max: int) -> None:
        self._wbits = wbits
        self._members_left = members_max - 1
        self._stream = zlib.decompressobj(wbits=wbits)

    def __call__(self, data: bytes, limit: int) -> bytes:
        piece = b""
        while data:
            if self._stream.eof:
                if not self._members_left or not data.startswith(_GZIP_MAGIC):
                    return piece
                self._members_left -= 1
                self._stream = zlib.decompressobj(wbits=self._wbits)
            try:
                piece += self._stream.decompress(data, limit - len(piece) + 1)
            except zlib.error as error:
                raise _UnreadableError from error
            if len(piece) > limit:
                raise _UnreadableError
            data = self._stream.unused_data
        return piece


class _Deflate:
    """Inflates what is called deflate: zlib's format, or a bare stream as some servers send it."""

    def __init__(self) -> None:
        self._head = b""
        self._engine: _Engine | None = None

    def __call__(self, data: bytes, limit: int) -> bytes:
        if self._engine is None:
            self._head += data
            if len(self._head) < 2:  # noqa: PLR2004  # zlib's header
                return b""
            # RFC 1950, 2.2: method 8, and the two bytes are a multiple of 31.
            check = int.from_bytes(self._head[:2], "big")
            zlibs = check >> 8 & 15 == zlib.DEFLATED and check % 31 == 0
            self._engine = _Zlib(zlib.MAX_WBITS if zlibs else -zlib.MAX_WBITS, 1)
            data = self._head
        return self._engine(data, limit)


def _brotli() -> _Engine | None:
    """Return an engine if the library is there and can bound its output (from 1.2 on).

    Behind that bound it still fills the window that the first byte asks for (RFC 7932, 9.1) in one
    go, so windows above 4 MiB, which servers do not use, are refused.
    """
    try:
        import brotli
    except ImportError:
        return None
    stream = brotli.Decompressor()
    if not hasattr(stream, "can_accept_more_data"):
        return None

    begun = False

    def engine(data: bytes, limit: int) -> bytes:
        nonlocal begun
        if not begun and data[0] & 15 in _BROTLI_LARGE_WINDOWS:
            raise _UnreadableError
        begun = True
        try:
            piece: bytes = stream.process(data, output_buffer_limit=limit + 1)
        except brotli.error as error:
            raise _UnreadableError from error
        if len(piece) > limit:
            raise _UnreadableError
        return piece

    return engine


def _zstd() -> _Engine | None:
    """Return an engine if the library is there.

    It cannot bound its output, so it gets slices that cannot hold much more than is allowed.
    """
    try:
        import zstandard
    except ImportError:
        return None
    frames = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    stream = frames.decompressobj()

    def inflate(part: bytes) -> bytes:
        """Inflate a slice; frames follow one another."""
        nonlocal stream
        piece = b""
        while part and (not stream.eof or part.startswith(_ZSTD_MAGIC)):
            if stream.eof:
                stream = frames.decompressobj()
            try:
                piece += stream.decompress(part)
            except zstandard.ZstdError as error:
                raise _UnreadableError from error
            part = stream.unused_data
        return piece

    def engine(data: bytes, limit: int) -> bytes:
        piece = bytearray()
        start = 0
        while start < len(data):
            blocks = max(1, (limit - len(piece)) // _ZSTD_BLOCK_BYTES)
            end = start + blocks * _ZSTD_BLOCK_TAKES_BYTES
            piece += inflate(data[start:end])
            if len(piece) > limit:
                raise _UnreadableError
            start = end
        return bytes(piece)

    return engine


_GZIP_MAGIC: Final = b"\x1f"  # the first byte of a member, which is all that a cut may leave
_ZSTD_MAGIC: Final = b"\x28"
_BROTLI_LARGE_WINDOWS: Final = (0b1101, 0b1111)  # the low bits of the first byte: 8 and 16 MiB
_ZSTD_BLOCK_BYTES: Final = 128 << 10  # RFC 8878, 3.1.1.2.4: the most that one block inflates to
_ZSTD_BLOCK_TAKES_BYTES: Final = 4  # its head, and the one byte that is to be repeated
_ZSTD_WINDOW_BYTES: Final = 8 << 20  # RFC 8878, 3.1.1.1.2: what every decoder should support


def _gzip() -> _Engine:
    return _Zlib(31, MEMBERS_MAX)


_ENGINES: Final[Mapping[bytes, Callable[[], _Engine | None]]] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _Deflate,
    b"br": _brotli,
    b"zstd": _zstd,
}
