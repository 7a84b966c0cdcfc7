"""The power of a device that does nothing, learnt while it does nothing.

Never from a minimum over busy time: a start under load would set a false floor. Power sinks for a
few seconds after the last work, so those do not count; and what was long ago counts less and less,
since a device idles at another level with a context open or other clocks. Pure.
"""

from typing import Final

SETTLE_NS: Final = 5_000_000_000
"""Idle time after work that is not counted: clocks sink in steps."""
KNOWN_NS: Final = 10_000_000_000
"""Idle time that must have been counted before the floor is known."""
MEMORY_NS: Final = 120_000_000_000
"""Once as much has been counted, its weight is halved."""


class IdleFloor:
    """Energy per time while idle, as a ratio of integers."""

    def __init__(self) -> None:
        """Know nothing."""
        self._quiet_ns = 0
        self._counted_ns = 0
        self._counted_mj = 0

    @property
    def known(self) -> bool:
        """Whether enough idle time has been seen."""
        return self._counted_ns >= KNOWN_NS

    def learn(self, dt_ns: int, *, busy_ns: int, energy_mj: int) -> None:
        """Take a tick into account if it is idle, and the device has been for a while."""
        if busy_ns > 0:
            self._quiet_ns = 0
            return
        if self._quiet_ns < SETTLE_NS:
            self._quiet_ns += dt_ns
            return
        self._counted_ns += dt_ns
        self._counted_mj += energy_mj
        if self._counted_ns >= MEMORY_NS:
            self._counted_ns //= 2
            self._counted_mj //= 2

    def energy_mj(self, dt_ns: int) -> int:
        """Return what idling would take in this time; 0 until that is known."""
        return self._counted_mj * dt_ns // self._counted_ns if self.known else 0
