"""Sums that outlive children and drivers: what the server knows since it was started.

A child counts from zero, a driver from wherever it is; here both become integers that never fall.
Moments are those of the samples, in seconds of CLOCK_MONOTONIC.
"""

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

from inferometer.gpu.child.calls import NAMES_MAX, merge
from inferometer.gpu.messages import CODES_MAX, EventTotals, Heartbeat, Hello
from inferometer.gpu.quantities import Counter, Total
from inferometer.gpu.sample import CallStats, Xid

K = TypeVar("K", bound=Hashable)

KEYS_MAX: Final = 256
"""Kinds that one `Running` tells apart; more are not counted."""
INSTANCES_MAX: Final = 64
"""MIG instances of a device whose sums are kept, gone ones included."""
FALLEN_S: Final = 300.0
"""How long a counter has to stay below its old value until it is believed."""
PEAK_S: Final = 60.0
STEPS_MAX: Final = 512
"""Entries of a peak's window, above what 60 s at the fastest tick need."""

PER_SECOND_MAX: Final[Mapping[Counter, int]] = {
    Counter.ENERGY_MILLIJOULES: 20_000_000,  # 20 kW
    Counter.PCIE_TRANSMIT_BYTES: 300 * 10**9,  # PCIe 7 x16, and 1.2 times that
    Counter.PCIE_RECEIVE_BYTES: 300 * 10**9,
    Counter.NVLINK_TRANSMIT_BYTES: 2_200 * 10**9,  # NVLink 6, and 1.2 times that
    Counter.NVLINK_RECEIVE_BYTES: 2_200 * 10**9,
    **{c: 1_200_000_000 for c in Counter if c.value.startswith("throttled_")},
}
"""Steps that no device makes; a counter that makes one was misread."""
COUNTED: Final[Mapping[Total, Counter]] = {
    Total.ENERGY_MICROJOULES: Counter.ENERGY_MILLIJOULES,
    Total.PCIE_TRANSMIT_BYTES: Counter.PCIE_TRANSMIT_BYTES,
    Total.PCIE_RECEIVE_BYTES: Counter.PCIE_RECEIVE_BYTES,
    Total.NVLINK_TRANSMIT_BYTES: Counter.NVLINK_TRANSMIT_BYTES,
    Total.NVLINK_RECEIVE_BYTES: Counter.NVLINK_RECEIVE_BYTES,
}
"""Totals that a backend runs where nothing counts, and what counts them elsewhere."""
CONTINUED: Final = frozenset(Counter(c) for c in Counter if c.value.endswith("_bytes"))
"""Counters that a child continues over wraps of the driver's; the next child begins wherever."""
_SLACK_S: Final = 5.0
"""Drivers refresh counters in steps of their own."""


class Running(Generic[K]):
    """Sums over processes that each count from zero."""

    def __init__(self, *, keys_max: int = KEYS_MAX) -> None:
        """Begin with nothing."""
        self._keys_max = keys_max
        self._last: dict[K, int] = {}
        self.sums: dict[K, int] = {}

    def restart(self) -> None:
        """Note that another process counts from now on."""
        self._last.clear()

    def take(self, totals: Mapping[K, int], *, passing: Collection[K] = ()) -> None:
        """Add what has come since the last time; a total that fell has begun anew.

        What has come to those that are `passing` is counted elsewhere and not added.
        """
        for key, total in totals.items():
            if key in passing:
                self._last[key] = total
                continue
            if key not in self.sums and len(self.sums) >= self._keys_max:
                continue
            last = self._last.get(key, 0)
            self.sums[key] = self.sums.get(key, 0) + (total - last if total >= last else total)
            self._last[key] = total


class DriverCounters:
    """Sums of the steps of counters that a driver keeps, begun at zero when first seen.

    A counter that falls has been restarted only if something said so before; then all of it is
    new. Without, the value is refused, and so is one that rose by more than any device can: the
    next good one closes the gap. One that stays wrong for `FALLEN_S` is where we go on from, with
    nothing added, since a sum that stands still for ever would be an invention, too.

    One of `CONTINUED` that falls once there is another child, or the driver was reset, goes on from
    there with nothing added: how much of its new value is new, nobody knows.
    """

    def __init__(self) -> None:
        """Begin with no counter seen."""
        self._last: dict[Counter, tuple[int, float]] = {}
        self._odd: dict[Counter, tuple[int, float]] = {}
        self._may_restart: set[Counter] = set()
        self.sums: dict[Counter, int] = {}
        self.refused: dict[str, int] = {}
        self.refused_now: frozenset[Counter] = frozenset()
        """What the latest `take` did not believe."""

    def expect_restart(self) -> None:
        """Note that the driver or the device was reset, or may have been."""
        self._may_restart.update(self._last)

    def child_started(self) -> None:
        """Note that another child continues counters from now on."""
        self._may_restart.update(CONTINUED.intersection(self._last))

    def pass_over(self, counters: Iterable[Counter]) -> None:
        """Go on from the next value, nothing added: what came until then is known from others."""
        for counter in counters:
            self._last.pop(counter, None)
            self._odd.pop(counter, None)

    def take(self, raw: Mapping[Counter, int], now_s: float) -> None:
        """Add what has come since the last time."""
        refused = []
        for counter, value in raw.items():
            step = self._step(counter, value, now_s)
            if step is None:
                refused.append(counter)
            else:
                self.sums[counter] = self.sums.get(counter, 0) + step
                self._last[counter] = (value, now_s)
                self._odd.pop(counter, None)
                self._may_restart.discard(counter)
        self.refused_now = frozenset(refused)

    def _step(self, counter: Counter, value: int, now_s: float) -> int | None:
        """Return what to add, None where the value is not to be believed."""
        if counter not in self._last:
            return 0
        last, since_s = self._last[counter]
        step = value - last
        if step < 0 and counter in self._may_restart:
            step = 0 if counter in CONTINUED else value
        most = PER_SECOND_MAX.get(counter)
        if step >= 0 and (most is None or step <= most * (now_s - since_s + _SLACK_S)):
            return step
        self.refused[counter] = self.refused.get(counter, 0) + 1
        odd, odd_since_s = self._odd.get(counter, (value, now_s))
        if value < odd:
            odd_since_s = now_s  # it still falls
        self._odd[counter] = (value, odd_since_s)
        return 0 if now_s - odd_since_s >= FALLEN_S else None


class Events:
    """XIDs and other events of a device."""

    def __init__(self) -> None:
        """Begin with none; `xid_last` is None until a child could listen.

        `heard` says whether the child that there is listens now.
        """
        self._xids: Running[int | None] = Running(keys_max=KEYS_MAX)
        self._events: Running[str] = Running()
        self.xids: dict[int | None, Xid] = {}
        self.xid_last: int | None = None
        self.heard = False

    @property
    def events(self) -> dict[str, int]:
        """Events other than XIDs, by kind."""
        return self._events.sums

    def restart(self) -> None:
        """Note that another child counts from now on."""
        self._xids.restart()
        self._events.restart()

    def take(self, totals: EventTotals) -> None:
        """Add what is new; codes above `CODES_MAX` are counted under None."""
        self.heard = totals.heard
        before = dict(self._xids.sums)
        self._xids.take({code: xid.seen for code, xid in totals.xids.items()})
        self._events.take(totals.events)
        self.xid_last = self.xid_last or 0
        for code, xid in totals.xids.items():
            new = self._xids.sums.get(code, 0) - before.get(code, 0)
            if new:
                self._count(code, Xid(new, xid.last_s))
                self.xid_last = totals.xid_last

    def _count(self, code: int | None, new: Xid) -> None:
        known = sum(1 for c in self.xids if c is not None)
        shown = code if code in self.xids or known < CODES_MAX else None
        seen, last_s = self.xids.get(shown, Xid(0, 0.0))
        self.xids[shown] = Xid(seen + new.seen, max(last_s, new.last_s))


class Instances:
    """Totals of a device's MIG instances, by their UUID."""

    def __init__(self) -> None:
        """Begin with none."""
        self._sums: dict[str, Running[Total]] = {}

    def restart(self) -> None:
        """Note that another child counts from now on."""
        for running in self._sums.values():
            running.restart()

    def take(self, totals: Mapping[str, Mapping[Total, int]]) -> dict[str, Mapping[Total, int]]:
        """Add what has come, and return the sums of the instances that there are now.

        Of those that have gone, the ones unseen for longest are forgotten first.
        """
        for uuid, running in totals.items():
            known = self._sums.pop(uuid, None) or Running()
            known.take(running)
            self._sums[uuid] = known
        while len(self._sums) > max(INSTANCES_MAX, len(totals)):
            del self._sums[next(iter(self._sums))]
        return {uuid: dict(self._sums[uuid].sums) for uuid in totals}


class Work:
    """What a backend's children have done between them, and what the latest said of itself."""

    def __init__(self) -> None:
        """Begin with nothing done."""
        self._past: dict[str, CallStats] = {}
        self._present: Mapping[str, CallStats] = {}
        self._dropped: Running[str] = Running()
        self.calls: Mapping[str, CallStats] = {}
        self.demoted: Mapping[str, str] = {}
        self.driver_version = ""
        self.devices_pci: int | None = None
        self.kernel_sequence = -1
        """Of the last line of the kernel's log that was counted."""

    def restart(self) -> None:
        """Note that another child counts from now on."""
        self._past = _first(merge([self._past, self._present]))
        self._present, self.demoted = {}, {}
        self._dropped.restart()

    def greeted(self, hello: Hello) -> None:
        """Note what a child has found."""
        self.driver_version = hello.driver_version
        self.devices_pci = hello.devices_pci

    def beaten(self, beat: Heartbeat) -> None:
        """Take in the calls a child has made."""
        if beat.calls is not None:
            self._present = _first(beat.calls)
            self.calls = merge([self._past, self._present])
        self.demoted = beat.demoted
        self._dropped.take({"": beat.dropped})
        self.kernel_sequence = max(self.kernel_sequence, beat.kernel_sequence)

    def counted(self, totals: EventTotals) -> None:
        """Note how far counted events go in the kernel's log, which the next child leaves out."""
        self.kernel_sequence = max(self.kernel_sequence, totals.kernel_sequence)

    @property
    def dropped(self) -> int:
        """Messages that found the pipe full."""
        return self._dropped.sums.get("", 0)


def _first(calls: Mapping[str, CallStats]) -> dict[str, CallStats]:
    """Return as many calls as one child of ours ever names."""
    return dict(list(calls.items())[: NAMES_MAX + 1])


class Peak:
    """The highest value of the last minute."""

    def __init__(self) -> None:
        """Begin with no value."""
        self._falling: deque[tuple[float, float]] = deque(maxlen=STEPS_MAX)

    def take(self, value: float, now_s: float) -> None:
        """Note a value; earlier ones that are not higher can never be the peak again."""
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((now_s, value))

    def highest(self, now_s: float) -> float | None:
        """Return the peak, None where nothing was noted in the last minute."""
        while self._falling and self._falling[0][0] < now_s - PEAK_S:
            self._falling.popleft()
        return self._falling[0][1] if self._falling else None


class _Point(NamedTuple):
    busy_ns: int
    observed_ns: int


class BusyRatio:
    """The busy part of stretches of a second or so, from sums that never fall."""

    def __init__(self, *, stretch_ns: int = 900_000_000) -> None:
        """Begin with the first `take`."""
        self._stretch_ns = stretch_ns
        self._since: _Point | None = None

    def take(self, totals: Mapping[Total, int]) -> float | None:
        """Return the ratio in [0, 1] once a stretch is over, None before."""
        if Total.OBSERVED_NS not in totals or Total.BUSY_NS not in totals:
            return None
        point = _Point(totals[Total.BUSY_NS], totals[Total.OBSERVED_NS])
        if self._since is None:
            self._since = point
            return None
        observed_ns = point.observed_ns - self._since.observed_ns
        if observed_ns < self._stretch_ns:
            return None
        busy_ns = point.busy_ns - self._since.busy_ns
        self._since = point
        return min(1.0, busy_ns / observed_ns)
