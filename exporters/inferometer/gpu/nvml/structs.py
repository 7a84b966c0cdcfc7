"""The C structures that NVML fills in, and their versions.

Declared here rather than taken from pynvml, which need not be installed to read a table of
fields; a test compares sizes and offsets with those of pynvml.
"""

import ctypes
from typing import Final

Handle = ctypes.c_void_p
"""A device, an event set or a GPM sample: a pointer that means something to the library only."""

UNKNOWN_U32: Final = 0xFFFFFFFF
UNKNOWN_U64: Final = 0xFFFFFFFFFFFFFFFF
TEXT_BYTES: Final = 128
"""More than any name, serial number, UUID or version takes (96 in the header)."""


class FieldValue(ctypes.Structure):
    """One field of `nvmlDeviceGetFieldValues`; `value` is a union, decoded by `fields.decode`."""

    _fields_ = (
        ("field_id", ctypes.c_uint32),
        ("scope_id", ctypes.c_uint32),
        ("timestamp_us", ctypes.c_int64),
        ("latency_us", ctypes.c_int64),
        ("value_type", ctypes.c_uint32),
        ("code", ctypes.c_int32),
        ("value", ctypes.c_uint64),
    )


class Memory(ctypes.Structure):
    """Memory in bytes, before R510: `used` includes what the driver keeps for itself."""

    _fields_ = (
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
    )


class MemoryV2(ctypes.Structure):
    """Memory in bytes."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("reserved", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
    )


class Utilization(ctypes.Structure):
    """Percent of the last window with work on the GPU, and with traffic of its memory."""

    _fields_ = (("gpu", ctypes.c_uint32), ("memory", ctypes.c_uint32))


class Temperature(ctypes.Structure):
    """Degrees Celsius of one sensor."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("sensor", ctypes.c_uint32),
        ("celsius", ctypes.c_int32),
    )


class MarginTemperature(ctypes.Structure):
    """Degrees Celsius to the nearest limit."""

    _fields_ = (("version", ctypes.c_uint32), ("celsius", ctypes.c_int32))


class FabricInfo(ctypes.Structure):
    """How far the device is in joining its NVLink fabric, up to R525."""

    _fields_ = (
        ("cluster_uuid", ctypes.c_uint8 * 16),
        ("status", ctypes.c_uint32),
        ("clique_id", ctypes.c_uint32),
        ("state", ctypes.c_uint32),
    )


class FabricInfoV2(ctypes.Structure):
    """The same, versioned."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("cluster_uuid", ctypes.c_uint8 * 16),
        ("status", ctypes.c_uint32),
        ("clique_id", ctypes.c_uint32),
        ("state", ctypes.c_uint32),
        ("health_mask", ctypes.c_uint32),
    )


class Attributes(ctypes.Structure):
    """What a MIG instance has of its device."""

    _fields_ = (
        ("multiprocessors", ctypes.c_uint32),
        ("copy_engines", ctypes.c_uint32),
        ("decoders", ctypes.c_uint32),
        ("encoders", ctypes.c_uint32),
        ("jpeg_engines", ctypes.c_uint32),
        ("ofa_engines", ctypes.c_uint32),
        ("gpu_instance_slices", ctypes.c_uint32),
        ("compute_instance_slices", ctypes.c_uint32),
        ("memory_mib", ctypes.c_uint64),
    )


class PciInfo(ctypes.Structure):
    """Where a device is on the PCI bus; `bus_id` is text such as 00000000:01:00.0."""

    _fields_ = (
        ("bus_id_legacy", ctypes.c_char * 16),
        ("domain", ctypes.c_uint32),
        ("bus", ctypes.c_uint32),
        ("device", ctypes.c_uint32),
        ("device_id", ctypes.c_uint32),
        ("subsystem_id", ctypes.c_uint32),
        ("bus_id", ctypes.c_char * 32),
    )


class EventData(ctypes.Structure):
    """One event; `data` is the XID where `kind` says so, ids are all ones where there is none."""

    _fields_ = (
        ("device", ctypes.c_void_p),
        ("kind", ctypes.c_uint64),
        ("data", ctypes.c_uint64),
        ("gpu_instance", ctypes.c_uint32),
        ("compute_instance", ctypes.c_uint32),
    )


class SystemEventSet(ctypes.Structure):
    """Request to create (`set` is filled in) or free a set of system events."""

    _fields_ = (("version", ctypes.c_uint32), ("set", ctypes.c_void_p))


class SystemEventRegistration(ctypes.Structure):
    """Request to have kinds of system events reported."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("kinds", ctypes.c_uint64),
        ("set", ctypes.c_void_p),
    )


class SystemEventData(ctypes.Structure):
    """One system event: 1 a device lost its driver, 2 it got one."""

    _fields_ = (("kind", ctypes.c_uint64), ("gpu_id", ctypes.c_uint32))


class SystemEventWait(ctypes.Structure):
    """Request to wait for system events; `count` is filled in."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("timeout_ms", ctypes.c_uint32),
        ("set", ctypes.c_void_p),
        ("data", ctypes.POINTER(SystemEventData)),
        ("capacity", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
    )


class Sample(ctypes.Structure):
    """One sample of a driver's ring, with a moment of its own and a union for the value."""

    _fields_ = (("timestamp_us", ctypes.c_uint64), ("value", ctypes.c_uint64))


class ProcessUtilization(ctypes.Structure):
    """Percent of SMs and of other engines that a process took."""

    _fields_ = (
        ("pid", ctypes.c_uint32),
        ("timestamp_us", ctypes.c_uint64),
        ("sm", ctypes.c_uint32),
        ("memory", ctypes.c_uint32),
        ("encoder", ctypes.c_uint32),
        ("decoder", ctypes.c_uint32),
    )


class GpmSupport(ctypes.Structure):
    """Whether a device has GPU performance metrics."""

    _fields_ = (("version", ctypes.c_uint32), ("supported", ctypes.c_uint32))


class GpmMetric(ctypes.Structure):
    """One metric, with a return code of its own and three pointers to texts."""

    _fields_ = (
        ("metric_id", ctypes.c_uint32),
        ("code", ctypes.c_int32),
        ("value", ctypes.c_double),
        ("short_name", ctypes.c_void_p),
        ("long_name", ctypes.c_void_p),
        ("unit", ctypes.c_void_p),
    )


GPM_METRICS_MAX: Final = 512
"""The array is as long as the header's list of metrics, which grows: 98, 333, 477 so far."""


class GpmMetrics(ctypes.Structure):
    """Request for metrics between two samples; only `count` of the array are looked at."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("earlier", ctypes.c_void_p),
        ("later", ctypes.c_void_p),
        ("metrics", GpmMetric * GPM_METRICS_MAX),
    )


def version(structure: type[ctypes.Structure], number: int) -> int:
    """Return what NVML expects in `version`: the size, and the number in the highest byte."""
    return ctypes.sizeof(structure) | number << 24
