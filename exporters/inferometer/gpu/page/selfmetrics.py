"""What the exporter says of itself: backends and their calls, pages and scrapes, its process.

The process is read from /proc here, not by prometheus_client: that package is a third of the
memory that this program may take.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from inferometer.gpu.child.calls import EDGES_S
from inferometer.gpu.page.families import PREFIX
from inferometer.gpu.page.page import NONE, Dropped, Page, pair
from inferometer.gpu.sample import BackendView, DeviceView
from inferometer.metrics.cells import Histogram
from inferometer.metrics.exporter import BACKEND_STATES, STAGES
from inferometer.metrics.ladders import OVERHEAD

EXPORTER: Final = f"{PREFIX}exporter_"
PROC: Final = Path("/proc")

WebMetrics = Mapping[str, Callable[[], Iterable[tuple[tuple[str, ...], float]]]]


@dataclass(slots=True)
class Books:
    """What the exporter counts. Each number has one writing thread, any may read."""

    version: str
    dropped: Dropped = field(default_factory=Dropped)
    render: Histogram = field(default_factory=lambda: Histogram(OVERHEAD.edges))
    scrape: Histogram = field(default_factory=lambda: Histogram(OVERHEAD.edges))
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    reload_ok: bool = True
    reloaded_s: float | None = None


@dataclass(frozen=True, slots=True)
class PodMapView:
    """How the map from devices to pods is. `age_s` is None before the first one."""

    age_s: float | None = None
    up: bool = False
    errors: Mapping[str, int] = field(default_factory=dict)


def draw_backend(page: Page, backend: BackendView) -> None:
    """Draw a backend and its calls."""
    name = pair("backend", backend.name)
    for state in BACKEND_STATES:
        now = state == backend.state
        labels = f'{name},state="{state}",{pair("reason", backend.reason if now else "")}'
        _one(page, "backend_state", now, labels)
    for call, stats in backend.calls.items():
        labels = f"{name},{pair('call', call)}"
        page.put_histogram(
            f"{EXPORTER}call_seconds", labels, EDGES_S, (stats.buckets, stats.seconds)
        )
        for result, count in stats.results.items():
            _one(page, "calls_total", count, f"{labels},{pair('result', result)}")
    for call, tier in backend.demoted.items():
        _one(page, "call_demoted", 1, f"{name},{pair('call', call)},{pair('tier', tier)}")
    for reason, count in backend.restarts.items():
        _one(page, "child_restarts_total", count, f"{name},{pair('reason', reason)}")
    _one(page, "messages_dropped_total", backend.messages_dropped, name)
    for call, age_s in backend.calls_inflight.items():
        _one(page, "backend_call_inflight_seconds", age_s, f"{name},{pair('call', call)}")


def draw_implausible(page: Page, views: Iterable[DeviceView]) -> None:
    """Draw how many values were refused, of all devices together."""
    sums: dict[str, int] = {}
    for view in views:
        for quantity, count in view.implausible.items():
            sums[quantity] = sums.get(quantity, 0) + count
    for quantity, count in sums.items():
        _one(page, "implausible_values_total", count, pair("metric", quantity))


def draw_books(page: Page, books: Books) -> None:
    """Draw what the exporter counts."""
    _one(page, "build_info", 1, pair("version", books.version))
    for name, histogram in (("render_seconds", books.render), ("scrape_seconds", books.scrape)):
        found = (tuple(histogram.counts), histogram.sum)
        page.put_histogram(f"{EXPORTER}{name}", "", histogram.edges, found)
    _one(page, "series_dropped_total", books.dropped.duplicate, 'reason="duplicate"')
    _one(page, "series_dropped_total", books.dropped.limit, 'reason="limit"')
    _one(page, "config_reload_success", books.reload_ok)
    if books.reloaded_s is not None:
        _one(page, "config_reload_timestamp_seconds", books.reloaded_s)
    for stage, count in books.errors.items():
        _one(page, "internal_errors_total", count, f'stage="{stage}"')


def draw_pod_map(page: Page, pods: PodMapView | None) -> None:
    """Draw how the map from devices to pods is; None where none is asked for."""
    if pods is None:
        return
    _one(page, "pod_map_up", pods.up)
    if pods.age_s is not None:
        _one(page, "pod_map_age_seconds", pods.age_s)
    for reason, count in pods.errors.items():
        _one(page, "pod_map_errors_total", count, pair("reason", reason))


def draw_web(page: Page, metrics: WebMetrics, labels: Mapping[str, tuple[str, ...]]) -> None:
    """Draw what the admin port says of itself; `labels` are names by metric."""
    for name, read in metrics.items():
        for values, number in read():
            pairs = zip(labels[name], values, strict=True)
            text = ",".join(pair(label, value) for label, value in pairs)
            page.put(name, NONE.prefix(name, text), number)


class Process:
    """The process as the operating system sees it; nothing where it does not tell."""

    def __init__(self, proc: Path = PROC) -> None:
        """Read what stays the same."""
        self._self = proc / "self"
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._booted_s = _booted_s(proc)
        self._files_max = _files_max(self._self)

    def read(self) -> dict[str, float]:
        """Return the metrics that can be known at the moment."""
        try:
            stat = (self._self / "stat").read_text(encoding="ascii", errors="replace")
            fields = stat.rpartition(")")[2].split()
            found = {
                "process_cpu_seconds_total": (int(fields[11]) + int(fields[12])) / self._ticks,
                "process_virtual_memory_bytes": float(fields[20]),
                "process_resident_memory_bytes": float(fields[21]) * self._page_bytes,
            }
            if self._booted_s is not None:
                started_s = self._booted_s + int(fields[19]) / self._ticks
                found["process_start_time_seconds"] = started_s
            found["process_open_fds"] = len(os.listdir(self._self / "fd"))  # noqa: PTH208  (it is read every second)
        except (OSError, ValueError, IndexError):
            return {}
        if self._files_max is not None:
            found["process_max_fds"] = self._files_max
        return found


def draw_process(page: Page, process: Process) -> None:
    """Draw the process."""
    for name, value in process.read().items():
        page.put(name, NONE.prefix(name), value)


def _booted_s(proc: Path) -> float | None:
    try:
        lines = (proc / "stat").read_text(encoding="ascii", errors="replace").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _files_max(own: Path) -> float | None:
    try:
        lines = (own / "limits").read_text(encoding="ascii", errors="replace").splitlines()
        found = next(line for line in lines if line.startswith("Max open files"))
        return float(found.split()[3])
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _one(page: Page, name: str, value: float, labels: str = "") -> None:
    full = f"{EXPORTER}{name}"
    page.put(full, f"{full}{{{labels}}} " if labels else f"{full} ", value)
