"""One gRPC call with one answer, over HTTP/2 on a unix socket: connect, ask, read, close.

A connection per call is cheap on a unix socket and leaves nothing to repair when the kubelet
re-creates its socket. The deadline holds for the whole call, so that a server that sends a byte
now and then cannot stretch it, and every byte that is read counts against a cap.

Source: grpc/doc/PROTOCOL-HTTP2.md. `h2` does the framing; it is imported at the first call only,
and its absence is one more reason why there is no map.
"""

import contextlib
import errno
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from h2.connection import H2Connection
    from h2.events import Event

ANSWER_BYTES_MAX: Final = 16 << 20
"""Bytes of an answer; grpc's usual 4 MiB are too few for nodes with many shared devices."""
FRAMING_BYTES_MAX: Final = 4 << 20
"""Bytes on the wire beyond the answer itself: frame heads, headers, pings."""
READ_BYTES: Final = 64 << 10
WINDOW_BYTES: Final = 1 << 20
"""What the server may send before it has to wait for us."""
MESSAGE_CHARS_MAX: Final = 256
"""Of an error message, as it is kept."""

HEADER_BYTES_MAX: Final = 64 << 10

_PREFIX: Final = struct.Struct(">BI")
_HTTP_OK: Final = "200"
_OK: Final = "0"
_REASONS: Final = {"4": "timeout", "12": "unimplemented", "14": "unavailable"}
"""Of statuses that have one of their own; 4 is a deadline that the server noticed first."""
_STATUS: Final = re.compile(r"[0-9]{1,3}", re.ASCII)


class CallError(Exception):
    """A call gave no answer. `reason` is one of `holders.REASONS`, `detail` what was said."""

    def __init__(self, detail: str = "", *, reason: str) -> None:
        """Keep both."""
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to call, how long a call may take in all, and how much may be read."""

    socket_path: Path
    timeout_s: float = 2.0
    clock: Callable[[], float] = time.monotonic
    answer_bytes_max: int = ANSWER_BYTES_MAX
    framing_bytes_max: int = FRAMING_BYTES_MAX


def call(endpoint: Endpoint, path: str, request: bytes) -> bytes:
    """Return the answer of the method at `path`. Raises CallError, and nothing else."""
    try:
        from h2.exceptions import H2Error  # optional: only this package of the exporter needs it
    except ImportError:
        raise CallError(reason="h2_missing") from None
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        wire = _Wire(sock, endpoint)
        try:
            sock.settimeout(endpoint.timeout_s)
            sock.connect(str(endpoint.socket_path))
            return _exchange(wire, path, request)
        except TimeoutError:
            raise CallError(reason="timeout") from None
        except OSError as error:
            raise CallError(error.strerror or "", reason=_reason_of(error)) from None
        except H2Error as error:
            raise CallError(type(error).__name__, reason="protocol") from None


def _reason_of(error: OSError) -> str:
    reasons = {
        None: "socket_missing",  # a path too long for a socket has no number of its own
        errno.ENOENT: "socket_missing",
        errno.ENOTDIR: "socket_missing",
        errno.ECONNREFUSED: "refused",
        errno.EACCES: "permission",
        errno.EPERM: "permission",
        errno.EAGAIN: "timeout",  # a unix socket whose queue of connections is full
    }
    return reasons.get(error.errno, "closed")


class _Wire:
    """The socket, with what is left of time and bytes."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint) -> None:
        self.answer_bytes_max = endpoint.answer_bytes_max
        self._sock = sock
        self._clock = endpoint.clock
        self._deadline_s = endpoint.clock() + endpoint.timeout_s
        self._bytes_left = endpoint.answer_bytes_max + endpoint.framing_bytes_max

    def send(self, data: bytes) -> None:
        """Send all of it in time. Raises OSError, but not where the other end has left.

        It may have answered before, which is still to be read.
        """
        if data:
            self._sock.settimeout(self.left_s())
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._sock.sendall(data)

    def receive(self) -> bytes:
        """Return what comes next, b"" at the end. Raises OSError, or CallError at the cap."""
        self._sock.settimeout(self.left_s())
        data = self._sock.recv(READ_BYTES)
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise CallError(reason="too_large")
        return data

    def left_s(self) -> float:
        """Return how much time is left. Raises TimeoutError if none is."""
        left_s = self._deadline_s - self._clock()
        if left_s <= 0:
            raise TimeoutError
        return left_s


@dataclass(slots=True)
class _Answer:
    """What has come so far. The last value of a header counts: that of the trailers."""

    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    read: int = 0
    """Bytes that count for flow control and are not acknowledged yet."""
    ended: bool = False
    broken: str = ""
    """Why there will be no more, if the server gave up."""

    def take(self, event: "Event") -> None:
        """Add what an event tells."""
        from h2 import events

        if isinstance(event, events.ConnectionTerminated):
            self.broken = "goaway"
        elif getattr(event, "stream_id", None) != self.stream:
            return
        elif isinstance(event, events.ResponseReceived | events.TrailersReceived):
            self.headers.update((_text(name), _text(value)) for name, value in event.headers)
        elif isinstance(event, events.DataReceived):
            self.body += event.data
            self.read += event.flow_controlled_length
        elif isinstance(event, events.StreamEnded):
            self.ended = True
        elif isinstance(event, events.StreamReset):
            self.broken = "closed"

    def result(self) -> bytes:
        """Return the one message of a call that went well. Raises CallError."""
        status = self.headers.get("grpc-status", "")
        if status != _OK:
            raise self._failure(status)
        if len(self.body) < _PREFIX.size:
            raise CallError(reason="garbage")
        compressed, length = _PREFIX.unpack_from(self.body)
        if compressed or length != len(self.body) - _PREFIX.size:
            raise CallError(reason="garbage")
        return bytes(self.body[_PREFIX.size :])

    def _failure(self, status: str) -> CallError:
        detail = unquote(self.headers.get("grpc-message", ""))[:MESSAGE_CHARS_MAX]
        if _STATUS.fullmatch(status):
            return CallError(f"{status} {detail}", reason=_REASONS.get(status, "grpc_status"))
        http = self.headers.get(":status", "")
        if http != _HTTP_OK:
            return CallError(http[:MESSAGE_CHARS_MAX], reason="http_status")
        return CallError("an answer without a status", reason="garbage")


def _exchange(wire: _Wire, path: str, request: bytes) -> bytes:
    connection = _connection()
    answer = _Answer(connection.get_next_available_stream_id())
    connection.send_headers(answer.stream, _head(path, wire.left_s()))
    data = _PREFIX.pack(0, len(request)) + request
    connection.send_data(answer.stream, data, end_stream=True)
    while True:
        wire.send(connection.data_to_send())
        received = wire.receive()
        if not received:
            raise CallError(reason="closed")
        for event in connection.receive_data(received):
            answer.take(event)
        if len(answer.body) > wire.answer_bytes_max + _PREFIX.size:
            raise CallError(reason="too_large")
        if answer.ended:
            return answer.result()
        if answer.broken:
            raise CallError(reason=answer.broken)
        if answer.read:
            connection.acknowledge_received_data(answer.read, answer.stream)
            answer.read = 0


def _connection() -> "H2Connection":
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.settings import SettingCodes, Settings

    connection = H2Connection(H2Configuration(client_side=True))
    values = {
        SettingCodes.ENABLE_PUSH: 0,
        SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
        SettingCodes.MAX_HEADER_LIST_SIZE: HEADER_BYTES_MAX,
    }
    connection.local_settings = Settings(client=True, initial_values=values)
    connection.initiate_connection()
    connection.increment_flow_control_window(WINDOW_BYTES)
    return connection


def _head(path: str, timeout_s: float) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),  # servers refuse the path of the socket here
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "inferometer"),
        ("grpc-timeout", f"{max(1, int(timeout_s * 1000))}m"),
    ]


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
