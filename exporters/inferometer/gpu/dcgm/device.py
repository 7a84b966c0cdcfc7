"""One device as the host engine sees it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NoReturn, Protocol, TypeVar

from inferometer.gpu.backend import Calls, DeviceError
from inferometer.gpu.binding.integrals import Totals, lacking
from inferometer.gpu.dcgm.binding import (
    COMPUTE_INSTANCE,
    GPU,
    GPU_INSTANCE,
    GPU_LOST,
    RESET_REQUIRED,
    CallError,
    Entity,
    MigInstance,
    Value,
)
from inferometer.gpu.dcgm.fields import BY_NUMBER, FIELDS, Watch
from inferometer.gpu.dcgm.readings import (
    DEVICE,
    ENERGY,
    INSTANCE,
    PROFILED_BUSY,
    STATUS_WORDS,
    Taken,
    sources,
    take,
    total_reasons,
    unsupported,
)
from inferometer.gpu.dcgm.session import MIG_MAX_SLICES, MIG_MODE, NAME, Session
from inferometer.gpu.quantities import Counter, Gauge, Tier, Total
from inferometer.gpu.sample import DeviceState, Identity, Instance, Reading, Reason

FAST: Final[Sequence[Watch]] = ("fast", "profile", "profile_more")
SLOW: Final[Sequence[Watch]] = ("slow",)
STATES: Final[Mapping[int, DeviceState]] = {
    GPU_LOST: "lost",
    RESET_REQUIRED: "reset_required",
    -17: "no_permission",
    -29: "no_permission",
}
"""Codes that mean the device, not the host engine."""
NEVER: Final = lacking(
    (one.quantity for one in FIELDS if not isinstance(one.quantity, Total)),
    (*DEVICE, PROFILED_BUSY, ENERGY),
)
TEMPERATURE: Final = 150
LOST: Final = "lost"
STALLED: Final = "stalled"
SLICES_MAX: Final = 64
"""More slices than any device can be cut into."""
T = TypeVar("T")


class Connected(Protocol):
    """Where the current session comes from."""

    def session(self) -> Session:
        """Return the session, or make a new one. Raises DeviceError while there is none."""
        ...

    def lose(self, session: Session) -> None:
        """Say that a session does not work any more."""
        ...


@dataclass(slots=True)
class _Attached:
    """What has been made in a session for one device."""

    session: Session
    gpu: Entity
    group: object
    refused: Mapping[int, int]
    instances: tuple[MigInstance, ...]
    profiles: dict[Entity, str] = field(default_factory=dict)
    slices_max: int | None = None


class DcgmDevice:
    """A device. Values come from the host engine's cache, so a call costs one request."""

    def __init__(
        self, identity: Identity, calls: Calls, connected: Connected, *, now_us: Callable[[], int]
    ) -> None:
        """Ask for nothing yet."""
        self._identity = identity
        self._calls = calls
        self._connected = connected
        self._now_us = now_us
        self._attached: _Attached | None = None
        self._totals = Totals(())
        self._instance_totals: dict[str, Totals] = {}
        self._implausible: dict[str, int] = {}
        self._chosen: tuple[object, ...] | None = None

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return self._identity

    def probe(self) -> Mapping[str, Reason]:
        """Watch its fields, wait until each has been read, and say which have no value."""
        self._detach()
        attached = self._attach()
        self._run("update", attached.session, attached.session.update)
        numbers = _numbers(attached, (*FAST, *SLOW))
        values = self._latest("values", attached, [attached.gpu], numbers)
        taken = take(values, now_us=self._now_us()).get(attached.gpu, Taken())
        self._device_state(taken)
        reasons = unsupported(taken, attached.refused, mig=self._identity.mig)
        for one in FIELDS:
            if one.number not in numbers and one.number not in attached.refused:
                reasons[str(one.quantity)] = "function_not_found"
        self._choose(reasons)
        return {**NEVER, **reasons, **total_reasons(reasons)}

    def sample(self, tier: Tier) -> Reading:
        """Read the latest values. The host engine keeps no list of processes for us."""
        if tier == "process":
            return Reading()
        watches = FAST if tier == "fast" else SLOW
        name = "values" if tier == "fast" else "slow values"
        attached = self._attach()
        if tier == "slow":
            attached = self._resliced(attached)
        if not self._calls.due(name, tier, tier):
            return Reading(implausible=dict(self._implausible))
        numbers = _numbers(attached, watches)
        values = self._latest(name, attached, [attached.gpu], numbers)
        taken = take(values, now_us=self._now_us()).get(attached.gpu, Taken())
        self._count(taken)
        self._device_state(taken)
        if tier == "fast":
            self._totals.add(taken.gauges, taken.moments_ns)
        return Reading(
            gauges=taken.gauges,
            counters=taken.counters,
            totals=self._totals.read() if tier == "fast" else {},
            instances=self._instances(attached) if tier == "fast" else None,
            implausible=dict(self._implausible),
        )

    def alive(self) -> bool:
        """Ask for its temperature."""
        try:
            attached = self._attach()
            values = self._latest("alive", attached, [attached.gpu], (TEMPERATURE,))
        except DeviceError:
            return False
        return all(value.status not in STATES for value in values)

    def close(self) -> None:
        """Let go of what is watched."""
        self._detach()

    def _attach(self) -> _Attached:
        """Make sure that its fields are watched in the current session."""
        session = self._connected.session()
        if self._attached is not None and self._attached.session is session:
            return self._attached
        uuid = self._identity.uuid
        self._attached = None
        if uuid not in session.gpus:
            self._absent(session)
        instances = self._run("instances", session, lambda: session.instances(uuid))
        gpu = (GPU, session.gpus[uuid])
        entities = [gpu, *(one.entity for one in instances)]
        group, refused = self._run("watch", session, lambda: session.watch(entities))
        attached = _Attached(session, gpu, group, refused, instances)
        self._describe(attached)
        self._attached = attached
        return attached

    def _absent(self, session: Session) -> NoReturn:
        """Raise; a device that came back after the session was made needs a new session."""
        uuid = self._identity.uuid
        listed = self._run("devices", session, session.identities)
        if any(one.uuid == uuid for one in listed):
            self._connected.lose(session)
        message = f"the host engine does not list {uuid}"
        raise DeviceError(LOST, message)

    def _detach(self) -> None:
        attached, self._attached = self._attached, None
        if attached is not None:
            self._calls.run("unwatch", lambda: attached.session.unwatch(attached.group))

    def _resliced(self, attached: _Attached) -> _Attached:
        """Watch other instances if the device has been cut anew."""
        uuid = self._identity.uuid
        session = attached.session
        instances = self._run("instances", session, lambda: session.instances(uuid))
        if instances == attached.instances:
            return attached
        self._detach()
        return self._attach()

    def _describe(self, attached: _Attached) -> None:
        """Find out how the device is cut; DCGM's name of an instance ends in its profile."""
        session = attached.session
        for value in self._run(
            "live", session, lambda: session.live([attached.gpu], (MIG_MODE, MIG_MAX_SLICES))
        ):
            if value.field == MIG_MODE and value.value in {0, 1}:
                self._identity = replace(self._identity, mig=value.value == 1)
            elif isinstance(value.value, int) and 0 < value.value <= SLICES_MAX:
                attached.slices_max = value.value
        holders = [one.entity for one in attached.instances if one.entity[0] == GPU_INSTANCE]
        if not holders:
            return
        for value in self._run("live", session, lambda: session.live(holders, (NAME,))):
            if isinstance(value.value, str) and value.value.split():
                attached.profiles[value.entity] = value.value.split()[-1]

    def _instances(self, attached: _Attached) -> tuple[Instance, ...]:
        """Read the instances. Without the device's number of slices, their shares are unknown."""
        holders = [one for one in attached.instances if one.entity[0] == GPU_INSTANCE]
        if not holders or attached.slices_max is None:
            return ()
        numbers = [n for n in _numbers(attached, FAST) if BY_NUMBER[n].instance]
        entities = [one.entity for one in holders]
        values = self._latest("instance values", attached, entities, numbers)
        taken = take(values, now_us=self._now_us())
        found = tuple(
            self._instance(attached, one, taken.get(one.entity, Taken())) for one in holders
        )
        kept = {one.uuid for one in found}
        self._instance_totals = {
            uuid: totals for uuid, totals in self._instance_totals.items() if uuid in kept
        }
        return found

    def _instance(self, attached: _Attached, one: MigInstance, taken: Taken) -> Instance:
        """Make an instance. Its UUID is of the older form, which DCGM has the numbers for."""
        self._count(taken)
        inside = [
            other.compute_instance
            for other in attached.instances
            if other.entity[0] == COMPUTE_INSTANCE and other.parent == one.entity
        ]
        uuid = f"MIG-{self._identity.uuid}/{one.gpu_instance}/{min(inside, default=0)}"
        totals = self._instance_totals.setdefault(uuid, Totals(INSTANCE))
        totals.add(taken.gauges, taken.moments_ns)
        return Instance(
            gpu_instance=one.gpu_instance,
            compute_instance=inside[0] if len(inside) == 1 else None,
            uuid=uuid,
            profile=attached.profiles.get(one.entity, ""),
            slices=one.slices,
            slices_max=attached.slices_max or one.slices,
            gauges=taken.gauges,
            totals=totals.read(),
        )

    def _choose(self, reasons: Mapping[str, Reason]) -> None:
        """Decide what totals are made of; sums go on if that is as before."""
        chosen = tuple(sources(reasons))
        if chosen != self._chosen:
            self._chosen = chosen
            self._totals = Totals(chosen)
        made = {source.total: source.gauge for source in chosen}
        busy = {
            Gauge.GRAPHICS_ENGINE_RATIO: "profiling",
            Gauge.UTILIZATION_PERCENT: "utilization",
            None: "",
        }[made.get(Total.BUSY_NS)]
        if Counter.ENERGY_MILLIJOULES not in reasons:
            energy = "counter"
        else:
            energy = "power" if Total.ENERGY_MICROJOULES in made else ""
        self._identity = replace(self._identity, busy_source=busy, energy_source=energy)

    def _count(self, taken: Taken) -> None:
        """Count what was refused, by quantity, and what failed, by field and code."""
        for one in taken.implausible:
            name = str(one.quantity)
            self._implausible[name] = self._implausible.get(name, 0) + 1
        for one, status in taken.failed.items():
            self._calls.run(f"DCGM_FI_{one.name}", partial(int, status), result=_word)

    def _device_state(self, taken: Taken) -> None:
        """Raise if the fields say that the device is gone, or that the host engine sleeps."""
        if taken.any:
            return
        for status in sorted(taken.statuses & STATES.keys()):
            message = f"all fields failed with {status}"
            raise DeviceError(STATES[status], message, code=status)
        if taken.stale:
            message = "the host engine has stopped reading the device"
            raise DeviceError(STALLED, message)

    def _latest(
        self, name: str, attached: _Attached, entities: Sequence[Entity], numbers: Sequence[int]
    ) -> list[Value]:
        session = attached.session
        return self._run(name, session, lambda: session.latest(entities, numbers))

    def _run(self, name: str, session: Session, call: Callable[[], T]) -> T:
        """Make a call, and tell a fault of the device from one of the connection."""
        try:
            return self._calls.run(name, call)
        except CallError as error:
            if error.code is not None and error.code in STATES:
                raise DeviceError(STATES[error.code], str(error), code=error.code) from error
            self._attached = None
            self._connected.lose(session)
            raise DeviceError(STALLED, str(error), code=error.code) from error


def _numbers(attached: _Attached, watches: Sequence[Watch]) -> tuple[int, ...]:
    """List the fields that are watched."""
    return tuple(
        number
        for watch in watches
        for number in attached.session.fields[watch][1]
        if number not in attached.refused
    )


def _word(status: int) -> str:
    return STATUS_WORDS.get(status, str(status))
