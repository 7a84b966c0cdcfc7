"""A scripted HTTP/1.1 server: exact bytes at exact moments, and a record of all that happened.

It is the truth that measuring is compared with, so it believes nothing: every received byte is
kept with its moment, every sent piece with the moment at which the kernel had taken it. It runs an
event loop in a thread of its own; tests read its records and wait for conditions with a bound.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support.connection import Connection, Exchange, Plan
from support.listening import TURNS_MAX, close_listener
from support.script import Script, plain, script

OPEN_WAIT_S: Final = 10.0
MARKER_TARGET: Final = "/marker"
MARKER_STATUS: Final = 451
"""Whatever the plan, this target gets this status: see `Sidecar.settle`."""
EVENT_WAIT_S: Final = 10.0


def plan_by_target(scripts: Mapping[bytes, Script], fallback: Script) -> Plan:
    """Choose a script by the whole target, else by its path, else the fallback."""

    def choose(exchange: Exchange) -> Script:
        target = exchange.target
        found = scripts.get(target) or scripts.get(target.partition(b"?")[0])
        return found or fallback

    return choose


class ScriptedServer:
    """Plays a script for each request. A context manager: open on entry, gone on exit.

    `scripts` maps targets (with or without query) to scripts and may be changed while it runs;
    anything else gets `fallback`. `plan` replaces both by a function of the request.
    """

    def __init__(
        self,
        scripts: dict[bytes, Script] | None = None,
        *,
        plan: Plan | None = None,
        tls: ssl.SSLContext | None = None,
        unix: Path | None = None,
        port: int = 0,
    ) -> None:
        self.scripts: dict[bytes, Script] = {} if scripts is None else scripts
        self.fallback = script(plain(b"{}"))
        self.connections: list[Connection] = []
        self.changed = threading.Condition()
        self._planned = plan or self._by_target
        self._tls = tls
        self._unix = unix
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="scripted-server", daemon=True)
        self._opened: Future[None] = Future()
        self._stop = asyncio.Event()
        self._listener: asyncio.Server | None = None

    def _plan(self, exchange: Exchange) -> Script:
        if exchange.target == MARKER_TARGET.encode():
            return script(plain(b"", status=MARKER_STATUS))
        return self._planned(exchange)

    def _by_target(self, exchange: Exchange) -> Script:
        return plan_by_target(self.scripts, self.fallback)(exchange)

    @property
    def url(self) -> str:
        """The address in the form that `--upstream` takes."""
        if self._unix is not None:
            return f"http+unix://{self._unix}"
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def address(self) -> tuple[str, int] | Path:
        """What `support.client.Wire` connects to."""
        return self._unix if self._unix is not None else ("127.0.0.1", self.port)

    @property
    def exchanges(self) -> list[Exchange]:
        """All exchanges of all connections, in the order in which their heads were complete."""
        found = [e for c in list(self.connections) for e in list(c.exchanges)]
        return sorted(found, key=lambda e: e.head_ns)

    def find(self, target: bytes) -> list[Exchange]:
        """Return the exchanges with exactly this target."""
        return [e for e in self.exchanges if e.target == target]

    def wait(self, condition: Callable[[], bool], *, wait_s: float = EVENT_WAIT_S) -> None:
        """Wait until the condition holds; it is tried again whenever anything happened here."""
        with self.changed:
            held = self.changed.wait_for(condition, timeout=wait_s)
        assert held, f"not within {wait_s} s: {condition}"

    def wait_exchange(self, target: bytes, *, wait_s: float = EVENT_WAIT_S) -> Exchange:
        """Return the first exchange with this target as soon as its head is here."""
        self.wait(lambda: bool(self.find(target)), wait_s=wait_s)
        return self.find(target)[0]

    def notify(self) -> None:
        """Tell those who wait that something changed."""
        with self.changed:
            self.changed.notify_all()

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
        self.stop()

    def refuse(self) -> None:
        """Close the listener; connections that stand are served on."""
        assert self._listener is not None
        closing = asyncio.run_coroutine_threadsafe(close_listener(self._listener), self._loop)
        closing.result(OPEN_WAIT_S)

    def stop(self) -> None:
        """Close the listener and abort every connection; harmless when done twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(OPEN_WAIT_S)
        assert not self._thread.is_alive(), "the scripted server hangs"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    def _accept(self) -> Connection:
        connection = Connection(self._plan, self.notify, opened_ns=time.monotonic_ns())
        self.connections.append(connection)
        self.notify()
        return connection

    async def _serve(self) -> None:
        try:
            listener = await self._listen()
        except OSError as error:
            self._opened.set_exception(error)
            return
        self._listener = listener
        self._opened.set_result(None)
        await self._stop.wait()
        await close_listener(listener)
        for connection in self.connections:
            connection.abort()
        # Let the transports run their connection_lost, or they warn that they were not closed.
        ends = [c.lost.wait() for c in self.connections if c.made]
        await asyncio.wait_for(asyncio.gather(*ends), OPEN_WAIT_S)
        for connection in self.connections:
            await connection.settle()
        await self._end_handshakes()

    async def _end_handshakes(self) -> None:
        """Give up what is no connection yet: a client that shakes hands slowly, or never does."""
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for _ in range(TURNS_MAX):
            await asyncio.sleep(0)

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if self._unix is not None:
            return await loop.create_unix_server(self._accept, str(self._unix), ssl=self._tls)
        server = await loop.create_server(
            self._accept, "127.0.0.1", self.port, ssl=self._tls, backlog=2048
        )
        self.port = int(server.sockets[0].getsockname()[1])
        return server
