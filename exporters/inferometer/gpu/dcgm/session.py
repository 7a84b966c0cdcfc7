"""A connection to the host engine, with what we have made in it: groups of fields and of entities.

All of it ends with the connection, so after a restart of the host engine a new session is made
and nothing has to be cleaned up.
"""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from inferometer.gpu.dcgm.binding import (
    COMPUTE_INSTANCE,
    CONNECTION_NOT_VALID,
    GPU,
    GPU_INSTANCE,
    LIVE,
    Binding,
    CallError,
    Entity,
    MigInstance,
    Value,
)
from inferometer.gpu.dcgm.fields import FIELDS, XID, Watch
from inferometer.gpu.sample import Identity

PERIOD_S: Final[Mapping[Watch, float]] = {"fast": 1, "slow": 30, "profile": 1, "profile_more": 1}
KEEP_PERIODS: Final = 3
XID_KEEP_S: Final = 600
"""How long the host engine keeps XIDs for us: longer than any pause between two of our looks."""
INSTANCES_MAX: Final = 64
"""Of one device; hardware has at most 14."""
NO_PROFILING: Final = frozenset({-17, -29, -33, -36, -44})
"""Rights, module, device or driver: no profiling at all, whichever fields are asked for."""
NO_MIG: Final = frozenset({-6, -14, -20})
"""Not supported, no data, no such function: a host engine without MIG."""
TEXTS: Final = {
    50: "model",
    53: "serial",
    54: "uuid",
    57: "pci_bus_id",
    85: "vbios_version",
    1: "driver_version",
}
MINOR: Final = 55
INDEX: Final = 52
CAPABILITY: Final = 63
MIG_MODE: Final = 67
MIG_MAX_SLICES: Final = 69
NAME: Final = 50
"""Fields that never change while a driver is loaded; they are read live, without a watch."""
ARCHITECTURES: Final = {
    (5, 0): "Maxwell",
    (6, 0): "Pascal",
    (7, 0): "Volta",
    (7, 5): "Turing",
    (8, 0): "Ampere",
    (8, 9): "Ada",
    (9, 0): "Hopper",
    (10, 0): "Blackwell",
    (13, 0): "",
}
"""By the lowest CUDA compute capability; DCGM's value is major << 16 | minor."""

_NUMBERS: Final = itertools.count()


class Session:
    """One connection. Any thread may call it: the library sends requests of all side by side."""

    def __init__(self, binding: Binding, address: str, *, xids_since_us: int) -> None:
        """Connect and prepare. Raises CallError, and leaves no connection then.

        XIDs are told from a moment on: that of the first connection, and then the last one told.
        """
        self._binding = binding
        self._prefix = f"inferometer-{os.getpid()}-{next(_NUMBERS)}"
        self._single: dict[int, object] = {}
        self._handle = binding.connect(address)
        try:
            self.gpus = {one.uuid: gpu for gpu, one in self._identities()}
            self.fields = self._field_groups()
            self._xids = binding.field_group(self._handle, f"{self._prefix}-xid", (XID,))
            entities = [(GPU, gpu) for gpu in self.gpus.values()]
            self._everything = binding.group(self._handle, f"{self._prefix}-all", entities)
            binding.watch(self._handle, self._everything, self._xids, period_s=1, keep_s=XID_KEEP_S)
        except CallError:
            self.close()
            raise
        self.xids_since_us = xids_since_us

    def close(self) -> None:
        """Disconnect; the host engine forgets our groups and watches."""
        self._binding.disconnect(self._handle)

    def identities(self) -> tuple[Identity, ...]:
        """List the devices that have a UUID, whatever the others do."""
        return tuple(one for _, one in self._identities())

    def instances(self, uuid: str) -> tuple[MigInstance, ...]:
        """List a device's MIG instances, those of compute after those that hold them."""
        parent = (GPU, self.gpus[uuid])
        try:
            found = self._binding.instances(self._handle)
        except CallError as error:
            if error.code not in NO_MIG:
                raise
            return ()
        held = [one for one in found if one.entity[0] == GPU_INSTANCE and one.parent == parent]
        holders = {one.entity for one in held}
        inside = [
            one for one in found if one.entity[0] == COMPUTE_INSTANCE and one.parent in holders
        ]
        return tuple((held + inside)[:INSTANCES_MAX])

    def watch(self, entities: Sequence[Entity]) -> tuple[object, dict[int, int]]:
        """Watch all fields of a device and its instances.

        Returns the group, and the code of each field that the host engine refused: of profiling
        one is tried after the other then, as far as they go together. Raises CallError where the
        group itself or the fast fields cannot be watched.
        """
        group = self._binding.group(self._handle, f"{self._prefix}-{next(_NUMBERS)}", entities)
        refused: dict[int, int] = {}
        for name, (field_group, numbers) in self.fields.items():
            code = self._watch(group, field_group, name)
            if code is None:
                continue
            if name == "fast":
                message = "the fast fields cannot be watched"
                raise CallError(message, code=code)
            refused.update(dict.fromkeys(numbers, code))
            if name != "slow" and code not in NO_PROFILING:
                self._watch_singly(group, name, refused)
        return group, refused

    def unwatch(self, group: object) -> None:
        """End what `watch` began; a group that is gone already is no error."""
        groups = [field_group for field_group, _ in self.fields.values()]
        for field_group in (*groups, *self._single.values()):
            self._quietly(group, field_group)
        try:
            self._binding.drop_group(self._handle, group)
        except CallError:
            return

    def update(self) -> None:
        """Wait until newly watched fields have been read."""
        self._binding.update(self._handle)

    def latest(self, entities: Sequence[Entity], numbers: Sequence[int]) -> list[Value]:
        """Return the cached values."""
        return self._binding.latest(self._handle, entities, numbers)

    def live(self, entities: Sequence[Entity], numbers: Sequence[int]) -> list[Value]:
        """Return values of fields that are not watched."""
        return self._binding.latest(self._handle, entities, numbers, flags=LIVE)

    def xids(self) -> list[Value]:
        """Return the XIDs since the last time, each once; one thread asks."""
        values, self.xids_since_us = self._binding.since(
            self._handle, self._everything, self._xids, self.xids_since_us
        )
        return values

    def _watch(self, group: object, field_group: object, name: Watch) -> int | None:
        """Watch a group of fields; returns the code if it is refused."""
        period_s = PERIOD_S[name]
        try:
            self._binding.watch(
                self._handle, group, field_group, period_s=period_s, keep_s=period_s * KEEP_PERIODS
            )
        except CallError as error:
            if error.code is None or error.code == CONNECTION_NOT_VALID:
                raise
            return error.code
        return None

    def _watch_singly(self, group: object, name: Watch, refused: dict[int, int]) -> None:
        """Watch the fields of a group one by one; what is taken is no longer `refused`."""
        for number in self.fields[name][1]:
            if number not in self._single:
                label = f"{self._prefix}-{next(_NUMBERS)}"
                self._single[number] = self._binding.field_group(self._handle, label, (number,))
            code = self._watch(group, self._single[number], name)
            if code is None:
                del refused[number]
            else:
                refused[number] = code

    def _quietly(self, group: object, field_group: object) -> None:
        try:
            self._binding.unwatch(self._handle, group, field_group)
        except CallError:
            return

    def _identities(self) -> Iterable[tuple[int, Identity]]:
        numbers = (*TEXTS, MINOR, INDEX, CAPABILITY, MIG_MODE)
        for gpu in self._binding.gpus(self._handle):
            try:
                values = self.live([(GPU, gpu)], numbers)
            except CallError as error:
                if error.code is None:
                    raise
                continue  # a sick device does not hide the others
            identity = identify(gpu, values)
            if identity is not None:
                yield gpu, identity

    def _field_groups(self) -> dict[Watch, tuple[object, tuple[int, ...]]]:
        groups: dict[Watch, tuple[object, tuple[int, ...]]] = {}
        for watch in PERIOD_S:
            numbers = tuple(
                one.number
                for one in FIELDS
                if one.watch == watch and self._binding.known(one.number)
            )
            name = f"{self._prefix}-{watch}"
            try:
                group = self._binding.field_group(self._handle, name, numbers)
            except CallError:
                numbers = tuple(number for number in numbers if self._takes(number))
                group = self._binding.field_group(self._handle, name, numbers)
            groups[watch] = (group, numbers)
        return groups

    def _takes(self, number: int) -> bool:
        """Whether the host engine, which may be older than the library, knows a field."""
        try:
            name = f"{self._prefix}-{next(_NUMBERS)}"
            group = self._binding.field_group(self._handle, name, (number,))
            self._binding.drop_field_group(self._handle, group)
        except CallError as error:
            if error.code is None:
                raise
            return False
        return True


def identify(gpu: int, values: Iterable[Value]) -> Identity | None:
    """Make an identity of fields; None where the device does not even tell its UUID."""
    texts: dict[int, str] = {}
    numbers: dict[int, int] = {}
    for value in values:
        if isinstance(value.value, str) and not value.value.startswith("<<<"):
            texts[value.field] = value.value
        elif isinstance(value.value, int) and 0 <= value.value < 1 << 31:
            numbers[value.field] = value.value
    known = {name: texts[number] for number, name in TEXTS.items() if texts.get(number)}
    if "uuid" not in known:
        return None
    return Identity(
        uuid=known["uuid"],
        index=numbers.get(INDEX, gpu),
        vendor="nvidia",
        model=known.get("model", ""),
        minor=numbers.get(MINOR),
        pci_bus_id=known.get("pci_bus_id", ""),
        architecture=architecture(numbers.get(CAPABILITY)),
        driver_version=known.get("driver_version", ""),
        vbios_version=known.get("vbios_version", ""),
        serial=known.get("serial", ""),
        mig=numbers.get(MIG_MODE) == 1,
    )


def architecture(capability: int | None) -> str:
    """Name an architecture by its CUDA compute capability; "" if it is not known."""
    if capability is None:
        return ""
    pair = (capability >> 16, capability & 0xFFFF)
    below = [lowest for lowest in ARCHITECTURES if lowest <= pair]
    return ARCHITECTURES[max(below)] if below else ""
