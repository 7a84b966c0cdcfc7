"""Rounds: proxies take turns under the same load, and only figures of one round are compared."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BrokenError
from benchmarks.native import STRICT, Load, Options, load, upstream
from benchmarks.numbers import Spread, differences, ratios, spread
from benchmarks.processes import Cores, cpu_s, free_port
from benchmarks.proxies import Proxy, Site, lineup

PAUSE_S = 0.3
"""Between runs, so that closing connections of one do not count in the next."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What was asked for."""

    cores: Cores
    rounds: int = 5
    peers: Sequence[str] = ()
    quick: bool = False

    def seconds(self, long: float) -> int:
        """Return how many milliseconds a run may take: shorter with --quick."""
        return int(1000 * (long / 2 if self.quick else long))


@dataclass(frozen=True, slots=True)
class Run:
    """One proxy in one round."""

    cpu_s: float
    load: Load


@dataclass(frozen=True, slots=True)
class Rounds:
    """All runs under one load."""

    proxies: Sequence[Proxy]
    runs: Mapping[str, Sequence[Run]]
    notes: Sequence[str]

    def cpu_us(self, name: str, unit: str) -> list[float]:
        """Return CPU microseconds per `events` or `finished`, one figure a round."""
        return [1e6 * run.cpu_s / getattr(run.load, unit) for run in self.runs[name]]

    def ratio(self, name: str, unit: str, *, to: str = "nginx") -> Spread | None:
        """Return the CPU of a proxy over that of another, round by round; None without it."""
        if name not in self.runs or to not in self.runs:
            return None
        return spread(ratios(self.cpu_us(name, unit), self.cpu_us(to, unit)))

    def quantile(self, name: str, duration: str, quantile: str) -> list[float | None]:
        """Return a percentile in microseconds, one a round."""
        return [getattr(getattr(run.load, duration), quantile) for run in self.runs[name]]

    def added(self, name: str, duration: str, quantile: str) -> Spread | None:
        """Return a percentile minus that of the direct way in the same round, in microseconds."""
        if name not in self.runs:
            return None
        return spread(
            differences(
                self.quantile(name, duration, quantile),
                self.quantile("direct", duration, quantile),
            )
        )

    def wrong(self, name: str) -> str:
        """Say what this proxy did to requests and bytes over all rounds."""
        loads = [run.load for run in self.runs[name]]
        errors = sum(one.errors for one in loads)
        altered = sum(one.sums_wrong + one.bodies_differ for one in loads)
        absent = sum(one.sums_absent for one in loads)
        return f"{errors} / {'re-framed' if absent else altered}"


@contextmanager
def site(bench: Bench, *sidecar_options: str) -> Iterator[Site]:
    """Give a free port for the scripted server and a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Site(bench.cores, free_port(), Path(folder), sidecar_options)


def interleave(
    place: Site,
    names: Sequence[str],
    *,
    rounds: int,
    serve: Mapping[str, int],
    ask: Options,
) -> Rounds:
    """Run the load against each proxy in turn, `rounds` times, after a short warm-up."""
    with upstream(place.cores, place.upstream, **serve), lineup(place, names) as (started, missing):
        proxies = [proxy for proxy in started if _warm(place, proxy, ask, missing)]
        runs: dict[str, list[Run]] = {proxy.name: [] for proxy in proxies}
        for number in range(rounds):
            turn = number % len(proxies)
            for proxy in (*proxies[turn:], *proxies[:turn]):
                runs[proxy.name].append(measure(place, proxy, ask))
        return Rounds(proxies, runs, missing)


def _warm(place: Site, proxy: Proxy, ask: Options, missing: list[str]) -> bool:
    """Run a short load; a peer that cannot take it is named and left out."""
    short = {**ask, "duration_ms": 300, "tokens": 20, "ramp_ms": 0}
    try:
        answered = load(place.cores, proxy.port, **short).finished > 0
    except BrokenError:
        answered = False
    if not answered and proxy.name not in STRICT:
        missing.append(f"{proxy.version} is left out: it answered none of these requests")
        return False
    return True


def measure(place: Site, proxy: Proxy, ask: Options) -> Run:
    """Run the load once against one proxy."""
    before = cpu_s(proxy.pid) if proxy.pid else 0.0
    seen = load(place.cores, proxy.port, **ask)
    after = cpu_s(proxy.pid) if proxy.pid else 0.0
    if proxy.name in STRICT:
        seen.check(proxy.name)
    time.sleep(PAUSE_S)
    return Run(after - before, seen)
