"""What the server holds of a backend's devices: a slot each, filled by messages, read at any time.

One thread, the supervisor's, writes. Readers get records that are replaced whole and never
changed, so nobody waits for anybody. Whether a device is stalled is worked out at the moment of
looking, from when its last tick and its call under way began.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from inferometer import log
from inferometer.gpu.clock import NS
from inferometer.gpu.messages import Condition, EventTotals, Found, Heartbeat, Hello, Message
from inferometer.gpu.quantities import Gauge, Total
from inferometer.gpu.sample import DeviceState, DeviceView, Identity, Sample
from inferometer.gpu.states import LOST, stalled
from inferometer.gpu.supervision.accumulate import (
    COUNTED,
    BusyRatio,
    DriverCounters,
    Events,
    Instances,
    Peak,
    Running,
)

DEVICES_MAX: Final = 128
"""Devices that are remembered; of more, those that are gone are forgotten first."""

logger = logging.getLogger(__name__)


class _Shown(NamedTuple):
    """What a reader needs; replaced whole."""

    view: DeviceView
    ticked_s: float | None
    call: tuple[str, int] | None
    beat_ns: int


class Slot:
    """One device over the life of the server."""

    def __init__(self, identity: Identity, backend: str) -> None:
        """Begin with a device that was found and never read."""
        self._call: tuple[str, int] | None = None
        self._beat_ns = 0
        self._ticked_s: float | None = None
        self._recovery: int | None = None
        self._counters = DriverCounters()
        self._totals: Running[Total] = Running()
        self._instances = Instances()
        self._implausible: Running[str] = Running()
        self._missed: Running[str] = Running()
        self._events = Events()
        self._busy = BusyRatio()
        self._busy_peak = Peak()
        self._power_peak = Peak()
        self._view = DeviceView(identity=identity, backend=backend, state="ok", sample=None)
        self.shown = _Shown(self._view, None, None, 0)

    def found(self, identity: Identity) -> None:
        """Note who the device is."""
        self._show(replace(self._view, identity=identity))

    def child_started(self) -> None:
        """Note that another process counts from now on."""
        for running in (self._totals, self._instances, self._implausible, self._missed):
            running.restart()
        self._events.restart()
        self._counters.child_started()

    def child_ended(self, state: DeviceState | None) -> None:
        """Note that nobody reads the device any more; `state` is what it is then.

        None leaves the last sample to be shown for as long as it is fresh.
        """
        self._call = None
        self._events.heard = False
        self._view = replace(self._view, events_heard=False)
        if state is not None:
            self._ticked_s = None
            self._sick(state)
        else:
            self._show(self._view)

    def expect_restart(self) -> None:
        """Note that what the driver counts may begin anew."""
        self._counters.expect_restart()

    def conditioned(self, state: DeviceState) -> None:
        """Note the state that the child has seen; only a tick makes a device well again."""
        self._call = None
        if state == "ok":
            self._show(self._view)
        else:
            self._sick(state)

    def sampled(self, sample: Sample) -> None:
        """Take in a tick."""
        now_s = sample.moment_ns / NS
        self._ticked_s = now_s
        self._call = None
        sample = self._count(sample, now_s)
        self._implausible.take(sample.implausible)
        self._recovery = _whole(sample.gauges.get(Gauge.RECOVERY_ACTION))
        watts = sample.gauges.get(Gauge.POWER_WATTS, sample.gauges.get(Gauge.POWER_INSTANT_WATTS))
        if watts is not None:
            self._power_peak.take(watts, now_s)
        busy = self._busy.take(self._totals.sums)
        if busy is not None:
            self._busy_peak.take(busy, now_s)
        self._show(
            replace(
                self._view,
                state="ok",
                sample=sample,
                last_sample_s=sample.time_s,
                accumulated=dict(self._counters.sums),
                totals=dict(self._totals.sums),
                instance_totals=self._instances.take({i.uuid: i.totals for i in sample.instances}),
                unsupported=sample.unsupported,
                implausible=_added(self._implausible.sums, self._counters.refused),
                power_peak_watts=self._power_peak.highest(now_s),
                busy_peak_ratio=self._busy_peak.highest(now_s),
                recovery_action=self._recovery,
            )
        )

    def _count(self, sample: Sample, now_s: float) -> Sample:
        """Add to the sums; returns the sample without the counters that cannot be true.

        A quantity that a driver counts and one that a child sums are never added for the same
        time: of both at once the counter is taken, and after a total has spoken for it, a counter
        goes on from where it is then.
        """
        counted = {total: counter in sample.counters for total, counter in COUNTED.items()}
        spoken = [COUNTED[t] for t in sample.totals if counted.get(t) is False]
        self._counters.pass_over(spoken)
        self._counters.take(sample.counters, now_s)
        self._totals.take(sample.totals, passing=[t for t, is_so in counted.items() if is_so])
        refused = self._counters.refused_now
        if not refused:
            return sample
        return replace(
            sample,
            counters={c: n for c, n in sample.counters.items() if c not in refused},
            unsupported={**sample.unsupported, **dict.fromkeys(refused, "implausible")},
        )

    def happened(self, totals: EventTotals) -> None:
        """Take in events."""
        self._events.take(totals)
        xids, events = dict(self._events.xids), dict(self._events.events)
        self._show(
            replace(
                self._view,
                xids=xids,
                events=events,
                xid_last=self._events.xid_last,
                events_heard=self._events.heard,
            )
        )

    def beaten(self, call: tuple[str, int] | None, missed: Mapping[str, int], now_ns: int) -> None:
        """Note the call that is under way, if any."""
        self._call, self._beat_ns = call, now_ns
        self._missed.take(missed)
        self._show(replace(self._view, ticks_missed=dict(self._missed.sums)))

    def _sick(self, state: DeviceState) -> None:
        if state in LOST:
            self._counters.expect_restart()
        # That nothing had to be done was known of a device that was well.
        wanted = self._recovery if state == "reset_required" else None
        self._show(
            replace(
                self._view,
                state=state,
                sample=None,
                power_peak_watts=None,
                busy_peak_ratio=None,
                recovery_action=wanted or None,
            )
        )

    def _show(self, view: DeviceView) -> None:
        self._view = view
        self.shown = _Shown(view, self._ticked_s, self._call, self._beat_ns)


class Slots:
    """The devices of one backend."""

    def __init__(self, backend: str, *, limits_s: tuple[float, float]) -> None:
        """Begin without devices; the limits are how long a call may take, and the tick."""
        self._backend = backend
        self._limits_s = limits_s
        self._slots: dict[str, Slot] = {}
        self._order: tuple[Slot, ...] = ()
        self.listed: tuple[str, ...] = ()
        """Devices that the present child has listed."""
        self._ever_listed: set[str] = set()
        self._counted = 0  # by the library, at most

    def take(self, message: Message, now_ns: int) -> None:
        """Take in what a child says of devices."""
        if isinstance(message, Sample):
            self._slot(message.uuid).sampled(message)
        elif isinstance(message, Heartbeat):
            for uuid, slot in self._slots.items():
                call = message.in_flight.get(uuid)
                slot.beaten(call, message.ticks_missed.get(uuid, {}), now_ns)
        elif isinstance(message, Found):
            self._found(message.identity)
        elif isinstance(message, Condition):
            self._slot(message.uuid).conditioned(message.state)
        elif isinstance(message, EventTotals):
            self._slot(message.uuid).happened(message)
        elif isinstance(message, Hello):
            self.listed = message.uuids
            self._ever_listed.update(message.uuids[:DEVICES_MAX])
            self._counted = max(self._counted, message.devices_listed or 0)
            for uuid in self._slots.keys() - set(message.uuids):
                self._slots[uuid].conditioned("lost")

    @property
    def expected(self) -> int:
        """How many devices the present child has listed, or its library has counted.

        Those are included that were lost since.
        """
        return max(len(self._ever_listed), self._counted)

    def child_started(self) -> None:
        """Note that another process counts from now on."""
        for slot in self._slots.values():
            slot.child_started()

    def expect_restart(self) -> None:
        """Note that what the driver counts may begin anew."""
        for slot in self._slots.values():
            slot.expect_restart()

    def child_ended(self, state: DeviceState | None) -> None:
        """Note that nobody reads the devices any more; `state` as for a slot."""
        self.listed = ()
        self._ever_listed.clear()
        self._counted = 0
        for slot in self._slots.values():
            slot.child_ended(state)

    def views(self, now_ns: int) -> tuple[DeviceView, ...]:
        """Return all devices as they are at this moment; from any thread."""
        return tuple(self._view(slot.shown, now_ns) for slot in self._order)

    def view(self, uuid: str, now_ns: int) -> DeviceView | None:
        """Return one device, None for one that is not known."""
        slot = self._slots.get(uuid)
        return self._view(slot.shown, now_ns) if slot else None

    def all_stalled(self, now_ns: int) -> bool:
        """Say whether the child's devices are all stalled, but for those with another trouble."""
        listed = (self._slots[uuid].shown for uuid in self.listed if uuid in self._slots)
        any_stalled = False
        for shown in listed:
            hangs = self._hangs(shown, now_ns)
            if shown.view.state == "ok" and not hangs:  # mostly the first one settles it
                return False
            any_stalled = any_stalled or hangs or shown.view.state == "stalled"
        return any_stalled

    def any_well(self, now_ns: int) -> bool:
        """Say whether there is a device that answers."""
        shown = (self._slots[uuid].shown for uuid in self.listed if uuid in self._slots)
        return any(
            one.view.state == "ok" and one.ticked_s is not None and not self._hangs(one, now_ns)
            for one in shown
        )

    def _hangs(self, shown: _Shown, now_ns: int) -> bool:
        if shown.view.state != "ok":
            return False
        started_s = shown.call[1] / NS if shown.call else None
        return stalled(
            now_ns / NS, call_started_s=started_s, ticked_s=shown.ticked_s, limits=self._limits_s
        )

    def _view(self, shown: _Shown, now_ns: int) -> DeviceView:
        view, _, call, beat_ns = shown
        hangs = self._hangs(shown, now_ns)
        if call is not None:
            known_ns = now_ns if hangs else beat_ns
            view = replace(view, call_inflight=(call[0], max(0, known_ns - call[1]) / NS))
        if hangs:
            view = replace(
                view,
                state="stalled",
                sample=None,
                power_peak_watts=None,
                busy_peak_ratio=None,
                recovery_action=None,
            )
        return view

    def _found(self, identity: Identity) -> None:
        slot = self._slots.get(identity.uuid)
        if slot is not None:
            slot.found(identity)
        elif self._has_room():
            self._slots[identity.uuid] = Slot(identity, self._backend)
        slots = self._slots.values()
        self._order = tuple(sorted(slots, key=lambda slot: slot.shown.view.identity.index))

    def _has_room(self) -> bool:
        if len(self._slots) >= DEVICES_MAX:
            gone = self._slots.keys() - set(self.listed)
            if not gone:
                log.once(logger, "devices", "too many devices", devices_max=DEVICES_MAX)
                return False
            del self._slots[min(gone)]
        return True

    def _slot(self, uuid: str) -> "Slot":
        """Return the slot, or one that nobody sees for a device that nobody has announced."""
        return self._slots.get(uuid) or Slot(_NOBODY, self._backend)


_NOBODY: Final = Identity(uuid="", index=-1, vendor="", model="")


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}
