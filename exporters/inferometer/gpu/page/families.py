"""Which quantity a family shows, and in what unit: the tables between backends and pages.

A family shows `quantity / divisor`. DCGM's families come from the latest sample, raw counters of
the driver included; counters of our own come from sums that outlive a child. Pure.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from inferometer.gpu.quantities import XID, Counter, Gauge, Quantity, Total
from inferometer.gpu.sample import Reason
from inferometer.metrics.dcgm import FAMILIES, DcgmFamily
from inferometer.metrics.devices import DEVICES, HEALTH, LOAD, SHARES, STATUS
from inferometer.metrics.exporter import EXPORTER
from inferometer.metrics.programs import PROCESS, WEB

MIB: Final = 1 << 20
NS_PER_S: Final = 1_000_000_000
PREFIX: Final = "inferometer_gpu_"


class Shown(NamedTuple):
    """A quantity as a family shows it."""

    quantity: Quantity
    divisor: float = 1


class Part(NamedTuple):
    """A series of a family of our own: its last label, as text in braces would have it."""

    family: str
    label: str
    shown: Shown


_DCGM: Final[Mapping[str, Shown]] = {
    "SM_CLOCK": Shown(Gauge.SM_CLOCK_MHZ),
    "MEM_CLOCK": Shown(Gauge.MEMORY_CLOCK_MHZ),
    "GPU_TEMP": Shown(Gauge.GPU_TEMPERATURE_CELSIUS),
    "MEMORY_TEMP": Shown(Gauge.MEMORY_TEMPERATURE_CELSIUS),
    "POWER_USAGE": Shown(Gauge.POWER_WATTS),
    "POWER_USAGE_INSTANT": Shown(Gauge.POWER_INSTANT_WATTS),
    "TOTAL_ENERGY_CONSUMPTION": Shown(Counter.ENERGY_MILLIJOULES),
    "GPU_UTIL": Shown(Gauge.UTILIZATION_PERCENT),
    "MEM_COPY_UTIL": Shown(Gauge.MEMORY_COPY_PERCENT),
    "ENC_UTIL": Shown(Gauge.ENCODER_PERCENT),
    "DEC_UTIL": Shown(Gauge.DECODER_PERCENT),
    "FB_USED": Shown(Gauge.MEMORY_USED_BYTES, MIB),
    "FB_FREE": Shown(Gauge.MEMORY_FREE_BYTES, MIB),
    "FB_RESERVED": Shown(Gauge.MEMORY_RESERVED_BYTES, MIB),
    "FB_TOTAL": Shown(Gauge.MEMORY_TOTAL_BYTES, MIB),
    "PCIE_REPLAY_COUNTER": Shown(Counter.PCIE_REPLAYS),
    "UNCORRECTABLE_REMAPPED_ROWS": Shown(Counter.REMAPPED_ROWS_UNCORRECTED),
    "CORRECTABLE_REMAPPED_ROWS": Shown(Counter.REMAPPED_ROWS_CORRECTED),
    "ROW_REMAP_FAILURE": Shown(Gauge.ROW_REMAP_FAILED),
    "ROW_REMAP_PENDING": Shown(Gauge.ROW_REMAP_PENDING),
    "RETIRED_SBE": Shown(Counter.RETIRED_PAGES_SBE),
    "RETIRED_DBE": Shown(Counter.RETIRED_PAGES_DBE),
    "RETIRED_PENDING": Shown(Gauge.RETIRED_PENDING),
    "ECC_SBE_VOL_TOTAL": Shown(Counter.ECC_CORRECTED_VOLATILE),
    "ECC_DBE_VOL_TOTAL": Shown(Counter.ECC_UNCORRECTED_VOLATILE),
    "ECC_SBE_AGG_TOTAL": Shown(Counter.ECC_CORRECTED_AGGREGATE),
    "ECC_DBE_AGG_TOTAL": Shown(Counter.ECC_UNCORRECTED_AGGREGATE),
    "NVLINK_BANDWIDTH_TOTAL": Shown(Gauge.NVLINK_BYTES_PER_SECOND, 1024 * 1000),
    "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": Shown(Counter.NVLINK_CRC_FLIT_ERRORS),
    "NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": Shown(Counter.NVLINK_CRC_DATA_ERRORS),
    "NVLINK_REPLAY_ERROR_COUNT_TOTAL": Shown(Counter.NVLINK_REPLAY_ERRORS),
    "NVLINK_RECOVERY_ERROR_COUNT_TOTAL": Shown(Counter.NVLINK_RECOVERY_ERRORS),
    "POWER_VIOLATION": Shown(Counter.THROTTLED_POWER_NS),
    "THERMAL_VIOLATION": Shown(Counter.THROTTLED_THERMAL_NS),
    "SYNC_BOOST_VIOLATION": Shown(Counter.THROTTLED_SYNC_BOOST_NS),
    "BOARD_LIMIT_VIOLATION": Shown(Counter.THROTTLED_BOARD_LIMIT_NS),
    "LOW_UTIL_VIOLATION": Shown(Counter.THROTTLED_LOW_UTIL_NS),
    "RELIABILITY_VIOLATION": Shown(Counter.THROTTLED_RELIABILITY_NS),
    "POWER_MGMT_LIMIT": Shown(Gauge.POWER_LIMIT_WATTS),
    "ENFORCED_POWER_LIMIT": Shown(Gauge.POWER_LIMIT_ENFORCED_WATTS),
    "CLOCKS_EVENT_REASONS": Shown(Gauge.CLOCKS_EVENT_REASONS),
    "CLOCK_THROTTLE_REASONS": Shown(Gauge.CLOCKS_EVENT_REASONS),
    "PSTATE": Shown(Gauge.PERFORMANCE_STATE),
    "FAN_SPEED": Shown(Gauge.FAN_PERCENT),
    "VGPU_LICENSE_STATUS": Shown(Gauge.VGPU_LICENSE_STATUS),
    "BAR1_TOTAL": Shown(Gauge.BAR1_TOTAL_BYTES, MIB),
    "BAR1_USED": Shown(Gauge.BAR1_USED_BYTES, MIB),
    "BAR1_FREE": Shown(Gauge.BAR1_FREE_BYTES, MIB),
    "GET_GPU_RECOVERY_ACTION": Shown(Gauge.RECOVERY_ACTION),
    "PROF_GR_ENGINE_ACTIVE": Shown(Gauge.GRAPHICS_ENGINE_RATIO),
    "PROF_PIPE_TENSOR_ACTIVE": Shown(Gauge.TENSOR_RATIO),
    "PROF_DRAM_ACTIVE": Shown(Gauge.DRAM_RATIO),
    "PROF_SM_ACTIVE": Shown(Gauge.SM_RATIO),
    "PROF_SM_OCCUPANCY": Shown(Gauge.SM_OCCUPANCY_RATIO),
    "PROF_PIPE_FP64_ACTIVE": Shown(Gauge.FP64_RATIO),
    "PROF_PIPE_FP32_ACTIVE": Shown(Gauge.FP32_RATIO),
    "PROF_PIPE_FP16_ACTIVE": Shown(Gauge.FP16_RATIO),
    "PROF_PIPE_INT_ACTIVE": Shown(Gauge.INTEGER_RATIO),
    "PROF_PIPE_TENSOR_IMMA_ACTIVE": Shown(Gauge.IMMA_RATIO),
    "PROF_PIPE_TENSOR_HMMA_ACTIVE": Shown(Gauge.HMMA_RATIO),
    "PROF_PIPE_TENSOR_DFMA_ACTIVE": Shown(Gauge.DFMA_RATIO),
    "PROF_PCIE_TX_BYTES": Shown(Gauge.PCIE_TRANSMIT_BYTES_PER_SECOND),
    "PROF_PCIE_RX_BYTES": Shown(Gauge.PCIE_RECEIVE_BYTES_PER_SECOND),
    "PROF_NVLINK_TX_BYTES": Shown(Gauge.NVLINK_TRANSMIT_BYTES_PER_SECOND),
    "PROF_NVLINK_RX_BYTES": Shown(Gauge.NVLINK_RECEIVE_BYTES_PER_SECOND),
}

MEMORY_SHARE: Final = "DCGM_FI_DEV_FB_USED_PERCENT"
"""Made of three quantities: see `memory_ratio`."""
LAST_XID: Final = "DCGM_FI_DEV_XID_ERRORS"
"""Made of events, not of a quantity."""


def _suffix(family: DcgmFamily) -> str:
    return family.classic.removeprefix("DCGM_FI_DEV_").removeprefix("DCGM_FI_")


SHOWN: Final[Mapping[str, Shown]] = {
    family.classic: _DCGM[_suffix(family)] for family in FAMILIES if _suffix(family) in _DCGM
}
"""What each DCGM family shows, by its older name; two are made otherwise."""

MEMORY: Final = (
    Part("memory_bytes", 'kind="used"', Shown(Gauge.MEMORY_USED_BYTES)),
    Part("memory_bytes", 'kind="reserved"', Shown(Gauge.MEMORY_RESERVED_BYTES)),
    Part("memory_bytes", 'kind="free"', Shown(Gauge.MEMORY_FREE_BYTES)),
    Part("memory_bytes", 'kind="total"', Shown(Gauge.MEMORY_TOTAL_BYTES)),
)
OF_SAMPLE: Final = (
    *MEMORY,
    Part("temperature_margin_celsius", "", Shown(Gauge.TEMPERATURE_MARGIN_CELSIUS)),
    Part("pcie_link_width_lanes", 'which="current"', Shown(Gauge.PCIE_LINK_WIDTH)),
    Part("pcie_link_width_lanes", 'which="max"', Shown(Gauge.PCIE_LINK_WIDTH_MAX)),
    Part("pcie_link_generation", 'which="current"', Shown(Gauge.PCIE_LINK_GENERATION)),
    Part("pcie_link_generation", 'which="max"', Shown(Gauge.PCIE_LINK_GENERATION_MAX)),
    Part("remap_pending", "", Shown(Gauge.ROW_REMAP_PENDING)),
    Part("remap_failed", "", Shown(Gauge.ROW_REMAP_FAILED)),
    Part("remapped_rows_total", 'severity="corrected"', Shown(Counter.REMAPPED_ROWS_CORRECTED)),
    Part("remapped_rows_total", 'severity="uncorrected"', Shown(Counter.REMAPPED_ROWS_UNCORRECTED)),
    *(
        Part("ecc_errors_total", f'severity="{severity}",span="{span}"', Shown(counter))
        for severity, span, counter in (
            ("corrected", "volatile", Counter.ECC_CORRECTED_VOLATILE),
            ("uncorrected", "volatile", Counter.ECC_UNCORRECTED_VOLATILE),
            ("corrected", "aggregate", Counter.ECC_CORRECTED_AGGREGATE),
            ("uncorrected", "aggregate", Counter.ECC_UNCORRECTED_AGGREGATE),
        )
    ),
)
"""Families of our own that show what the latest sample says."""

OF_TOTALS: Final = (
    Part("busy_seconds_total", "", Shown(Total.BUSY_NS, NS_PER_S)),
    *(
        Part("engine_active_seconds_total", f'engine="{engine}"', Shown(total, NS_PER_S))
        for engine, total in (
            ("sm", Total.SM_ACTIVE_NS),
            ("tensor", Total.TENSOR_ACTIVE_NS),
            ("dram", Total.DRAM_ACTIVE_NS),
            ("fp64", Total.FP64_ACTIVE_NS),
            ("fp32", Total.FP32_ACTIVE_NS),
            ("fp16", Total.FP16_ACTIVE_NS),
            ("int", Total.INTEGER_ACTIVE_NS),
            ("enc", Total.ENCODER_ACTIVE_NS),
            ("dec", Total.DECODER_ACTIVE_NS),
        )
    ),
    *(
        Part(f"{link}_bytes_total", f'direction="{direction}"', Shown(total))
        for link, direction, total in (
            ("pcie", "transmit", Total.PCIE_TRANSMIT_BYTES),
            ("pcie", "receive", Total.PCIE_RECEIVE_BYTES),
            ("nvlink", "transmit", Total.NVLINK_TRANSMIT_BYTES),
            ("nvlink", "receive", Total.NVLINK_RECEIVE_BYTES),
        )
    ),
    Part("energy_joules_total", "", Shown(Total.ENERGY_MICROJOULES, 1_000_000)),
)
"""Families of our own that show sums which a backend runs."""

OF_COUNTERS: Final = (
    Part("energy_joules_total", "", Shown(Counter.ENERGY_MILLIJOULES, 1000)),
    *(
        Part(f"{link}_bytes_total", f'direction="{direction}"', Shown(counter))
        for link, direction, counter in (
            ("pcie", "transmit", Counter.PCIE_TRANSMIT_BYTES),
            ("pcie", "receive", Counter.PCIE_RECEIVE_BYTES),
            ("nvlink", "transmit", Counter.NVLINK_TRANSMIT_BYTES),
            ("nvlink", "receive", Counter.NVLINK_RECEIVE_BYTES),
        )
    ),
    *(
        Part("throttled_seconds_total", f'reason="{reason}"', Shown(counter, NS_PER_S))
        for reason, counter in (
            ("power", Counter.THROTTLED_POWER_NS),
            ("thermal", Counter.THROTTLED_THERMAL_NS),
            ("sync_boost", Counter.THROTTLED_SYNC_BOOST_NS),
            ("board_limit", Counter.THROTTLED_BOARD_LIMIT_NS),
            ("low_util", Counter.THROTTLED_LOW_UTIL_NS),
            ("reliability", Counter.THROTTLED_RELIABILITY_NS),
            ("hw_thermal", Counter.THROTTLED_HW_THERMAL_NS),
            ("hw_power_brake", Counter.THROTTLED_HW_POWER_BRAKE_NS),
            ("sw_thermal", Counter.THROTTLED_SW_THERMAL_NS),
        )
    ),
)
"""Families of our own that show what a driver counted since we started.

Where a driver counts, a total of the same family is of no use and is left out.
"""


def memory_ratio(
    gauges: Mapping[Gauge, float], unsupported: Mapping[str, Reason] | None = None
) -> float | None:
    """Return memory in use of what is not reserved; None if it cannot be known.

    What is reserved is none only where the backend knows no such thing: a driver that is too old
    to tell does reserve memory, and counts it as used.
    """
    used = gauges.get(Gauge.MEMORY_USED_BYTES)
    total = gauges.get(Gauge.MEMORY_TOTAL_BYTES)
    reserved = gauges.get(Gauge.MEMORY_RESERVED_BYTES)
    if reserved is None and (unsupported or {}).get(Gauge.MEMORY_RESERVED_BYTES) == "backend":
        reserved = 0
    if used is None or total is None or reserved is None:
        return None
    room = total - reserved
    return used / room if room > 0 else None


OPTIONAL: Final = frozenset({f"{PREFIX}process_memory_bytes", f"{PREFIX}process_busy_ratio"})
"""Families of our own that are there on request only."""

OWN: Final = frozenset(metric.name for metric in DEVICES)
"""Every family of our own about devices."""


def _unsupported() -> dict[str, tuple[str, ...]]:
    """Return the quantities of which a family needs one, by the family's older name."""
    found: dict[str, tuple[str, ...]] = {
        name: (shown.quantity.value,) for name, shown in SHOWN.items()
    }
    found[MEMORY_SHARE] = (Gauge.MEMORY_USED_BYTES.value, Gauge.MEMORY_TOTAL_BYTES.value)
    for part in (*OF_SAMPLE, *OF_TOTALS, *OF_COUNTERS):
        name = f"{PREFIX}{part.family}"
        found[name] = (*found.get(name, ()), part.shown.quantity.value)
    found[LAST_XID] = found[f"{PREFIX}xid_errors_total"] = (XID,)
    found[f"{PREFIX}throttle_active"] = (Gauge.CLOCKS_EVENT_REASONS.value,)
    found[f"{PREFIX}recovery_action"] = (Gauge.RECOVERY_ACTION.value,)
    found[f"{PREFIX}fabric_state"] = (Gauge.FABRIC_STATE.value,)
    return found


NEEDS: Final[Mapping[str, tuple[str, ...]]] = _unsupported()
"""The quantities that a family is made of: it is unsupported once none of them can be had."""


def _importance() -> dict[str, int]:
    on = [name for f in FAMILIES if f.on for name in (f.classic, f.renamed)]
    off = [name for f in FAMILIES if not f.on for name in (f.classic, f.renamed)]
    metrics = (*STATUS, *EXPORTER, *PROCESS, *WEB, *HEALTH)
    names = [metric.name for metric in metrics] + on
    names += [metric.name for metric in LOAD] + off + [metric.name for metric in SHARES]
    return {name: rank for rank, name in enumerate(names)}


IMPORTANCE: Final[Mapping[str, int]] = _importance()
"""By rank, 0 first: a page that would grow too long loses families from the other end."""
