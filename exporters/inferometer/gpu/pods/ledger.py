"""The running totals of a device's shares, and proof that they add up to the device. Pure.

The device's own time and energy are summed here a second time, apart from the shares: their
difference is exported, and must be 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from inferometer.gpu.pods.holders import Holder
from inferometer.gpu.pods.shares import MemorySplit, Split
from inferometer.gpu.pods.tick import ShareTotal

HOLDERS_MAX: Final = 512
"""Containers of one device; what further ones use is `other`."""
SERIES_END_NS: Final = 60_000_000_000
"""How long a container that holds the device no more, and has no process on it, is still shown."""


@dataclass(slots=True)
class _Share:
    """Sums of one share. Those of time and energy exist from their first known tick on."""

    busy_ns: int | None = None
    energy_mj: int | None = None
    used_bytes: int | None = None
    seen_ns: int = 0

    def add_busy(self, part: int) -> None:
        self.busy_ns = (self.busy_ns or 0) + part

    def add_energy(self, part: int) -> None:
        self.energy_mj = (self.energy_mj or 0) + part


class Ledger:
    """Totals of pods, `other` and `idle`. Totals never fall; a series may end and begin anew."""

    def __init__(self, holders_max: int = HOLDERS_MAX) -> None:
        """Begin with no totals at all."""
        self.overflowed = 0
        """How often a container came when there was no room."""
        self._holders_max = holders_max
        self._pods: dict[Holder, _Share] = {}
        self._other = _Share()
        self._idle = _Share()
        self._ended = _Share()
        self._device = _Share()

    def see(self, present: Iterable[Holder], now_ns: int) -> None:
        """Note who is there, and end the series of those who left a minute ago."""
        for holder in sorted(present):
            if holder in self._pods:
                self._pods[holder].seen_ns = now_ns
            elif len(self._pods) < self._holders_max:
                self._pods[holder] = _Share(seen_ns=now_ns)
            else:
                self.overflowed += 1
        gone = [
            holder
            for holder, share in self._pods.items()
            if now_ns - share.seen_ns >= SERIES_END_NS
        ]
        for holder in gone:
            share = self._pods.pop(holder)
            self._ended.add_busy(share.busy_ns or 0)
            self._ended.add_energy(share.energy_mj or 0)

    def admitted(self, raw: Mapping[Holder, int]) -> dict[Holder, int]:
        """Return the uses of those who have a series; the rest is left to `other`."""
        return {holder: use for holder, use in raw.items() if holder in self._pods}

    def add_busy(self, dt_ns: int, split: Split) -> None:
        """Add time that has been split."""
        self._device.add_busy(dt_ns)
        for holder, part in split.pods.items():
            self._pods[holder].add_busy(part)
        self._other.add_busy(split.other)
        self._idle.add_busy(split.idle)

    def add_energy(self, energy_mj: int, split: Split) -> None:
        """Add energy that has been split."""
        self._device.add_energy(energy_mj)
        for holder, part in split.pods.items():
            self._pods[holder].add_energy(part)
        self._other.add_energy(split.other)
        self._idle.add_energy(split.idle)

    def add_other_energy(self, energy_mj: int) -> None:
        """Add energy of which nobody knows what it was used for, not even how much idling took."""
        self._device.add_energy(energy_mj)
        self._other.add_energy(energy_mj)

    def set_memory(self, split: MemorySplit) -> None:
        """Replace what is said of memory; whoever is not in `split` has no such series."""
        for holder, share in self._pods.items():
            share.used_bytes = split.pods.get(holder)
        self._other.used_bytes = split.other

    def totals(self) -> tuple[ShareTotal, ...]:
        """Return every share that has something to show: pods sorted by name, other, idle."""
        totals = [
            ShareTotal("pod", holder, share.busy_ns, share.energy_mj, share.used_bytes)
            for holder, share in sorted(self._pods.items(), key=lambda item: item[0])
        ]
        other, idle = self._other, self._idle
        totals.append(ShareTotal("other", None, other.busy_ns, other.energy_mj, other.used_bytes))
        totals.append(ShareTotal("idle", None, idle.busy_ns, idle.energy_mj, None))
        return tuple(total for total in totals if total[2:] != (None, None, None))

    def error_ratio(self) -> float:
        """Return by how much the shares miss the device, in time or in energy."""
        every = (*self._pods.values(), self._other, self._idle, self._ended)
        time_ns = sum(share.busy_ns or 0 for share in every)
        energy_mj = sum(share.energy_mj or 0 for share in every)
        return max(
            _miss(time_ns, self._device.busy_ns or 0),
            _miss(energy_mj, self._device.energy_mj or 0),
        )


def _miss(found: int, expected: int) -> float:
    return abs(found - expected) / max(1, expected)
