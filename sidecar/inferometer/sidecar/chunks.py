"""Walkers: find the end of a body while its bytes pass as they came.

`feed(data)` answers with the bytes that may go on and the payload among them. Bytes of a chunk
head or of the trailers are held back until they are complete and valid, so that an invalid one is
never forwarded. Behind the end of the body, `rest` holds what belongs to the next message.
Pure, and small enough to be compiled later without touching anything else.
"""

import re
from typing import Final, Protocol

from inferometer.sidecar.heads import (
    BARE_LINE_END,
    FIELD_BLOCK,
    FIELD_LINE,
    FRAMING_NAMES,
    TOKEN,
    Framing,
    Refused,
)

SIZE_LINE_BYTES_MAX: Final = 272
"""With its digits, extensions and CRLF."""
TRAILER_BYTES_MAX: Final = 8 << 10

_QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_EXTENSIONS = rb"(?:;" + TOKEN + rb"++(?:=(?:" + TOKEN + rb"++|" + _QUOTED + rb"))?+)*+"
"""RFC 9112, section 7.1.1, without blanks: servers read whatever else there is in several ways."""
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15}+)" + _EXTENSIONS + rb"\r\n")
_SIZE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,15}+(?:;[\t\x20-\x7e\x80-\xff]*+)?\r?)?")


class Walker(Protocol):
    """Finds the end of one body."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return (bytes to forward, payload in them); raise Refused at an invalid byte."""
        ...


class LengthWalker:
    """A body of a stated length, at least one byte."""

    def __init__(self, length: int) -> None:
        """Expect `length` bytes."""
        self.done = False
        self.rest = b""
        self._left = length

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Pass at most the bytes that are missing."""
        size = len(data)
        if size < self._left:
            self._left -= size
            return data, data
        body = data if size == self._left else data[: self._left]
        self.rest = data[self._left :]
        self._left = 0
        self.done = True
        return body, body


class CloseWalker:
    """A body that ends when its connection does."""

    done = False
    rest = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Pass everything."""
        return data, data


class ChunkWalker:
    """A chunked body: sizes, extensions and trailers are validated, then pass as they came."""

    def __init__(self) -> None:
        """Expect the head of the first chunk."""
        self.done = False
        self.rest = b""
        self._held = b""
        self._left = 0  # bytes of the current chunk still to come, its CRLF included
        self._usual_size = 0  # of a read that was one whole chunk
        self._usual_line = b""  # with which it began

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Walk over `data`; the usual case is one whole chunk in one read, as long as the last."""
        if not self._held and not self._left and data.endswith(b"\r\n"):
            if len(data) == self._usual_size and data.startswith(self._usual_line):
                return data, data[len(self._usual_line) : -2]
            found = _SIZE.match(data)
            if found and found.end() <= SIZE_LINE_BYTES_MAX:
                start = found.end()
                end = start + int(found[1], 16)
                if start < end == len(data) - 2:
                    self._usual_size = len(data)
                    self._usual_line = data[:start]
                    return data, data[start:end]
        return self._walk(data)

    def _walk(self, data: bytes) -> tuple[bytes, bytes]:
        if self._held:
            data = self._held + data
            self._held = b""
        payload: list[bytes] = []
        position = 0
        size = len(data)
        while position < size:
            if self._left:
                position = self._inside(data, position, payload)
                continue
            found = _SIZE.match(data, position)
            if not found or found.end() - position > SIZE_LINE_BYTES_MAX:
                self._hold_size(data[position:])
                break
            length = int(found[1], 16)
            if not length:
                end = self._trailers(data, found.end())
                if end < 0:
                    self._held = data[position:]
                    break
                self.done = True
                self.rest = data[end:]
                position = end
                break
            self._left = length + 2
            position = found.end()
        return data[:position], b"".join(payload)

    def _inside(self, data: bytes, position: int, payload: list[bytes]) -> int:
        """Take bytes of the current chunk and of the CRLF that ends it."""
        body_left = self._left - 2
        if body_left > 0:
            part = data[position : position + body_left]
            payload.append(part)
            self._left -= len(part)
            position += len(part)
        while 0 < self._left <= 2 and position < len(data):  # noqa: PLR2004  (the CRLF)
            expected = b"\r" if self._left == 2 else b"\n"  # noqa: PLR2004
            if data[position : position + 1] != expected:
                raise Refused(400, "malformed chunk")
            self._left -= 1
            position += 1
        return position

    def _hold_size(self, begun: bytes) -> None:
        if len(begun) >= SIZE_LINE_BYTES_MAX or not _SIZE_BEGUN.fullmatch(begun):
            raise Refused(400, "malformed chunk size")
        self._held = begun

    def _trailers(self, data: bytes, start: int) -> int:
        """Return where the trailer section ends, or -1 while it is incomplete."""
        if data.startswith(b"\r\n", start):
            return start + 2
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            if len(data) - start > TRAILER_BYTES_MAX or BARE_LINE_END.search(data, start):
                raise Refused(400, "malformed trailers")
            return -1
        block = data[start : end + 4]
        if len(block) > TRAILER_BYTES_MAX or not FIELD_BLOCK.fullmatch(block):
            raise Refused(400, "malformed trailers")
        if any(name.lower() in FRAMING_NAMES for name, _ in FIELD_LINE.findall(block)):
            raise Refused(400, "trailer that frames or routes")
        return end + 4


def walker(framing: Framing) -> Walker | None:
    """Return the walker for a body, None where there is none."""
    if framing.kind == "chunked":
        return ChunkWalker()
    if framing.kind == "length":
        return LengthWalker(framing.length)
    if framing.kind == "close":
        return CloseWalker()
    return None
