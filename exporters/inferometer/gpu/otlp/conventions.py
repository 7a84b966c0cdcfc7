"""Devices in the words of OpenTelemetry's semantic conventions for hardware.

Those conventions are at status Development, so all names stand in one table here. Where they have
none (engines, XIDs, throttling), names are `inferometer.gpu.*`. Pure: what sends it is in `otlp`.

Source: opentelemetry.io/docs/specs/semconv/hardware/gpu, hardware/common.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from inferometer.gpu.page.families import NS_PER_S, memory_ratio
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import DeviceView, Identity, Instance

Attributes = Mapping[str, str]
Kind = Literal["counter", "gauge", "updowncounter"]
STATUS: Final = {"ok": "ok", "stalled": "degraded"}
"""Words for a device's state; all others are `failed`."""


class Point(NamedTuple):
    """A value with its attributes."""

    value: float
    attributes: Attributes


class Row(NamedTuple):
    """An instrument and where its points come from."""

    name: str
    kind: Kind
    unit: str
    help: str
    read: Callable[[DeviceView], Iterator[Point]]


def device(identity: Identity) -> dict[str, str]:
    """Return the attributes of a device; what is not known is left out."""
    found = {
        "hw.id": identity.uuid,
        "hw.type": "gpu",
        "hw.name": f"GPU {identity.index}",
        "hw.vendor": identity.vendor,
        "hw.model": identity.model,
        "hw.driver_version": identity.driver_version,
        "hw.firmware_version": identity.vbios_version,
    }
    return {name: value for name, value in found.items() if value}


def instance(identity: Identity, one: Instance) -> dict[str, str]:
    """Return the attributes of a MIG instance."""
    own = {
        "hw.id": one.uuid,
        "hw.name": f"GPU {identity.index} instance {one.gpu_instance}",
        "hw.model": f"{identity.model} {one.profile}".strip(),
        "hw.parent": identity.uuid,
    }
    return device(identity) | own


Measured = Mapping[Gauge, float]


def _each(view: DeviceView) -> Iterator[tuple[Measured, dict[str, str]]]:
    """Yield what a device and its instances measure, with their attributes."""
    if view.sample is None:
        return
    yield view.sample.gauges, device(view.identity)
    for one in view.sample.instances:
        yield one.gauges, instance(view.identity, one)


def _gauge(quantity: Gauge, divisor: float = 1) -> Callable[[DeviceView], Iterator[Point]]:
    def read(view: DeviceView) -> Iterator[Point]:
        for gauges, attributes in _each(view):
            if quantity in gauges:
                yield Point(gauges[quantity] / divisor, attributes)

    return read


def _utilization(view: DeviceView) -> Iterator[Point]:
    for gauges, attributes in _each(view):
        general = gauges.get(Gauge.GRAPHICS_ENGINE_RATIO)
        if general is None and Gauge.UTILIZATION_PERCENT in gauges:
            general = gauges[Gauge.UTILIZATION_PERCENT] / 100
        if general is not None:
            yield Point(general, attributes | {"hw.gpu.task": "general"})
        for task, quantity in (
            ("encoder", Gauge.ENCODER_PERCENT),
            ("decoder", Gauge.DECODER_PERCENT),
        ):
            if quantity in gauges:
                yield Point(gauges[quantity] / 100, attributes | {"hw.gpu.task": task})


def _memory_utilization(view: DeviceView) -> Iterator[Point]:
    missing = view.sample.unsupported if view.sample else {}
    for gauges, attributes in _each(view):
        ratio = memory_ratio(gauges, missing)
        if ratio is not None:
            yield Point(ratio, attributes)


def _counted(view: DeviceView, counter: Counter) -> int | None:
    """Return what a driver has counted since we started, None unless it still does."""
    told = view.sample is not None and counter in view.sample.counters
    return view.accumulated.get(counter) if told else None


def _summed(view: DeviceView, total: Total) -> int | None:
    """Return what a backend has summed, None unless it still does."""
    told = view.sample is not None and total in view.sample.totals
    return view.totals.get(total) if told else None


def _joint(view: DeviceView, counter: Counter, total: Total, scale: int) -> int | None:
    """Return a quantity that is counted and summed by turns; `scale` makes one unit of them."""
    if _counted(view, counter) is None and _summed(view, total) is None:
        return None
    return view.accumulated.get(counter, 0) * scale + view.totals.get(total, 0)


def _moved(view: DeviceView) -> Iterator[Point]:
    for direction, counter, total in (
        ("transmit", Counter.PCIE_TRANSMIT_BYTES, Total.PCIE_TRANSMIT_BYTES),
        ("receive", Counter.PCIE_RECEIVE_BYTES, Total.PCIE_RECEIVE_BYTES),
    ):
        moved = _joint(view, counter, total, 1)
        if moved is not None:
            yield Point(moved, device(view.identity) | {"network.io.direction": direction})


def _energy(view: DeviceView) -> Iterator[Point]:
    drawn_uj = _joint(view, Counter.ENERGY_MILLIJOULES, Total.ENERGY_MICROJOULES, 1000)
    if drawn_uj is not None:
        yield Point(drawn_uj / 1e6, device(view.identity))


def _errors(view: DeviceView) -> Iterator[Point]:
    for kind, counter in (
        ("corrected", Counter.ECC_CORRECTED_VOLATILE),
        ("uncorrected", Counter.ECC_UNCORRECTED_VOLATILE),
    ):
        found = _counted(view, counter)  # a driver's own count falls when it is loaded again
        if found is not None:
            yield Point(found, device(view.identity) | {"error.type": kind})


def _status(view: DeviceView) -> Iterator[Point]:
    now = STATUS.get(view.state, "failed")
    for word in ("ok", "degraded", "failed"):
        yield Point(int(word == now), device(view.identity) | {"hw.state": word})


def _engines(view: DeviceView) -> Iterator[Point]:
    for engine, total in (
        ("sm", Total.SM_ACTIVE_NS),
        ("tensor", Total.TENSOR_ACTIVE_NS),
        ("dram", Total.DRAM_ACTIVE_NS),
    ):
        active_ns = _summed(view, total)
        if active_ns is not None:
            attributes = device(view.identity) | {"inferometer.gpu.engine": engine}
            yield Point(active_ns / NS_PER_S, attributes)


def _xids(view: DeviceView) -> Iterator[Point]:
    for code, xid in view.xids.items() if view.events_heard else ():
        word = "other" if code is None else str(code)
        yield Point(xid.seen, device(view.identity) | {"inferometer.gpu.xid": word})


def _throttled(view: DeviceView) -> Iterator[Point]:
    for reason, counter in (
        ("power", Counter.THROTTLED_POWER_NS),
        ("thermal", Counter.THROTTLED_THERMAL_NS),
    ):
        throttled_ns = _counted(view, counter)
        if throttled_ns is not None:
            attributes = device(view.identity) | {"inferometer.gpu.throttle.reason": reason}
            yield Point(throttled_ns / NS_PER_S, attributes)


ROWS: Final = (
    Row("hw.gpu.utilization", "gauge", "1", "Share of time in use, by task.", _utilization),
    Row(
        "hw.gpu.memory.usage",
        "updowncounter",
        "By",
        "Memory in use.",
        _gauge(Gauge.MEMORY_USED_BYTES),
    ),
    Row(
        "hw.gpu.memory.limit",
        "updowncounter",
        "By",
        "Memory of the device.",
        _gauge(Gauge.MEMORY_TOTAL_BYTES),
    ),
    Row("hw.gpu.memory.utilization", "gauge", "1", "Share of memory in use.", _memory_utilization),
    Row("hw.gpu.io", "counter", "By", "Bytes over PCIe.", _moved),
    Row("hw.energy", "counter", "J", "Energy drawn.", _energy),
    Row("hw.power", "gauge", "W", "Power drawn.", _gauge(Gauge.POWER_WATTS)),
    Row(
        "hw.temperature",
        "gauge",
        "Cel",
        "Temperature of the GPU.",
        _gauge(Gauge.GPU_TEMPERATURE_CELSIUS),
    ),
    Row("hw.errors", "counter", "{error}", "ECC errors.", _errors),
    Row("hw.status", "updowncounter", "1", "1 for the state it is in, else 0.", _status),
    Row("inferometer.gpu.active", "counter", "s", "Time in which an engine was active.", _engines),
    Row("inferometer.gpu.xids", "counter", "{error}", "XID errors.", _xids),
    Row("inferometer.gpu.throttled", "counter", "s", "Time with clocks held back.", _throttled),
)
"""Every instrument."""
