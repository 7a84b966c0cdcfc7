"""Writing a large exposition: all of it, and the longest slice that other threads wait for."""

import os
import time
from collections.abc import Iterator

from benchmarks.numbers import show, spread
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench
from inferometer.metrics.build import Registry
from inferometer.metrics.catalog import METRICS
from inferometer.metrics.exposition import write
from inferometer.metrics.metric import Metric

MODELS = 100
LINES_PER_MODEL = 160
TIMES = 30
FIRST = "gen_ai_server_time_to_first_token_seconds"


def measure(bench: Bench) -> list[Section]:
    """Fill a registry to 16,000 lines and write it."""
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {bench.cores.proxy})
    try:
        registry = _filled()
        rows, targets = [], []
        for openmetrics in (False, True):
            whole, slices, size, lines = _write(registry, openmetrics=openmetrics)
            name = "OpenMetrics" if openmetrics else "text 0.0.4"
            rows.append(
                (name, f"{lines:,}", f"{size / 1e6:.2f}", show(spread(whole)), show(spread(slices)))
            )
            found = spread(whole)
            assert found is not None
            figure = f"exposition of {lines:,} lines, {name}"
            targets.append(Target(figure, found.median, "ms", gate=50, goal=10))
    finally:
        os.sched_setaffinity(0, affinity)
    return [
        Section(
            title="Exposition",
            about=f"{MODELS} models, written {TIMES} times from a registry in which every cell has "
            "been touched since the last time.",
            columns=("format", "lines", "MB", "all of it, ms", "longest slice, ms"),
            rows=rows,
            targets=targets,
        )
    ]


def _filled() -> Registry:
    """Return a registry with the request metrics of a hundred models, 160 lines each."""
    registry = Registry(series_max=20_000)
    for number in range(MODELS):
        lines = 0
        for metric in METRICS.values():
            if "model" in metric.labels and lines < LINES_PER_MODEL:
                lines += _touch(registry, metric, f"model-{number:03d}")
    return registry


def _touch(registry: Registry, metric: Metric, model: str) -> int:
    """Add one child of a metric for a model; return its lines."""
    values = tuple(
        model if domain.name == "model" else domain.values[0] for domain in metric.domains
    )
    if metric.ladder is not None:
        registry.histogram(metric.name, *values).add(0.0123, n=7)
        return len(metric.ladder.edges) + 3
    if metric.kind == "counter":
        registry.counter(metric.name, *values).add(3)
    else:
        registry.gauge(metric.name, *values).set(2)
    return 1


def _write(registry: Registry, *, openmetrics: bool) -> tuple[list[float], list[float], int, int]:
    """Return milliseconds of each writing and of its longest slice, bytes and lines."""
    whole, longest, text = [], [], b""
    for _ in range(TIMES):
        _touch_all(registry)
        start = time.perf_counter()
        slices = list(_timed(write(registry, openmetrics=openmetrics)))
        whole.append(1000 * (time.perf_counter() - start))
        longest.append(1000 * max(seconds for seconds, _ in slices))
        text = b"".join(part for _, part in slices)
    return whole, longest, len(text), text.count(b"\n")


def _touch_all(registry: Registry) -> None:
    for number in range(MODELS):
        _touch(registry, METRICS[FIRST], f"model-{number:03d}")


def _timed(parts: Iterator[bytes]) -> Iterator[tuple[float, bytes]]:
    start = time.perf_counter()
    for part in parts:
        yield time.perf_counter() - start, part
        start = time.perf_counter()
