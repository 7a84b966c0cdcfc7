"""One connection of the scripted server: what came, what went, and when.

A lenient reader finds where requests begin and end; it judges nothing. What it cannot read stays
in `received`, which holds every byte up to a bound (the rest is only counted).
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, cast

from support.framing import BodyReader, Head, parse_head
from support.script import Action, Script, Step

KEEP_BYTES_MAX: Final = 8 << 20
"""Bytes of a connection that are kept; a gigabyte upload is only counted."""


class Piece(NamedTuple):
    """Bytes and the moment at which they were there (received) or gone (sent)."""

    moment_ns: int
    data: bytes


class Sent(NamedTuple):
    """A step that was done: `began_ns` before the send, `moment_ns` when the kernel had it all."""

    began_ns: int
    moment_ns: int
    step: Step


class Exchange:
    """One request and the script that answered it."""

    def __init__(self, head: Head, *, head_ns: int) -> None:
        self.head = head
        self.target = head.target
        self.fields = head.fields
        self.head_ns = head_ns
        self.body_ns: int | None = None  # the request body was complete
        self.first_body_ns: int | None = None
        self.body = bytearray()  # de-framed, at most KEEP_BYTES_MAX
        self.body_bytes = 0
        self.body_malformed = False
        self.trailers: list[tuple[bytes, bytes]] = []
        self.sent: list[Sent] = []
        self.sent_bytes = 0
        self.cues = 0  # how often a script that awaits a cue may go on
        self.cues_used = 0
        self.wake: Callable[[], object] = int
        self.done_ns: int | None = None  # the script was played to its end

    def value(self, name: bytes) -> bytes | None:
        """Return the last value of a field, by its name in any case."""
        values = self.values(name)
        return values[-1] if values else None

    def values(self, name: bytes) -> list[bytes]:
        """Return all values of a field in order."""
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def cue(self) -> None:
        """Let a script that awaits a cue go on; a cue that comes early is kept."""
        self.cues += 1
        self.wake()

    def take_body(self, data: bytes, moment_ns: int) -> None:
        """Add de-framed body bytes."""
        if data and self.first_body_ns is None:
            self.first_body_ns = moment_ns
        self.body_bytes += len(data)
        self.body += data[: max(0, KEEP_BYTES_MAX - len(self.body))]


Plan = Callable[[Exchange], Script]


class Connection(asyncio.Protocol):
    """Reads requests and plays one script after the other."""

    def __init__(self, plan: Plan, notify: Callable[[], None], *, opened_ns: int) -> None:
        self.opened_ns = opened_ns
        self.eof_ns: int | None = None  # the peer's FIN
        self.lost_ns: int | None = None  # the connection is gone, whoever ended it
        self.error: Exception | None = None
        self.received: list[Piece] = []
        self.received_bytes = 0
        self.exchanges: list[Exchange] = []
        self.junk = b""  # what could not be read as a request
        self.made = False
        self.lost = asyncio.Event()
        self._plan = plan
        self._notify = notify
        self._pending = bytearray()
        self._reader: BodyReader | None = None
        self._writable = asyncio.Event()
        self._moved = asyncio.Event()  # something was received, or the connection ended
        self._player: asyncio.Task[None] | None = None

    @property
    def ended_ns(self) -> int | None:
        """When the peer's end was noticed, by FIN or reset, None while it is there."""
        known = [moment for moment in (self.eof_ns, self.lost_ns) if moment is not None]
        return min(known, default=None)

    @property
    def raw(self) -> bytes:
        """Every byte received and kept."""
        return b"".join(piece.data for piece in list(self.received))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # Zero makes `pause_writing` tell whether the kernel has taken all bytes of a send.
        self._transport.set_write_buffer_limits(high=0)
        self.socket: socket.socket | None = transport.get_extra_info("socket")
        if self.socket is not None and self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writable.set()
        self.made = True
        self._player = asyncio.get_running_loop().create_task(self._play_all())
        self._notify()

    def data_received(self, data: bytes) -> None:
        moment_ns = time.monotonic_ns()
        if self.received_bytes < KEEP_BYTES_MAX:
            self.received.append(Piece(moment_ns, data))
        self.received_bytes += len(data)
        self._pending += data
        self._read(moment_ns)
        self._wake()

    def eof_received(self) -> bool:
        self.eof_ns = time.monotonic_ns()
        self._wake()
        # Stay open: the script decides when to close. TLS cannot be half open in asyncio.
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_ns = time.monotonic_ns()
        self.error = exc
        self._writable.set()
        self.lost.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """End the connection at once."""
        if self.made:
            self._transport.abort()

    async def settle(self) -> None:
        """Wait until the player has noticed the end."""
        if self._player is not None:
            self._player.cancel()
            await asyncio.gather(self._player, return_exceptions=True)

    def _wake(self) -> None:
        self._moved.set()
        self._notify()

    def _read(self, moment_ns: int) -> None:
        while self._pending:
            if self._reader is None:
                if not self._read_head(moment_ns):
                    return
            elif not self._read_body(self._reader, moment_ns):
                return

    def _read_head(self, moment_ns: int) -> bool:
        end = self._pending.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = parse_head(bytes(self._pending[: end + 4]))
        if head is None:
            self.junk += bytes(self._pending)
            self._pending.clear()
            return False
        del self._pending[: end + 4]
        exchange = Exchange(head, head_ns=moment_ns)
        loop = asyncio.get_running_loop()
        exchange.wake = partial(loop.call_soon_threadsafe, self._moved.set)
        self._reader = BodyReader(head)
        self.exchanges.append(exchange)
        self._read_body(self._reader, moment_ns)
        return True

    def _read_body(self, reader: BodyReader, moment_ns: int) -> bool:
        exchange = self.exchanges[-1]
        data = reader.feed(self._pending)
        exchange.take_body(data, moment_ns)
        exchange.body_malformed = reader.malformed
        if not reader.complete:
            return False
        exchange.body_ns = moment_ns
        exchange.trailers = reader.trailers
        self._reader = None
        return True

    async def _play_all(self) -> None:
        played = 0
        while not self.lost.is_set():
            while played == len(self.exchanges) and not self._gone:
                await self._next_move()
            if played == len(self.exchanges):
                break  # the peer left between requests
            await self._play(self.exchanges[played])
            played += 1
        self._transport.close()

    @property
    def _gone(self) -> bool:
        return self.ended_ns is not None

    async def _next_move(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def _play(self, exchange: Exchange) -> None:
        script = self._plan(exchange)
        stops = script.after_end == "stop"
        if script.starts == "body":
            await self._body_of(exchange)
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for step, offset_s in zip(script.steps, script.offsets_s, strict=True):
            await self._sleep_until(start_s + offset_s, stops=stops)
            if self.lost.is_set() or (stops and self._gone):
                return
            await self._do(exchange, step)
        exchange.done_ns = time.monotonic_ns()
        self._notify()
        await self._body_of(exchange)

    async def _body_of(self, exchange: Exchange) -> None:
        while exchange.body_ns is None and not self._gone:
            await self._next_move()

    async def _cue_of(self, exchange: Exchange) -> None:
        while exchange.cues == exchange.cues_used and not self._gone:
            await self._next_move()
        exchange.cues_used += 1

    async def _sleep_until(self, due_s: float, *, stops: bool) -> None:
        """Sleep to the moment, or to the end of the connection where that stops the script."""
        loop = asyncio.get_running_loop()
        while (left_s := due_s - loop.time()) > 0:
            if not stops:
                await asyncio.sleep(left_s)
                continue
            if self._gone:
                return
            self._moved.clear()
            handle = loop.call_later(left_s, self._moved.set)
            await self._moved.wait()
            handle.cancel()

    async def _do(self, exchange: Exchange, step: Step) -> None:
        began_ns = time.monotonic_ns()
        if isinstance(step.what, bytes):
            await self._send(exchange, step.what, step.times)
        else:
            await self._act(exchange, step.what)
        exchange.sent.append(Sent(began_ns, time.monotonic_ns(), step))
        self._notify()

    async def _send(self, exchange: Exchange, data: bytes, times: int) -> None:
        for _ in range(times):
            if self._transport.is_closing():
                return
            self._transport.write(data)
            await self._drained()
            exchange.sent_bytes += len(data)

    async def _drained(self) -> None:
        if not self._writable.is_set():
            await self._writable.wait()

    async def _act(self, exchange: Exchange, action: Action) -> None:
        match action:
            case Action.CLOSE:
                self._transport.close()
            case Action.RESET:
                self._reset()
            case Action.HALF_CLOSE:
                self._transport.write_eof()
            case Action.STALL:
                while not self._gone:
                    await self._next_move()
            case Action.PAUSE:
                self._transport.pause_reading()
            case Action.RESUME:
                self._transport.resume_reading()
            case Action.AWAIT_BODY:
                await self._body_of(exchange)
            case Action.AWAIT_CUE:
                await self._cue_of(exchange)

    def _reset(self) -> None:
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
