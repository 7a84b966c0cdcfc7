"""Whose each device is: labels of owners, and shares of the device that add up to it.

A device that one container holds carries its name. One that several share carries none, and only
the `share` families tell who used how much: the device's value on each pod would count it twice.
Fed once per page with what was added to a device's sums since the page before.
"""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Final, Literal, NamedTuple

from inferometer.gpu.hpc import Jobs, Place, one
from inferometer.gpu.page.families import NS_PER_S, PREFIX
from inferometer.gpu.page.names import HolderLabels
from inferometer.gpu.page.page import Labels, Page
from inferometer.gpu.pods.attribution import Attribution
from inferometer.gpu.pods.cgroups import Cgroups
from inferometer.gpu.pods.holders import Holder, Snapshot, merged
from inferometer.gpu.pods.ids import target
from inferometer.gpu.pods.owners import Owners
from inferometer.gpu.pods.shares import InstanceUse
from inferometer.gpu.pods.tick import ShareTotal, Tick
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import DeviceView, Instance, Process, Sample

PROCESSES_MAX: Final = 64
"""Processes of a device that get series of their own."""
PROCESSES_AGE_NS_MAX: Final = 60_000_000_000
"""How old a list of processes may be, or three times as old as it was when the next one came."""
UNKNOWN_BYTES: Final = 2**64 - 1

UNWATCHED_NS_MAX: Final = 60_000_000_000
"""How long the next news of how busy a device is are waited for; then that time is unknown."""
GAP: Final = 1.5
"""A tick this many times as long as the time that was watched has energy of more than that time."""

Floor = Literal["idle", "holders"]


class Method(NamedTuple):
    """How shares are told. `cgroups` None: processes are strangers, since pids are not ours."""

    cgroups: Cgroups | None = None
    floor: Floor = "idle"


def names_of(holders: tuple[Holder, ...] | None, job: str) -> HolderLabels:
    """Return the labels of whose something is: only one holder is named."""
    if holders is None or len(holders) != 1:
        return HolderLabels(hpc_job=job)
    holder = holders[0]
    return HolderLabels(holder.namespace, holder.pod, holder.container, job)


def owners_of(
    view: DeviceView, instances: Sequence[Instance], snapshot: Snapshot | None, jobs: Jobs
) -> tuple[HolderLabels, tuple[tuple[Instance, HolderLabels], ...]]:
    """Return the owners of a device and of each of its instances."""
    identity = view.identity
    whole = snapshot.of(target(identity)) if snapshot else None
    parts = []
    for instance in instances:
        held = snapshot.of(target(identity, instance)) if snapshot else None
        job = one(jobs, Place(identity.index, instance.gpu_instance))
        parts.append((instance, names_of(held, job)))
    return names_of(whole, one(jobs, Place(identity.index))), tuple(parts)


class _Use(NamedTuple):
    """A MIG instance's sums: how long it was watched, and how long it was busy then."""

    observed_ns: int | None
    busy_ns: int | None


_UNSEEN: Final = _Use(None, None)


class _Sums(NamedTuple):
    """A device's sums at a moment. `observed_ns` None: no backend watches how busy it is.

    `energy_ns` is the moment of which `energy_uj` is, which may be some time ago.
    """

    moment_ns: int
    observed_ns: int | None
    busy_ns: int | None
    energy_uj: int | None
    energy_ns: int
    instances: dict[str, _Use]

    def watched(self, before: "_Sums") -> bool:
        """Return whether somebody has watched how busy the device is since then."""
        if self.observed_ns is None or before.observed_ns is None:
            return False
        return self.observed_ns > before.observed_ns


class _Span(NamedTuple):
    """The time of a tick: what there was before and after it."""

    before: _Sums
    now: _Sums
    dt_ns: int


class Shares:
    """The shares of one device."""

    def __init__(self, method: Method) -> None:
        """Begin with nothing."""
        self._attribution = Attribution(processes=method.cgroups is not None, floor=method.floor)
        self._owners = Owners(method.cgroups) if method.cgroups else None
        self._before: _Sums | None = None
        self._energy_uj = 0
        self._instances_known = True
        self._labels: dict[tuple[str, Holder | None], Labels] = {}

    def take(self, view: DeviceView, snapshot: Snapshot, now_ns: int) -> None:
        """Add what happened since the page before; nothing while the device is not fresh."""
        sample = view.sample
        if sample is None:
            return
        before = self._before
        sums = _sums(view, sample, before)
        if before is None:
            self._before = sums
            return
        dt_ns = _watched_ns(before, sums)
        if dt_ns <= 0:  # what is added meanwhile belongs to the next tick
            return
        self._before = sums
        whole = target(view.identity)
        uses = None
        if self._owners is not None:
            read_ns = sample.processes_ns
            uses = self._owners.uses(
                sample.processes, read_ns=read_ns, snapshot=snapshot, target=whole
            )
        instances = None
        if view.identity.mig:
            groups = _groups(sample)
            instances = tuple(
                _group_use(view, group, snapshot, _Span(before, sums, dt_ns)) for group in groups
            )
        self._instances_known = all(one.busy_ns is not None for one in instances or ())
        tick = Tick(
            dt_ns=dt_ns,
            busy_ns=_delta(sums.busy_ns, before.busy_ns) if sums.watched(before) else None,
            energy_mj=self._energy(before, sums),
            used_bytes=_whole(sample.gauges.get(Gauge.MEMORY_USED_BYTES)),
            holders=snapshot.of(whole),
            processes=uses,
            instances=instances,
            slices=sample.instances[0].slices_max if sample.instances else None,
            whole=sums.energy_ns - before.energy_ns <= GAP * dt_ns,
        )
        self._attribution.take(tick, now_ns)

    def draw(self, page: Page, own: Labels, view: DeviceView) -> None:
        """Draw the shares, while the device is fresh."""
        sample = view.sample
        if sample is None:
            return
        tells_busy = self._tells_busy(view, sample)
        tells_energy = _tells_energy(sample)
        totals = self._attribution.totals()
        self._labels = {
            (total.share, total.holder): self._labels.get((total.share, total.holder))
            or _labels(view, total)
            for total in totals
        }
        for total in totals:
            labels = self._labels[total.share, total.holder]
            for family, amount, divisor, tells in (
                ("share_seconds_total", total.busy_ns, NS_PER_S, tells_busy),
                ("share_energy_joules_total", total.energy_mj, 1000, tells_energy),
                ("share_memory_bytes", total.used_bytes, 1, True),
            ):
                if amount is not None and tells:
                    name = f"{PREFIX}{family}"
                    page.put(name, labels.prefix(name), amount / divisor)
        name = f"{PREFIX}attribution_info"
        told = f'method="{self._attribution.method}",reason="{self._attribution.reason}"'
        page.put(name, own.prefix(name, told), 1)
        name = f"{PREFIX}attribution_error_ratio"
        page.put(name, own.prefix(name), self._attribution.error_ratio())

    def _tells_busy(self, view: DeviceView, sample: Sample) -> bool:
        """Say whether busy time goes on: else shares of it would stand still, as if idle."""
        return self._instances_known if view.identity.mig else Total.BUSY_NS in sample.totals

    def _energy(self, before: _Sums, sums: _Sums) -> int | None:
        """Return whole millijoules; what is left over is kept for the next time."""
        energy_uj = _delta(sums.energy_uj, before.energy_uj)
        if energy_uj is None or sums.energy_ns == before.energy_ns:
            return None
        whole, self._energy_uj = divmod(self._energy_uj + energy_uj, 1000)
        return whole


class ProcessLoad:
    """How busy each process of one device was between the last two readings."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._processes: tuple[Process, ...] = ()
        self._read_ns: int | None = None
        self._span_ns = 0
        self._ratios: dict[int, float] = {}

    def take(self, sample: Sample) -> None:
        """Look whether there is a new reading; one that is far too old tells nothing any more."""
        read_ns = sample.processes_ns
        if sample.processes is None or read_ns is None or self._is_old(sample.moment_ns, read_ns):
            self._processes, self._read_ns, self._ratios = (), None, {}
        elif read_ns != self._read_ns:
            self._compare(sample.processes, read_ns)

    def _is_old(self, now_ns: int, read_ns: int) -> bool:
        return now_ns - read_ns > max(PROCESSES_AGE_NS_MAX, 3 * self._span_ns)

    def _compare(self, processes: tuple[Process, ...], read_ns: int) -> None:
        before = {process.pid: process.busy_ns for process in self._processes}
        self._span_ns = 0 if self._read_ns is None else read_ns - self._read_ns
        self._ratios = {}
        for process in processes:
            was = before.get(process.pid)
            if was is None or process.busy_ns is None or self._span_ns <= 0:
                continue
            if process.busy_ns >= was:  # else it is another process of the same number
                self._ratios[process.pid] = (process.busy_ns - was) / self._span_ns
        self._processes, self._read_ns = processes, read_ns

    def draw(self, page: Page, own: Labels, wanted: Iterable[str]) -> None:
        """Draw the families that are wanted, for the processes with most memory."""
        memory, busy = f"{PREFIX}process_memory_bytes", f"{PREFIX}process_busy_ratio"
        largest = sorted(self._processes, key=lambda p: -(p.memory_bytes or 0))
        for process in largest[:PROCESSES_MAX]:
            label = f'pid="{process.pid}"'
            known = process.memory_bytes not in (None, UNKNOWN_BYTES)
            if memory in wanted and known:
                page.put(memory, own.prefix(memory, label), process.memory_bytes or 0)
            if busy in wanted and process.pid in self._ratios:
                page.put(busy, own.prefix(busy, label), self._ratios[process.pid])


def draw_jobs(page: Page, view: DeviceView, jobs: Jobs) -> None:
    """Draw each batch job of a device and of its instances, once; none unless it is fresh.

    Jobs are known by index, which by now may be another device's.
    """
    if view.sample is None:
        return
    name = f"{PREFIX}hpc_job_info"
    found = {
        job: None
        for place, ids in jobs.items()
        if place.device == view.identity.index
        for job in ids
    }
    identity = view.identity
    for job in found:
        labels = Labels((("gpu", str(identity.index)), ("UUID", identity.uuid), ("hpc_job", job)))
        page.put(name, labels.prefix(name), 1)


def _watched_ns(before: _Sums, now: _Sums) -> int:
    """Return the time that a tick is of: over which somebody watched, else by the clock.

    0 where watching has not gone on, unless that is so for long.
    """
    passed_ns = now.moment_ns - before.moment_ns
    if now.observed_ns is None or before.observed_ns is None:
        return passed_ns
    watched_ns = now.observed_ns - before.observed_ns
    return watched_ns if watched_ns > 0 or passed_ns < UNWATCHED_NS_MAX else passed_ns


def _sums(view: DeviceView, sample: Sample, before: _Sums | None) -> _Sums:
    moment_ns = sample.moment_ns
    energy_uj, energy_ns = None, moment_ns
    if _tells_energy(sample):
        counted_mj = view.accumulated.get(Counter.ENERGY_MILLIJOULES, 0)
        energy_uj = counted_mj * 1000 + view.totals.get(Total.ENERGY_MICROJOULES, 0)
    elif before is not None:  # it lives on: what is drawn meanwhile comes with the next news
        energy_uj, energy_ns = before.energy_uj, before.energy_ns
    # Cut into instances, a device may stop to be watched as a whole, and they tell the time.
    cut = view.identity.mig and Total.OBSERVED_NS not in sample.totals
    return _Sums(
        moment_ns=moment_ns,
        observed_ns=None if cut else view.totals.get(Total.OBSERVED_NS),
        busy_ns=view.totals.get(Total.BUSY_NS),
        energy_uj=energy_uj,
        energy_ns=energy_ns,
        instances={
            uuid: _Use(totals.get(Total.OBSERVED_NS), totals.get(Total.BUSY_NS))
            for uuid, totals in view.instance_totals.items()
        },
    )


def _tells_energy(sample: Sample) -> bool:
    return (
        Counter.ENERGY_MILLIJOULES in sample.counters or Total.ENERGY_MICROJOULES in sample.totals
    )


def _groups(sample: Sample) -> Iterable[list[Instance]]:
    """Return the GPU instances: compute instances of one share its memory and counters."""
    groups: dict[int, list[Instance]] = {}
    for instance in sample.instances:
        groups.setdefault(instance.gpu_instance, []).append(instance)
    return groups.values()


def _group_use(
    view: DeviceView, group: Sequence[Instance], snapshot: Snapshot, span: _Span
) -> InstanceUse:
    held = [snapshot.of(target(view.identity, one)) for one in group]
    known = [holders for holders in held if holders is not None]
    busy = [
        _watched_busy(
            span.before.instances.get(one.uuid, _UNSEEN),
            span.now.instances.get(one.uuid, _UNSEEN),
            span.dt_ns,
        )
        for one in group
    ]
    used = [_whole(one.gauges.get(Gauge.MEMORY_USED_BYTES)) for one in group]
    return InstanceUse(
        holders=merged(known) if len(known) == len(held) else None,
        slices=max(one.slices for one in group),
        busy_ns=next((one for one in busy if one is not None), None),
        used_bytes=next((one for one in used if one is not None), None),
    )


def _watched_busy(before: _Use, now: _Use, dt_ns: int) -> int | None:
    """Return how long an instance was busy, None unless somebody has watched it since then.

    Of what was watched over many ticks, this tick has its part.
    """
    watched_ns = _delta(now.observed_ns, before.observed_ns)
    busy_ns = _delta(now.busy_ns, before.busy_ns)
    if busy_ns is None or not watched_ns:
        return None
    return busy_ns if watched_ns <= GAP * dt_ns else busy_ns * dt_ns // watched_ns


def _delta(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and isfinite(value) else None


def _labels(view: DeviceView, total: ShareTotal) -> Labels:
    holder = total.holder or Holder("", "", "")
    return Labels(
        (
            ("gpu", str(view.identity.index)),
            ("UUID", view.identity.uuid),
            ("share", total.share),
            ("namespace", holder.namespace),
            ("pod", holder.pod),
            ("container", holder.container),
        )
    )
