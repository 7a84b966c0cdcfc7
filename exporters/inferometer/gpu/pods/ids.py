"""What a device plugin calls a device -> a key: every form that is in use, and nothing guessed.

    GPU-<uuid>  MIG-<uuid>                  NVIDIA, each also with ::<n> for a replica slot
    MIG-GPU-<uuid>/<gi>/<ci>                NVIDIA drivers before R470
    nvidia<minor>  nvidia<minor>/gi<g>      GKE, each also with /vgpu<n> for a shared slot
    0000:c1:00.0                            AMD, the PCI address
    3  accel3  vfio/3                       TPU, only as google.com/tpu

Devices are told by their id, not by the name of the resource, which can be configured; a TPU's
bare number is the exception. Ids that only look alike are refused: HAMi's `GPU-<uuid>-<n>`, for
one, is a slot that the scheduler later moves to another device. Pure.
"""

import re
from typing import Final, NamedTuple

from inferometer.gpu.pods.holders import DeviceKey, Target
from inferometer.gpu.sample import Identity, Instance

ID_CHARS_MAX: Final = 256
"""Longer ids are refused unread."""

TPU_RESOURCE: Final = "google.com/tpu"
TPU_VENDOR: Final = "google"
NVIDIA_VENDOR: Final = "nvidia"
"""What `Identity.vendor` says, in lower case. Minor numbers in ids are NVIDIA's alone."""

UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NUMBER: Final = r"[0-9]{1,6}"
_REPLICA: Final = rf"(?:::(?P<replica>{_NUMBER}))?"

_NVIDIA: Final = re.compile(
    rf"(?P<kind>GPU|MIG)-(?P<uuid>{UUID}){_REPLICA}", re.ASCII | re.IGNORECASE
)
_OLD_MIG: Final = re.compile(
    rf"MIG-GPU-(?P<uuid>{UUID})/(?P<gi>{_NUMBER})/(?P<ci>{_NUMBER}){_REPLICA}",
    re.ASCII | re.IGNORECASE,
)
_GKE: Final = re.compile(
    rf"nvidia(?P<minor>{_NUMBER})(?:/gi(?P<gi>{_NUMBER}))?(?:/vgpu(?P<vgpu>{_NUMBER}))?", re.ASCII
)
_PCI: Final = re.compile(
    r"(?P<domain>[0-9a-f]{4,8}):(?P<rest>[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.ASCII | re.IGNORECASE
)
_TPU: Final = re.compile(rf"(?:accel|vfio/|/dev/accel|/dev/vfio/)?(?P<tpu>{_NUMBER})", re.ASCII)


class DeviceId(NamedTuple):
    """A device id, read. `replica` and `vgpu` number the slots of a shared device."""

    key: DeviceKey
    replica: int | None = None
    vgpu: int | None = None


def parse(text: str, *, resource: str = "") -> DeviceId | None:
    """Return what an id means, None if it is of no known form."""
    if len(text) > ID_CHARS_MAX:
        return None
    if resource == TPU_RESOURCE:
        return _tpu(text)
    if found := _NVIDIA.fullmatch(text):
        uuid = f"{found['kind'].upper()}-{found['uuid'].lower()}"
        return DeviceId(DeviceKey(uuid=uuid), replica=_integer(found["replica"]))
    if found := _OLD_MIG.fullmatch(text):
        key = DeviceKey(
            uuid=f"GPU-{found['uuid'].lower()}", gi=int(found["gi"]), ci=int(found["ci"])
        )
        return DeviceId(key, replica=_integer(found["replica"]))
    if found := _GKE.fullmatch(text):
        key = DeviceKey(minor=int(found["minor"]), gi=_integer(found["gi"]))
        return DeviceId(key, vgpu=_integer(found["vgpu"]))
    address = pci_address(text)
    return DeviceId(DeviceKey(pci=address)) if address else None


def device_uuid(text: str) -> str:
    """Return a UUID as keys have it, or "" if it is none of NVIDIA's."""
    found = _NVIDIA.fullmatch(text) if len(text) <= ID_CHARS_MAX else None
    if found is None or found["replica"]:
        return ""
    return f"{found['kind'].upper()}-{found['uuid'].lower()}"


def pci_address(text: str) -> str:
    """Return a PCI address as sysfs writes it, "" if it is none. NVML's domain has 8 digits."""
    found = _PCI.fullmatch(text) if len(text) <= ID_CHARS_MAX else None
    if found is None:
        return ""
    return f"{int(found['domain'], 16):04x}:{found['rest'].lower()}"


def target(identity: Identity, instance: Instance | None = None) -> Target:
    """Return a device, or an instance of it, with all the names that a map may have for it."""
    vendor = identity.vendor.lower()
    parent = Target(
        uuid=device_uuid(identity.uuid) or identity.uuid,
        minor=identity.minor if vendor == NVIDIA_VENDOR else None,
        pci=pci_address(identity.pci_bus_id),
    )
    if vendor == TPU_VENDOR:
        parent = Target(uuid=identity.uuid, tpu=identity.index)
    if instance is None:
        return parent
    return parent._replace(
        gi=instance.gpu_instance,
        ci=instance.compute_instance,
        mig_uuid=device_uuid(instance.uuid) or instance.uuid,
    )


def _tpu(text: str) -> DeviceId | None:
    found = _TPU.fullmatch(text)
    return DeviceId(DeviceKey(tpu=int(found["tpu"]))) if found else None


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)
