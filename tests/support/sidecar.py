"""The sidecar as a child process, started as a user starts it and judged by what it does.

A context manager: on entry it is ready, on exit it must end by SIGTERM with code 0 and within the
grace; anything it wrote to stderr is kept, so that a failing test shows it.
"""

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from support.client import Answer, Wire
from support.framing import FramingError
from support.llm import MARKER_STATUS, MARKER_TARGET
from support.samples import Samples
from support.script import request

PORT_MIN: Final = 12_000
PORTS: Final = 20_000
READY_WAIT_S: Final = 20.0
EXIT_WAIT_S: Final = 20.0
EVENT_WAIT_S: Final = 10.0
_POLL_S: Final = 0.01
_UNMARKED_SETTLE_S: Final = 0.25
_RESPONSES: Final = "inferometer_responses_total"
PROGRAM: Final = (sys.executable, "-m", "inferometer.cli", "sidecar")
QUICK: Final = ("--measure-interval-s", "0.02")


def own_ports(environ: Mapping[str, str]) -> range:
    """Return the ports that are this worker's: those of a run (pytest-xdist) share none."""
    workers = int(environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    each = PORTS // workers
    start = PORT_MIN + worker % workers * each
    return range(start, start + each)


_ports = itertools.count(random.SystemRandom().randrange(PORTS))


def free_port() -> int:
    """Return a port that nothing uses now.

    It is below those that the kernel gives to clients, and each process begins elsewhere in ports
    of its own, so that nobody else takes it before the sidecar does.
    """
    ours = own_ports(os.environ)
    while True:
        port = ours[next(_ports) % len(ours)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_until(
    condition: Callable[[], bool], *, wait_s: float = EVENT_WAIT_S, what: str = ""
) -> None:
    """Look at a condition until it holds, within a bound."""
    end_s = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {wait_s} s: {what or condition}"
        time.sleep(_POLL_S)


class Sidecar:
    """One running sidecar in front of `upstream`.

    `flags` are added to the command line, `environ` to the environment. `program` is the command
    itself, where it is not the usual one. A test that ends the process itself looks at `wait_exit`.
    """

    def __init__(
        self,
        upstream: str,
        *flags: str,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.port = free_port()
        self.admin_port = free_port()
        own = ["--listen", f"127.0.0.1:{self.port}"] if "--listen" not in flags else []
        admin = ["--admin", f"127.0.0.1:{self.admin_port}"]
        self.argv = [*program, *own, *admin, "--upstream", upstream, *QUICK, *flags]
        self.markers = 0  # requests that were made by `settle`
        self._environ = {**os.environ, **(environ or {})}
        self._files = contextlib.ExitStack()

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        return ("127.0.0.1", self.port)

    @property
    def admin(self) -> tuple[str, int]:
        """Where `/metrics`, `/healthz` and `/readyz` are."""
        return ("127.0.0.1", self.admin_port)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return self.log.read_text(encoding="utf-8", errors="backslashreplace")

    def spawn(self) -> None:
        """Start the process without waiting for anything."""
        folder = self._files.enter_context(tempfile.TemporaryDirectory(prefix="sidecar-"))
        self.log = Path(folder, "stderr.log")
        log = self._files.enter_context(self.log.open("wb"))
        self.process = subprocess.Popen(
            self.argv,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def __enter__(self) -> Self:
        self.spawn()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            if self.process.poll() is None and error is None:
                self.terminate()
                code = self.wait_exit()
                assert code == 0, f"exit code {code}:\n{self.stderr}"
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process by force if it is still there, and forget its files."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(EXIT_WAIT_S)
        self._files.close()

    def wait_ready(self, *, wait_s: float = READY_WAIT_S) -> None:
        """Wait until readiness is true; a process that ended before is a failure at once."""

        def ready() -> bool:
            code = self.process.poll()
            assert code is None, f"ended with {code} at the start:\n{self.stderr}"
            return self.health("/readyz") == 200

        wait_until(ready, wait_s=wait_s, what=f"ready: {self.stderr}")

    def health(self, path: str) -> int | None:
        """Return the status of an admin path, None where nobody answers."""
        try:
            return self.admin_get(path).status
        except OSError:
            return None

    def admin_get(self, path: str, *fields: tuple[str, str], timeout_s: float = 10.0) -> Answer:
        """Ask the admin port."""
        with Wire(self.admin, timeout_s=timeout_s) as wire:
            return wire.ask(request("GET", path, *fields, ("Connection", "close")))

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def terminate(self) -> float:
        """Send SIGTERM; return the moment in seconds (monotonic)."""
        self.signal(signal.SIGTERM)
        return time.monotonic()

    def wait_exit(self, *, wait_s: float = EXIT_WAIT_S) -> int:
        """Return the exit code as soon as there is one."""
        return self.process.wait(wait_s)

    def scrape(self) -> Samples:
        """Read `/metrics` once."""
        answer = self.admin_get("/metrics")
        assert answer.status == 200, (answer.head.raw, answer.body[:500])
        assert answer.end == "complete"
        return Samples(answer.body.decode("utf-8"))

    def wait_samples(
        self, condition: Callable[[Samples], bool], *, wait_s: float = EVENT_WAIT_S
    ) -> Samples:
        """Scrape until the condition holds (the measuring plane is some 50 ms behind).

        A page is written in slices while measuring goes on, so what stands on it beside the
        condition may be older: the page after it is returned, on which it must hold as well.
        """
        end_s = time.monotonic() + wait_s
        held = False
        while True:
            samples = self.scrape()
            if condition(samples):
                if held:
                    return samples
                held = True
                continue
            held = False
            assert time.monotonic() < end_s, f"not within {wait_s} s:\n{requests_of(samples)}"
            time.sleep(_POLL_S)

    def wait_log(self, *words: str) -> None:
        """Wait until all these words were logged: a thread of its own writes them."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: all(word in self.stderr for word in words))
        assert all(word in self.stderr for word in words), self.stderr

    def settle(self, *, marked: bool = True) -> Samples:
        """Wait until all requests that are over have been counted; return that page.

        The measuring plane takes exchanges in the order of their ends, so when a request that was
        made after all others is counted, they are too. It is recognised by a status that no test
        uses otherwise. Where nobody can answer or count it (not `marked`), time has to do.
        """
        before = self.scrape().total(_RESPONSES, code=str(MARKER_STATUS))
        if not marked or not self._mark():
            time.sleep(_UNMARKED_SETTLE_S)
            return self.scrape()
        return self.wait_samples(lambda s: s.total(_RESPONSES, code=str(MARKER_STATUS)) > before)

    def _mark(self) -> bool:
        try:
            with self.wire() as wire:
                marked = wire.ask(request("GET", MARKER_TARGET)).status == MARKER_STATUS
        except (OSError, FramingError):
            return False
        self.markers += marked
        return marked

    def wire(self, *, timeout_s: float = 10.0, receive_buffer_bytes: int | None = None) -> Wire:
        """Connect as a client."""
        return Wire(self.address, timeout_s=timeout_s, receive_buffer_bytes=receive_buffer_bytes)


def faulty_sidecar(upstream: str, fault: str, *flags: str) -> Sidecar:
    """Return a sidecar that is broken in the way that `support.faulty` describes."""
    program = [sys.executable, "-m", "support.faulty", fault]
    tests = str(Path(__file__).parent.parent)
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return Sidecar(upstream, *flags, program=program, environ={"PYTHONPATH": path})


def requests_of(samples: Samples) -> str:
    """Return the lines of a page that say how requests ended, for messages."""
    names = ("inferometer_requests_total", "inferometer_requests_in_flight")
    return "\n".join(line for line in samples.text.splitlines() if line.startswith(names))


def nothing_in_flight(samples: Samples) -> bool:
    """Whether every request that began has ended."""
    return samples.total("inferometer_requests_in_flight") == 0


class Outcomes:
    """How many requests ended in which way since this was made."""

    def __init__(self, sidecar: Sidecar, *, marked: bool = True) -> None:
        self._sidecar = sidecar
        self._marked = marked
        sidecar.wait_samples(nothing_in_flight)  # what an earlier test left behind ends first
        self._before = self._read(sidecar.settle(marked=marked))

    def _read(self, samples: Samples) -> dict[str, float]:
        """Return counts by outcome, without the requests that `settle` made."""
        counts: dict[str, float] = {"client_error": -float(self._sidecar.markers)}
        for labels, value in samples.find("inferometer_requests_total"):
            counts[labels["outcome"]] = counts.get(labels["outcome"], 0.0) + value
        return counts

    def since(self, samples: Samples) -> dict[str, float]:
        """Return the outcomes that were counted since, without those that were not."""
        now = self._read(samples)
        changes = {k: v - self._before.get(k, 0.0) for k, v in now.items()}
        return {k: v for k, v in changes.items() if v}

    def wait(self, expected: Mapping[str, float], *, wait_s: float = EVENT_WAIT_S) -> Samples:
        """Wait until as many requests have ended, then compare how."""
        wanted = sum(expected.values())

        def enough(samples: Samples) -> bool:
            return sum(self.since(samples).values()) >= wanted

        self._sidecar.wait_samples(enough, wait_s=wait_s)
        samples = self._sidecar.settle(marked=self._marked)
        found = self.since(samples)
        assert found == dict(expected), f"{found} and not {expected}"
        return samples
