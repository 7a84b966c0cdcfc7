"""System calls per event, counted by strace in a run of its own: the figure without noise."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import MissingError
from benchmarks.native import STRICT, load, upstream
from benchmarks.processes import tree
from benchmarks.proxies import SLOW, Proxy, Site, lineup
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, site

STREAMS = 32
INTERVAL_US = 20_000
"""strace slows every call: this load it can follow. Under a denser one events would share
wake-ups that they do not share without strace, which flatters."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls per event: all, and by name, most frequent first."""

    total: float
    by_name: tuple[tuple[str, float], ...]


def measure(bench: Bench) -> list[Section]:
    """Count the calls of nginx and ours."""
    with (
        site(bench) as place,
        upstream(place.cores, place.upstream, interval_us=INTERVAL_US),
        lineup(place, ["nginx", "ours", *(peer for peer in bench.peers if peer not in SLOW)]) as (
            proxies,
            missing,
        ),
    ):
        counted = {proxy.name: (proxy, count(place, proxy)) for proxy in proxies if proxy.pid}
    rows = [
        (
            proxy.version,
            f"{calls.total:.2f}",
            ", ".join(f"{name} {number:.2f}" for name, number in calls.by_name[:6]),
        )
        for proxy, calls in counted.values()
    ]
    ours = counted.get("ours")
    return [
        Section(
            title="System calls per event",
            about=f"`strace -c -f` on the running proxy, {STREAMS} streams x {INTERVAL_US // 1000} "
            "ms, the calls of whole requests divided by their events.",
            columns=("proxy", "calls per event", "of them"),
            rows=rows,
            targets=[Target("system calls per event", ours and ours[1].total, gate=3.2, goal=3.0)],
            notes=missing,
        )
    ]


def count(place: Site, proxy: Proxy, *, duration_ms: int = 4000) -> Calls:
    """Attach strace to a proxy, run a load, and return its calls per event."""
    assert proxy.pid is not None
    strace = shutil.which("strace")
    if strace is None:
        message = "strace is not installed"
        raise MissingError(message)
    load(place.cores, proxy.port, concurrency=STREAMS, duration_ms=300, tokens=10)
    output = place.folder / f"{proxy.name}.strace"
    argv = [*place.cores.for_rest, strace, "-c", "-f", "-o", str(output)]
    members = list(tree(proxy.pid))
    targets = [part for pid in members for part in ("-p", str(pid))]
    tracer = subprocess.Popen([*argv, *targets], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait_until_traced(members, tracer)
        seen = load(
            place.cores,
            proxy.port,
            concurrency=STREAMS,
            ramp_ms=1000,
            duration_ms=duration_ms,
        )
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=10)
    if proxy.name in STRICT:
        seen.check(proxy.name)
    return _read(output, seen.events)


def _wait_until_traced(pids: Iterable[int], tracer: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and tracer.poll() is None:
        traced = [
            "TracerPid:\t0\n" not in (thread / "status").read_text()
            for pid in pids
            for thread in Path(f"/proc/{pid}/task").iterdir()
        ]
        if all(traced):
            return
        time.sleep(0.02)
    words = tracer.stderr.read().decode() if tracer.poll() is not None and tracer.stderr else ""
    message = f"strace could not attach: {words.strip()}"
    raise MissingError(message)


def _read(output: Path, events: int) -> Calls:
    """Read strace's table: the fourth column is the count, the last the name of the call."""
    by_name: dict[str, float] = {}
    for line in output.read_text().splitlines():
        cells = line.split()
        if len(cells) >= 5 and cells[3].isdigit() and cells[-1] != "total":
            by_name[cells[-1]] = int(cells[3]) / events
    ordered = sorted(by_name.items(), key=lambda pair: -pair[1])
    return Calls(sum(by_name.values()), tuple(ordered))
