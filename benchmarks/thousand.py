"""A thousand streams at once: errors, memory over idle, cores."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.native import load, upstream
from benchmarks.numbers import middle, show, spread
from benchmarks.processes import cpu_s, rss_bytes
from benchmarks.proxies import Proxy, Site, lineup
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, site

STREAMS = 1000
INTERVAL_US = 50_000
TOKENS = 100
SAMPLE_S = 0.1


class _Highest:
    """The highest value seen so far."""

    def __init__(self) -> None:
        self.value = 0

    def see(self, value: int) -> None:
        """Keep the value if it is the highest."""
        self.value = max(self.value, value)


@contextmanager
def _watching(pid: int) -> Iterator[_Highest]:
    """Look at the memory of a process tree ten times a second while the block runs."""
    highest, over = _Highest(), threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_S):
            highest.see(rss_bytes(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()


def measure(bench: Bench) -> list[Section]:
    """Open a thousand streams over two seconds and keep them for a few."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    names: dict[str, str] = {}
    rounds = 1 if bench.quick else 2
    with site(bench) as place, upstream(place.cores, place.upstream, interval_us=INTERVAL_US):
        for _ in range(rounds):
            # Freshly started each time: memory of an earlier round would hide what this one takes.
            with lineup(place, ["nginx", "ours"]) as (proxies, missing):
                for proxy in proxies[1:]:
                    found.setdefault(proxy.name, []).append(_one(place, proxy, bench))
                    names[proxy.name] = proxy.version
    rows = [
        (
            names[name],
            str(sum(errors for errors, _, _ in runs)),
            show(spread(grown for _, grown, _ in runs), 1),
            show(spread(cores for _, _, cores in runs)),
        )
        for name, runs in found.items()
    ]
    return [
        Section(
            title=f"{STREAMS} streams x {INTERVAL_US // 1000} ms",
            about=f"{STREAMS} streams of {TOKENS} tokens each. Memory is the highest resident "
            "size during the load less that of the idle proxy, after one request.",
            columns=("proxy", "errors", "memory over idle, MB", "cores"),
            rows=rows,
            targets=_targets(found.get("ours", [])),
            notes=missing,
        )
    ]


def _one(place: Site, proxy: Proxy, bench: Bench) -> tuple[int, float, float]:
    """Return errors, megabytes over idle and cores of one run against one proxy."""
    assert proxy.pid is not None
    load(place.cores, proxy.port, requests=1, tokens=2)
    idle, before = rss_bytes(proxy.pid), cpu_s(proxy.pid)
    with _watching(proxy.pid) as highest:
        seen = load(
            place.cores,
            proxy.port,
            concurrency=STREAMS,
            tokens=TOKENS,
            ramp_ms=2000,
            duration_ms=bench.seconds(5),
        )
    cores = (cpu_s(proxy.pid) - before) / seen.wall_s
    return seen.errors + seen.sums_wrong, (highest.value - idle) / 1e6, cores


def _targets(ours: list[tuple[int, float, float]]) -> list[Target]:
    def worst(index: int) -> float | None:
        return max((run[index] for run in ours), default=None)

    load_name = f"{STREAMS} streams x {INTERVAL_US // 1000} ms"
    return [
        Target(f"errors, {load_name}", worst(0), gate=0, goal=0, digits=0),
        Target(f"memory over idle, {load_name}", worst(1), "MB", gate=40, goal=20, digits=1),
        Target(f"cores, {load_name}", middle(spread(run[2] for run in ours)), gate=0.8, goal=0.5),
    ]
