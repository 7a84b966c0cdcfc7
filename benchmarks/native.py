"""The two C programs: built once, then run as the scripted server and as the load."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.errors import BrokenError, MissingError
from benchmarks.processes import Command, Cores, run, running, wait_for_port

HERE = Path(__file__).parent / "native"
CACHE = Path(__file__).parent.parent / ".cache" / "bench"
Options = Mapping[str, str | int]
"""Long options of one of the programs, with underscores."""

STRICT = ("direct", "nginx", "ours")
"""No figure is taken of these if a single request fails or a byte differs."""

FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra")


@cache
def build(name: str) -> Path:
    """Compile one of the programs if a source is newer than it, and return where it is."""
    target = CACHE / name
    newest = max(source.stat().st_mtime for source in HERE.iterdir())
    if target.exists() and target.stat().st_mtime > newest:
        return target
    compiler = shutil.which("cc")
    if compiler is None:
        message = "no C compiler (cc)"
        raise MissingError(message)
    CACHE.mkdir(parents=True, exist_ok=True)
    argv = [compiler, *FLAGS, "-o", str(target), str(HERE / f"{name}.c")]
    made = run(argv, timeout_s=120)
    if made.returncode:
        raise MissingError(made.stderr)
    return target


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Percentiles of one duration in microseconds; all None when there was no sample."""

    count: int
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the load saw."""

    wall_s: float
    finished: int
    errors: int
    events: int
    tokens: int
    bytes: int
    bodies_differ: int
    body_sum: str
    sums_equal: int
    sums_wrong: int
    sums_absent: int
    latency: Quantiles
    """Each event: read by the client minus sent by the server."""
    first: Quantiles
    """The first token: read minus the start of the request."""
    first_added: Quantiles
    """The same, less the time that the server itself took."""
    request: Quantiles

    def check(self, name: str) -> None:
        """Raise BrokenError if any request failed or any byte was altered."""
        if self.errors or self.sums_wrong or self.bodies_differ or not self.finished:
            message = f"{name}: {self}"
            raise BrokenError(message)


def options(values: Options) -> list[str]:
    """Spell `{"interval_us": 5}` as `--interval-us 5`."""
    return [
        part
        for name, value in values.items()
        for part in ("--" + name.replace("_", "-"), str(value))
    ]


@contextmanager
def upstream(cores: Cores, port: int, **values: str | int) -> Iterator[int]:
    """Run the scripted server on a port and yield its pid."""
    argv = [*cores.for_rest, str(build("upstream")), "--port", str(port), *options(values)]
    with running(Command(argv)) as pid:
        wait_for_port(port, pid=pid, timeout_s=5)
        yield pid


def load(cores: Cores, port: int, **values: str | int) -> Load:
    """Run the load against a port and return what it saw."""
    argv = [*cores.for_rest, str(build("load")), "--port", str(port), *options(values)]
    done = run(argv, timeout_s=180)
    try:
        seen: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BrokenError(done.stderr) from None
    durations = ("latency", "first", "first_added", "request")
    fields: dict[str, Any] = {name: _quantiles(seen[f"{name}_us"]) for name in durations}
    fields |= {name: seen[name] for name in Load.__dataclass_fields__ if name not in fields}
    return Load(**fields)


def _quantiles(seen: dict[str, float]) -> Quantiles:
    values = dict(seen)
    return Quantiles(count=int(values.pop("n")), **values)
