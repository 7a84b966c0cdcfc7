"""Dynamic resource allocation: (driver, pool, device) of a claim -> the device that is meant.

The published way is the ResourceSlice of the node: its attributes hold the UUID. Without access
to the API server a name may still tell: NVIDIA's driver calls devices `gpu-<minor>` and
`gpu-<minor>-mig-<placement>`, in the claim and in the names for the container runtime
(`k8s.gpu.nvidia.com/device=gpu-1`); to be verified per driver version. Pure.

Source: resource.k8s.io/v1; in v1beta1 the attributes lie one level deeper, in `basic`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from inferometer.gpu.pods import ids
from inferometer.gpu.pods.holders import DeviceKey
from inferometer.gpu.pods.proto import ClaimedDevice

DEVICES_MAX: Final = 4096
"""Devices of a node in all pools; the API allows 128 in a slice."""

NVIDIA_DRIVER: Final = "gpu.nvidia.com"

_NAME: Final = re.compile(
    r"(?:.*[=/-])?gpu-(?P<minor>[0-9]{1,4})(?:-mig-(?P<slot>[0-9a-z.+-]{1,64}))?", re.ASCII
)
_NAME_CHARS_MAX: Final = 256
_PCI_ATTRIBUTES: Final = ("pciBusID", "pciAddr")


class SliceDevice(NamedTuple):
    """A device as its driver names it."""

    driver: str
    pool: str
    device: str


Slices = Mapping[SliceDevice, DeviceKey]


def read_slices(items: Iterable[object]) -> dict[SliceDevice, DeviceKey]:
    """Return what the ResourceSlices of a node tell; what is no such object is passed over.

    Of each driver's pool only the highest generation counts: others are left from before.
    """
    slices = [spec for item in items if (spec := _spec(item)) is not None]
    newest: dict[tuple[str, str], int] = {}
    for driver, pool, generation, _ in slices:
        newest[driver, pool] = max(generation, newest.get((driver, pool), generation))
    devices: dict[SliceDevice, DeviceKey] = {}
    for driver, pool, generation, listed in slices:
        if generation != newest[driver, pool]:
            continue
        for name, key in listed:
            if len(devices) < DEVICES_MAX:
                devices[SliceDevice(driver, pool, name)] = key
    return devices


def resolve(claimed: ClaimedDevice, slices: Slices) -> DeviceKey | None:
    """Return the device that a claim means, None if neither slices nor names tell.

    A device with a share_id has other consumers too, each listed with its own container.
    """
    known = slices.get(SliceDevice(claimed.driver, claimed.pool, claimed.device))
    if known is not None:
        return known
    if claimed.driver != NVIDIA_DRIVER:
        return None  # others use the same words for other numbers
    return next(filter(None, map(from_name, (claimed.device, *claimed.cdi_names))), None)


def is_gpu(claimed: ClaimedDevice) -> bool:
    """Return whether the device is from a driver of GPUs: gpu.nvidia.com, gpu.amd.com, ..."""
    return claimed.driver.startswith("gpu.")


def from_name(name: str) -> DeviceKey | None:
    """Return what the name of a device alone tells, None if it is of another form."""
    found = _NAME.fullmatch(name) if len(name) <= _NAME_CHARS_MAX else None
    if found is None:
        return None
    return DeviceKey(minor=int(found["minor"]), slot=found["slot"] or "")


_Spec = tuple[str, str, int, list[tuple[str, DeviceKey]]]


def _spec(item: object) -> _Spec | None:
    spec = _member(item, "spec")
    pool = _member(spec, "pool")
    driver, name, generation = (
        _member(spec, "driver"),
        _member(pool, "name"),
        _member(pool, "generation"),
    )
    if not (isinstance(driver, str) and isinstance(name, str) and isinstance(generation, int)):
        return None
    return driver, name, generation, list(_devices(_member(spec, "devices")))


def _devices(listed: object) -> Iterator[tuple[str, DeviceKey]]:
    for device in listed if isinstance(listed, list) else ():
        name = _member(device, "name")
        attributes = _member(device, "attributes") or _member(
            _member(device, "basic"), "attributes"
        )
        if isinstance(name, str) and (key := _key(name, _plain(attributes))) is not None:
            yield name, key


def _plain(attributes: object) -> dict[str, object]:
    """Return attributes by their names without domain, each as the one value it has."""
    if not isinstance(attributes, dict):
        return {}
    plain: dict[str, object] = {}
    for name, value in attributes.items():
        if isinstance(value, dict) and len(value) == 1:
            plain[str(name).rpartition("/")[2]] = next(iter(value.values()))
    return plain


def _key(name: str, attributes: Mapping[str, object]) -> DeviceKey | None:
    """Return the key of a device; that of an instance must never be the one of its parent."""
    uuid = ids.device_uuid(str(attributes.get("uuid", "")))
    if uuid:
        return DeviceKey(uuid=uuid)
    parent = ids.device_uuid(str(attributes.get("parentUUID", "")))
    named = from_name(name)
    slot = named.slot if named else ""
    if parent:  # an instance that is made when it is claimed has no UUID yet
        return DeviceKey(uuid=parent, slot=slot or name)
    if slot or attributes.get("type", "gpu") != "gpu":
        return named
    addresses = (ids.pci_address(str(attributes.get(one, ""))) for one in _PCI_ATTRIBUTES)
    return next((DeviceKey(pci=address) for address in addresses if address), None)


def _member(node: object, name: str) -> object:
    return node.get(name) if isinstance(node, dict) else None
