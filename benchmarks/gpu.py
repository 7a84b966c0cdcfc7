"""The GPU exporter over a fake driver of eight H100 whose calls take the time that real ones do.

All of DCGM's families are on, beside our own: more than 100 families for each of 8 devices. Beside
it nvitop-exporter, where it loads, in an environment of its own.
"""

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.errors import BrokenError
from benchmarks.native import CACHE
from benchmarks.processes import Command, alive, cpu_s, free_port, running, tree, wait_for_port
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench

if TYPE_CHECKING:
    from support.fake_nvml import FakeNvml

TESTS: Final = Path(__file__).parents[1] / "tests"
PEER_ENV: Final = CACHE / "gpu-peers"
PEER: Final = "nvitop-exporter"
DEVICES: Final = 8
HUNG: Final = 3
SCRAPES: Final = 100_000
TIMED: Final = 1000
WARM_S: Final = 8.0
MIB: Final = 1 << 20
START_S: Final = 60.0
INSTALL_S: Final = 300.0


class Exporter(NamedTuple):
    """A running exporter and the driver below it."""

    pid: int
    port: int
    fake: "FakeNvml"


class Scrapes(NamedTuple):
    """How long scrapes took at the client, in ms, ascending, and how large a page is."""

    took_ms: list[float]
    size: int

    def quantile(self, share: float) -> float:
        """Return a quantile."""
        return self.took_ms[min(int(share * len(self.took_ms)), len(self.took_ms) - 1)]


class Cost(NamedTuple):
    """What a process tree costs: MiB resident, all processes together, and % of a core."""

    rss_mib: float
    processes: int
    cpu_percent: float


def measure(bench: Bench) -> list[Section]:
    """Measure ours, then the peer; last what a hung driver does to ours."""
    scrapes = SCRAPES // 20 if bench.quick else SCRAPES
    with _folder() as folder:
        with _ours(folder) as ours:
            time.sleep(WARM_S)
            before = _histogram(_fetch(ours.port))
            timed = _scrape(ours.port, TIMED)
            time.sleep(2)  # until a page tells of them
            server_ms = _quantile_ms(before, _histogram(_fetch(ours.port)), 0.99)
            page = _fetch(ours.port).decode()
            cost = _cost(ours.pid, bench.seconds(60) / 1000)
            slope_mib = _slope_mib(ours, scrapes)
        peer = _peer(folder, bench)
        hang = _hang(folder)
    rows = [_row("ours, 8 GPUs", timed, cost, page)]
    if peer is not None:
        rows.append(_row(PEER, *peer))
    about = (
        f"{DEVICES} fake H100 whose calls take as long as real ones; {_series(page)} series of "
        f"{_families(page)} families. {TIMED} scrapes in a row; CPU at a tick of 1 s with a scrape "
        "every 5 s; resident memory of all processes together."
    )
    hung = (
        f"`/metrics` while a device hangs: {hang.scrape_s * 1000:.1f} ms at most, the other seven "
        f"at most {hang.age_s:.1f} s old, {hang.missed:.0f} ticks lost."
    )
    notes = [hung, "Memory that processes share (libpython) counts for each of them."]
    if peer is None:
        notes.append(f"{PEER} could not be installed or did not start.")
    targets = [
        Target("GPU scrape, server side, p99", server_ms, "ms", goal=5.0),
        Target("GPU exporter, resident, both processes", cost.rss_mib, "MiB", goal=64.0, digits=1),
        Target("GPU exporter, CPU at 1 s", cost.cpu_percent, "% of a core", goal=2.0),
        Target(f"RSS over {scrapes} scrapes", slope_mib, "MiB", goal=1.0),
        Target("`/metrics` with a hung GPU, slowest", hang.scrape_s, "s", goal=1.0, digits=3),
        Target("SIGTERM with a hung driver to exit", hang.stop_s, "s", goal=2.0),
    ]
    columns = ("exporter", "page", "series", "p50 ms", "p99 ms", "MiB", "processes", "CPU %")
    return [
        Section(
            title="GPU exporter",
            about=about,
            columns=columns,
            rows=rows,
            targets=targets,
            notes=notes,
        )
    ]


def _row(name: str, timed: Scrapes, cost: Cost, page: str) -> tuple[str, ...]:
    return (
        name,
        f"{timed.size / 1000:.0f} kB",
        str(_series(page)),
        f"{timed.quantile(0.5):.2f}",
        f"{timed.quantile(0.99):.2f}",
        f"{cost.rss_mib:.1f}",
        str(cost.processes),
        f"{cost.cpu_percent:.2f}",
    )


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gpu-bench-") as name:
        yield Path(name)


def _driver(folder: Path) -> "FakeNvml":
    """Return a fake driver; it lives with the tests, who build it."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from support.fake_nvml import FakeNvml, Scenario

    scenario = Scenario.profile("h100x8").set("lib.delay", "realistic")
    return FakeNvml(folder, scenario)


@contextmanager
def _ours(folder: Path) -> Iterator[Exporter]:
    from inferometer.metrics.dcgm import FAMILIES

    fields = folder / "fields.csv"
    fields.write_text("".join(f"{f.classic}, {f.kind}, x\n" for f in FAMILIES))
    fake, port = _driver(folder), free_port()
    argv = [sys.executable, "-m", "inferometer.cli", "gpu-exporter", "--backend", "nvml"]
    argv += ["--listen", f"127.0.0.1:{port}", "--fields", str(fields)]
    with running(Command(argv, fake.environment(), folder / "ours.log")) as pid:
        wait_for_port(port, pid=pid, timeout_s=START_S)
        _await(port, lambda page: page.count("\nDCGM_FI_DEV_SM_CLOCK{") == DEVICES)
        yield Exporter(pid, port, fake)


def _fetch(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    finally:
        connection.close()


def _await(port: int, holds: Callable[[str], bool]) -> None:
    end_s = time.monotonic() + START_S
    while not holds(_fetch(port).decode()):
        if time.monotonic() > end_s:
            message = "the page never became what it should be"
            raise BrokenError(message)
        time.sleep(0.2)


def _scrape(port: int, times: int) -> Scrapes:
    """Scrape over one connection, as Prometheus does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    took_ms, size = [], 0
    for _ in range(times):
        start = time.perf_counter()
        connection.request("GET", "/metrics")
        size = len(connection.getresponse().read())
        took_ms.append(1000 * (time.perf_counter() - start))
    connection.close()
    return Scrapes(sorted(took_ms), size)


def _histogram(page: bytes) -> dict[float, float]:
    """Return how many scrapes were answered within each edge, as the exporter itself counts."""
    found = re.findall(
        rb'^inferometer_gpu_exporter_scrape_seconds_bucket\{le="([^"]+)"\} (\S+)',
        page,
        re.MULTILINE,
    )
    return {float(edge): float(count) for edge, count in found}


def _quantile_ms(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """Return a quantile as Prometheus would: within a bucket in proportion."""
    counts = {edge: after[edge] - before.get(edge, 0) for edge in sorted(after)}
    rank = share * max(counts.values())
    low, below = 0.0, 0.0
    for edge, count in counts.items():
        if count >= rank:
            top = edge if edge < float("inf") else low
            part = (rank - below) / (count - below) if count > below else 0
            return 1000 * (low + (top - low) * part)
        low, below = edge, count
    return float("inf")


def _rss_mib(pid: int) -> tuple[float, int]:
    members = list(tree(pid))
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in members]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / MIB, len(members)


def _cost(pid: int, seconds: float) -> Cost:
    """Watch a process tree that is scraped every 5 s."""
    port = _port_of(pid)
    start_s, spent_s = time.monotonic(), cpu_s(pid)
    while time.monotonic() - start_s < seconds:
        time.sleep(5)
        _fetch(port)
    elapsed_s = time.monotonic() - start_s
    rss_mib, processes = _rss_mib(pid)
    return Cost(rss_mib, processes, 100 * (cpu_s(pid) - spent_s) / elapsed_s)


def _port_of(pid: int) -> int:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    (address,) = (word for word in words if re.fullmatch(r"(127\.0\.0\.1:)?[0-9]{4,5}", word))
    return int(address.rpartition(":")[2])


def _slope_mib(ours: Exporter, scrapes: int) -> float:
    """Return by how much memory grew over many scrapes, after the first tenth."""
    _scrape(ours.port, scrapes // 10)
    before, _ = _rss_mib(ours.pid)
    _scrape(ours.port, scrapes)
    after, _ = _rss_mib(ours.pid)
    return after - before


class Hang(NamedTuple):
    """What one hung device, then a hung driver, does."""

    scrape_s: float
    age_s: float
    missed: float
    stop_s: float


def _hang(folder: Path) -> Hang:
    with _ours(folder) as ours:
        missed = _sum(_fetch(ours.port).decode(), "inferometer_gpu_exporter_ticks_missed_total")
        ours.fake.scenario.hang("*", device=HUNG)
        ours.fake.publish()
        stalled = f'inferometer_gpu_state{{gpu="{HUNG}",'
        _await(
            ours.port,
            lambda page: any(
                line.startswith(stalled) and line.endswith('state="stalled"} 1')
                for line in page.splitlines()
            ),
        )
        timed = _scrape(ours.port, TIMED)
        page = _fetch(ours.port).decode()
        now_s, stamps = time.time(), _stamps(page)
        lost = _sum(page, "inferometer_gpu_exporter_ticks_missed_total", but=HUNG) - missed
        ours.fake.scenario.hang("*", device="*")
        ours.fake.publish()
        time.sleep(3)
        stop_s = _stop_s(ours.pid)
        ours.fake.scenario.release("*", device="*")
        ours.fake.publish()
    return Hang(timed.took_ms[-1] / 1000, now_s - min(stamps), lost, stop_s)


def _stamps(page: str) -> list[float]:
    rows = re.findall(
        r'^inferometer_gpu_last_sample_timestamp_seconds\{gpu="(\d)".*\} (\S+)$', page, re.MULTILINE
    )
    return [float(stamp) for gpu, stamp in rows if int(gpu) != HUNG]


def _sum(page: str, name: str, *, but: int = -1) -> float:
    rows = re.findall(rf'^{name}\{{gpu="(\d)".*\}} (\S+)$', page, re.MULTILINE)
    return sum(float(value) for gpu, value in rows if int(gpu) != but)


def _stop_s(pid: int) -> float:
    """Return how long SIGTERM takes."""
    start = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while time.monotonic() - start < START_S and alive(pid):
        time.sleep(0.005)
    return time.monotonic() - start


def _series(page: str) -> int:
    return sum(1 for line in page.splitlines() if line and not line.startswith("#"))


def _families(page: str) -> int:
    return page.count("# TYPE ")


def _peer(folder: Path, bench: Bench) -> tuple[Scrapes, Cost, str] | None:
    """Measure the peer over the same driver; None where it cannot be had."""
    program = PEER_ENV / "bin" / PEER
    if not program.exists() and not _install():
        return None
    below = folder / "peer"
    below.mkdir()
    fake, port = _driver(below), free_port()
    argv = [str(program), "--bind-address", "127.0.0.1", "--port", str(port), "--interval", "1"]
    with running(Command(argv, fake.environment(), folder / "peer.log")) as pid:
        try:
            wait_for_port(port, pid=pid, timeout_s=START_S)
        except Exception:  # noqa: BLE001 - a peer that does not start is a note, not our failure
            return None
        time.sleep(WARM_S)
        timed = _scrape_anew(port, TIMED // 5)
        return timed, _cost(pid, bench.seconds(60) / 1000), _fetch(port).decode()


def _scrape_anew(port: int, times: int) -> Scrapes:
    """Scrape over a connection each: the peer keeps none open."""
    took_ms, size = [], 0
    for _ in range(times):
        start = time.perf_counter()
        size = len(_fetch(port))
        took_ms.append(1000 * (time.perf_counter() - start))
    return Scrapes(sorted(took_ms), size)


def _install() -> bool:
    venv.create(PEER_ENV, with_pip=True)
    pip = [str(PEER_ENV / "bin" / "python"), "-m", "pip", "install", "--quiet", PEER]
    return subprocess.run(pip, check=False, timeout=INSTALL_S).returncode == 0
