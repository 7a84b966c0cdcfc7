"""Processes on chosen cores: starting, waiting until they listen, their CPU and memory, the end.

CPU is read from schedstat, which counts nanoseconds on a core, for every thread of the whole tree:
a proxy that forks workers pays for them. Children that have ended meanwhile are not counted.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.errors import MissingError

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the proxy has to itself, and which one everything else shares."""

    proxy: int = 0
    rest: int = 1
    ahead: bool = False
    """Server and load go before other work of this machine; see `take_precedence`."""

    @property
    def for_proxy(self) -> tuple[str, ...]:
        """How a command line begins that runs on the core of the proxy."""
        return ("taskset", "-c", str(self.proxy))

    @property
    def for_rest(self) -> tuple[str, ...]:
        """How a command line begins that runs on the other core."""
        return ("taskset", "-c", str(self.rest), *(("chrt", "--rr", "1") if self.ahead else ()))

    @staticmethod
    def available(*, ahead: bool = False) -> "Cores":
        """Return the first two cores that this process may use; with one only, both are it."""
        cores = sorted(os.sched_getaffinity(0))
        return Cores(proxy=cores[0], rest=cores[1 % len(cores)], ahead=ahead)


@dataclass(frozen=True, slots=True)
class Command:
    """A program and how it is started."""

    argv: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    """Where its output goes; None drops it."""


@contextmanager
def running(command: Command) -> Iterator[int]:
    """Run a program as a process group of its own and yield its pid; end the group on leaving."""
    with open(command.log or os.devnull, "ab") as log:  # noqa: PTH123  (devnull or a path)
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **command.environ},
            process_group=0,  # a new session would lose the precedence of this one
        )
    try:
        yield process.pid
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]", *, grace_s: float = 3.0) -> None:
    """Terminate a process group of ours, and kill what is left of it after the grace."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(argv: Sequence[str], *, timeout_s: float) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end and return what it printed, whatever its exit code."""
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def take_precedence() -> bool:
    """Go before other work of this machine, children included; False where not permitted.

    On a shared machine the slices of others, some 3 ms each, are all that percentiles show. This
    process and the proxies get the best nice value, for the session's group too, since groups are
    weighed before processes. They stay ordinary processes: real-time threads of one proxy would
    not preempt each other. Server and load, one thread each, become real-time by `Cores.ahead`.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        with suppress(FileNotFoundError):  # kernels without groups
            Path("/proc/self/autogroup").write_text("-20")
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        return False
    return True


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for_port(port: int, *, pid: int, timeout_s: float) -> float:
    """Return after how many seconds the port accepted; MissingError if the process ends before."""
    start = time.monotonic()
    while time.monotonic() < start + timeout_s:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            return time.monotonic() - start
        if not alive(pid):
            break
        time.sleep(0.005)
    message = f"nothing listens on port {port}"
    raise MissingError(message)


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from tree(int(child))


def cpu_s(pid: int) -> float:
    """Return the seconds on a core that a process tree has had so far."""
    total = 0
    for member in tree(pid):
        for thread in Path(f"/proc/{member}/task").glob("*/schedstat"):
            with suppress(OSError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process tree; shared pages count once for each process."""
    total = 0
    for member in tree(pid):
        with suppress(OSError):
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1]) * PAGE_BYTES
    return total
