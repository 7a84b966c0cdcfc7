"""The fake GPU driver of tests/fake_nvml/: built, loaded, scripted and asked what was called.

The library is a real libnvidia-ml.so.1 to whoever loads it. `FakeNvml.loaded` puts it under pynvml
in this process; `FakeNvml(...).environment()` is for whole programs.
"""

import ctypes
import fcntl
import hashlib
import importlib
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest

from support.nvml_scenario import NOWHERE, Scenario

__all__ = ["NOWHERE", "Counts", "FakeNvml", "Scenario", "library", "until"]

SOURCES: Final = Path(__file__).parents[1] / "fake_nvml"
NAME: Final = "libnvidia-ml.so.1"
FLAGS: Final = (
    *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden"),
    *("-shared", f"-Wl,-soname,{NAME}", "-Wl,-Bsymbolic"),
    # What hiding symbols needs: a table that tells its length, on pages that hold no code.
    *("-Wl,--hash-style=sysv", "-Wl,-z,separate-code"),
)
BUILD_WAIT_S: Final = 120.0
ANSWER_WAIT_S: Final = 20.0


def library() -> Path:
    """Return the built library; skips the test where there is no C compiler."""
    sources = sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")])
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base, "inferometer", "tools", f"fake-nvml-{digest.hexdigest()[:16]}", NAME)
    if path.exists():
        return path
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("the fake GPU driver needs gcc")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(path.parent, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file; two runs build once
        if not path.exists():
            _build(compiler, [s for s in sources if s.suffix == ".c"], path)
    return path


def _build(compiler: str, sources: list[Path], path: Path) -> None:
    """Compile into a file beside `path`, then rename: a path that exists is a whole library."""
    part = path.with_suffix(".partial")
    command = [compiler, *FLAGS, "-o", str(part), *(str(s) for s in sources), "-lpthread", "-ldl"]
    subprocess.run(command, check=True, timeout=BUILD_WAIT_S)
    part.rename(path)


@dataclass(frozen=True)
class Counts:
    """What one process has done with the driver."""

    calls: Mapping[tuple[str, int, int, int], int]
    """(symbol, device or -1, MIG slot or -1, thread id) -> number of calls."""
    violations: Mapping[str, int]
    """gpm_threads, gpm_freed, gpm_unknown, gpm_early, forbidden, handle -> how often."""
    live: Mapping[str, int]
    """gpm_samples, event_sets: not freed; hung: calls that hang now; init: inits without end."""
    wish: int
    """Which asking this answers."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what the driver wrote."""
        calls: dict[tuple[str, int, int, int], int] = {}
        violations: Counter[str] = Counter()
        live: Counter[str] = Counter()
        wish = 0
        for line in text.splitlines():
            match line.split():
                case ["call", symbol, device, slot, thread, count]:
                    calls[symbol, int(device), int(slot), int(thread)] = int(count)
                case ["violation", name, count]:
                    violations[name] = int(count)
                case ["live", name, count]:
                    live[name] = int(count)
                case ["wish", number]:
                    wish = int(number)
        return cls(calls, violations, live, wish)

    def total(self, symbol: str, *, device: int | None = None) -> int:
        """Return how often a symbol was called, for one device or at all."""
        return sum(
            count
            for (name, number, _, _), count in self.calls.items()
            if name == symbol and device in (None, number)
        )

    def threads(self, *, device: int) -> set[int]:
        """Return the native ids of all threads that asked about a device."""
        return {thread for (_, number, _, thread) in self.calls if number == device}


class FakeNvml:
    """A driver with its scenario file, event file and counts file in a folder."""

    def __init__(self, folder: Path, scenario: Scenario | str = "h100") -> None:
        """Publish a scenario, or the profile of that name."""
        self.library = library()
        self.scenario = Scenario.profile(scenario) if isinstance(scenario, str) else scenario
        self.scenario_path = folder / "nvml.scenario"
        self._events_path = folder / "nvml.events"
        self._events_path.touch()
        self._counts_path = folder / "nvml.counts"
        self._stamp_ns = 0
        self._wishes = 0
        self.publish()

    @classmethod
    @contextmanager
    def loaded(cls, folder: Path, scenario: Scenario | str = "h100") -> Iterator[Self]:
        """Put the driver under pynvml in this process, fresh, and take it away at the end."""
        fake = cls(folder, scenario)
        fake._configure(str(fake.scenario_path))
        _reset_binding()
        try:
            yield fake
        finally:
            fake._configure("")  # lets go what still hangs
            _reset_binding()

    def _configure(self, scenario: str) -> None:
        paths = [scenario, str(self._events_path), str(self._counts_path)]
        self._handle().fakeNvmlConfigure(*(path.encode() for path in paths))

    def _handle(self) -> ctypes.CDLL:
        # Global, so that loading "libnvidia-ml.so.1" afterwards finds this one by its SONAME.
        return ctypes.CDLL(str(self.library), mode=ctypes.RTLD_GLOBAL)

    def publish(self) -> None:
        """Write the scenario; the next call obeys it, and so do calls that hang."""
        part = self.scenario_path.with_suffix(".part")
        part.write_text(self.scenario.text(), encoding="utf-8")
        # The driver looks at the time of change: two writes must never show the same one.
        self._stamp_ns = max(time.time_ns(), self._stamp_ns + 1000)
        os.utime(part, ns=(self._stamp_ns, self._stamp_ns))
        part.rename(self.scenario_path)

    def step(self, us: int) -> None:
        """Move the frozen clock forward, and publish."""
        self.scenario.clock(self.scenario.now_us + us)
        self.publish()

    def environment(self) -> dict[str, str]:
        """Return what a whole program needs in its environment to load this driver."""
        return {
            "LD_LIBRARY_PATH": str(self.library.parent),
            "FAKE_NVML_SCENARIO": str(self.scenario_path),
            "FAKE_NVML_EVENTS": str(self._events_path),
            "FAKE_NVML_COUNTS": str(self._counts_path),
        }

    def event(
        self, device: int, data: int, *, kind: int = 8, gi: int = NOWHERE, ci: int = NOWHERE
    ) -> None:
        """Let an event happen: by default XID `data`."""
        self._append(f"{device} {data} {kind} {gi} {ci}")

    def system_event(self, kind: int, gpu_id: int = 0) -> None:
        """Let the driver be unbound from a GPU (1) or bound to it (2)."""
        self._append(f"system {kind} {gpu_id}")

    def _append(self, line: str) -> None:
        with self._events_path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def counts(self, pid: int | None = None) -> Counts:
        """Return what this process has called, or process `pid`.

        Another process answers in its next call, or from within one that hangs; of one that has
        ended this is what it wrote last.
        """
        if pid is None:
            handle = self._handle()
            size = handle.fakeNvmlCounts(None, 0) + 4096  # room for calls made meanwhile
            buffer = ctypes.create_string_buffer(size)
            handle.fakeNvmlCounts(buffer, size)
            return Counts.parse(buffer.value.decode())
        self._wishes += 1
        self.scenario.set("lib.counts", self._wishes)
        self.publish()
        path = Path(f"{self._counts_path}.{pid}")
        end_s = time.monotonic() + ANSWER_WAIT_S
        while time.monotonic() < end_s:
            ended = not Path(f"/proc/{pid}").exists()  # looked at first: it writes until its end
            counts = Counts.parse(path.read_text()) if path.exists() else None
            if counts and (counts.wish == self._wishes or ended):
                return counts
            time.sleep(0.005)
        message = f"process {pid} did not call the driver for {ANSWER_WAIT_S} s"
        raise TimeoutError(message)


def until(holds: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait for a condition; fail the test if it does not hold in time."""
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s, f"it does not hold within {within_s} s"
        time.sleep(0.001)


def _reset_binding() -> None:
    """Let pynvml forget library, function pointers and inits of the test before."""
    binding: Any = importlib.import_module("pynvml")
    binding.nvmlLib = None
    binding._nvmlLib_refcount = 0
    binding._nvmlGetFunctionPointer_cache.clear()
