"""The relay as a whole: listeners, all connections, their deadlines, and how it is drained.

Its gauges are plain integers that a scrape reads; it knows nothing of metrics.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from inferometer.sidecar.books import Books, Detached
from inferometer.sidecar.client import Client
from inferometer.sidecar.tap import Lag, Ring, Tapped
from inferometer.sidecar.upstream import Dialling, Pool

if TYPE_CHECKING:
    from inferometer.sidecar.settings import Settings

SWEEP_S: Final = 0.25
LAG_S: Final = 0.1
BACKLOG: Final = 1024

TlsSource = Callable[[], ssl.SSLContext | None]


class Relay:
    """Everything that serves."""

    def __init__(self, settings: "Settings", ring: Ring, *, server_tls: TlsSource) -> None:
        """Prepare to serve; `server_tls` gives the context towards the upstream."""
        self.settings = settings
        self.clients: set[Client] = set()
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.get_running_loop()
        self.pool = Pool(
            self._loop,
            Dialling(
                target=settings.upstream,
                connect_timeout_s=settings.connect_timeout_s,
                idle_timeout_s=settings.upstream_keepalive_s,
                tls=server_tls,
                name=settings.upstream_name,
            ),
        )
        self.books = Books(settings, ring, self.pool, self._loop.time)
        self._ring = ring
        self._lag_tapped = Tapped()
        self._lag_due_s = 0.0
        self._socket: tuple[int, int] | None = None

    # -- serving ---------------------------------------------------------------------------------

    async def start(self, client_tls: ssl.SSLContext | None) -> int:
        """Listen; return the port (0 for a unix socket). Raises OSError."""
        listen = self.settings.listen
        if listen.path is not None:
            server = await self._loop.create_unix_server(
                lambda: Client(self.books, self.clients),
                str(listen.path),
                ssl=client_tls,
                backlog=BACKLOG,
            )
        else:
            server = await self._loop.create_server(
                lambda: Client(self.books, self.clients),
                listen.host or None,
                listen.port,
                ssl=client_tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=self.settings.header_timeout_s if client_tls else None,
            )
        self._servers.append(server)
        self._socket = _identity(listen.path)
        self._lag_due_s = self._loop.time() + LAG_S
        self._loop.call_later(SWEEP_S, self._sweep)
        self._loop.call_later(LAG_S, self._probe_lag)
        port = server.sockets[0].getsockname()[1] if listen.path is None else 0
        assert isinstance(port, int)
        return port

    def _sweep(self) -> None:
        self._loop.call_later(SWEEP_S, self._sweep)
        now_s = self._loop.time()
        for client in [c for c in self.clients if c.deadline_s <= now_s]:
            client.due(now_s)
        for client in list(self.clients):
            client.look_for_leaving()
        for exchange in [e for e, until_s in self.books.detached.items() if until_s <= now_s]:
            exchange.fail("upstream_timeout", 504, "read for long enough without a client")
        self.pool.sweep(now_s)

    def _probe_lag(self) -> None:
        now_s = self._loop.time()
        late_ns = max(0, int((now_s - self._lag_due_s) * 1e9))
        self._ring.offer(self._lag_tapped, time.monotonic_ns(), Lag(late_ns), 0)
        self._lag_due_s = now_s + LAG_S
        self._loop.call_at(self._lag_due_s, self._probe_lag)

    # -- draining --------------------------------------------------------------------------------

    @property
    def busy(self) -> int:
        """How many exchanges are under way, and answers that are not written out yet."""
        return sum(client.busy() for client in self.clients) + len(self.books.detached)

    def stop_listening(self) -> None:
        """Take no further connection."""
        for server in self._servers:
            server.close()
        path = self.settings.listen.path
        if path is not None and _identity(path) == self._socket:  # a successor may have come
            path.unlink(missing_ok=True)
        self._servers.clear()

    def close_idle(self) -> None:
        """Close the connections on which nothing is under way."""
        for client in list(self.clients):
            client.finish_idle()

    def cut(self) -> int:
        """End all exchanges at the drain deadline; return how many there were."""
        live = (client.exchange for client in self.clients)
        exchanges: list[Detached] = [exchange for exchange in live if exchange is not None]
        exchanges += self.books.detached
        for exchange in exchanges:
            exchange.fail("drain_cut", 503, "the sidecar is stopping")
        return len(exchanges)

    def close(self) -> None:
        """Close everything that is left."""
        for client in list(self.clients):
            client.transport.abort()
        self.pool.close()


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from another one at the same path; None where there is none."""
    try:
        status = path.lstat() if path is not None else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status else None
