"""MIG: which instances a device is cut into, and what each of them does.

The topology is read anew at each slow tick, since handles die with their instance and are then
given to another. An instance that fails in between is left alone until the next slow tick.
"""

import ctypes
import functools
import re
from collections import Counter as Tally
from collections.abc import Iterator
from ctypes import byref
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from inferometer.gpu.nvml import codes, gpm, structs
from inferometer.gpu.nvml.asking import Asked, ready
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.clock import Clock
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.gpm import Activity, Limits, Pair
from inferometer.gpu.nvml.identity import Asker
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.processes import Target
from inferometer.gpu.nvml.questions import MEMORY
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import Gauge, Tier, Total
from inferometer.gpu.sample import Instance

MEMORY_NAME: Final = "DeviceGetMemoryInfo_v2"
MODE_NAME: Final = "DeviceGetMigMode"
TOPOLOGY_NAME: Final = "DeviceGetMigDeviceHandleByIndex"
INSTANCES_MAX: Final = 64
"""More than any device can be cut into (7 today)."""
_PROFILE: Final = re.compile(r"\bMIG\s+(\S+)")
_MIB_PER_GIB: Final = 1024
_NO_LIMITS: Final = Limits(pcie=0, nvlink=0)  # instances have no links


class Place(NamedTuple):
    """Where on its device an instance is, and who it is: the same for its whole life."""

    gpu_instance: int
    compute_instance: int
    uuid: str


class Shape(NamedTuple):
    """What an instance has of its device."""

    profile: str
    slices: int


@dataclass(slots=True)
class Slot:
    """An instance that exists. `pair` is None where another one stands for its GPU instance."""

    place: Place
    handle: Handle
    shape: Shape
    memory: Asked | None
    pair: Pair | None
    activity: Activity
    failed: bool = False
    held: dict[Gauge, float] = field(default_factory=dict)
    done: dict[Gauge, float] = field(default_factory=dict)
    told: dict[Total, int] = field(default_factory=dict)
    """The sums that the last result has added to: what stands still is not known."""


class Mig:
    """The MIG instances of one device."""

    def __init__(
        self, library: Library, caller: Caller, *, clock: Clock, refusals: Tally[str]
    ) -> None:
        """Know of no instance yet."""
        self.on = False
        self._library = library
        self._caller = caller
        self._asker = Asker(library, caller.call_instance)
        self._clock = clock
        self._refusals = refusals
        self._handle = Handle()
        self._mode = library.function("nvmlDeviceGetMigMode")
        self._support: gpm.Functions | None = None
        self._slots: dict[Place, Slot] = {}
        self._activities: dict[Place, Activity] = {}
        self._slices_max = 1
        self._looked: set[str] = set()

    def probe(self, handle: Handle) -> None:
        """Find out whether the device is in MIG mode; `start` finds its instances."""
        if handle.value != self._handle.value:
            self.close()
        self._handle = handle
        self._mode = self._library.function("nvmlDeviceGetMigMode")
        if not self._ask_mode():
            self._mode = None  # it has none, and will not get it without a new probe

    def start(self, functions: gpm.Functions | None) -> None:
        """Find the instances; they are measured with GPM unless `functions` is None."""
        self._support = functions
        self._refresh()

    def _ask_mode(self) -> bool:
        """Read `on` anew; returns whether the device has such a mode."""
        self.on = False
        if self._mode is None:
            return False
        current, pending = ctypes.c_uint32(), ctypes.c_uint32()
        call = functools.partial(self._mode, self._handle, byref(current), byref(pending))
        code = self._caller.call(MODE_NAME, call)
        self.on = code == codes.SUCCESS and current.value == 1
        return code == codes.SUCCESS

    def targets(self) -> list[Target]:
        """Return the instances whose processes can be listed."""
        return [
            Target(slot.handle, slot.place.gpu_instance)
            for slot in self._slots.values()
            if not slot.failed
        ]

    def read(self, tier: Tier) -> tuple[Instance, ...] | None:
        """Read what is due of each instance; None if nothing was looked at."""
        if self._mode is not None and self._caller.due(TOPOLOGY_NAME, "slow", tier):
            self._ask_mode()
            self._refresh()
        memory = self._caller.due(MEMORY_NAME, MEMORY.tier, tier)
        activity = self._caller.due(gpm.INSTANCE_NAME, "fast", tier)
        activity = self._caller.due(gpm.METRICS_NAME, "fast", tier) and activity
        self._forget(tier, memory=memory, activity=activity)
        for slot in self._slots.values():
            if memory and not slot.failed:
                self._read_memory(slot)
            if activity and not slot.failed:
                self._read_activity(slot)
        looked = tier == "slow" or (bool(self._slots) and (memory or activity))
        return tuple(self._instances()) if looked else None

    def _forget(self, tier: Tier, *, memory: bool, activity: bool) -> None:
        """Once a slow tick, forget what has not been looked at since the one before."""
        self._looked.update(name for name, due in (("m", memory), ("a", activity)) if due)
        if tier != "slow":
            return
        for slot in self._slots.values():
            if "m" not in self._looked:
                slot.held = {}
            if "a" not in self._looked:
                slot.done, slot.told = {}, {}
        self._looked.clear()

    def _refresh(self) -> None:
        """Read the topology: let go of what is gone, and open what is new."""
        found = dict(self._found()) if self.on else {}
        for place in [*self._slots]:
            slot = self._slots[place]
            handle = found.get(place)
            if handle is None or slot.failed or handle.value != slot.handle.value:
                _let_go(self._slots.pop(place))
        for place, handle in found.items():
            if place not in self._slots:
                self._open(place, handle)

    def _found(self) -> Iterator[tuple[Place, Handle]]:
        ask = self._library.function("nvmlDeviceGetMigDeviceHandleByIndex")
        count = self._asker.number("nvmlDeviceGetMaxMigDeviceCount", self._handle) or 0
        self._slices_max = max(1, count)
        if ask is None:
            return
        for index in range(min(count, INSTANCES_MAX)):
            handle = Handle()
            call = functools.partial(ask, self._handle, ctypes.c_uint32(index), byref(handle))
            if self._caller.call_instance(TOPOLOGY_NAME, call) != codes.SUCCESS:
                continue  # no instance there; a gap ends nothing
            gpu_instance = self._asker.number("nvmlDeviceGetGpuInstanceId", handle)
            compute_instance = self._asker.number("nvmlDeviceGetComputeInstanceId", handle)
            uuid = self._asker.text("nvmlDeviceGetUUID", handle)
            if gpu_instance is not None and compute_instance is not None and uuid:
                yield Place(gpu_instance, compute_instance, uuid), handle

    def _open(self, place: Place, handle: Handle) -> None:
        """Prepare to read an instance; its sums go on if it was there before."""
        attributes = structs.Attributes()
        self._asker.fill("nvmlDeviceGetAttributes_v2", handle, into=attributes)
        name = self._asker.text("nvmlDeviceGetName", handle)
        activity = self._activities.pop(place, None)
        if activity is None:
            activity = Activity(self._refusals, self._clock.now_ns)
        activity.restart()
        self._activities[place] = activity  # the latest is last
        if len(self._activities) > INSTANCES_MAX:
            del self._activities[next(iter(self._activities))]
        self._slots[place] = Slot(
            place=place,
            handle=handle,
            shape=Shape(profile(name, attributes), attributes.gpu_instance_slices),
            memory=self._memory(handle),
            pair=self._pair(place.gpu_instance),
            activity=activity,
        )

    def _memory(self, handle: Handle) -> Asked | None:
        for form in MEMORY.forms:
            function = self._library.function(form.symbol)
            if function is not None:
                return ready(function, handle, form=form, tier=MEMORY.tier)
        return None

    def _pair(self, gpu_instance: int) -> Pair | None:
        """Return sample buffers for a GPU instance; one compute instance of it holds them."""
        sample = self._library.function("nvmlGpmMigSampleGet")
        held = {slot.place.gpu_instance for slot in self._slots.values() if slot.pair is not None}
        if self._support is None or sample is None or gpu_instance in held:
            return None
        take = functools.partial(sample, self._handle, ctypes.c_uint32(gpu_instance))
        pair = Pair(self._support, take, metrics=gpm.IN_INSTANCES)
        if pair.open() != codes.SUCCESS:
            pair.close()
            return None
        return pair

    def _read_memory(self, slot: Slot) -> None:
        if slot.memory is None:
            return
        if self._caller.call_instance(slot.memory.name, slot.memory.call) != codes.SUCCESS:
            _fail(slot)
            return
        draft = Draft(self._refusals)
        for quantity, value in slot.memory.values().items():
            draft.put(quantity, value)
        before, now = (each.get(Gauge.MEMORY_TOTAL_BYTES) for each in (slot.held, draft.gauges))
        if before is not None and before != now:
            _fail(slot)  # the handle is that of another instance by now
            return
        slot.held = draft.gauges

    def _read_activity(self, slot: Slot) -> None:
        if slot.pair is None:
            return
        call = self._caller.call_instance
        interval_ns = slot.activity.measure(slot.pair, call, name=gpm.INSTANCE_NAME)
        slot.done, slot.told = {}, {}
        if interval_ns is not None:
            slot.done = slot.activity.add(slot.pair, interval_ns, limits=_NO_LIMITS)
            slot.told = slot.activity.told

    def _instances(self) -> Iterator[Instance]:
        for slot in self._slots.values():
            yield Instance(
                gpu_instance=slot.place.gpu_instance,
                compute_instance=slot.place.compute_instance,
                uuid=slot.place.uuid,
                profile=slot.shape.profile,
                slices=slot.shape.slices,
                slices_max=self._slices_max,
                gauges={**slot.held, **slot.done},
                totals=dict(slot.told),
            )

    def close(self) -> None:
        """Let go of all instances."""
        for slot in self._slots.values():
            _let_go(slot)
        self._slots.clear()


def _let_go(slot: Slot) -> None:
    """Free the buffers, in the thread that used them: an open handle can block a reset."""
    if slot.pair is not None:
        slot.pair.close()
        slot.pair = None


def _fail(slot: Slot) -> None:
    """Leave an instance alone until the topology is read again."""
    slot.failed = True
    slot.held, slot.done, slot.told = {}, {}, {}
    _let_go(slot)


def profile(name: str, attributes: structs.Attributes) -> str:
    """Return a profile such as 1g.10gb: what the device's name says, else what follows."""
    match = _PROFILE.search(name)
    if match is not None:
        return match[1]
    compute, slices = attributes.compute_instance_slices, attributes.gpu_instance_slices
    memory = round(attributes.memory_mib / _MIB_PER_GIB)
    whole = f"{slices}g.{memory}gb"
    return whole if compute in {0, slices} else f"{compute}c.{whole}"
