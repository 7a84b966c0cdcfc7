"""When a device is read, and what is known of it between two readings; no clock, no thread.

`Grid` is the rhythm of one device: ticks on a fixed grid of CLOCK_MONOTONIC, of which those that
are late are left out and counted, so that a slow device never has a queue of ticks behind it.
`Latest` keeps what each tier said last and puts it together.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from inferometer.gpu.quantities import Quantity, Tier
from inferometer.gpu.sample import Instance, Process, Reading, Reason, Sample

TIERS: Final[tuple[Tier, ...]] = ("fast", "process", "slow")

_SLOWER: Final[Mapping[Tier, tuple[Tier, ...]]] = {
    tier: TIERS[number + 1 :] for number, tier in enumerate(TIERS)
}

COUNT_MAX: Final = 2**80
"""No counter is this large; what is, is garbage."""

K = TypeVar("K", bound=Quantity)
V = TypeVar("V", int, float)


class Grid:
    """The ticks of one device."""

    def __init__(
        self,
        *,
        first_ns: int,
        tick_ns: int,
        periods: Mapping[Tier, int],
        early_ns: int | None = None,
    ) -> None:
        """Begin with the tick at `first_ns`, in which every tier is due; periods are in ticks.

        `early_ns` is for one tick before that, where the first of the grid is too far away.
        """
        self._first_ns = first_ns
        self._tick_ns = tick_ns
        self._periods = periods
        self._early_ns = early_ns
        self._tick = 0 if early_ns is None else -1
        self._next = dict.fromkeys(periods, self._tick)
        self.missed: dict[str, int] = dict.fromkeys(periods, 0)

    @property
    def due_ns(self) -> int:
        """The moment of the next tick."""
        if self._early_ns is not None and self._tick < 0:
            return self._early_ns
        return self._first_ns + self._tick * self._tick_ns

    def tiers(self) -> tuple[Tier, ...]:
        """Return what is due in the next tick; a tier whose own tick was left out is, too."""
        return tuple(tier for tier, tick in self._next.items() if tick <= self._tick)

    def all_due(self) -> None:
        """Make every tier due in the next tick."""
        self._next = dict.fromkeys(self._periods, self._tick)

    def advance(self, now_ns: int) -> None:
        """End the tick: the next one is the first that is still ahead."""
        for tier in self.tiers():
            period = self._periods[tier]
            self._next[tier] = (self._tick // period + 1) * period
        ahead = max(self._tick + 1, (now_ns - self._first_ns) // self._tick_ns + 1)
        for tier, period in self._periods.items():
            self.missed[tier] += (ahead - 1) // period - self._tick // period
        self._tick = ahead


class Latest:
    """What the tiers of one device said last. Values that no driver can mean are refused here.

    A tier's reading replaces that tier's earlier one whole: what it no longer tells is unknown.
    """

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._by_tier: dict[Tier, Reading] = {}
        self._instances: tuple[Instance, ...] = ()
        self._processes: tuple[Process, ...] | None = None
        self._processes_ns: int | None = None
        self._refused: dict[str, int] = {}
        self._seen: set[Quantity] = set()
        self._gone: set[Quantity] | None = None  # to be found out

    def clear(self) -> None:
        """Forget all values, since the device may be another than before."""
        self._by_tier.clear()
        self._instances, self._processes, self._processes_ns = (), None, None
        self._seen.clear()
        self._gone = None

    def take(self, tier: Tier, reading: Reading, *, read_ns: int) -> None:
        """Keep a reading that was made at a moment of CLOCK_MONOTONIC."""
        gauges = self._plausible(reading.gauges, math.isfinite)
        counters = self._plausible(reading.counters, _is_count)
        totals = self._plausible(reading.totals, _is_count)
        told = Reading(
            gauges=gauges, counters=counters, totals=totals, implausible=reading.implausible
        )
        before = self._by_tier.get(tier)
        self._by_tier[tier] = told
        if before is None or not _alike(before, told):
            self._seen.update(gauges, counters, totals)
            self._gone = None
        for slower in _SLOWER[tier]:
            if slower in self._by_tier:  # or an older value would come back once this is silent
                self._by_tier[slower] = _without(self._by_tier[slower], told)
        if reading.instances is not None:
            self._instances = reading.instances
        if reading.processes is not None:
            self._processes, self._processes_ns = reading.processes, read_ns

    @property
    def instances(self) -> frozenset[str]:
        """The MIG instances there are."""
        return frozenset(instance.uuid for instance in self._instances)

    def sample(
        self, uuid: str, moment: tuple[int, float], unsupported: Mapping[str, Reason]
    ) -> Sample:
        """Return all that is known; `moment` is of the monotonic and of the wall clock."""
        readings = [self._by_tier[tier] for tier in reversed(TIERS) if tier in self._by_tier]
        implausible = dict(self._refused)
        for reading in readings:
            for name, count in reading.implausible.items():
                implausible[name] = max(count, implausible.get(name, 0))
        return Sample(
            uuid=uuid,
            moment_ns=moment[0],
            time_s=moment[1],
            gauges={k: v for r in readings for k, v in r.gauges.items()},
            counters={k: v for r in readings for k, v in r.counters.items()},
            totals={k: v for r in readings for k, v in r.totals.items()},
            instances=self._instances,
            processes=self._processes,
            processes_ns=self._processes_ns,
            unsupported=unsupported,
            implausible=implausible,
        )

    def gone(self) -> set[Quantity]:
        """Return what was told since the last `clear` but is no longer."""
        if self._gone is None:
            told = (q for r in self._by_tier.values() for q in (*r.gauges, *r.counters, *r.totals))
            self._gone = self._seen.difference(told)
        return self._gone

    def _plausible(self, values: Mapping[K, V], fits: Callable[[V], bool]) -> dict[K, V]:
        good = {k: v for k, v in values.items() if fits(v)}
        if len(good) < len(values):
            for name in values.keys() - good.keys():
                self._refused[name] = self._refused.get(name, 0) + 1
        return good


def _alike(reading: Reading, other: Reading) -> bool:
    """Return whether two readings tell the same quantities."""
    return (
        reading.gauges.keys() == other.gauges.keys()
        and reading.counters.keys() == other.counters.keys()
        and reading.totals.keys() == other.totals.keys()
    )


def _without(reading: Reading, told: Reading) -> Reading:
    """Return a reading without what another one tells, too."""
    if (
        reading.gauges.keys().isdisjoint(told.gauges)
        and reading.counters.keys().isdisjoint(told.counters)
        and reading.totals.keys().isdisjoint(told.totals)
    ):
        return reading
    return replace(
        reading,
        gauges={k: v for k, v in reading.gauges.items() if k not in told.gauges},
        counters={k: v for k, v in reading.counters.items() if k not in told.counters},
        totals={k: v for k, v in reading.totals.items() if k not in told.totals},
    )


def _is_count(value: int) -> bool:
    return 0 <= value < COUNT_MAX
