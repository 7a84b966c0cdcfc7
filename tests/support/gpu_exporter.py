"""The GPU exporter as a process of its own, started as a user starts it.

A context manager: on entry it answers, on exit it must end by SIGTERM within its two seconds. What
it wrote to stderr is kept, so that a failing test shows it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from support.samples import Samples
from support.sidecar import free_port, wait_until

PROGRAM: Final = (sys.executable, "-m", "inferometer.cli", "gpu-exporter")
START_S: Final = 40.0
STOP_S: Final = 2.0
SLACK_S: Final = 8.0
"""What a busy machine may add to a stop; the two seconds themselves are a benchmark's."""


class Reply(NamedTuple):
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exporter:
    """One running exporter with the given flags."""

    def __init__(self, *flags: str, environ: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._argv = [*PROGRAM, "--listen", f"127.0.0.1:{self.port}", *flags]
        self._environ = {**os.environ, **(environ or {})}
        self._files = contextlib.ExitStack()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="backslashreplace")

    def children(self) -> list[int]:
        """Return the vendor children that run."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(word) for word in path.read_text().split()]

    def get(self, path: str = "/metrics", *, method: str = "GET", **headers: str) -> Reply:
        """Ask for a page; names of headers are written with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, method=method, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return Reply(reply.status, dict(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), error.read())

    def scrape(self) -> Samples:
        """Return the page."""
        return Samples(self.get().body.decode())

    def wait_for(
        self, condition: Callable[[Samples], object], *, wait_s: float = 30.0, what: str = ""
    ) -> Samples:
        """Scrape until the page is as it should be."""
        last: list[Samples] = []

        def look() -> bool:
            last[:] = [self.scrape()]
            return bool(condition(last[0]))

        try:
            wait_until(look, wait_s=wait_s, what=what)
        except AssertionError:
            sys.stderr.write(f"{self.stderr}\n{last[0].text if last else ''}\n")
            raise
        return last[0]

    def spawn(self) -> Self:
        """Start it without waiting for anything."""
        folder = self._files.enter_context(tempfile.TemporaryDirectory(prefix="exporter-"))
        self.log = Path(folder, "stderr.log")
        log = self._files.enter_context(self.log.open("wb"))
        self.process = subprocess.Popen(self._argv, env=self._environ, stderr=log)
        return self

    def listens(self) -> bool:
        """Return whether it can be connected; fails if it has ended."""
        assert self.process.poll() is None, self.stderr
        with socket.socket() as probe:
            probe.settimeout(5)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it by SIGTERM, in time and in good order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_S + SLACK_S)
        assert self.process.returncode == 0, self.stderr

    def __enter__(self) -> Self:
        self.spawn()
        try:
            wait_until(self.listens, wait_s=START_S, what="the exporter listens")
        except BaseException:
            sys.stderr.write(self.stderr)
            self.process.kill()
            self.process.wait()
            self._files.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self.process.poll() is None:
                self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if error is not None:
                sys.stderr.write(self.stderr)
            self._files.close()
