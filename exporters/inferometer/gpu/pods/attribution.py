"""The running totals of one device, split by who holds it: ticks in, shares out. Pure.

Which way a tick is split depends on what is known at that moment:

    exclusive   one container holds the device: all busy time is its own; no process data needed
    process     several do, or others are seen on it: by the busy time of their processes
    mps         the same, for clients of MPS
    mig         by the busy time of instances, weighed by their slices
    none        nobody can tell: `other`, with the reason

Process data come every few ticks and tell of the time since the ones before. So the ticks of a
shared device are held back until then, for at most `HELD_NS_MAX`: work is not given to whoever was
there before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from inferometer.gpu.pods import methods, shares
from inferometer.gpu.pods.floor import IdleFloor
from inferometer.gpu.pods.holders import Holder
from inferometer.gpu.pods.ledger import HOLDERS_MAX, Ledger
from inferometer.gpu.pods.methods import HELD_NS_MAX, Judge
from inferometer.gpu.pods.shares import InstanceUse
from inferometer.gpu.pods.tick import Method, Reason, ShareTotal, Tick, Work

CARRIED_NS_MAX: Final = 5_000_000_000
"""Busy time beyond a tick's length that is left for the next ones; counters have other clocks."""
BY_PROCESSES: Final[tuple[Method, ...]] = ("process", "mps")


class Attribution:
    """One device. `take` each tick, then read `totals`; one thread only.

    `processes` says that process data will come; without them a shared device is not waited for.
    `floor` says who pays for the power of idling: nobody, or the containers that hold the device.
    """

    def __init__(
        self,
        *,
        processes: bool,
        floor: Literal["idle", "holders"] = "idle",
        holders_max: int = HOLDERS_MAX,
    ) -> None:
        """Begin with no totals at all."""
        self.method: Method = "none"
        self.reason: Reason = "no_map"
        self.implausible = 0
        """Values that were refused: negative, or busier than time allows."""
        self._holders_pay = floor == "holders"
        self._judge = Judge(processes=processes)
        self._floor = IdleFloor()
        self._ledger = Ledger(holders_max)
        self._held = Work()
        self._carried_ns = 0

    @property
    def overflowed(self) -> int:
        """How often a container came when there were as many as there may be."""
        return self._ledger.overflowed

    def take(self, tick: Tick, now_ns: int) -> None:
        """Add a tick; `now_ns` is a monotonic moment. Values that cannot be are left out."""
        if tick.dt_ns <= 0:
            self.implausible += 1
            return
        tick = self._plausible(tick)
        self._ledger.see(tick.present(), now_ns)
        if tick.instances is not None:
            self._take_instances(tick, tick.instances)
        else:
            self._take_whole(tick)

    def totals(self) -> tuple[ShareTotal, ...]:
        """Return every share that has something to show: pods sorted by name, other, idle."""
        return self._ledger.totals()

    def error_ratio(self) -> float:
        """Return by how much the shares miss the device, of time or energy; it must be 0."""
        return self._ledger.error_ratio()

    def _plausible(self, tick: Tick) -> Tick:
        """Return the tick without negative values, and with no more busy time than time.

        What is beyond is carried over, since the driver's busy time has another clock than ours.
        """
        energy_mj, used_bytes = self._positive(tick.energy_mj), self._positive(tick.used_bytes)
        busy_ns = self._positive(tick.busy_ns)
        if busy_ns is not None:
            ready_ns = busy_ns + self._carried_ns
            busy_ns = min(ready_ns, tick.dt_ns)
            self._carried_ns = min(ready_ns - busy_ns, CARRIED_NS_MAX)
            self.implausible += ready_ns - busy_ns > CARRIED_NS_MAX
        return replace(tick, busy_ns=busy_ns, energy_mj=energy_mj, used_bytes=used_bytes)

    def _positive(self, value: int | None) -> int | None:
        if value is None or value >= 0:
            return value
        self.implausible += 1
        return None

    def _take_instances(self, tick: Tick, instances: tuple[InstanceUse, ...]) -> None:
        self._release()
        self.method, self.reason = "mig", methods.of_instances(instances)
        slices = tick.slices or sum(max(0, one.slices) for one in instances)
        found = shares.busy_of_instances(instances, dt_ns=tick.dt_ns, slices=slices)
        if found is None:
            self._add_unknown(tick.energy_mj)
        else:
            raw, busy_ns = found
            holders = {holder for one in instances for holder in one.holders or ()}
            self._learn(tick, busy_ns)
            self._add(Work(tick.dt_ns, busy_ns, tick.energy_mj), raw, sorted(holders))
        self._set_memory(tick.used_bytes, shares.memory_of_instances(instances))

    def _take_whole(self, tick: Tick) -> None:
        before = self.method
        self.method, self.reason = self._judge.verdict(tick)
        by_processes = self.method in BY_PROCESSES
        if not by_processes:
            self._release()
        elif before not in BY_PROCESSES:
            self._set_memory(None, {})  # what one container had to itself tells nothing any more
        if tick.busy_ns is None:
            self._add_unknown(tick.energy_mj)
        else:
            self._learn(tick, tick.busy_ns)
            work = Work(tick.dt_ns, tick.busy_ns, tick.energy_mj)
            if by_processes:
                self._hold(tick, work)
            else:
                only = tick.holders if self.method == "exclusive" else None
                self._add(work, dict.fromkeys(only or (), work.busy_ns), tick.holders or ())
        self._set_memory_of_whole(tick)

    def _hold(self, tick: Tick, work: Work) -> None:
        """Keep work back until process data tell whose it is, but not for ever."""
        self._held = self._held.plus(work)
        if tick.processes is not None:
            raw = dict.fromkeys(tick.holders or (), 0) | shares.busy_of_processes(tick.processes)
            held, self._held = self._held, Work()
            self._add(held, raw, tick.holders or sorted(raw))
        elif self._held.dt_ns >= HELD_NS_MAX:
            if self._held.busy_ns:
                self.reason = "process_data_late"
            self._release()

    def _release(self) -> None:
        """Give up waiting: what was held back is `other`."""
        if self._held.dt_ns:
            held, self._held = self._held, Work()
            self._add(held, {}, ())

    def _add(self, work: Work, raw: Mapping[Holder, int], holders: Sequence[Holder]) -> None:
        """Split work by what each pod is seen to have used."""
        busy = shares.split_busy(work.dt_ns, work.busy_ns, self._ledger.admitted(raw))
        self._ledger.add_busy(work.dt_ns, busy)
        if work.energy_mj is not None:
            payers = self._ledger.admitted(dict.fromkeys(holders, 1)) if self._holders_pay else ()
            floor_mj = self._floor.energy_mj(work.dt_ns)
            split = shares.split_energy(
                work.energy_mj, busy, floor_mj=floor_mj, payers=tuple(payers)
            )
            self._ledger.add_energy(work.energy_mj, split)

    def _add_unknown(self, energy_mj: int | None) -> None:
        """Add a tick of which nobody knows how busy it was: no time, and energy to `other`."""
        if energy_mj is not None:
            self._ledger.add_other_energy(energy_mj)

    def _learn(self, tick: Tick, busy_ns: int) -> None:
        if tick.energy_mj is not None and tick.whole:
            self._floor.learn(tick.dt_ns, busy_ns=busy_ns, energy_mj=tick.energy_mj)

    def _set_memory_of_whole(self, tick: Tick) -> None:
        """Say whose the memory is; by processes, only when their data come."""
        if self.method in BY_PROCESSES:
            if tick.processes is not None:
                pods = dict.fromkeys(tick.holders or (), 0)
                self._set_memory(tick.used_bytes, pods | shares.memory_of_processes(tick.processes))
            elif self.reason == "process_data_late":
                self._set_memory(None, {})
        elif self.method == "exclusive":
            self._set_memory(tick.used_bytes, dict.fromkeys(tick.holders or (), tick.used_bytes))
        else:
            self._set_memory(tick.used_bytes, {})

    def _set_memory(self, used_bytes: int | None, pods: Mapping[Holder, int | None]) -> None:
        admitted = {
            holder: pods[holder] for holder in self._ledger.admitted(dict.fromkeys(pods, 0))
        }
        self._ledger.set_memory(shares.split_memory(used_bytes, admitted))
