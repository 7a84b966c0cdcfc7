"""Where an HTTP/1.1 message ends: a lenient reader for fakes, a strict one for judges.

The scripted server must not refuse what it is sent, or a test could not see it; the client must
refuse whatever is not exactly HTTP, or a test would not notice a broken answer. Both find the end
of a body with the same code, `BodyReader`; only the head readers differ.
"""

import re
from typing import Final, NamedTuple

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?\Z")
_REQUEST: Final = re.compile(rb"([^ \r\n]+) ([^ \r\n]+) (HTTP/1\.[01])\Z")
_STATUS: Final = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9][0-9]) ([^\r\n]*)\Z")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*\Z")
_LINE_MAX: Final = 1 << 20


class FramingError(Exception):
    """What came is no HTTP/1.1."""


class Head(NamedTuple):
    """A request head, as it came. Fields in order, names in their own case."""

    raw: bytes
    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]

    @property
    def length(self) -> int:
        """The last Content-Length that is a number, else 0."""
        lengths = [v for n, v in self.fields if n.lower() == b"content-length" and v.isdigit()]
        return int(lengths[-1]) if lengths else 0

    @property
    def chunked(self) -> bool:
        """Whether any Transfer-Encoding says chunked."""
        return any(
            n.lower() == b"transfer-encoding" and b"chunked" in v.lower() for n, v in self.fields
        )


def parse_head(raw: bytes) -> Head | None:
    """Read a request head leniently; None if even the request line is unreadable."""
    first, *lines = raw[:-4].split(b"\r\n")
    found = _REQUEST.match(first)
    if found is None:
        return None
    pairs = [line.partition(b":") for line in lines]
    fields = [(name, value.strip(b" \t")) for name, _, value in pairs]
    return Head(raw, found[1], found[2], fields)


class StatusHead(NamedTuple):
    """A response head, as it came."""

    raw: bytes
    version: bytes
    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]

    def values(self, name: bytes) -> list[bytes]:
        """Return all values of a field in order, by its name in any case."""
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def value(self, name: bytes) -> bytes | None:
        """Return the only value of a field; None where it is absent."""
        values = self.values(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


def parse_status_head(raw: bytes) -> StatusHead:
    """Read a response head strictly; anything odd is a FramingError."""
    first, *lines = raw[:-4].split(b"\r\n")
    found = _STATUS.match(first)
    if found is None:
        raise FramingError(first)
    return StatusHead(raw, found[1], int(found[2]), found[3], parse_fields(lines))


def parse_fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Read field lines strictly."""
    fields = []
    for line in lines:
        found = _FIELD.match(line)
        if found is None:
            raise FramingError(line)
        fields.append((found[1], found[2]))
    return fields


class BodyReader:
    """Takes the bytes of one body from a buffer and finds its end.

    `feed` removes what it used from the buffer, in place, and returns body bytes without framing.
    `malformed` is set at the first chunk that breaks the grammar; the rest then counts as body,
    so that nothing is lost from view. With `length` None the body lasts to the end of the input.
    """

    def __init__(self, head: Head | None = None, *, length: int | None = 0) -> None:
        self.chunked = head is not None and head.chunked
        self.chunks: list[int] = []  # sizes, in the order in which they came
        self.trailers: list[tuple[bytes, bytes]] = []
        self.malformed = False
        self._left = head.length if head is not None else length
        self._state = "size"
        self.complete = not self.chunked and self._left == 0

    @classmethod
    def of_chunks(cls) -> "BodyReader":
        """Return a reader of a chunked body."""
        reader = cls(length=None)
        reader.chunked = True
        reader._left = 0
        return reader

    def feed(self, buffer: bytearray) -> bytes:
        """Take what belongs to the body."""
        if self.malformed or (not self.chunked and self._left is None):
            return self._take(buffer, len(buffer))
        if not self.chunked:
            assert self._left is not None
            data = self._take(buffer, self._left)
            self._left -= len(data)
            self.complete = self._left == 0
            return data
        parts = []
        while buffer and not self.complete and not self.malformed:
            before = len(buffer)
            parts.append(self._chunk_part(buffer))
            if len(buffer) == before:
                break
        return b"".join(parts)

    @staticmethod
    def _take(buffer: bytearray, size: int) -> bytes:
        if size >= len(buffer):
            data = bytes(buffer)
            buffer.clear()
            return data
        data = bytes(memoryview(buffer)[:size])
        del buffer[:size]
        return data

    def _line(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\n")
        if end < 0:
            self.malformed = len(buffer) > _LINE_MAX
            return None
        line = self._take(buffer, end + 1)
        if not line.endswith(b"\r\n"):
            self.malformed = True
            return None
        return line[:-2]

    def _chunk_part(self, buffer: bytearray) -> bytes:
        if self._state == "data":
            assert self._left is not None
            data = self._take(buffer, self._left)
            self._left -= len(data)
            self._state = "data" if self._left else "data end"
            return data
        line = self._line(buffer)
        if line is not None:
            self._framing_line(line)
        return b""

    def _framing_line(self, line: bytes) -> None:
        if self._state == "data end":
            self.malformed = line != b""
            self._state = "size"
        elif self._state == "size":
            found = _SIZE.match(line)
            self.malformed = found is None
            self._left = int(found[1], 16) if found else 0
            self.chunks.append(self._left)
            self._state = "data" if self._left else "trailers"
        elif line:
            name, _, value = line.partition(b":")
            self.trailers.append((name, value.strip(b" \t")))
        else:
            self.complete = True
