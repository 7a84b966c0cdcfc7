"""Starting: the help of the command, and a sidecar until it is ready."""

import http.client
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

from benchmarks.numbers import show, spread
from benchmarks.processes import run
from benchmarks.proxies import lineup
from benchmarks.report import Section, Target
from benchmarks.rounds import Bench, site

TIMES = 15
READY_WITHIN_S = 10.0


def measure(bench: Bench) -> list[Section]:
    """Start the command several times; the files are in the page cache after the first."""
    command = str(Path(sys.executable).with_name("inferometer"))
    helps = [_help_s(bench, command) for _ in range(TIMES + 1)][1:]
    python = [_help_s(bench, sys.executable, "-c", "pass") for _ in range(TIMES + 1)][1:]
    ready = [one for one in (_ready_s(bench) for _ in range(bench.rounds)) if one is not None]
    return [
        Section(
            title="Start",
            about=f"`inferometer --help`, {TIMES} times; a sidecar with an SLO document from its "
            "start until `/readyz` says 200.",
            columns=("what", "seconds"),
            rows=[
                ("`python -c pass`, for comparison", show(spread(python), 3)),
                ("`inferometer --help`", show(spread(helps), 3)),
                ("sidecar ready", show(spread(ready), 3)),
            ],
            targets=[
                Target("`inferometer --help`", median(helps), "s", gate=0.5, goal=0.15, digits=3),
                Target("sidecar ready", median(ready) if ready else None, "s", gate=2.0, goal=0.5),
            ],
        )
    ]


def _help_s(bench: Bench, *argv: str) -> float:
    start = time.perf_counter()
    arguments = [] if len(argv) > 1 else ["--help"]
    done = run([*bench.cores.for_proxy, *argv, *arguments], timeout_s=30)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start


def _ready_s(bench: Bench) -> float | None:
    start = time.perf_counter()
    with site(bench) as place, lineup(place, ["ours"]) as (proxies, _):
        admin = proxies[-1].admin
        while admin is not None and time.perf_counter() < start + READY_WITHIN_S:
            with suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=1)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return time.perf_counter() - start
            time.sleep(0.005)
    return None
