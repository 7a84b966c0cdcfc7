"""Samples that the driver itself keeps, each with a moment: utilisation and power.

A sample speaks for the time since the one before it, so nothing is lost between two calls or over
a late tick, as long as the driver's ring still has it. A call that comes later than that, as one
of a long tick or of the slow tier does, finds a ring that is full and does not reach back to the
last sample: then the mean of the ring speaks for the time that it has forgotten.
"""

import ctypes
import functools
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from inferometer.gpu.nvml import codes, structs
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.cursor import Cursor
from inferometer.gpu.nvml.fields import decode
from inferometer.gpu.nvml.library import CFunction
from inferometer.gpu.nvml.structs import Handle

POWER: Final = 0  # kinds of samples: milliwatts
GPU: Final = 1  # percent
CAPACITY: Final = 128
SPAN_MAX_US: Final = 2_000_000
"""How long a sample can speak for: twice the longest window. What is before it is unknown."""
FORGOTTEN_MAX_US: Final = 90_000_000
"""How long the mean of a full ring can speak for: a tick is at most 60 s, the slow tier 30 s."""
FULL: Final = 0.9
"""A ring that gives so much of the most it ever gave is full."""
FULL_MIN: Final = 16
"""No ring is as short as this."""
_FORMAT: Final = struct.Struct("<QQ")


class Sum(NamedTuple):
    """What samples added: their value times microseconds, and the time they speak for."""

    area: int
    observed_us: int


class Curve:
    """The integral of a value over its samples' own time."""

    def __init__(self) -> None:
        """Nothing is known before the first sample."""
        self._covered_us = 0

    def take(self, samples: Sequence[tuple[int, int]], *, full: bool = False) -> Sum:
        """Add samples (µs, value) to the curve; the first one ever only tells where it starts.

        They are all of a ring that is `full`: what is missing before them was there once.
        """
        area = observed_us = forgotten_us = 0
        for number, (moment_us, value) in enumerate(sorted(samples)):
            before_us = self._covered_us
            if before_us and moment_us > before_us:
                span_us = min(moment_us - before_us, SPAN_MAX_US)
                if full and number == 0 and span_us < moment_us - before_us <= FORGOTTEN_MAX_US:
                    forgotten_us, span_us = moment_us - before_us, 0
                area += value * span_us
                observed_us += span_us
            self._covered_us = max(before_us, moment_us)
        if observed_us:
            area += area * forgotten_us // observed_us
            observed_us += forgotten_us
        return Sum(area, observed_us)

    def rest(self, span_us: int) -> None:
        """Skip a time of which it is known that there was nothing to sample."""
        self._covered_us += span_us if self._covered_us else 0


class Ring:
    """One kind of samples of a device, read through an own buffer."""

    def __init__(
        self, function: CFunction, handle: Handle, *, kind: int, clock: Callable[[], int]
    ) -> None:
        """Prepare the call; the first one asks for all there is."""
        self.cursor = Cursor(clock)
        self.most = 0
        """Samples that one call has given, at most."""
        self._type = ctypes.c_uint32()
        self._count = ctypes.c_uint32()
        self._samples = (structs.Sample * CAPACITY)()
        self._call = functools.partial(
            function,
            handle,
            ctypes.c_uint32(kind),
            self.cursor.since,
            ctypes.byref(self._type),
            ctypes.byref(self._count),
            self._samples,
        )

    def call(self) -> int:
        """Ask for what is new since the last call."""
        self.cursor.begin()
        self._count.value = CAPACITY
        return self._call()

    def samples(self) -> list[tuple[int, int]] | None:
        """Return what is new of the last call, as (µs, value); None if the clock was set."""
        return self.cursor.take(list(self._decoded()), lambda sample: sample[0])

    @property
    def count(self) -> int:
        """How many samples the last call gave."""
        return min(self._count.value, CAPACITY)

    @property
    def full(self) -> bool:
        """Whether the last call gave all that the driver keeps, so that older ones are gone."""
        self.most = max(self.most, self.count)
        return self.count >= max(FULL_MIN, FULL * self.most)

    def _decoded(self) -> Iterator[tuple[int, int]]:
        count = self.count
        rows = ctypes.string_at(self._samples, count * _FORMAT.size)
        for moment_us, raw in _FORMAT.iter_unpack(rows):
            value = decode(self._type.value, raw)
            if value is not None:
                yield moment_us, int(value)


class Sampled:
    """The integral of one kind of samples, over all ticks."""

    def __init__(self, caller: Caller, clock: Callable[[], int], *, name: str, most: int) -> None:
        """Refuse values above `most`. `name` is the call's."""
        self.area = 0
        self.observed_us = 0
        self.refused = 0
        self._caller = caller
        self._clock = clock
        self._name = name
        self._most = most
        self._curve = Curve()
        self._ring: Ring | None = None
        self._asked_ns = 0
        self._news_ns: int | None = None

    def probe(self, function: CFunction | None, handle: Handle, *, kind: int) -> int:
        """Find out whether there are such samples; returns a code."""
        self._ring = None
        if function is None:
            return codes.FUNCTION_NOT_FOUND
        ring = Ring(function, handle, kind=kind, clock=self._clock)
        code = self._caller.call(self._name, ring.call)
        if code not in {codes.SUCCESS, codes.NOT_FOUND}:
            return code
        if code == codes.SUCCESS:
            self._curve.take(ring.samples() or ())  # a start, not a sum
            ring.most = ring.count
        self._ring = ring
        self._asked_ns = self._clock()
        return codes.SUCCESS

    def read(self, *, idle_is_zero: bool) -> bool:
        """Add what is new; returns whether the sum is known to be of this time.

        A driver has no samples while a device is idle, which is no error. Whether that says zero
        depends on what is sampled: `idle_is_zero`. If it does not, the sum stays known for as long
        as a sample may speak, since ticks may follow each other faster than samples.
        """
        ring = self._ring
        if ring is None:
            return False
        code = self._caller.call(self._name, ring.call)
        if code not in {codes.SUCCESS, codes.NOT_FOUND}:
            return False
        before_ns, self._asked_ns = self._asked_ns, self._clock()
        found = ring.samples() if code == codes.SUCCESS else []
        if found is None:
            self._curve = Curve()
            return False
        fitting = [sample for sample in found if 0 <= sample[1] <= self._most]
        untimely, ring.cursor.refused = ring.cursor.refused, 0
        self.refused += len(found) - len(fitting) + untimely
        if not found:
            silent_ns = self._asked_ns - before_ns
            return not untimely and self._silent(silent_ns // 1000, idle_is_zero=idle_is_zero)
        full = ring.full
        area, observed_us = self._curve.take(fitting, full=full)
        self.area += area
        self.observed_us += observed_us
        if observed_us > 0:
            self._news_ns = self._asked_ns
        return observed_us > 0

    def _silent(self, span_us: int, *, idle_is_zero: bool) -> bool:
        """Take it in that there was no sample; returns as `read` does."""
        if not idle_is_zero:
            news_ns = self._news_ns
            return news_ns is not None and self._asked_ns - news_ns <= SPAN_MAX_US * 1000
        self._curve.rest(span_us)
        self.observed_us += span_us
        return True
