"""Who holds which device, as one frozen snapshot: the records that all of this package speaks in.

A holder is a container, however many replica slots of a device it has. Three answers are kept
apart everywhere: nobody holds it (an empty tuple), somebody does, and nobody knows (None).
Pure: no clock, no I/O.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

REASONS: Final = (
    "socket_missing",
    "refused",
    "permission",
    "timeout",
    "closed",
    "protocol",
    "goaway",
    "http_status",
    "grpc_status",
    "unimplemented",
    "unavailable",
    "too_large",
    "garbage",
    "h2_missing",
    "dra_gate",
    "dra_unresolved",
    "device_id",
    "bad_name",
    "too_many",
    "api",
    "names",
    "file_missing",
    "file_invalid",
    "file_version",
    "file_too_large",
    "file_stale",
    "write",
    "internal",
)
"""Everything that can be wrong with the map; the values of the label `reason` of its errors."""

MAP_AGE_S_MAX: Final = 60.0
"""How long the last map is believed once no new one comes; after that there are no labels."""


class MapError(Exception):
    """There is no map to be had now. `reason` is one of `REASONS`."""

    def __init__(self, *, reason: str) -> None:
        """Keep why."""
        super().__init__(reason)
        self.reason = reason


class Holder(NamedTuple):
    """A container that holds a device. `container` is "" where only the pod is known."""

    namespace: str
    pod: str
    container: str


class PodName(NamedTuple):
    """What a pod is called, and its containers as far as they have written a log."""

    namespace: str
    pod: str
    containers: tuple[str, ...] = ()


class DeviceKey(NamedTuple):
    """A device in the words of whoever names it: by UUID, minor number, PCI address or TPU index.

    `gi` and `ci` tell a MIG instance of that device. `slot` is the placement in the name of a DRA
    device ("9-4-4") where the number of its instance is not known.
    """

    uuid: str = ""
    minor: int | None = None
    pci: str = ""
    tpu: int | None = None
    gi: int | None = None
    ci: int | None = None
    slot: str = ""


class Target(NamedTuple):
    """A device or MIG instance in the words of the exporter, with all names it may go by.

    An instance has the `uuid`, `minor` and `pci` of its parent, its own `mig_uuid`, and `gi`.
    """

    uuid: str = ""
    minor: int | None = None
    pci: str = ""
    tpu: int | None = None
    gi: int | None = None
    ci: int | None = None
    mig_uuid: str = ""

    def names(self) -> tuple[DeviceKey, ...]:
        """Return every key under which a map may list it."""
        places = [(self.gi, self.ci)] if self.ci is None else [(self.gi, self.ci), (self.gi, None)]
        keys = [DeviceKey(uuid=self.mig_uuid)] if self.mig_uuid else []
        for gi, ci in places:
            keys += [key._replace(gi=gi, ci=ci) for key in self._whole()]
        return tuple(keys)

    def _whole(self) -> list[DeviceKey]:
        keys = [DeviceKey(uuid=self.uuid)] if self.uuid else []
        if self.minor is not None:
            keys.append(DeviceKey(minor=self.minor))
        if self.pci:
            keys.append(DeviceKey(pci=self.pci))
        if self.tpu is not None:
            keys.append(DeviceKey(tpu=self.tpu))
        return keys

    def is_parent_of(self, key: DeviceKey) -> bool:
        """Return whether the key names a MIG instance of this device by its parent."""
        is_instance = key.gi is not None or bool(key.slot)
        return is_instance and key._replace(gi=None, ci=None, slot="") in self._whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The map at a moment. `taken_s` is the monotonic moment at which it was true, None for never.

    While it is not `attributed`, it holds nothing: what is old must not name a pod. `errors` are
    running totals by reason.
    """

    holders: Mapping[DeviceKey, tuple[Holder, ...]] = field(default_factory=dict)
    pods: Mapping[str, PodName] = field(default_factory=dict)
    taken_s: float | None = None
    attributed: bool = False
    errors: Mapping[str, int] = field(default_factory=dict)

    def age_s(self, now_s: float) -> float | None:
        """Return how long ago the map was true; None if there never was one."""
        return None if self.taken_s is None else max(0.0, now_s - self.taken_s)

    def of(self, target: Target) -> tuple[Holder, ...] | None:
        """Return the containers that hold exactly this device or instance; None if unknown."""
        if not self.attributed:
            return None
        return merged(self.holders.get(key, ()) for key in target.names())

    def below(self, target: Target, instances: Iterable[Target] = ()) -> tuple[Holder, ...] | None:
        """Return who holds the device or any of its MIG instances; None if unknown.

        `instances` are needed for those that the map lists by a UUID of their own.
        """
        if not self.attributed:
            return None
        keys = [key for one in (target, *instances) for key in one.names()]
        keys += [key for key in self.holders if target.is_parent_of(key)]
        return merged(self.holders.get(key, ()) for key in keys)

    def owner(self, uid: str, among: Iterable[Holder] = ()) -> Holder | None:
        """Return the pod with this UID as a holder, None if it is not known.

        The container is named if the pod has but one, or exactly one of `among` is in that pod.
        """
        name = self.pods.get(uid) if self.attributed else None
        if name is None:
            return None
        same = [h for h in among if (h.namespace, h.pod) == (name.namespace, name.pod)]
        if len(same) == 1:
            return same[0]
        only = name.containers[0] if len(name.containers) == 1 else ""
        return Holder(name.namespace, name.pod, only)

    def forgotten(self) -> "Snapshot":
        """Return the same without anything that could name a pod; age and errors stay."""
        return Snapshot(taken_s=self.taken_s, errors=self.errors)


def merged(groups: Iterable[tuple[Holder, ...]]) -> tuple[Holder, ...]:
    """Return each holder of all groups once, sorted."""
    return tuple(sorted({holder for group in groups for holder in group}))
