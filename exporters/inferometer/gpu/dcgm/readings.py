"""What the host engine's values come to: readings, sums, and reasons. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from inferometer.gpu.binding.integrals import PER_SECOND, WATTS_TO_MICROJOULES, Source
from inferometer.gpu.dcgm.binding import Entity, Value
from inferometer.gpu.dcgm.fields import (
    BY_NUMBER,
    FIELDS,
    Field,
    Watch,
    absent,
    blank,
    plausible,
    scaled,
)
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import Reason

AGE_MAX_S: Final[Mapping[Watch, float]] = {
    "fast": 5,
    "profile": 5,
    "profile_more": 5,
    "slow": 65,
}
"""Nothing older is passed on: a few periods of the host engine's (1 and 30 s)."""
STATUS_REASONS: Final[Mapping[int, Reason]] = {
    -6: "not_supported",
    -12: "version_mismatch",
    -13: "function_not_found",
    -14: "no_data",
    -15: "no_data",
    -16: "no_data",
    -17: "no_permission",
    -20: "function_not_found",
    -22: "not_supported",
    -29: "no_permission",
    -32: "not_supported",
    -33: "not_supported",
    -36: "architecture",
    -44: "function_not_found",
}
"""Codes of dcgm_structs (DCGM_ST_*) that say why there is no value; others are "no_data"."""
STATUS_WORDS: Final[Mapping[int, str]] = {
    **STATUS_REASONS,
    -3: "generic_error",
    -8: "nvml_error",
    -11: "timeout",
    -13: "unknown_field",
    -15: "stale_data",
    -16: "not_watched",
    -18: "gpu_is_lost",
    -19: "reset_required",
    -56: "nvml_not_loaded",
    -57: "driver_timeout",
}
"""What failures of fields are counted as."""
MIG_MODE: Final = frozenset(
    {
        Gauge.UTILIZATION_PERCENT,
        Gauge.MEMORY_COPY_PERCENT,
        Gauge.ENCODER_PERCENT,
        Gauge.DECODER_PERCENT,
    }
)
"""What a driver does not tell while the device is cut into instances."""
PROFILED_BUSY: Final = Source(Total.BUSY_NS, Gauge.GRAPHICS_ENGINE_RATIO)
UTILIZATION_BUSY: Final = Source(Total.BUSY_NS, Gauge.UTILIZATION_PERCENT, 0.01)
ENERGY: Final = Source(Total.ENERGY_MICROJOULES, Gauge.POWER_WATTS, divisor=WATTS_TO_MICROJOULES)
RATIOS: Final = (
    Source(Total.SM_ACTIVE_NS, Gauge.SM_RATIO),
    Source(Total.TENSOR_ACTIVE_NS, Gauge.TENSOR_RATIO),
    Source(Total.DRAM_ACTIVE_NS, Gauge.DRAM_RATIO),
    Source(Total.FP64_ACTIVE_NS, Gauge.FP64_RATIO),
    Source(Total.FP32_ACTIVE_NS, Gauge.FP32_RATIO),
    Source(Total.FP16_ACTIVE_NS, Gauge.FP16_RATIO),
    Source(Total.INTEGER_ACTIVE_NS, Gauge.INTEGER_RATIO),
)
DEVICE: Final = (
    *RATIOS,
    Source(Total.ENCODER_ACTIVE_NS, Gauge.ENCODER_PERCENT, 0.01),
    Source(Total.DECODER_ACTIVE_NS, Gauge.DECODER_PERCENT, 0.01),
    Source(Total.PCIE_TRANSMIT_BYTES, Gauge.PCIE_TRANSMIT_BYTES_PER_SECOND, divisor=PER_SECOND),
    Source(Total.PCIE_RECEIVE_BYTES, Gauge.PCIE_RECEIVE_BYTES_PER_SECOND, divisor=PER_SECOND),
    Source(Total.NVLINK_TRANSMIT_BYTES, Gauge.NVLINK_TRANSMIT_BYTES_PER_SECOND, divisor=PER_SECOND),
    Source(Total.NVLINK_RECEIVE_BYTES, Gauge.NVLINK_RECEIVE_BYTES_PER_SECOND, divisor=PER_SECOND),
)
INSTANCE: Final = (PROFILED_BUSY, *RATIOS)


@dataclass(slots=True)
class Taken:
    """What became of an entity's values. `moments_ns` are the host engine's, by gauge."""

    gauges: dict[Gauge, float] = field(default_factory=dict)
    counters: dict[Counter, int] = field(default_factory=dict)
    moments_ns: dict[Gauge, int] = field(default_factory=dict)
    reasons: dict[Field, Reason] = field(default_factory=dict)
    failed: dict[Field, int] = field(default_factory=dict)
    implausible: list[Field] = field(default_factory=list)
    stale: list[Field] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether there is any value."""
        return bool(self.gauges or self.counters)

    @property
    def statuses(self) -> set[int]:
        """All codes of fields that failed."""
        return set(self.failed.values())


def take(values: Iterable[Value], *, now_us: int) -> dict[Entity, Taken]:
    """Sort values by entity into what is known and what is not; `now_us` is of the wall clock.

    A moment as far ahead as one may be behind is no better: the clock was set meanwhile.
    """
    entities: dict[Entity, Taken] = {}
    for value in values:
        known = BY_NUMBER.get(value.field)
        if known is not None:
            _take(entities.setdefault(value.entity, Taken()), known, value, now_us)
    return entities


def _take(taken: Taken, known: Field, value: Value, now_us: int) -> None:
    if value.status != 0:
        taken.failed[known] = value.status
        taken.reasons[known] = STATUS_REASONS.get(value.status, "no_data")
        return
    if not isinstance(value.value, int | float):
        taken.reasons[known] = "no_data"
        return
    if (reason := blank(value.value)) is not None:
        taken.reasons[known] = reason
    elif absent(known, value.value):
        taken.reasons[known] = "not_supported"
    elif not plausible(known, value.value):
        taken.implausible.append(known)
        taken.reasons[known] = "implausible"
    elif abs(now_us - value.moment_us) > AGE_MAX_S[known.watch] * 1e6:
        taken.stale.append(known)
        taken.reasons[known] = "no_data"
    elif isinstance(known.quantity, Gauge):
        taken.gauges[known.quantity] = scaled(known, value.value)
        taken.moments_ns[known.quantity] = value.moment_us * 1_000
    elif isinstance(known.quantity, Counter):
        taken.counters[known.quantity] = int(scaled(known, value.value))


def unsupported(taken: Taken, refused: Mapping[int, int], *, mig: bool) -> dict[str, Reason]:
    """Return why quantities are unknown, after every field has been read once.

    `refused` are fields that cannot be watched, by code. Profiling has no data until its
    second period, so that says nothing.
    """
    reasons: dict[str, Reason] = {}
    for known in FIELDS:
        reason: Reason | None
        if known.number in refused:
            reason = STATUS_REASONS.get(refused[known.number], "not_supported")
        else:
            reason = taken.reasons.get(known)
            if known.watch.startswith("profile") and reason == "no_data":
                reason = None
        if mig and known.quantity in MIG_MODE and reason is not None:
            reason = "mig_mode"
        if reason is not None:
            reasons[str(known.quantity)] = reason
    return reasons


def sources(reasons: Mapping[str, Reason]) -> Sequence[Source]:
    """Choose what a device's totals are made of, given what it cannot tell."""
    chosen = [source for source in DEVICE if source.gauge not in reasons]
    if PROFILED_BUSY.gauge not in reasons:
        chosen.append(PROFILED_BUSY)
    elif UTILIZATION_BUSY.gauge not in reasons:
        chosen.append(UTILIZATION_BUSY)
    if Counter.ENERGY_MILLIJOULES in reasons and ENERGY.gauge not in reasons:
        chosen.append(ENERGY)
    return chosen


def total_reasons(reasons: Mapping[str, Reason]) -> dict[str, Reason]:
    """Return why totals are unknown: for the reason that their gauge is."""
    had = {str(source.total) for source in sources(reasons)}
    found: dict[str, Reason] = {
        str(source.total): reasons[source.gauge]
        for source in (*DEVICE, PROFILED_BUSY)
        if source.total not in had
    }
    if Total.BUSY_NS in found:
        found[Total.OBSERVED_NS] = found[Total.BUSY_NS]
    return found
