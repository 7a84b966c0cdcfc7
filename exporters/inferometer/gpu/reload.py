"""Files that may change while the exporter runs: settings, the list of fields, batch jobs.

A thread looks every few seconds by modification time, size and inode, since Kubernetes swaps a
symbolic link. A new state is taken as a whole or not at all.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from inferometer import log
from inferometer.errors import UserError
from inferometer.gpu import hpc
from inferometer.gpu.page.selfmetrics import Books

LOOK_S: Final = 3.0
JOBS_S: Final = 5.0

_log: Final = logging.getLogger(__name__)

Stamp = tuple[int, int, int] | None


class Watched(NamedTuple):
    """What is looked at. `reload` takes over what the files say, and returns the files to watch.

    It raises UserError where they are wrong. `jobs` is the folder of batch jobs.
    """

    reload: Callable[[], Sequence[Path]]
    files: Sequence[Path]
    jobs: Path | None = None


class Files:
    """Watches files in a thread of its own, since a folder on a network may hang."""

    def __init__(
        self,
        watched: Watched,
        books: Books,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Look at the files for the first time; batch jobs are known from the first turn on."""
        self.jobs: hpc.Jobs = {}
        self._watched = watched
        self._books = books
        self._clock_s = clock_s
        self._wall_s = wall_s
        self._paths = tuple(watched.files)
        self._stamps = self._look()
        self._asked = threading.Event()
        self._stopping = False
        self._jobs_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)
        books.reloaded_s = wall_s()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that hangs in a folder dies with the process."""
        self._stopping = True
        self._asked.set()

    def ask(self) -> None:
        """Have everything read again soon, changed or not. For a signal handler."""
        self._asked.set()

    def turn(self, *, asked: bool = False) -> None:
        """Look once."""
        if asked or self._look() != self._stamps:
            self._reload()
        now_s = self._clock_s()
        if self._jobs_s is None or now_s - self._jobs_s >= JOBS_S:
            self._jobs_s = now_s
            self._read_jobs()

    def _run(self) -> None:
        asked = False
        while not self._stopping:
            try:
                self.turn(asked=asked)
            except Exception as error:  # noqa: BLE001 - the old state stays, and files are watched on
                self._books.errors["reload"] += 1
                log.once(_log, type(error).__name__, "files could not be looked at")
            asked = self._asked.wait(LOOK_S)
            if asked:  # else one that comes just now would be forgotten
                self._asked.clear()

    def _reload(self) -> None:
        self._stamps = self._look()
        try:
            self._paths = tuple(self._watched.reload())
        except UserError as error:
            for problem in error.problems:
                _log.error("reload refused, the old state stays", extra={"problem": str(problem)})
            self._books.reload_ok = False
            return
        self._stamps = self._look()
        self._books.reload_ok = True
        self._books.reloaded_s = self._wall_s()
        _log.info("reloaded")

    def _read_jobs(self) -> None:
        if self._watched.jobs is None:
            return
        try:
            self.jobs = hpc.read(self._watched.jobs)
        except OSError as error:
            self._books.errors["jobs"] += 1
            self.jobs = {}
            log.once(_log, error.errno, "the folder of batch jobs cannot be read")

    def _look(self) -> tuple[Stamp, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
