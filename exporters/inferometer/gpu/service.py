"""A running exporter: supervisors, pod map, pages, admin port and files, wired together.

Children are started before any thread. Signals only leave a note; the main thread does what they
ask for, looks at what ends the exporter, and takes everything down within two seconds, whatever a
driver does.
"""

import contextlib
import logging
import queue
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from inferometer.gpu.backend import Options
from inferometer.gpu.orders import Pace
from inferometer.gpu.otlp.push import Destination, Push
from inferometer.gpu.page import front
from inferometer.gpu.page.collector import Collector, Sources
from inferometer.gpu.page.holding import Method
from inferometer.gpu.page.plan import Look
from inferometer.gpu.page.selfmetrics import Books, Process, WebMetrics
from inferometer.gpu.pods.cgroups import Cgroups
from inferometer.gpu.pods.podmap import PodMap
from inferometer.gpu.reload import Files, Watched
from inferometer.gpu.sample import BackendView, DeviceView
from inferometer.gpu.settings import AUTO, Settings
from inferometer.gpu.supervision.spawn import ChildCommand
from inferometer.gpu.supervision.supervise import Limits, Supervisor
from inferometer.web.server import Server

LOOK_S: Final = 0.25
REQUIRED_WITHIN_S: Final = 300.0
"""How long `--require-gpu` waits for a backend to run."""
PAGE_AGE_S: Final = 15.0
"""A page that old, or ten ticks if that is longer, means that our renderer hangs."""
STOP_KILL_S: Final = 1.1
"""How long a child has to end the call in hand."""
STOP_S: Final = 1.4
"""How long the end of a child is waited for, which leaves time for the rest of the two seconds."""
MAP_FILE_S: Final = 1.0
"""How often the file with the map of pods is looked at; it is read when it has changed."""
SIGNALS_MAX: Final = 64
"""Signals that wait to be obeyed; more of them say nothing new. Those that end are never lost."""
LOST: Final = 3
"""Exit code where only a new process, or a new container, can see the driver."""

_ENDS: Final = (signal.SIGTERM, signal.SIGINT)
_ORDERS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_log: Final = logging.getLogger(__name__)


class Origin(NamedTuple):
    """Where settings come from: how to resolve them anew, their file, and the folder of jobs.

    `reread` raises UserError.
    """

    reread: Callable[[], tuple[Settings, Look]]
    files: tuple[Path, ...] = ()
    jobs: Path | None = None


def options(settings: Settings, *, processes: bool) -> Options:
    """Return what backends are told."""
    return Options(
        nvml_library=settings.nvml_library,
        scenario=settings.scenario,
        dcgm_address=settings.dcgm_address,
        dcgm_bindings=settings.dcgm_bindings,
        tpu_addresses=settings.tpu_addresses,
        processes=processes,
        graphics_processes=settings.graphics_processes,
    )


def wanted(backends: Sequence[str]) -> tuple[str, ...]:
    """Return the backends to start, each once."""
    words = (one for word in backends for one in (AUTO if word == "auto" else (word,)))
    return tuple(dict.fromkeys(words))


def commands(settings: Settings, *, processes: bool) -> tuple[ChildCommand, ...]:
    """Return what the child of each backend is to do."""
    pace = Pace(tick_s=settings.tick_s, slow_s=max(settings.slow_s, settings.tick_s))
    told = options(settings, processes=processes)
    return tuple(
        ChildCommand(
            backend=name,
            options=told,
            pace=pace,
            kernel_log=settings.kernel_log if name == "nvml" else None,
        )
        for name in wanted(settings.backend)
    )


def supervisors(settings: Settings, *, processes: bool) -> tuple[Supervisor, ...]:
    """Return a supervisor for each backend, not started."""
    limits = Limits(stop_kill_s=STOP_KILL_S, stop_s=STOP_S)
    return tuple(
        Supervisor(command, limits=limits) for command in commands(settings, processes=processes)
    )


class Kept(Protocol):
    """A backend's supervisor."""

    @property
    def wants_exit(self) -> str | None:
        """Why the process has to end."""
        ...

    @property
    def ever_ran(self) -> bool:
        """Whether the backend has ever run."""
        ...

    @property
    def internal_errors(self) -> int:
        """How many faults of ours it caught."""
        ...

    def backend(self) -> BackendView:
        """Return how the backend is."""
        ...

    def views(self) -> Sequence[DeviceView]:
        """Return what is known of each device."""
        ...

    def start(self) -> None:
        """Start its child."""
        ...

    def release(self) -> None:
        """Let go of the driver."""
        ...

    def resume(self) -> None:
        """Take hold of it again."""
        ...

    def begin_stop(self) -> None:
        """Begin to end it."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


class Start(NamedTuple):
    """What an exporter starts with, besides its settings."""

    look: Look
    supervisors: Sequence[Kept]
    version: str
    processes: bool = False
    """Whether our process sees those of the host."""


def reason_to_end(supervisors: Sequence[Kept], *, required: bool, waited_s: float) -> str | None:
    """Return why only a new process can help, None while this one can."""
    for supervisor in supervisors:
        if supervisor.wants_exit is not None:
            return supervisor.wants_exit
    late = required and waited_s >= REQUIRED_WITHIN_S
    if late and not any(one.ever_ran for one in supervisors):
        return "no backend has run within five minutes, and --require-gpu is given"
    return None


def needless(supervisors: Sequence[Kept], chosen: Sequence[str]) -> list[Kept]:
    """Return those that `auto` tried in vain: once one of them runs, nobody misses the others."""
    tried = [one for one in supervisors if one.backend().name not in chosen]
    if not any(one.ever_ran for one in tried):
        return []
    return [one for one in tried if not one.ever_ran and one.backend().state == "absent"]


class Service:
    """One exporter."""

    def __init__(self, settings: Settings, begin: Start, *, origin: Origin) -> None:
        """Prepare everything; nothing is started. Raises UserError for files that are wrong."""
        look, processes = begin.look, begin.processes
        self._settings = settings
        self._version = begin.version
        self._supervisors = begin.supervisors
        self._given_up: list[Kept] = []
        self._books = Books(begin.version)
        self._pod_map = _pod_map(settings)
        self._noted: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._origin = origin
        self._files = Files(
            Watched(self._reload, _files(settings, origin), origin.jobs), self._books
        )
        sources = Sources(
            self._supervisors,
            pods=self._pod_map.snapshot if self._pod_map else None,
            jobs=lambda: self._files.jobs,
            web=self._web_metrics,
            process=Process(),
        )
        method = Method(
            cgroups=Cgroups(settings.proc_root) if processes else None, floor=settings.idle_power
        )
        self._collector = Collector(sources, look, books=self._books, method=method)
        age_s_max = max(PAGE_AGE_S, 10 * settings.tick_s)
        self._web = Server(
            (settings.listen.host, settings.listen.port),
            {
                "/": front.index(begin.version, self._backends, self._views),
                "/metrics": self._collector.answer,
                "/healthz": front.health(self._collector.age_s, age_s_max),
                "/readyz": front.readiness(self._backends),
            },
            web_config=settings.web_config,
        )
        self._orders: Mapping[int, Callable[[], None]] = {
            signal.SIGHUP: self._files.ask,
            signal.SIGUSR1: self._release,
            signal.SIGUSR2: self._resume,
        }
        self._push: Push | None = None
        self._host = look.fixed.hostname
        self._unknown: frozenset[str] = frozenset()
        self._warn(look)

    def run(self) -> int:
        """Serve until a signal says stop. Returns the exit code; raises WorldError."""
        with _signals(self._note, _ENDS + _ORDERS):
            began_s = time.monotonic()
            for supervisor in self._supervisors:
                supervisor.start()
            try:
                self._collector.render()
                self._web.start()
                self._collector.start(self._settings.tick_s)
                self._files.start()
                if self._pod_map is not None:
                    self._pod_map.start()
                self._begin_push()
                _log.info("serving", extra={"port": self._web.port})
                return self._wait(began_s)
            finally:
                self._stop()

    def _note(self, number: int) -> None:
        """Note a signal. Nothing here takes a lock, which the interrupted thread may hold."""
        if number in _ENDS or self._noted.qsize() < SIGNALS_MAX:
            self._noted.put(number)

    def _release(self) -> None:
        for supervisor in self._supervisors:
            supervisor.release()

    def _resume(self) -> None:
        for supervisor in self._supervisors:
            supervisor.resume()

    def _wait(self, began_s: float) -> int:
        while True:
            with contextlib.suppress(queue.Empty):
                number = self._noted.get(timeout=LOOK_S)
                if number in _ENDS:
                    return 0
                self._orders[number]()
                continue
            waited_s = time.monotonic() - began_s
            required = self._settings.require_gpu
            reason = reason_to_end(self._supervisors, required=required, waited_s=waited_s)
            if reason is not None:
                _log.error("the exporter ends: only a new one can help", extra={"reason": reason})
                return LOST
            for supervisor in needless(self._supervisors, self._settings.backend):
                if supervisor not in self._given_up:
                    self._given_up.append(supervisor)
                    supervisor.stop()

    def _begin_push(self) -> None:
        if self._settings.otlp_endpoint:
            where = Destination(
                self._settings.otlp_endpoint,
                self._settings.otlp_period_s,
                self._version,
                self._host,
            )
            self._push = Push(where, self._views)

    def _stop(self) -> None:
        """End everything; children first, since they take longest."""
        for supervisor in self._supervisors:
            supervisor.begin_stop()
        if self._pod_map is not None:
            self._pod_map.begin_stop()
        self._files.stop()
        self._collector.stop()
        if self._push is not None:
            self._push.stop()
        for supervisor in self._supervisors:
            supervisor.stop()
        if self._pod_map is not None:
            self._pod_map.stop()
        self._web.stop()

    def _web_metrics(self) -> WebMetrics:
        return self._web.metrics()

    def _views(self) -> list[DeviceView]:
        return [view for one in self._supervisors for view in one.views()]

    def _backends(self) -> list[BackendView]:
        return [one.backend() for one in self._supervisors]

    def _warn(self, look: Look) -> None:
        """Log the fields that were asked for anew and that nobody here knows."""
        for name in look.fields.unknown:
            if name not in self._unknown:
                _log.warning("a field is not known here and is left out", extra={"field": name})
        self._unknown = frozenset(look.fields.unknown)

    def _reload(self) -> Sequence[Path]:
        """Take changed settings over; returns the files to watch. Raises UserError."""
        settings, look = self._origin.reread()
        self._collector.show(look)
        self._warn(look)
        logging.getLogger("inferometer").setLevel(settings.log_level.upper())
        return _files(settings, self._origin)


def _files(settings: Settings, origin: Origin) -> tuple[Path, ...]:
    return (*origin.files, *filter(None, (settings.fields,)))


def _pod_map(settings: Settings) -> PodMap | None:
    if settings.podmap is not None:
        from inferometer.gpu.pods.mapfile import MapFile

        return PodMap(MapFile(settings.podmap), period_s=MAP_FILE_S)
    if settings.kubelet_socket is not None:
        from inferometer.gpu.pods.podmap import Places, direct

        places = Places(kubelet_socket=settings.kubelet_socket, log_root=settings.log_root)
        return PodMap(direct(places))
    return None


@contextlib.contextmanager
def _signals(note: Callable[[int], None], numbers: Sequence[signal.Signals]) -> Iterator[None]:
    before = {number: signal.signal(number, lambda number, _: note(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
