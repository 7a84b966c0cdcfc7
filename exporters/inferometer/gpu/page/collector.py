"""Makes a page once per tick and hands it to whoever asks: a scrape waits for nothing.

One thread reads what the backends' supervisors hold, splits what was added since the page before,
and writes the page. A scrape sends the bytes that are there; the first one that wants gzip makes
that copy for all that follow. What a page cannot be made of is counted, and the last page stays:
`/healthz` fails once it is too old.
"""

import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from inferometer import log
from inferometer.gpu.hpc import Jobs
from inferometer.gpu.page import selfmetrics
from inferometer.gpu.page.draw import draw_devices, draw_status, draw_values, unsupported
from inferometer.gpu.page.families import IMPORTANCE, PREFIX
from inferometer.gpu.page.holding import (
    Method,
    ProcessLoad,
    Shares,
    draw_jobs,
    owners_of,
)
from inferometer.gpu.page.names import Named
from inferometer.gpu.page.page import Head, Page, Templates, catalogued, pair
from inferometer.gpu.page.plan import Look, Plan, Subject, make
from inferometer.gpu.page.selfmetrics import Books, PodMapView, WebMetrics
from inferometer.gpu.pods.holders import Snapshot
from inferometer.gpu.sample import BackendView, DeviceView, Instance
from inferometer.metrics.devices import DEVICES
from inferometer.metrics.exporter import EXPORTER
from inferometer.metrics.exposition import TEXT
from inferometer.metrics.programs import PROCESS, WEB
from inferometer.web.heads import accepts_gzip
from inferometer.web.server import Request, Response

PIECE_BYTES: Final = 1 << 20
"""Sent at once: copying it to the kernel takes a fraction of a millisecond."""
GZIP_LEVEL: Final = 1
FORGET_S: Final = 600.0
"""How long what is kept of a device outlives its last appearance."""
STOP_WAIT_S: Final = 0.5

_log: Final = logging.getLogger(__name__)


class Supervised(Protocol):
    """A backend's supervisor."""

    @property
    def internal_errors(self) -> int:
        """How many faults of ours it caught."""
        ...

    def views(self) -> Sequence[DeviceView]:
        """Return what is known of each device."""
        ...

    def backend(self) -> BackendView:
        """Return how the backend itself is."""
        ...


class Sources(NamedTuple):
    """Where pages come from. All of them answer at once, from memory.

    `pods` is None where nobody asked for a map.
    """

    supervisors: Sequence[Supervised]
    pods: Callable[[], Snapshot] | None = None
    jobs: Callable[[], Jobs] = dict
    web: Callable[[], WebMetrics] = dict
    process: selfmetrics.Process | None = None


class Generation:
    """A page as it is sent. `moment_s` is monotonic."""

    __slots__ = ("_gzip", "moment_s", "text")

    def __init__(self, text: bytes, moment_s: float) -> None:
        """Keep the text; a compressed copy is made when somebody wants one."""
        self.text = text
        self.moment_s = moment_s
        self._gzip: bytes | None = None

    def gzip(self) -> bytes:
        """Return the compressed copy."""
        if self._gzip is None:
            self._gzip = zlib.compress(self.text, GZIP_LEVEL, wbits=31)
        return self._gzip


class _Device:
    """What is kept of a device from page to page."""

    __slots__ = ("load", "plan", "seen_s", "shares", "subject", "unsupported", "unsupported_of")

    def __init__(self, method: Method) -> None:
        self.shares = Shares(method)
        self.load = ProcessLoad()
        self.subject: tuple[object, ...] | None = None
        self.plan: Plan | None = None
        self.unsupported: tuple[str, ...] = ()
        self.unsupported_of: tuple[object, ...] = ()
        self.seen_s = 0.0


class Collector:
    """Makes pages."""

    def __init__(
        self,
        sources: Sources,
        look: Look,
        *,
        books: Books,
        method: Method,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Prepare; there is an empty page until the first is made."""
        self._sources = sources
        self._method = method
        self._books = books
        self._clock_ns = clock_ns
        self._devices: dict[str, _Device] = {}
        self._templates = Templates()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._web_labels = {metric.name: metric.labels for metric in WEB}
        self.show(look)
        self.latest = Generation(b"", clock_ns() / 1e9)

    def show(self, look: Look) -> None:
        """Change what is shown, from the next page on. Any thread may call this."""
        families = look.families
        self._shown = _Shown(look, families, _heads(families))

    def start(self, tick_s: float) -> None:
        """Make a page every `tick_s` seconds in a thread."""
        self._thread = threading.Thread(
            target=self._run, args=(tick_s,), name="render", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)

    def render(self) -> None:
        """Make a page; after a fault of ours the last one stays."""
        began_ns = self._clock_ns()
        try:
            text = self._make(began_ns)
        except Exception as error:  # noqa: BLE001 - the last page stays, and says how old it is
            self._books.errors["render"] += 1
            log.once(_log, type(error).__name__, "a page could not be made")
            return
        ended_ns = self._clock_ns()
        self._books.render.add((ended_ns - began_ns) / 1e9)
        self.latest = Generation(text, ended_ns / 1e9)

    def age_s(self) -> float:
        """Return how old the latest page is."""
        return self._clock_ns() / 1e9 - self.latest.moment_s

    def answer(self, request: Request) -> Response:
        """Return the latest page: text 0.0.4 whatever is asked for, since DCGM's names are that."""
        began_ns = self._clock_ns()
        generation = self.latest
        coding: tuple[tuple[str, str], ...] = ()
        body = generation.text
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            body, coding = generation.gzip(), (("Content-Encoding", "gzip"),)
        headers = (*coding, ("Content-Length", str(len(body))))
        return Response(200, TEXT, self._pieces(body, began_ns), headers)

    def _pieces(self, body: bytes, began_ns: int) -> Iterator[bytes]:
        """Yield the body; it is asked for more only when all that was yielded is written."""
        for at in range(0, len(body), PIECE_BYTES):
            yield body[at : at + PIECE_BYTES]
        self._books.scrape.add((self._clock_ns() - began_ns) / 1e9)

    def _run(self, tick_s: float) -> None:
        """Render in time; a tick that was missed is not made up for."""
        due_s = time.monotonic()
        while not self._stopping.wait(max(0.0, due_s - time.monotonic())):
            self.render()
            due_s = max(due_s + tick_s, time.monotonic())

    def _make(self, now_ns: int) -> bytes:
        shown = self._shown
        page = Page(self._books.dropped, self._templates)
        backends = [one.backend() for one in self._sources.supervisors]
        views = [view for one in self._sources.supervisors for view in one.views()]
        pods, jobs = self._sources.pods, self._sources.jobs()
        snapshot = pods() if pods is not None else None
        around = _Around(snapshot, jobs, now_ns)
        for view in views:
            try:
                self._draw(page, view, shown, _around(view, views, around))
            except Exception as error:  # noqa: BLE001 - the others are shown all the same
                self._books.errors["render"] += 1
                log.once(_log, type(error).__name__, "a device could not be shown")
        self._forget(now_ns / 1e9)
        draw_devices(page, _counts(backends, views))
        for backend in backends:
            selfmetrics.draw_backend(page, backend)
        selfmetrics.draw_implausible(page, views)
        selfmetrics.draw_pod_map(page, _pod_map(snapshot, now_ns / 1e9))
        caught = sum(one.internal_errors for one in self._sources.supervisors)
        self._books.errors["supervisor"] = caught
        selfmetrics.draw_books(page, self._books)
        selfmetrics.draw_web(page, self._sources.web(), self._web_labels)
        if self._sources.process is not None:
            selfmetrics.draw_process(page, self._sources.process)
        return page.text(shown.heads, IMPORTANCE)

    def _draw(self, page: Page, view: DeviceView, shown: "_Shown", around: "_Around") -> None:
        device = self._devices.get(view.identity.uuid)
        if device is None:
            device = self._devices[view.identity.uuid] = _Device(self._method)
        device.seen_s = around.now_ns / 1e9
        plan = _plan(device, view, shown, around)
        draw_status(page, view, plan, shown.look)
        draw_values(page, view, plan, shown.look)
        self._draw_unsupported(page, device, view, shown)
        try:
            if around.snapshot is not None:
                device.shares.take(view, around.snapshot, around.now_ns)
                device.shares.draw(page, plan.own, view)
            if shown.look.fields.extra and view.sample is not None:
                device.load.take(view.sample)
                device.load.draw(page, plan.own, shown.look.fields.extra)
            draw_jobs(page, view, around.jobs)
        except Exception as error:  # noqa: BLE001 - the device is shown without its shares
            self._books.errors["attribution"] += 1
            log.once(_log, type(error).__name__, "shares could not be told")

    def _draw_unsupported(
        self, page: Page, device: _Device, view: DeviceView, shown: "_Shown"
    ) -> None:
        """Draw what the device cannot tell, which changes rarely."""
        assert device.plan is not None
        name = f"{PREFIX}metric_unsupported"
        if not shown.look.shows("metric_unsupported"):
            return
        sample = view.sample
        if sample is not None:
            had = (len(sample.gauges), len(sample.counters), len(sample.totals))
            told = (device.plan, had, dict(view.unsupported), view.events_heard)
            if told != device.unsupported_of:
                found = unsupported(view, shown.look, shown.older)
                labels = [
                    f"{pair('metric', metric)},{pair('reason', reason)}"
                    for metric, reason in found.items()
                ]
                own = device.plan.own
                device.unsupported = tuple(own.prefix(name, label) for label in labels)
                device.unsupported_of = told
        for prefix in device.unsupported:
            page.put(name, prefix, 1)

    def _forget(self, now_s: float) -> None:
        """Let go of devices that have long been gone."""
        gone = [uuid for uuid, one in self._devices.items() if now_s - one.seen_s > FORGET_S]
        for uuid in gone:
            del self._devices[uuid]


class _Shown(NamedTuple):
    """What is shown, with what follows from it."""

    look: Look
    families: tuple[Named, ...]
    heads: dict[str, Head]

    @property
    def older(self) -> dict[str, str]:
        return {one.name: one.family.classic for one in self.families}


class _Around(NamedTuple):
    """What is known besides the device."""

    snapshot: Snapshot | None
    jobs: Jobs
    now_ns: int


def _around(view: DeviceView, views: Sequence[DeviceView], around: _Around) -> _Around:
    """Return what is known of a device; jobs go by index, which by now may be another device's."""
    index = view.identity.index
    if view.sample is None and any(v.sample and v.identity.index == index for v in views):
        return around._replace(jobs={})
    return around


def _plan(device: _Device, view: DeviceView, shown: _Shown, around: _Around) -> Plan:
    """Return the device's plan, made anew where something about it changed."""
    instances: tuple[Instance, ...] = view.sample.instances if view.sample else ()
    owners, parts = owners_of(view, instances, around.snapshot, around.jobs)
    key = (
        view.identity,
        owners,
        tuple((one.uuid, one.gpu_instance, one.profile, one.slices, names) for one, names in parts),
        shown,
    )
    if device.plan is None or key != device.subject:
        device.subject = key
        subject = Subject(view.identity, owners, parts)
        device.plan = make(subject, shown.look, shown.families)
    return device.plan


def _heads(families: Sequence[Named]) -> dict[str, Head]:
    """Return all families that a page can have, in its order."""
    heads = {metric.name: catalogued(metric.name) for metric in DEVICES}
    heads |= {one.name: Head(one.name, one.kind, one.help) for one in families}
    for metric in (*EXPORTER, *WEB, *PROCESS):
        heads[metric.name] = catalogued(metric.name)
    return heads


def _counts(backends: Sequence[BackendView], views: Sequence[DeviceView]) -> dict[str, int | None]:
    def total(counts: Sequence[int | None]) -> int | None:
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    return {
        "pci": total([one.devices_pci for one in backends]),
        "driver": total([one.devices_listed for one in backends]),
        "up": sum(view.state == "ok" for view in views),
    }


def _pod_map(snapshot: Snapshot | None, now_s: float) -> PodMapView | None:
    if snapshot is None:
        return None
    return PodMapView(snapshot.age_s(now_s), snapshot.attributed, snapshot.errors)
