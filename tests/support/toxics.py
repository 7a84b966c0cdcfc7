"""A TCP proxy that hurts: toxiproxy's eight toxics, between any two parts.

Every direction is a chain of queues: a reader stamps what it got, each toxic passes pieces on in
its own time, a writer sends them. So latency delays without throttling, and bandwidth throttles
without reordering. Toxics are data and may be changed while connections live; each piece is
treated by the toxics that are there when it comes. Kernel tools (netem) are not needed.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

from support.listening import close_listener

OPEN_WAIT_S: Final = 10.0
_QUEUE_PIECES_MAX: Final = 1024
_READ_BYTES: Final = 1 << 16
Direction = Literal["up", "down"]
"""`up` is from the client to the server, `down` from the server to the client."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Delay each piece by `delay_s`, plus or minus up to `jitter_s`; order is kept."""

    delay_s: float
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Down:
    """Close what is open and refuse what comes."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Pass at most so many bytes a second."""

    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class SlowClose:
    """Hold the FIN back."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Timeout:
    """Pass nothing, and close after `wait_s`; None never closes."""

    wait_s: float | None


@dataclass(frozen=True, slots=True)
class ResetPeer:
    """Reset both sides `wait_s` after the first piece; what comes before that passes."""

    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Slicer:
    """Cut pieces to `size` bytes, plus or minus up to `variation`, `delay_s` apart."""

    size: int
    variation: int = 0
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitData:
    """Close after so many bytes."""

    bytes_max: int


Toxic = Latency | Down | Bandwidth | SlowClose | Timeout | ResetPeer | Slicer | LimitData
_Piece = tuple[float, bytes]


class _Pipe:
    """One direction of one connection."""

    def __init__(
        self, proxy: "ToxicProxy", direction: Direction, sides: tuple["_Side", "_Side"]
    ) -> None:
        self._proxy = proxy
        self._direction = direction
        self._source, self._sink = sides
        self._queue: asyncio.Queue[_Piece] = asyncio.Queue(_QUEUE_PIECES_MAX)
        self._random = random.Random(proxy.seed)
        self._passed_bytes = 0

    def _toxics(self) -> tuple[Toxic, ...]:
        return self._proxy.toxics[self._direction]

    async def read(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"start"
        while data:
            data = await self._source.reader.read(_READ_BYTES)
            await self._queue.put((loop.time(), data))

    async def write(self) -> None:
        while True:
            stamp_s, data = await self._queue.get()
            for toxic in self._toxics():
                await self._before(toxic, stamp_s, data)
            if not data:
                break
            for part in self._parts(data):
                await self._pass(part)
        self._sink.finish()

    async def _before(self, toxic: Toxic, stamp_s: float, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        match toxic:
            case Latency(delay_s, jitter_s):
                due_s = stamp_s + delay_s + self._random.uniform(-jitter_s, jitter_s)
                await asyncio.sleep(max(0.0, due_s - loop.time()))
            case Bandwidth(bytes_per_s):
                await asyncio.sleep(len(data) / bytes_per_s)
            case SlowClose(delay_s) if not data:
                await asyncio.sleep(delay_s)
            case Timeout(wait_s):
                await (asyncio.sleep(wait_s) if wait_s is not None else loop.create_future())
                raise _End(reset=False)
            case ResetPeer(wait_s):
                loop.call_later(wait_s, self._source.reset)
                loop.call_later(wait_s, self._sink.reset)
            case _:
                pass

    def _parts(self, data: bytes) -> list[bytes]:
        slicers = [t for t in self._toxics() if isinstance(t, Slicer)]
        if not slicers:
            return [data]
        (slicer,) = slicers
        parts = []
        while data:
            spread = self._random.randint(-slicer.variation, slicer.variation)
            size = max(1, slicer.size + spread)
            parts.append(data[:size])
            data = data[size:]
        return parts

    async def _pass(self, part: bytes) -> None:
        for toxic in self._toxics():
            if isinstance(toxic, LimitData):
                part = part[: max(0, toxic.bytes_max - self._passed_bytes)]
        self._sink.writer.write(part)
        await self._sink.writer.drain()
        self._passed_bytes += len(part)
        for toxic in self._toxics():
            if isinstance(toxic, LimitData) and self._passed_bytes >= toxic.bytes_max:
                raise _End(reset=False)
            if isinstance(toxic, Slicer):
                await asyncio.sleep(toxic.delay_s)


class _End(Exception):  # noqa: N818 - no error: a toxic ends the connection
    def __init__(self, *, reset: bool) -> None:
        self.reset = reset
        super().__init__()


class _Side:
    """One socket of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def finish(self) -> None:
        if not self.writer.is_closing():
            self.writer.write_eof()

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        if raw is not None and not self.writer.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            return  # it was reset: closed all the same


class ToxicProxy:
    """Listens on a free port of loopback and forwards to `target`. A context manager.

    `toxics["down"]` and `toxics["up"]` may be replaced at any time; `Down` goes into either.
    """

    def __init__(self, target: tuple[str, int], *, seed: int = 0) -> None:
        self.toxics: dict[Direction, tuple[Toxic, ...]] = {"up": (), "down": ()}
        self.seed = seed
        self.port = 0
        self.accepted = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._stop = asyncio.Event()
        self._opened: Future[None] = Future()
        self._live: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="toxic-proxy", daemon=True)

    @property
    def url(self) -> str:
        """The address in the form that `--upstream` takes."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """What a client connects to."""
        return ("127.0.0.1", self.port)

    def poison(self, direction: Direction, *toxics: Toxic) -> None:
        """Replace the toxics of a direction; `Down` also ends the connections that are open."""
        self.toxics[direction] = toxics
        self._call(self._open_or_close())

    def heal(self) -> None:
        """Take all toxics away; new pieces and connections pass untouched."""
        self.toxics = {"up": (), "down": ()}
        self._call(self._open_or_close())

    @property
    def down(self) -> bool:
        """Whether connections are refused."""
        return any(isinstance(t, Down) for chain in self.toxics.values() for t in chain)

    def _call(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(OPEN_WAIT_S)

    async def _open_or_close(self) -> None:
        if self.down and self._server is not None:
            listener, self._server = self._server, None
            await close_listener(listener)
            for task in list(self._live):
                task.cancel()
        elif not self.down and self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = int(self._server.sockets[0].getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        self._opened.result(OPEN_WAIT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(OPEN_WAIT_S)
        assert not self._thread.is_alive(), "the toxic proxy hangs"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        try:
            await self._open_or_close()
        except OSError as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        await self._stop.wait()
        if self._server is not None:
            await close_listener(self._server)
        live = list(self._live)
        for task in live:
            task.cancel()
        await asyncio.gather(*live, return_exceptions=True)
        # A connection that was closing already goes on with that by itself.
        closing = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), OPEN_WAIT_S)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Side(reader, writer)
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._carry(client))
        self._live.add(task)
        task.add_done_callback(self._live.discard)

    async def _carry(self, client: _Side) -> None:
        try:
            server = _Side(*await asyncio.open_connection(*self._target))
        except OSError:
            client.reset()
            return
        except asyncio.CancelledError:
            client.reset()
            raise
        pipes = (
            _Pipe(self, "up", (client, server)),
            _Pipe(self, "down", (server, client)),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for pipe in pipes:
                    group.create_task(pipe.read())
                    group.create_task(pipe.write())
        except* (OSError, _End):
            pass
        finally:
            await asyncio.shield(asyncio.gather(client.close(), server.close()))
