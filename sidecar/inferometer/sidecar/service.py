"""A running sidecar: the two planes, the admin server and the files, wired together.

The relay and the measuring plane meet in the ring only. This module starts them, looks after
changed files, and takes them down in the order of `drain`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

from inferometer import log
from inferometer.errors import Problem, SpecError, UserError, WorldError
from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import OPENMETRICS, TEXT, wants_openmetrics, write
from inferometer.sidecar.desk import Stages
from inferometer.sidecar.drain import Drain
from inferometer.sidecar.observe import Observer
from inferometer.sidecar.proxy import Relay
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import Ring
from inferometer.sidecar.tls import ClientTls, Files, UpstreamTls
from inferometer.slo import spec
from inferometer.slo.spec import Document
from inferometer.web import server as web

STOP_STEP_S: Final = 0.05
"""How often a stopping sidecar looks whether it may go."""
LOOK_S: Final = 3.0
"""How often files are looked at for changes."""
PROBE_S: Final = 1.0
"""How often the upstream is tried where readiness, or the end of a drain, depends on it."""
FORCED_EXIT: Final = 3
"""Exit code after a second signal: streams may have been cut."""

_log = logging.getLogger(__name__)


def load_documents(paths: Iterable[Path]) -> tuple[Document, ...]:
    """Return the SLO documents, or raise SpecError with all that is wrong with them."""
    documents = spec.load(tuple(paths))
    problems: list[Problem] = spec.unsupported(documents)
    if problems:
        raise SpecError(problems)
    return documents


class Origin(NamedTuple):
    """Where settings come from: how to resolve them anew, and the files whose change asks for it.

    `reread` raises UserError.
    """

    reread: Callable[[], Settings]
    files: tuple[Path, ...] = ()


class Service:
    """One sidecar."""

    def __init__(
        self,
        settings: Settings,
        documents: tuple[Document, ...],
        *,
        origin: Origin,
        stages: Callable[[Registry, Settings], Stages],
        logs_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        """Build everything that needs no event loop. Raises UserError for files that are wrong.

        `logs_dropped` tells how many log lines standard error did not take.
        """
        self.settings = settings
        self.ready = False
        self._documents = documents
        self._origin = origin
        self._logs_dropped = logs_dropped
        self._client_tls = _client_tls(settings)
        self._upstream_tls = _upstream_tls(settings)
        self._edges = spec.edges(documents)
        self.registry = Registry(
            series_max=settings.series_max,
            extra_edges=self._edges,
            on_error=lambda name, error: _log.warning(
                "metric could not be read", extra={"metric": name, "error": type(error).__name__}
            ),
        )
        self.ring = Ring()
        self.stages = stages(self.registry, settings)
        self.observer = Observer(
            self.ring,
            self.registry,
            self.stages,
            stall_s=settings.stall_s,
            interval_s=settings.measure_interval_s,
        )
        self.observer.desk.bench.replace(documents)
        self._stamps = self._look()
        self._relay: Relay | None = None
        self._drain = Drain(delay_s=settings.drain_delay_s, timeout_s=settings.drain_timeout_s)
        self._stopping = asyncio.Event()
        self._asked = asyncio.Event()
        self._reload_ok: dict[str, float] = {}

    # -- running ---------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until a signal, drain, and return the exit code. Raises WorldError."""
        loop = asyncio.get_running_loop()
        relay = self._relay = Relay(self.settings, self.ring, server_tls=self._upstream_context)
        self._register_callbacks(relay)
        admin = self._admin()
        admin.start()
        self.observer.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        loop.set_exception_handler(lambda _, context: self._unexpected(relay, context))
        try:
            context = self._client_tls.context if self._client_tls else None
            port = await relay.start(context)
        except OSError as error:
            admin.stop()
            raise _cannot_listen(self.settings, error) from None
        self.ready = True
        _log.info(
            "sidecar is listening",
            extra={
                "listen": str(self.settings.listen),
                "port": port,
                "upstream": str(self.settings.upstream),
                "admin": str(self.settings.admin),
                "admin_port": admin.port,
            },
        )
        looking = loop.create_task(self._look_after_files(relay))
        probing = loop.create_task(self._probe(relay))
        await self._stopping.wait()
        await self._drain_out(relay)
        for task in (looking, probing):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        relay.close()
        self.observer.stop()
        admin.stop()
        return 0

    def _unexpected(self, relay: Relay, context: Mapping[str, object]) -> None:
        """Count what no seam caught; the loop serves on."""
        relay.books.internal_errors += 1
        kind = type(context.get("exception")).__name__
        log.once(_log, kind, "the serving loop caught an error", kind=kind)

    def _signalled(self) -> None:
        if self._drain.ask(asyncio.get_running_loop().time()):
            os._exit(FORCED_EXIT)
        if self._stopping.is_set():
            return
        _log.info("draining")
        self.ready = False
        if self._relay is not None:
            self._relay.books.draining = True
        self._stopping.set()

    async def _drain_out(self, relay: Relay) -> None:
        listening = True
        cut = False
        while True:
            now_s = relay.books.now_s()
            gone = relay.pool.up is False
            phase = self._drain.step(now_s, busy=relay.busy, upstream_gone=gone)
            if phase != "not_ready" and listening:
                relay.stop_listening()
                listening = False
            if phase in ("draining", "gone"):
                relay.close_idle()
            if phase == "cutting" and not cut:
                cut = True
                _log.warning("streams were cut", extra={"streams": relay.cut()})
            if phase == "gone":
                return
            await asyncio.sleep(STOP_STEP_S)

    async def _probe(self, relay: Relay) -> None:
        """Try the upstream where somebody has to know whether it is there."""
        while True:
            if self.settings.readiness == "upstream" or self._drain.phase == "not_ready":
                with contextlib.suppress(OSError, TimeoutError):
                    connection = await relay.pool.connect()
                    connection.abort()
            await asyncio.sleep(PROBE_S)

    # -- admin -----------------------------------------------------------------------------------

    def _admin(self) -> web.Server:
        admin = self.settings.admin
        server = web.Server(
            (admin.host, admin.port),
            {
                "/metrics": self._metrics,
                "/healthz": lambda _: _text(200, "ok"),
                "/readyz": lambda _: self._readiness(),
            },
            web_config=self.settings.web_config,
        )
        for name, read in server.metrics().items():
            self.registry.callback(name, read)
        return server

    def _metrics(self, request: web.Request) -> web.Response:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        content_type = OPENMETRICS if openmetrics else TEXT
        return web.Response(200, content_type, write(self.registry, openmetrics=openmetrics))

    def _readiness(self) -> web.Response:
        up = self._relay is not None and self._relay.pool.up
        if not self.ready:
            return _text(503, "draining" if self._stopping.is_set() else "starting")
        if self.settings.readiness == "upstream" and not up:
            return _text(503, "the upstream cannot be connected")
        return _text(200, "ready")

    def _register_callbacks(self, relay: Relay) -> None:
        registry, ring, observer = self.registry, self.ring, self.observer

        def number(name: str, read: Callable[[], float]) -> None:
            registry.callback(name, lambda: [((), float(read()))])

        def by_label(name: str, read: Callable[[], Mapping[str, float]]) -> None:
            registry.callback(name, lambda: [((k,), float(v)) for k, v in dict(read()).items()])

        registry.gauge("inferometer_sidecar_info", _version(), "none", "unknown").set(1)
        number("inferometer_sidecar_ring_fill_ratio", lambda: ring.fill_ratio)
        number("inferometer_sidecar_ring_capacity", lambda: ring.entries_max)
        number("inferometer_sidecar_draining", lambda: relay.books.draining)
        number("inferometer_sidecar_series", lambda: registry.series)
        by_label(
            "inferometer_sidecar_connections",
            lambda: {"client": len(relay.clients), "upstream": relay.pool.connections},
        )
        by_label("inferometer_sidecar_refused_total", lambda: relay.books.refused)
        registry.callback(
            "inferometer_sidecar_injected_total",
            lambda: [(labels, float(n)) for labels, n in dict(relay.books.injected).items()],
        )
        by_label(
            "inferometer_sidecar_dropped_total",
            lambda: {
                "events": ring.dropped,
                "requests": ring.unobserved,
                "logs": self._logs_dropped(),
            },
        )
        by_label(
            "inferometer_sidecar_internal_errors_total",
            lambda: {**observer.desk.internal_errors, "relay": relay.books.internal_errors},
        )
        by_label(
            "inferometer_sidecar_label_overflow_total",
            lambda: {"model": self.stages.names.overflow, "series": registry.overflow},
        )
        by_label("inferometer_sidecar_reload_ok", lambda: self._reload_ok)
        registry.callback(
            "inferometer_sidecar_upstream_up",
            lambda: [] if relay.pool.up is None else [((), float(relay.pool.up))],
        )

    # -- reloading -------------------------------------------------------------------------------

    def _upstream_context(self) -> ssl.SSLContext | None:
        return self._upstream_tls() if self._upstream_tls is not None else None

    def _look(self) -> dict[Path, object]:
        paths = (*self._origin.files, *self.settings.slo)
        return {path: Files(path, None, None).stamp() for path in paths}

    async def _look_after_files(self, relay: Relay) -> None:
        """Reload where a signal asked for it or a file changed, one reload after the other."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), LOOK_S)
            try:
                if self._asked.is_set() or self._look() != self._stamps:
                    self._asked.clear()
                    await self.reload()
                self._refresh_certificates()
            except Exception as error:  # noqa: BLE001  (the next change is looked at all the same)
                self._unexpected(relay, {"exception": error})

    def _refresh_certificates(self) -> None:
        for side in (self._client_tls, self._upstream_tls):
            worked = side.refresh() if side is not None else None
            if worked is not None:
                self._count_reload("certificates", worked=worked)

    async def reload(self) -> None:
        """Take changed settings and documents over; what is wrong stays as it was.

        Files are read and understood on a thread, so that none of them holds up a stream.
        """
        before = self._stamps = self._look()
        try:
            self.settings = await asyncio.to_thread(self._origin.reread)
        except UserError as error:
            self._reload_failed("settings", error)
            return
        logging.getLogger("inferometer").setLevel(self.settings.log_level.upper())
        self._count_reload("settings", worked=True)
        # They may name other documents now; what changed since it was read is read once more.
        self._stamps = {path: before.get(path, stamp) for path, stamp in self._look().items()}
        try:
            documents, edges = await asyncio.to_thread(_documents, self.settings.slo)
            self.observer.desk.bench.replace(documents)
        except UserError as error:
            self._reload_failed("slo", error)
            return
        pending = float(dict(edges) != dict(self._edges))
        self.registry.gauge("inferometer_slo_edges_pending").set(pending)
        self._count_reload("slo", worked=True)

    def _reload_failed(self, what: str, error: UserError) -> None:
        for problem in error.problems:
            _log.error("reload refused, the old state stays", extra={"problem": str(problem)})
        self._count_reload(what, worked=False)

    def _count_reload(self, what: str, *, worked: bool) -> None:
        outcome = "ok" if worked else "failed"
        self.registry.counter("inferometer_sidecar_reloads_total", what, outcome).add()
        self._reload_ok[what] = float(worked)


def _documents(
    paths: Iterable[Path],
) -> tuple[tuple[Document, ...], Mapping[str, Sequence[float]]]:
    documents = load_documents(paths)
    return documents, spec.edges(documents)


def _version() -> str:
    try:
        return version("inferometer")
    except PackageNotFoundError:
        return "unknown"


def _text(status: int, words: str) -> web.Response:
    return web.Response(status, "text/plain; charset=utf-8", f"{words}\n".encode())


def _client_tls(settings: Settings) -> ClientTls | None:
    if settings.tls_cert is None:
        return None
    return ClientTls(Files(settings.tls_cert, settings.tls_key, settings.tls_client_ca))


def _upstream_tls(settings: Settings) -> UpstreamTls | None:
    if not settings.upstream.tls:
        return None
    return UpstreamTls(Files(settings.upstream_cert, None, settings.upstream_ca))


def _cannot_listen(settings: Settings, error: OSError) -> WorldError:
    address, words = str(settings.listen), (error.strerror or str(error)).lower()
    message = f"--listen: cannot listen on {address!r}: {words}"
    return WorldError(message, "choose another address")
