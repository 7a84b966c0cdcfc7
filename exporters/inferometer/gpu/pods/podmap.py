"""The pod map: a thread that asks every few seconds, and a snapshot that anyone may read.

Whoever samples or answers a scrape takes the snapshot that is there, and never waits. An entry of
it comes from the newest map alone: what a device was called before is gone with the map it was in,
so a device that was given to another pod never keeps the name of the first. Once no map came for a
minute, the snapshot names nobody.

`run_podmap` is the program of the container that may ask the kubelet, for an exporter that may not.
"""

import contextlib
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from inferometer import log
from inferometer.gpu.pods import mapfile
from inferometer.gpu.pods.apiserver import ApiServer, Slices
from inferometer.gpu.pods.direct import Direct
from inferometer.gpu.pods.holders import MAP_AGE_S_MAX, MapError, Snapshot
from inferometer.gpu.pods.kubelet import SOCKET, Kubelet
from inferometer.gpu.pods.names import LOG_ROOT
from inferometer.stopping import Stop

PERIOD_S: Final = 5.0
STOP_WAIT_S: Final = 0.5
"""How long a stop waits for the thread; one that hangs dies with the process."""

_log = logging.getLogger(__name__)


class Source(Protocol):
    """Where maps come from."""

    @property
    def errors(self) -> Mapping[str, int]:
        """What the source counts itself, by reason, as running totals."""
        ...

    def read(self) -> Snapshot:
        """Return the newest map. Raises MapError if there is none now."""
        ...


class PodMap:
    """Reads its source every `period_s` in a thread of its own."""

    def __init__(
        self,
        source: Source,
        *,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
        also: Sequence[Callable[[], None]] = (),
        published: Callable[[Snapshot], None] | None = None,
    ) -> None:
        """Start nothing yet.

        `also` is called in each cycle; `published` gets each new snapshot, and may raise OSError.
        """
        self._source = source
        self._period_s = period_s
        self._clock = clock
        self._also = tuple(also)
        self._published = published
        self._errors: Counter[str] = Counter()
        self._latest = Snapshot()
        self._snapshot = self._latest
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="podmap", daemon=True)

    def start(self) -> None:
        """Begin with the first map at once; nobody waits for it."""
        self._thread.start()

    def begin_stop(self) -> None:
        """Tell the thread to end; does not wait."""
        self._stopping.set()

    def stop(self) -> None:
        """End the thread, but do not wait for one that hangs."""
        self.begin_stop()
        if self._thread.is_alive():
            self._thread.join(STOP_WAIT_S)

    def snapshot(self) -> Snapshot:
        """Return the newest map; once it is too old, one that names nobody. Never waits."""
        snapshot = self._snapshot
        return snapshot if not self._is_old(snapshot) else snapshot.forgotten()

    def cycle(self) -> None:
        """Read the source once and publish what it says; what fails is counted."""
        for task in self._also:
            self._guarded(task)
        self._guarded(self._read)
        errors = self._errors + Counter(self._source.errors)
        latest = self._latest.forgotten() if self._is_old(self._latest) else self._latest
        self._snapshot = replace(latest, errors=dict(errors))
        if self._published is not None:
            self._guarded(self._publish)

    def _read(self) -> None:
        try:
            self._latest = self._source.read()
        except MapError as error:
            self._errors[error.reason] += 1
            log.once(_log, error.reason, "no new pod map", reason=error.reason)

    def _publish(self) -> None:
        assert self._published is not None
        try:
            self._published(self._snapshot)
        except OSError as error:
            self._errors["write"] += 1
            log.once(_log, "write", "pod map not written", error=error.strerror)

    def _guarded(self, task: Callable[[], None]) -> None:
        """Run a part of the cycle; a fault of ours in it is counted, and ends nothing else."""
        try:
            task()
        except Exception as error:  # noqa: BLE001 - the one seam where faults of this thread end
            self._errors["internal"] += 1
            log.once(_log, type(error).__name__, "pod map failed")

    def _is_old(self, snapshot: Snapshot) -> bool:
        age_s = snapshot.age_s(self._clock())
        return age_s is None or age_s > MAP_AGE_S_MAX

    def _run(self) -> None:
        while not self._stopping.is_set():
            started_s = self._clock()
            self.cycle()
            spent_s = self._clock() - started_s
            self._stopping.wait(max(0.0, self._period_s - spent_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a direct map comes from. `api` None: claimed devices are told by their names."""

    kubelet_socket: Path = SOCKET
    log_root: Path = LOG_ROOT
    api: ApiServer | None = None


def direct(places: Places) -> Direct:
    """Return the source that asks the kubelet itself."""
    slices = Slices(places.api) if places.api is not None else None
    return Direct(Kubelet(places.kubelet_socket), log_root=places.log_root, slices=slices)


def run_podmap(
    places: Places,
    file: Path,
    *,
    period_s: float = PERIOD_S,
    stop: Stop | None = None,
) -> int:
    """Write the map into `file` until SIGTERM, SIGINT or `stop`; returns the exit code.

    Failures of any kind are in the file, for the exporter to count. What was written last stays:
    its reader drops it by age.
    """
    stopping = stop or Stop()

    def publish(snapshot: Snapshot) -> None:
        mapfile.write(file, mapfile.encode(snapshot, now_s=time.monotonic()))

    podmap = PodMap(direct(places), period_s=period_s, published=publish)
    with _stopped_by_signals(stopping):
        podmap.start()
        stopping.wait()
        podmap.stop()
    return 0


@contextlib.contextmanager
def _stopped_by_signals(stopping: Stop) -> Iterator[None]:
    """Set the event on SIGTERM and SIGINT; only the main thread may listen for them."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
