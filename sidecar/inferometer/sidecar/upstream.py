"""Connections to the model server: one response at a time, a small pool of idle ones, dialling.

The upstream is trusted no more than a client: what breaks HTTP is cut, and bytes that belong to no
answer end the connection, so that nothing of one exchange reaches another. Idle connections are
kept for less time than servers keep them (uvicorn and vLLM: 5 s), or a request would race with
their close.
"""

import asyncio
import select
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from inferometer.sidecar.chunks import Walker, walker
from inferometer.sidecar.heads import Refused, ResponseHead, find_end, parse_response

if TYPE_CHECKING:
    from inferometer.settings import Upstream as Target

WRITE_BUFFER_BYTES_MAX: Final = 64 << 10
READ_BYTES_MAX: Final = 64 << 10
"""One read. With the write buffer it bounds what one stalled reader costs to 192 KiB."""
IDLE_CONNECTIONS_MAX: Final = 256
INTERIM_ANSWERS_MAX: Final = 32
"""1xx answers to one request; an upstream that sends more never gets to the point."""

_READ_BUFFER: Final = bytearray(READ_BYTES_MAX)
"""One for all connections: it is emptied before the loop reads from the next one."""
_READ_VIEW: Final = memoryview(_READ_BUFFER)


class Exchange(Protocol):
    """What an upstream connection tells the exchange that it serves."""

    @property
    def method(self) -> bytes:
        """The request's method, which decides whether an answer has a body."""
        ...

    def connected(self, connection: "Connection", dial_ns: int) -> None:
        """Write the request: a connection is ready."""
        ...

    def unreachable(self, *, timed_out: bool, exhausted: bool) -> None:
        """Answer for an upstream that could not be connected."""
        ...

    def interim(self, raw: bytes) -> None:
        """Pass on a 1xx answer, whole."""
        ...

    def answered(self, head: ResponseHead, moment_ns: int, *, followed: bool) -> None:
        """Pass on the final response head; `followed` tells that a part of the body comes next."""
        ...

    def body(self, raw: bytes, payload: bytes, moment_ns: int) -> None:
        """Pass on a part of the response body, valid so far."""
        ...

    def tunnelled(self, data: bytes, moment_ns: int) -> None:
        """Pass on bytes of an upgraded connection."""
        ...

    def complete(self, moment_ns: int) -> None:
        """End well: the framing of the answer ended as it should."""
        ...

    def broken(self, moment_ns: int) -> None:
        """End badly: the connection ended, or broke HTTP, before that."""
        ...

    def internal_error(self, error: Exception) -> None:
        """End since our own code failed."""
        ...

    def upstream_full(self, *, full: bool) -> None:
        """Stop or go on reading the client: the upstream is slow, or has caught up."""
        ...


class Connection(asyncio.BufferedProtocol):
    """One connection to the upstream."""

    def __init__(self, pool: "Pool") -> None:
        """Belong to `pool`, which keeps the connection while it is idle."""
        self.transport: asyncio.Transport
        self.exchange: Exchange | None = None
        self.tunnel = False
        self.idle_since_s = 0.0
        self.closed = False
        self._pool = pool
        self._held = b""
        self._poll = select.poll()
        self._interim_count = 0
        self._head: ResponseHead | None = None
        self._walker: Walker | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and bound what it buffers."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        self._pool.connections += 1
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._poll.register(sock.fileno(), select.POLLIN | select.POLLRDHUP)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  (asyncio's signature)
        """Return the buffer that is shared by all connections."""
        return _READ_BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read: the moment first, before anything is parsed."""
        moment_ns = time.monotonic_ns()
        data = _READ_VIEW[:nbytes].tobytes()
        exchange = self.exchange
        if exchange is None:  # an answer that nobody asked for
            self.abort()
            return
        try:
            body = self._walker
            if body is not None:
                raw, payload = body.feed(data)
                exchange.body(raw, payload, moment_ns)
                if body.done:
                    self._done(exchange, body.rest, moment_ns)
            elif self.tunnel:
                exchange.tunnelled(data, moment_ns)
            else:
                self._read_head(exchange, data, moment_ns)
        except Refused:
            self.abort()
            exchange.broken(moment_ns)
        except Exception as error:  # noqa: BLE001  (the seam: others are served, and it is counted)
            exchange.internal_error(error)

    def _read_head(self, exchange: Exchange, data: bytes, moment_ns: int) -> None:
        data = self._held + data if self._held else data
        self._held = b""
        while True:
            end = find_end(data)
            if end < 0:
                self._held = data
                return
            head = parse_response(data[:end], exchange.method)
            data = data[end:]
            if head.status >= 200 or head.status == 101:  # noqa: PLR2004  (all others are interim)
                break
            self._interim(exchange, head)
        self._answer(exchange, head, data, moment_ns)

    def _interim(self, exchange: Exchange, head: ResponseHead) -> None:
        self._interim_count += 1
        if self._interim_count > INTERIM_ANSWERS_MAX:
            raise Refused(502, "too many interim answers")
        exchange.interim(head.line + head.block + b"\r\n")

    def _answer(self, exchange: Exchange, head: ResponseHead, data: bytes, moment_ns: int) -> None:
        self._head = head
        body = self._walker = walker(head.framing)
        exchange.answered(head, moment_ns, followed=bool(data) and body is not None)
        if self.exchange is not exchange:  # it refused the answer
            return
        if self.tunnel:
            if data:
                exchange.tunnelled(data, moment_ns)
        elif body is None:
            self._done(exchange, data, moment_ns)
        elif data:
            raw, payload = body.feed(data)
            exchange.body(raw, payload, moment_ns)
            if body.done:
                self._done(exchange, body.rest, moment_ns)

    def _done(self, exchange: Exchange, rest: bytes, moment_ns: int) -> None:
        head = self._head
        assert head is not None
        if rest or not head.keep_alive:
            self.abort_after(exchange)
        exchange.complete(moment_ns)

    def abort_after(self, exchange: Exchange) -> None:
        """Close, but let `exchange` end as complete."""
        assert self.exchange is exchange
        self.exchange = None
        self.abort()

    def eof_received(self) -> bool:
        """Let the transport close; `connection_lost` tells what that means."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange: well if its answer ends with the connection, else as broken."""
        moment_ns = time.monotonic_ns()
        self.closed = True
        self._pool.lost(self)
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        closes = self._head is not None and self._head.framing.kind == "close"
        if (closes or self.tunnel) and exc is None:
            exchange.complete(moment_ns)
        else:
            exchange.broken(moment_ns)

    def pause_writing(self) -> None:
        """Tell the exchange that the upstream does not keep up."""
        if self.exchange is not None:
            self.exchange.upstream_full(full=True)

    def resume_writing(self) -> None:
        """Tell the exchange that the upstream has caught up."""
        if self.exchange is not None:
            self.exchange.upstream_full(full=False)

    def release(self) -> None:
        """Forget the exchange; keep the connection for another one if it can serve one."""
        self.exchange = None
        self._head = None
        self._walker = None
        self._interim_count = 0
        if not self.closed and not self.transport.is_closing():
            self._pool.keep(self)

    def is_silent(self) -> bool:
        """Tell whether nothing waits to be read: no close, and no answer that nobody asked for.

        What the loop has not read yet would else be taken for the answer to the next request.
        """
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Close at once, without flushing; `connection_lost` follows."""
        self.closed = True
        self.transport.abort()


@dataclass(frozen=True, slots=True)
class Dialling:
    """How to reach the upstream."""

    target: "Target"
    connect_timeout_s: float
    idle_timeout_s: float
    tls: Callable[[], ssl.SSLContext | None]
    name: str = ""  # to look for in the certificate, the host where it is empty


class Pool:
    """Idle connections, newest first, and the dialling of new ones."""

    def __init__(self, loop: asyncio.AbstractEventLoop, dialling: Dialling) -> None:
        """Start without a connection; nothing is dialled before the first request."""
        self.connections = 0
        self.up: bool | None = None  # None until a connection was tried
        self._loop = loop
        self._dialling = dialling
        self._idle: list[Connection] = []
        self._dials: set[asyncio.Task[None]] = set()

    def take(self) -> Connection | None:
        """Return an idle connection that stands and is silent, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.closed or connection.transport.is_closing():
                continue
            if connection.is_silent():
                return connection
            connection.abort()
        return None

    def keep(self, connection: Connection) -> None:
        """Keep a connection whose answer is complete; close it where enough are kept.

        One that answered without having read its whole request is of no use to another.
        """
        unread = connection.transport.get_write_buffer_size() > 0
        full = len(self._idle) >= IDLE_CONNECTIONS_MAX
        if unread or full or not self._dialling.idle_timeout_s:
            connection.abort()
            return
        connection.idle_since_s = self._loop.time()
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Take note that a connection is gone."""
        self.connections -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    def sweep(self, now_s: float) -> None:
        """Close what has been idle for too long; the oldest stand first."""
        limit_s = now_s - self._dialling.idle_timeout_s
        while self._idle and self._idle[0].idle_since_s <= limit_s:
            self._idle.pop(0).abort()

    def close(self) -> None:
        """Close all idle connections and give up dialling."""
        for dial in self._dials:
            dial.cancel()
        while self._idle:
            self._idle.pop().abort()

    def dial(self, exchange: Exchange) -> asyncio.Task[None]:
        """Connect for `exchange`, which hears of it by `connected` or `unreachable`."""
        task = self._loop.create_task(self._dial(exchange))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)
        return task

    async def _dial(self, exchange: Exchange) -> None:
        begun_ns = time.monotonic_ns()
        try:
            connection = await self.connect()
        except TimeoutError:
            exchange.unreachable(timed_out=True, exhausted=False)
        except (OSError, ssl.CertificateError) as error:
            exhausted = getattr(error, "errno", None) in _EXHAUSTED
            exchange.unreachable(timed_out=False, exhausted=exhausted)
        except Exception as error:  # noqa: BLE001  (the seam: else the client would wait for ever)
            exchange.internal_error(error)
        else:
            exchange.connected(connection, time.monotonic_ns() - begun_ns)

    async def connect(self) -> Connection:
        """Return a fresh connection. Raises OSError or TimeoutError."""
        target = self._dialling.target
        try:
            async with asyncio.timeout(self._dialling.connect_timeout_s):
                tls = self._dialling.tls() if target.tls else None
                if target.path is not None:
                    _, made = await self._loop.create_unix_connection(
                        lambda: Connection(self), str(target.path)
                    )
                else:
                    _, made = await self._loop.create_connection(
                        lambda: Connection(self),
                        target.host,
                        target.port,
                        ssl=tls,
                        server_hostname=(self._dialling.name or target.host) if tls else None,
                    )
        except (OSError, TimeoutError) as error:
            if getattr(error, "errno", None) not in _EXHAUSTED:
                self.up = False
            raise
        self.up = True
        set_socket_options(made.transport)
        return made


_EXHAUSTED: Final = (23, 24, 105, 12)
"""ENFILE, EMFILE, ENOBUFS, ENOMEM: our own machine's fault, which passes."""


def set_socket_options(transport: asyncio.Transport) -> None:
    """Switch Nagle off and TCP keepalive on, so that a dead peer ends a silent wait."""
    import socket

    sock = transport.get_extra_info("socket")
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 8)
