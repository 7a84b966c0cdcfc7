"""A raw HTTP/1.1 client: sends exactly what it is told, reads strictly, keeps every moment.

General HTTP clients repair, fold and retry; a test of a proxy needs one that does none of it.
Blocking sockets with a timeout on every call, so nothing here can hang.
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from support.connection import Piece
from support.framing import BodyReader, FramingError, StatusHead, parse_fields, parse_status_head

Address = tuple[str, int] | Path
End = Literal["complete", "short", "reset", "malformed"]
"""How an answer ended: as its framing promised, by an early FIN, by a reset, against the grammar.

A body that lasts to the end of the connection is `complete` at its FIN."""

Progress = Callable[[int], None]

TIMEOUT_S: Final = 10.0
_HEAD_MAX: Final = 1 << 20


@dataclass(slots=True)
class Answer:
    """One final answer, with the interim ones before it."""

    head: StatusHead
    interim: list[StatusHead]
    body: bytes = b""
    pieces: list[Piece] = field(default_factory=list)  # body parts as reads delivered them
    chunks: list[int] | None = None  # sizes; None where the body was not chunked
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    end: End = "complete"
    head_ns: int = 0

    @property
    def status(self) -> int:
        """The final status."""
        return self.head.status


class Wire:
    """A connection to a server; a context manager that closes it.

    `receive_buffer_bytes` shrinks the kernel's buffer, for readers that stall.
    """

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            self._connect(address, tls)
        except BaseException:
            self.socket.close()
            raise
        self.buffer = bytearray()
        self.received: list[Piece] = []

    def _connect(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self.socket.connect(str(address) if isinstance(address, Path) else address)
        if not isinstance(address, Path):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> int:
        """Close in order (FIN, or RST if unread bytes are there); return the moment."""
        self.socket.close()
        return time.monotonic_ns()

    def reset(self) -> int:
        """Close with a RST; return the moment."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self.close()

    def half_close(self) -> int:
        """Send a FIN and go on reading; return the moment."""
        self.socket.shutdown(socket.SHUT_WR)
        return time.monotonic_ns()

    def send(self, *parts: bytes) -> int:
        """Send all bytes; return the moment at which the kernel had them."""
        self.socket.sendall(b"".join(parts))
        return time.monotonic_ns()

    def trickle(self, data: bytes, sizes: Iterable[int]) -> int:
        """Send data in segments of these sizes (each a write of its own), then the rest."""
        start = 0
        for size in sizes:
            self.socket.sendall(data[start : start + size])
            start += size
        self.socket.sendall(data[start:])
        return time.monotonic_ns()

    def more(self, size: int = 1 << 16) -> bytes:
        """Read once into the buffer; b"" is the end. Raises ConnectionResetError, TimeoutError."""
        data = self.socket.recv(size)
        if data:
            self.received.append(Piece(time.monotonic_ns(), data))
            self.buffer += data
        return data

    def read_exactly(self, size: int) -> bytes:
        """Return this many bytes."""
        while len(self.buffer) < size:
            if not self.more():
                raise FramingError(bytes(self.buffer))
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def read_until_end(self) -> tuple[bytes, Literal["closed", "reset"]]:
        """Read to the end of the connection and tell how it came."""
        end: Literal["closed", "reset"] = "closed"
        try:
            while self.more():
                pass
        except ConnectionError:
            end = "reset"
        data = bytes(self.buffer)
        self.buffer.clear()
        return data, end

    def read_head(self) -> StatusHead:
        """Read one response head."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > _HEAD_MAX or not self.more():
                raise FramingError(bytes(self.buffer[:200]))
        raw = bytes(self.buffer[: end + 4])
        del self.buffer[: end + 4]
        return parse_status_head(raw)

    def read_answer(self, *, method: str = "GET", progress: Progress | None = None) -> Answer:
        """Read interim answers and a final one with its body. Raises FramingError in the head.

        What goes wrong in the body is no error here: `Answer.end` tells it. `progress` is told
        the number of body bytes after each read.
        """
        interim = []
        while (head := self.read_head()).status // 100 == 1 and head.status != 101:
            interim.append(head)
        answer = Answer(head, interim, head_ns=time.monotonic_ns())
        reader = body_reader(head, method)
        if reader.chunked:
            answer.chunks = reader.chunks
        self._read_body(reader, answer, progress or (lambda _: None))
        answer.body = b"".join(piece.data for piece in answer.pieces)
        answer.trailers = parse_fields([n + b":" + v for n, v in reader.trailers])
        return answer

    def _read_body(self, reader: BodyReader, answer: Answer, progress: Progress) -> None:
        to_end = not reader.chunked and answer.head.value(b"content-length") is None
        progress(self._take(reader, answer, answer.head_ns))
        while not reader.complete:
            if reader.malformed:
                answer.end = "malformed"
                return
            try:
                data = self.more()
            except ConnectionError:
                answer.end = "reset"
                return
            if not data:
                answer.end = "complete" if to_end else "short"
                return
            progress(self._take(reader, answer, self.received[-1].moment_ns))

    def _take(self, reader: BodyReader, answer: Answer, moment_ns: int) -> int:
        data = reader.feed(self.buffer)
        if data:
            answer.pieces.append(Piece(moment_ns, data))
        return sum(len(piece.data) for piece in answer.pieces)

    def ask(self, *parts: bytes, method: str = "GET") -> Answer:
        """Send a request and read its answer."""
        self.send(*parts)
        return self.read_answer(method=method)

    def rest(self) -> tuple[bytes, Literal["closed", "reset"]]:
        """Return what still comes after an answer, to the end of the connection."""
        return self.read_until_end()


def body_reader(head: StatusHead, method: str) -> BodyReader:
    """Return the reader of the body that this head announces (RFC 9112 section 6.3), strictly."""
    codings = [v.lower() for v in head.values(b"transfer-encoding")]
    lengths = head.values(b"content-length")
    if codings and lengths:
        raise FramingError(head.raw)
    if method == "HEAD" or head.status in {204, 304} or head.status // 100 == 1:
        return BodyReader(length=0)
    if codings:
        if codings != [b"chunked"]:
            raise FramingError(head.raw)
        return BodyReader.of_chunks()
    if lengths:
        if len(lengths) != 1 or not lengths[0].isdigit():
            raise FramingError(head.raw)
        return BodyReader(length=int(lengths[0]))
    return BodyReader(length=None)


def ask(address: Address, *parts: bytes, method: str = "GET") -> Answer:
    """Send one request on a connection of its own and read its answer."""
    with Wire(address) as wire:
        return wire.ask(*parts, method=method)


def talk(address: Address, parts: Sequence[bytes]) -> bytes:
    """Send parts on a connection of its own and return all bytes that come back to the end."""
    with Wire(address) as wire:
        try:
            for part in parts:
                wire.send(part)
        except ConnectionError:
            pass  # refused before all was sent: the answer may still be readable
        return wire.read_until_end()[0]
