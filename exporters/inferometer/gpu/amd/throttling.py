"""Time under a limit, from counts of the firmware. Pure.

The firmware counts its cycles, and those in which a limit held. Between two looks, the share of
such cycles is the share of time, so the sum is right however far apart the looks are.
"""

from typing import Final

from inferometer.gpu.amd.answers import Found, Residency
from inferometer.gpu.quantities import Counter, Gauge

POWER_CAP: Final = 0x4
SLOWDOWN: Final = 0x8
THERMAL: Final = 0x40
"""Bits of the mask of reasons, as NVML has them: to be verified on hardware that PPT (package
power) is a cap by firmware, and PROCHOT what NVIDIA calls a hardware slowdown."""


class Throttling:
    """Sums since it was made."""

    def __init__(self) -> None:
        """Start without a look."""
        self._at_ns = 0
        self._last: Residency | None = None
        self._sums_ns: dict[Gauge | Counter, int] = {}
        self._mask: int | None = None

    def look(self, moment_ns: int, counts: Residency | None) -> None:
        """Take the counts of a moment. Counts that fall are of a driver that started anew."""
        last, at_ns = self._last, self._at_ns
        if counts is None:
            self._last = self._mask = None
            return
        if last is not None and counts.cycles == last.cycles:
            return  # the firmware has not counted since
        self._last, self._at_ns = counts, moment_ns
        if last is None or any(now < then for now, then in zip(counts, last, strict=True)):
            self._mask = None
            return
        cycles = counts.cycles - last.cycles
        elapsed_ns = moment_ns - at_ns
        self._mask = 0
        for counter, bit, held in (
            (Counter.THROTTLED_POWER_NS, POWER_CAP, counts.power - last.power),
            (Counter.THROTTLED_THERMAL_NS, THERMAL, counts.thermal - last.thermal),
            (Counter.THROTTLED_HW_THERMAL_NS, SLOWDOWN, counts.hot - last.hot),
        ):
            added_ns = elapsed_ns * min(held, cycles) // cycles
            self._sums_ns[counter] = self._sums_ns.get(counter, 0) + added_ns
            if held:
                self._mask |= bit

    @property
    def sums(self) -> Found:
        """How long each limit has held, in nanoseconds; nothing before the second look.

        Nothing either while a look finds no counts: the sums stand still then.
        """
        return dict(self._sums_ns) if self._last is not None else {}

    @property
    def mask(self) -> int | None:
        """Which limits held between the last two looks; None if there were none."""
        return self._mask
