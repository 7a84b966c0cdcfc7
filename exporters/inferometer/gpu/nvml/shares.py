"""How busy processes kept a device: samples in percent, each with a moment, to sums in ns."""

import ctypes
import functools
import struct
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from inferometer.gpu.nvml import codes, structs
from inferometer.gpu.nvml.cursor import Cursor
from inferometer.gpu.nvml.library import CFunction
from inferometer.gpu.nvml.structs import Handle

ROWS_FIRST: Final = 128
ROWS_MAX: Final = 4096
PIDS_MAX: Final = 2048
"""Processes whose sums are kept; those that were seen longest ago go first."""
READS_KEPT: Final = 12
"""A process that has been neither listed nor sampled for so many reads has ended."""
PERCENT_MAX: Final = 100
_FORMAT: Final = struct.Struct("<I4xQIIII")


class Slice(NamedTuple):
    """Percent of the SMs that a process took before a moment."""

    pid: int
    moment_us: int
    percent: int


class Ledger:
    """Busy time by process. Nothing is known of the time before the first samples."""

    def __init__(self) -> None:
        """Start with no process."""
        self.refused = 0
        self._busy_ns: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._covered_us = 0
        self._reads = 0

    def restart(self) -> None:
        """Take the next samples for a start: the driver's clock was set."""
        self._covered_us = 0

    def take(self, slices: Sequence[Slice], *, interval_us: int) -> None:
        """Add slices that came within `interval_us` of time.

        A sample speaks for the time since the process' last one or since the last read, all of
        them together for no more than there was. One above 100 % is an error of the driver's, and
        clamping it would make a number up.
        """
        self._reads += 1
        start_us = self._covered_us
        last_us: dict[int, int] = {}
        left_us: dict[int, int] = {}
        for pid, moment_us, percent in sorted(slices, key=lambda each: each.moment_us):
            self._covered_us = max(self._covered_us, moment_us)
            if percent > PERCENT_MAX:
                self.refused += 1
                continue
            before_us = last_us.get(pid, start_us)
            last_us[pid] = moment_us
            left = left_us.get(pid, interval_us)
            span_us = max(0, min(moment_us - before_us, left)) if start_us else 0
            left_us[pid] = left - span_us
            self._busy_ns[pid] = self._busy_ns.get(pid, 0) + span_us * percent * 10
            self._seen[pid] = self._reads

    def busy_ns(self, pid: int) -> int:
        """Return the sum of a process; one that was never sampled was never busy."""
        return self._busy_ns.get(pid, 0)

    def sampled(self) -> list[int]:
        """Return the processes that the last `take` told of."""
        return [pid for pid, read in self._seen.items() if read == self._reads]

    def prune(self, listed: Collection[int]) -> None:
        """Forget processes that have ended, and the oldest if there are too many."""
        for pid in listed:
            if pid in self._seen:
                self._seen[pid] = self._reads
        ended = [p for p, read in self._seen.items() if self._reads - read >= READS_KEPT]
        excess = max(0, len(self._seen) - PIDS_MAX)
        oldest = sorted(self._seen, key=self._seen.__getitem__)[:excess]
        for pid in {*ended, *oldest}:
            del self._seen[pid], self._busy_ns[pid]


class Utilization:
    """The samples of a device's processes, read into an own buffer.

    pynvml's wrapper asks twice, and loses what comes in between.
    """

    def __init__(self, function: CFunction, handle: Handle, *, clock: Callable[[], int]) -> None:
        """Prepare the call; the first one asks for all there is."""
        self.cursor = Cursor(clock)
        self._function = function
        self._handle = handle
        self._count = ctypes.c_uint32()
        self._prepare(ROWS_FIRST)

    def _prepare(self, rows: int) -> None:
        self._rows = rows
        self._buffer = (structs.ProcessUtilization * rows)()
        self._call = functools.partial(
            self._function, self._handle, self._buffer, ctypes.byref(self._count), self.cursor.since
        )

    def call(self) -> int:
        """Ask for what is new; with a larger buffer, once, if there is more than ever before."""
        self.cursor.begin()
        self._count.value = self._rows
        code = self._call()
        if code == codes.INSUFFICIENT_SIZE and self._rows < ROWS_MAX:
            self._prepare(min(max(2 * self._rows, self._count.value + ROWS_FIRST), ROWS_MAX))
            self._count.value = self._rows
            code = self._call()
        return code

    def slices(self) -> list[Slice] | None:
        """Return what is new of the last call; None if the driver's clock was set."""
        count = min(self._count.value, self._rows)
        raw = ctypes.string_at(self._buffer, count * _FORMAT.size)
        rows = (Slice(pid, moment, sm) for pid, moment, sm, *_ in _FORMAT.iter_unpack(raw))
        return self.cursor.take([row for row in rows if row.pid], lambda row: row.moment_us)
