"""The thread that looks: a probe for each sidecar, and a tick that makes points of what they read.

A probe that waits for a silent sidecar holds up nobody but itself; its source then has no data.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Final, Protocol

from inferometer.errors import WorldError
from inferometer.live import point
from inferometer.live.history import History
from inferometer.live.point import Material, Point
from inferometer.live.reading import Change, Reading, change, merge_changes, merge_gauges

ALL: Final = "all"
"""The source that is all sidecars together; the others are numbered from 0 as they were given."""

TARGETS_MAX: Final = 32
"""Sidecars on one page: each has a thread, and a history of its own."""

READINGS_MAX: Final = 1024
"""Readings kept of one sidecar, whatever the windows are."""

READINGS_MIN: Final = 2
"""A difference needs two."""

STALE_TICKS: Final = 3.0
"""After that many intervals without an answer the last reading is the past, not the present."""

STOP_S: Final = 5.0
"""How long `stop` waits for threads; they hold nothing that outlives the process."""


class Source(Protocol):
    """Reads one sidecar; raises WorldError with a few words if it cannot."""

    def fetch(self) -> Reading:
        """Return what the sidecar says now."""

    def close(self) -> None:
        """Give back what it holds."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How often to look, and over how long to count."""

    interval_s: float
    window_s: float
    slo_window_s: float


@dataclass(frozen=True, slots=True)
class State:
    """Whether a sidecar answers: `error` is None or a few words."""

    name: str
    error: str | None


class Track:
    """The recent readings of one sidecar's present life. Filled by its probe, read by the tick."""

    def __init__(self, name: str, windows: Windows) -> None:
        """Start without a reading: nothing is known."""
        self._name = name
        self._windows = windows
        self._readings: deque[Reading] = deque(maxlen=READINGS_MAX)
        self._error: str | None = "not read yet"
        self._lock = Lock()

    @property
    def state(self) -> State:
        """Whether it answers."""
        with self._lock:
            return State(self._name, self._error)

    def take(self, reading: Reading) -> None:
        """Keep a reading, and forget what is older than any window needs."""
        with self._lock:
            self._error = None
            if self._readings and change(self._readings[-1], reading) is None:
                self._readings.clear()  # restarted: what it counted before is another life
            self._readings.append(reading)
            oldest_s = reading.moment_s - max(self._windows.slo_window_s, self._windows.window_s)
            while len(self._readings) > READINGS_MIN and self._readings[1].moment_s <= oldest_s:
                self._readings.popleft()

    def fail(self, words: str) -> None:
        """Note that it did not answer."""
        with self._lock:
            self._error = words

    def now(self, moment_s: float) -> tuple[Reading, Material] | None:
        """Return the last reading and its differences, or None where there is no present."""
        with self._lock:
            readings = tuple(self._readings)
            answers = self._error is None
        if not readings or not answers:
            return None
        last = readings[-1]
        if moment_s - last.moment_s > STALE_TICKS * self._windows.interval_s:
            return None
        return last, Material(
            tick=change(readings[-2], last) if len(readings) > 1 else None,
            window=_over(readings, self._windows.window_s),
            slo_window=_over(readings, self._windows.slo_window_s),
            gauges=last.gauges,
        )


class Watch:
    """Probes, tick and history of one page."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        windows: Windows,
        history: History,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Prepare for `sources`, by the name that a person reads; nothing runs before `start`."""
        assert 1 <= len(sources) <= TARGETS_MAX, len(sources)
        self.windows = windows
        self.history = history
        self._clock_s = clock_s
        self._wall_s = wall_s
        self._stopping = Event()
        self._tracks = [Track(name, windows) for name in sources]
        works = [
            lambda source=source, track=track: self._probe(source, track)
            for source, track in zip(sources.values(), self._tracks, strict=True)
        ]
        self._threads = [Thread(target=work, daemon=True) for work in (*works, self._ticks)]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all threads; safe without a start."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_S)

    def states(self) -> list[State]:
        """Return how each sidecar answers, in the order in which they were given."""
        return [track.state for track in self._tracks]

    def tick(self) -> int:
        """Make one point of each source from what is known now; return its number."""
        moment_s, wall_ms = self._clock_s(), round(self._wall_s() * 1000)
        presents = [track.now(moment_s) for track in self._tracks]
        points = {str(at): _point([one], wall_ms) for at, one in enumerate(presents)}
        return self.history.add({ALL: _point(presents, wall_ms), **points})

    def _ticks(self) -> None:
        while not self._stopping.wait(self.windows.interval_s):
            self.tick()

    def _probe(self, source: Source, track: Track) -> None:
        while True:
            try:
                track.take(source.fetch())
            except WorldError as error:
                track.fail(str(error))
            if self._stopping.wait(self.windows.interval_s):
                source.close()
                return


def names(count: int) -> tuple[str, ...]:
    """Return the sources that `count` sidecars have in the history."""
    return (ALL, *(str(at) for at in range(count)))


def _over(readings: Sequence[Reading], window_s: float) -> Change | None:
    """Return the change over the window, or over the shorter time that is known."""
    last = readings[-1]
    start = readings[0]
    for one in readings:
        if one.moment_s > last.moment_s - window_s:
            break
        start = one
    return change(start, last) if start is not last else None


def _point(presents: Sequence[tuple[Reading, Material] | None], wall_ms: int) -> Point:
    known = [present for present in presents if present is not None]
    materials = [material for _, material in known]
    merged = Material(
        tick=merge_changes(m.tick for m in materials if m.tick is not None),
        window=merge_changes(m.window for m in materials if m.window is not None),
        slo_window=merge_changes(m.slo_window for m in materials if m.slo_window is not None),
        gauges=merge_gauges(reading for reading, _ in known),
    )
    return point.make(merged, time_ms=wall_ms, answering=len(known), targets=len(presents))
