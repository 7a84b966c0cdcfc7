"""Bytes, cut anywhere, to frames: SSE events or lines of JSON.

The event-stream grammar is WHATWG's, in full, with two differences. What stands at the end without
a blank line counts if the end is clean: servers forget it. And a field `error`, which the grammar
ignores, becomes a frame of that name: llama.cpp reported errors so (ggml-org/llama.cpp#16109).
However the bytes are cut, the frames are the same; what is held between two reads is bounded.
"""

from typing import Final, NamedTuple, Protocol

from inferometer.stream.events import Skipped

FRAME_BYTES_MAX: Final = 1 << 20
"""Bytes of one event or line, without line ends; a larger one is skipped."""

_BOM: Final = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One SSE event (`name` is its event field, b"" without one) or one line of JSON."""

    name: bytes
    data: bytes


Frames = list[Frame | Skipped]

_TOO_LARGE: Final = Skipped("too_large")


class Splitter(Protocol):
    """Cuts a body into frames."""

    idle: bool
    """True where the next byte begins a frame; nothing is held then."""

    def feed(self, data: bytes) -> Frames:
        """Return the frames that `data` completes."""
        ...

    def close(self, *, clean: bool) -> Frames:
        """Return the frame that the end completes: only a `clean` end completes any."""
        ...

    def lost(self) -> None:
        """Note that bytes were lost: what is held is void, up to the next end of a frame."""
        ...


class SseSplitter:
    """Splits an event stream."""

    __slots__ = (
        "_after_cr",
        "_data",
        "_errors",
        "_line",
        "_name",
        "_size",
        "_skips",
        "_started",
        "idle",
    )

    def __init__(self) -> None:
        """Start at the beginning of a body."""
        self.idle = False  # a byte order mark may come first
        self._started = False
        self._after_cr = False  # the last byte was \r: a \n that follows belongs to it
        self._skips = False  # up to the next blank line
        self._line = bytearray()  # the line that is not complete yet
        self._size = 0  # of the complete lines of this event
        self._name = b""
        self._data: bytes | bytearray | None = None
        self._errors: list[bytes] = []

    def feed(self, data: bytes) -> Frames:
        """Return the events that `data` completes."""
        if self.idle and data.startswith(b"data: ") and data.endswith(b"\n\n"):
            # The usual case: a read is one event or several, each of one line of data.
            values = data[6:-2].split(b"\n\ndata: ")
            plain = data.count(b"\n") == 2 * len(values) and b"\r" not in data
            if plain and len(data) <= FRAME_BYTES_MAX:
                return [Frame(b"", value) for value in values]
        frames: Frames = []
        lines = self._lines(data)
        if lines:
            tail = lines.pop()
            if lines:
                lines[0] = bytes(self._line) + lines[0]
                self._line.clear()
                for line in lines:
                    self._take(line, frames)
            self._hold(tail, frames)
        self.idle = not (self._line or self._size or self._skips or self._after_cr)
        return frames

    def close(self, *, clean: bool) -> Frames:
        """Return the event that the end completes."""
        frames: Frames = []
        if clean:
            self._take(bytes(self._line), frames)
            self._take(b"", frames)
        self._line.clear()
        return frames

    def lost(self) -> None:
        """Note that bytes were lost: skip up to the next blank line."""
        self._reset()
        self._started, self._after_cr, self._skips = True, False, True
        self._line[:] = b"?"  # nobody knows whether the loss ended inside a line
        self.idle = False

    def _lines(self, data: bytes) -> list[bytes]:
        """Return `data` cut at line ends; the last part is not complete."""
        if not self._started:
            data = bytes(self._line) + data
            self._line.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._line += data
                return []
            self._started = True
            data = data.removeprefix(_BOM)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data.split(b"\n")

    def _hold(self, tail: bytes, frames: Frames) -> None:
        """Keep the start of a line; of one that is skipped only that it is not blank."""
        self._line += tail
        if not self._skips and self._size + len(self._line) > FRAME_BYTES_MAX:
            self._skip(frames)
        if self._skips:
            del self._line[1:]

    def _take(self, line: bytes, frames: Frames) -> None:
        """Take a complete line."""
        if not line:
            self._dispatch(frames)
        elif not self._skips:
            self._size += len(line)
            if self._size > FRAME_BYTES_MAX:
                self._skip(frames)
            elif line.startswith(b"data:"):
                self._append(line[6:] if line.startswith(b" ", 5) else line[5:])
            else:
                self._field(line)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._name = value
        elif name == b"data":
            self._append(value)
        elif name == b"error":
            self._errors.append(value)

    def _append(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += value

    def _dispatch(self, frames: Frames) -> None:
        if self._data is not None:
            frames.append(Frame(self._name, bytes(self._data)))
        frames += [Frame(b"error", value) for value in self._errors]
        self._skips = False
        self._reset()

    def _skip(self, frames: Frames) -> None:
        self._skips = True
        frames.append(_TOO_LARGE)
        self._reset()

    def _reset(self) -> None:
        self._size = 0
        self._name = b""
        self._data = None
        self._errors = []


class LineSplitter:
    """Splits lines of JSON; blank ones are none."""

    __slots__ = ("_line", "_skips", "idle")

    def __init__(self) -> None:
        """Start at the beginning of a body."""
        self.idle = True
        self._line = bytearray()
        self._skips = False

    def feed(self, data: bytes) -> Frames:
        """Return the lines that `data` completes."""
        frames: Frames = []
        lines = data.split(b"\n")
        tail = lines.pop()
        if lines:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
            for line in lines:
                self._take(line, frames)
        if not self._skips:
            self._line += tail
            if len(self._line) > FRAME_BYTES_MAX:
                self._line.clear()
                self._skips = True
                frames.append(_TOO_LARGE)
        self.idle = not (self._line or self._skips)
        return frames

    def close(self, *, clean: bool) -> Frames:
        """Return the line that the end completes."""
        frames: Frames = []
        if clean:
            self._take(bytes(self._line), frames)
        self._line.clear()
        return frames

    def lost(self) -> None:
        """Note that bytes were lost: skip up to the next end of a line."""
        self._line.clear()
        self._skips = True
        self.idle = False

    def _take(self, line: bytes, frames: Frames) -> None:
        if self._skips:
            self._skips = False
        elif len(line) > FRAME_BYTES_MAX:
            frames.append(_TOO_LARGE)
        elif text := line.removeprefix(_BOM).strip(b" \t\r"):
            frames.append(Frame(b"", text))
