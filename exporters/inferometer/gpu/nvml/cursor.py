"""How far a driver's samples were read, by the driver's clock: which may be set, or be garbage.

Samples are asked for since a moment. If that moment were wrong, no sample would ever come again,
and an idle device looks the same. So now and then all samples are asked for, to see whether the
newest one still fits; if it does not, reading starts anew from there.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

SILENCE_NS: Final = 60 * 10**9
"""After this long without a sample all are asked for."""
SLACK_US: Final = 10_000_000
"""How far two clocks may drift apart between two samples."""


class Cursor:
    """The moment up to which samples were read. `since` is an argument for the driver's call."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Begin before all samples. `clock` is monotonic, in ns."""
        self.since = ctypes.c_uint64(0)
        self.refused = 0
        """Samples from the future, since the last time somebody set this to 0."""
        self._clock = clock
        self._read_us = 0
        self._heard_ns = 0
        self._checked_ns = 0
        self._doubt = False

    def begin(self) -> None:
        """Set `since` for a call."""
        now_ns = self._clock()
        anew = self._doubt or now_ns - max(self._heard_ns, self._checked_ns) >= SILENCE_NS
        if anew:
            self._checked_ns = now_ns
        self.since.value = 0 if anew else self._read_us

    def take(self, rows: Sequence[T], moment_us: Callable[[T], int]) -> list[T] | None:
        """Return what is new of the rows that a call gave; None if reading starts anew."""
        now_ns = self._clock()
        newest_us = max(map(moment_us, rows), default=0)
        last_us = self._read_us + (now_ns - self._heard_ns) // 1000 + SLACK_US
        fits = not rows or not self._read_us or self._read_us <= newest_us <= last_us
        if self.since.value == 0 and not fits:
            self._read_us, self._heard_ns, self._doubt = newest_us, now_ns, False
            return None
        new = [row for row in rows if moment_us(row) > self._read_us]
        if self._read_us:
            known = [row for row in new if moment_us(row) <= last_us]
            self.refused += len(new) - len(known)
            self._doubt = len(known) < len(new)
            new = known
        if new:
            self._read_us, self._heard_ns = max(map(moment_us, new)), now_ns
        return new
