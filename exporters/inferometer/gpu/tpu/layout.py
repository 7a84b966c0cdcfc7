"""Which cores make a chip, and what the service's answers say of one. Pure.

libtpu tells the duty cycle for each chip and memory for each core; chips of v2, v3 and 7x have two
cores. Nothing says which belong together, so both are taken in the order of their numbers, as
Google's tpu-info does: to be verified on hardware.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from inferometer.gpu.binding.integrals import Source
from inferometer.gpu.quantities import Gauge, Total
from inferometer.gpu.tpu.messages import Metric

DUTY: Final = "tpu.runtime.tensorcore.dutycycle.percent"
USED: Final = "tpu.runtime.hbm.memory.usage.bytes"
TOTAL: Final = "tpu.runtime.hbm.memory.total.bytes"
BANDWIDTH: Final = "tpu.runtime.hbm.utilization.percent"
NAMES: Final[Mapping[str, str]] = {
    DUTY: "duty_cycle",
    USED: "memory_usage",
    TOTAL: "memory_total",
    BANDWIDTH: "hbm_utilization",
}
GAUGES: Final[Mapping[str, Gauge]] = {
    DUTY: Gauge.UTILIZATION_PERCENT,
    USED: Gauge.MEMORY_USED_BYTES,
    TOTAL: Gauge.MEMORY_TOTAL_BYTES,
    BANDWIDTH: Gauge.DRAM_RATIO,
}
SOURCES: Final = (
    Source(Total.BUSY_NS, Gauge.UTILIZATION_PERCENT, 0.01),
    Source(Total.DRAM_ACTIVE_NS, Gauge.DRAM_RATIO),
)
PERCENT_MAX: Final = 100
BYTES_END: Final = 1 << 63
CHIPS_MAX: Final = 64
"""Of one address; a host has at most 8."""


class Chip(NamedTuple):
    """A chip and its cores; no cores where they cannot be told apart."""

    number: int
    cores: tuple[int, ...]


def chips(duty: Sequence[Metric], memory: Sequence[Metric]) -> tuple[Chip, ...]:
    """Lay the cores out; without duty cycles, each core is a chip."""
    numbers, cores = sorted(by_number(duty)), sorted(by_number(memory))
    if not numbers:
        return tuple(Chip(core, (core,)) for core in cores[:CHIPS_MAX])
    each, left = divmod(len(cores), len(numbers))
    if left:
        each = 0
    return tuple(
        Chip(number, tuple(cores[at * each : (at + 1) * each]))
        for at, number in enumerate(numbers[:CHIPS_MAX])
    )


def by_number(metrics: Sequence[Metric]) -> dict[int, float]:
    """Return values by chip or core; one without a number goes by its place."""
    return {
        at if metric.number is None else metric.number: metric.value
        for at, metric in enumerate(metrics)
        if metric.value is not None
    }


def read(metric: str, chip: Chip, metrics: Sequence[Metric]) -> float | None:
    """Return what is said of a chip, in the unit of its gauge; None if nothing is.

    Memory is the sum of its cores, and unknown if one is. Bandwidth comes for chips or for cores.
    """
    values = by_number(metrics)
    if metric == DUTY:
        return values.get(chip.number)
    cores = [values[core] for core in chip.cores if core in values]
    if metric == BANDWIDTH:
        value = sum(cores) / len(cores) if complete(chip, cores) else values.get(chip.number)
        return None if value is None else value / PERCENT_MAX
    return sum(cores) if complete(chip, cores) else None


def complete(chip: Chip, cores: Sequence[float]) -> bool:
    """Whether there is a value for each of its cores."""
    return bool(cores) and len(cores) == len(chip.cores)


def plausible(metric: str, value: float) -> bool:
    """Whether a value of a gauge can be true."""
    most = {DUTY: PERCENT_MAX, BANDWIDTH: 1}.get(metric, BYTES_END)
    return math.isfinite(value) and 0 <= value <= most
