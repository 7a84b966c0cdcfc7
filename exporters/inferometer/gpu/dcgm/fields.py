"""DCGM's fields: their numbers, what they mean to us, and which of their values are none.

Pure. Numbers are DCGM's ABI and stay when names change (4.6 renamed most); they and the units are
those of `dcgm_fields.h` and its Python mirror `dcgm_fields.py`, DCGM 4.x. To be verified on
hardware: that violation times are nanoseconds (the header says so since 3.x, usec before; the
value is NVML's, which is nanoseconds), and the unit of NVLINK_BANDWIDTH_TOTAL.
"""

import math
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from inferometer.gpu.quantities import Counter, Gauge, Quantity
from inferometer.gpu.sample import Reason

Watch = Literal["fast", "slow", "profile", "profile_more"]
"""Fields of one watch are asked for together. Those of profiling stand alone: a device or a host
engine without it refuses the whole watch."""
MIB: Final = 1 << 20
NVLINK_UNIT: Final = 1_024_000
"""NVLINK_BANDWIDTH_TOTAL is KiB/s divided by 1000."""
INT32_BLANK: Final = 0x7FFFFFF0
INT64_BLANK: Final = 0x7FFFFFFFFFFFFFF0
DOUBLE_BLANK: Final = 2.0**47
"""Values from here on say why there is none (`dcgmvalue.py`): the next 15 are reserved, too."""
BLANK_REASONS: Final[Mapping[int, Reason]] = {
    0: "no_data",
    1: "no_data",
    2: "not_supported",
    3: "no_permission",
}


class Field(NamedTuple):
    """A field: its value times `scale` is the quantity. `instance`: MIG instances have it, too."""

    number: int
    name: str
    quantity: Quantity
    watch: Watch = "fast"
    scale: float = 1
    instance: bool = False


FIELDS: Final = (
    Field(100, "DEV_SM_CLOCK", Gauge.SM_CLOCK_MHZ),
    Field(101, "DEV_MEM_CLOCK", Gauge.MEMORY_CLOCK_MHZ),
    Field(112, "DEV_CLOCKS_EVENT_REASONS", Gauge.CLOCKS_EVENT_REASONS),
    Field(140, "DEV_MEMORY_TEMP", Gauge.MEMORY_TEMPERATURE_CELSIUS),
    Field(150, "DEV_GPU_TEMP", Gauge.GPU_TEMPERATURE_CELSIUS),
    Field(153, "DEV_GPU_TEMP_LIMIT", Gauge.TEMPERATURE_MARGIN_CELSIUS),
    Field(155, "DEV_POWER_USAGE", Gauge.POWER_WATTS),
    Field(156, "DEV_TOTAL_ENERGY_CONSUMPTION", Counter.ENERGY_MILLIJOULES),
    Field(157, "DEV_POWER_USAGE_INSTANT", Gauge.POWER_INSTANT_WATTS),
    Field(202, "DEV_PCIE_REPLAY_COUNTER", Counter.PCIE_REPLAYS),
    Field(203, "DEV_GPU_UTIL", Gauge.UTILIZATION_PERCENT),
    Field(204, "DEV_MEM_COPY_UTIL", Gauge.MEMORY_COPY_PERCENT),
    Field(206, "DEV_ENC_UTIL", Gauge.ENCODER_PERCENT),
    Field(207, "DEV_DEC_UTIL", Gauge.DECODER_PERCENT),
    Field(240, "DEV_POWER_VIOLATION", Counter.THROTTLED_POWER_NS),
    Field(241, "DEV_THERMAL_VIOLATION", Counter.THROTTLED_THERMAL_NS),
    Field(242, "DEV_SYNC_BOOST_VIOLATION", Counter.THROTTLED_SYNC_BOOST_NS),
    Field(243, "DEV_BOARD_LIMIT_VIOLATION", Counter.THROTTLED_BOARD_LIMIT_NS),
    Field(244, "DEV_LOW_UTIL_VIOLATION", Counter.THROTTLED_LOW_UTIL_NS),
    Field(245, "DEV_RELIABILITY_VIOLATION", Counter.THROTTLED_RELIABILITY_NS),
    Field(250, "DEV_FB_TOTAL", Gauge.MEMORY_TOTAL_BYTES, scale=MIB, instance=True),
    Field(251, "DEV_FB_FREE", Gauge.MEMORY_FREE_BYTES, scale=MIB, instance=True),
    Field(252, "DEV_FB_USED", Gauge.MEMORY_USED_BYTES, scale=MIB, instance=True),
    Field(253, "DEV_FB_RESERVED", Gauge.MEMORY_RESERVED_BYTES, scale=MIB, instance=True),
    Field(449, "DEV_NVLINK_BANDWIDTH_TOTAL", Gauge.NVLINK_BYTES_PER_SECOND, scale=NVLINK_UNIT),
    Field(1422, "DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS", Counter.THROTTLED_SW_THERMAL_NS),
    Field(1423, "DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS", Counter.THROTTLED_HW_THERMAL_NS),
    Field(
        1424,
        "DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS",
        Counter.THROTTLED_HW_POWER_BRAKE_NS,
    ),
    Field(90, "DEV_BAR1_TOTAL", Gauge.BAR1_TOTAL_BYTES, "slow", MIB),
    Field(92, "DEV_BAR1_USED", Gauge.BAR1_USED_BYTES, "slow", MIB),
    Field(93, "DEV_BAR1_FREE", Gauge.BAR1_FREE_BYTES, "slow", MIB),
    Field(160, "DEV_POWER_MGMT_LIMIT", Gauge.POWER_LIMIT_WATTS, "slow"),
    Field(164, "DEV_ENFORCED_POWER_LIMIT", Gauge.POWER_LIMIT_ENFORCED_WATTS, "slow"),
    Field(170, "DEV_FABRIC_MANAGER_STATUS", Gauge.FABRIC_STATE, "slow"),
    Field(190, "DEV_PSTATE", Gauge.PERFORMANCE_STATE, "slow"),
    Field(191, "DEV_FAN_SPEED", Gauge.FAN_PERCENT, "slow"),
    Field(526, "DEV_VGPU_LICENSE_STATUS", Gauge.VGPU_LICENSE_STATUS, "slow"),
    Field(235, "DEV_PCIE_MAX_LINK_GEN", Gauge.PCIE_LINK_GENERATION_MAX, "slow"),
    Field(236, "DEV_PCIE_MAX_LINK_WIDTH", Gauge.PCIE_LINK_WIDTH_MAX, "slow"),
    Field(237, "DEV_PCIE_LINK_GEN", Gauge.PCIE_LINK_GENERATION, "slow"),
    Field(238, "DEV_PCIE_LINK_WIDTH", Gauge.PCIE_LINK_WIDTH, "slow"),
    Field(310, "DEV_ECC_SBE_VOL_TOTAL", Counter.ECC_CORRECTED_VOLATILE, "slow"),
    Field(311, "DEV_ECC_DBE_VOL_TOTAL", Counter.ECC_UNCORRECTED_VOLATILE, "slow"),
    Field(312, "DEV_ECC_SBE_AGG_TOTAL", Counter.ECC_CORRECTED_AGGREGATE, "slow"),
    Field(313, "DEV_ECC_DBE_AGG_TOTAL", Counter.ECC_UNCORRECTED_AGGREGATE, "slow"),
    Field(390, "DEV_RETIRED_SBE", Counter.RETIRED_PAGES_SBE, "slow"),
    Field(391, "DEV_RETIRED_DBE", Counter.RETIRED_PAGES_DBE, "slow"),
    Field(392, "DEV_RETIRED_PENDING", Gauge.RETIRED_PENDING, "slow"),
    Field(393, "DEV_UNCORRECTABLE_REMAPPED_ROWS", Counter.REMAPPED_ROWS_UNCORRECTED, "slow"),
    Field(394, "DEV_CORRECTABLE_REMAPPED_ROWS", Counter.REMAPPED_ROWS_CORRECTED, "slow"),
    Field(395, "DEV_ROW_REMAP_FAILURE", Gauge.ROW_REMAP_FAILED, "slow"),
    Field(396, "DEV_ROW_REMAP_PENDING", Gauge.ROW_REMAP_PENDING, "slow"),
    Field(409, "DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", Counter.NVLINK_CRC_FLIT_ERRORS, "slow"),
    Field(419, "DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", Counter.NVLINK_CRC_DATA_ERRORS, "slow"),
    Field(429, "DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", Counter.NVLINK_REPLAY_ERRORS, "slow"),
    Field(439, "DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", Counter.NVLINK_RECOVERY_ERRORS, "slow"),
    Field(1523, "DEV_GPU_RECOVERY_ACTION", Gauge.RECOVERY_ACTION, "slow"),
    Field(1001, "PROF_GR_ENGINE_ACTIVE", Gauge.GRAPHICS_ENGINE_RATIO, "profile", instance=True),
    Field(1002, "PROF_SM_ACTIVE", Gauge.SM_RATIO, "profile", instance=True),
    Field(1003, "PROF_SM_OCCUPANCY", Gauge.SM_OCCUPANCY_RATIO, "profile", instance=True),
    Field(1004, "PROF_PIPE_TENSOR_ACTIVE", Gauge.TENSOR_RATIO, "profile", instance=True),
    Field(1005, "PROF_DRAM_ACTIVE", Gauge.DRAM_RATIO, "profile", instance=True),
    Field(1009, "PROF_PCIE_TX_BYTES", Gauge.PCIE_TRANSMIT_BYTES_PER_SECOND, "profile"),
    Field(1010, "PROF_PCIE_RX_BYTES", Gauge.PCIE_RECEIVE_BYTES_PER_SECOND, "profile"),
    Field(1006, "PROF_PIPE_FP64_ACTIVE", Gauge.FP64_RATIO, "profile_more", instance=True),
    Field(1007, "PROF_PIPE_FP32_ACTIVE", Gauge.FP32_RATIO, "profile_more", instance=True),
    Field(1008, "PROF_PIPE_FP16_ACTIVE", Gauge.FP16_RATIO, "profile_more", instance=True),
    Field(1011, "PROF_NVLINK_TX_BYTES", Gauge.NVLINK_TRANSMIT_BYTES_PER_SECOND, "profile_more"),
    Field(1012, "PROF_NVLINK_RX_BYTES", Gauge.NVLINK_RECEIVE_BYTES_PER_SECOND, "profile_more"),
    Field(1013, "PROF_PIPE_TENSOR_IMMA_ACTIVE", Gauge.IMMA_RATIO, "profile_more", instance=True),
    Field(1014, "PROF_PIPE_TENSOR_HMMA_ACTIVE", Gauge.HMMA_RATIO, "profile_more", instance=True),
    Field(1015, "PROF_PIPE_TENSOR_DFMA_ACTIVE", Gauge.DFMA_RATIO, "profile_more", instance=True),
    Field(1016, "PROF_PIPE_INT_ACTIVE", Gauge.INTEGER_RATIO, "profile_more", instance=True),
)
BY_NUMBER: Final[Mapping[int, Field]] = {field.number: field for field in FIELDS}
XID: Final = 230
"""DEV_XID_ERRORS: a value each time one is seen, with its moment; 0 is none."""

SIGNED: Final = frozenset(
    {
        Gauge.GPU_TEMPERATURE_CELSIUS,
        Gauge.MEMORY_TEMPERATURE_CELSIUS,
        Gauge.TEMPERATURE_MARGIN_CELSIUS,
    }
)
"""What may be below 0."""
RATIO_MAX: Final = 1.005
PERCENT_MAX: Final = 100.5
CHOICES_MAX: Final[Mapping[Quantity, float]] = {
    Gauge.VGPU_LICENSE_STATUS: 1,
    Gauge.FABRIC_STATE: 3,
    Gauge.RECOVERY_ACTION: 7,
    Gauge.PERFORMANCE_STATE: 15,
    Gauge.ROW_REMAP_PENDING: 1,
    Gauge.ROW_REMAP_FAILED: 1,
}
"""The highest value of what is a choice, not an amount."""


def blank(value: float) -> Reason | None:
    """Return why a value is none, None if it is one. Integers may be blanks of 32 bits widened."""
    if isinstance(value, float):
        return _reason(value - DOUBLE_BLANK) if value >= DOUBLE_BLANK else None
    if value >= INT64_BLANK:
        return _reason(value - INT64_BLANK)
    if INT32_BLANK <= value <= INT32_BLANK | 0xF:
        return _reason(value - INT32_BLANK)
    return None


def absent(field: Field, value: float) -> bool:
    """Whether a value that is not blank says all the same that there is nothing to know.

    Fabric: of DCGM's states only not started (1), in progress (2) and success (3) are NVML's; 0
    is "not supported", and others say nothing of where the fabric is (dcgmFabricManagerStatus_t).
    """
    return field.quantity is Gauge.FABRIC_STATE and not 1 <= value <= CHOICES_MAX[field.quantity]


def plausible(field: Field, value: float) -> bool:
    """Whether a value that is not blank can be true; it is in DCGM's unit."""
    if not math.isfinite(value):
        return False
    if field.quantity in SIGNED:
        return True
    return 0 <= value <= _highest(field.quantity)


def scaled(field: Field, value: float) -> float:
    """Return a plausible value in our unit; one that rounding put above 1 or 100 % is cut."""
    highest = _highest(field.quantity)
    if highest == RATIO_MAX:
        return min(value, 1.0)
    if highest == PERCENT_MAX:
        return min(value, 100.0)
    return value * field.scale


def _highest(quantity: Quantity) -> float:
    if quantity in CHOICES_MAX:
        return CHOICES_MAX[quantity]
    if quantity.endswith("_ratio"):
        return RATIO_MAX
    if quantity.endswith("_percent") and quantity is not Gauge.FAN_PERCENT:
        return PERCENT_MAX
    return math.inf


def _reason(offset: float) -> Reason:
    return BLANK_REASONS.get(int(offset), "no_data") if math.isfinite(offset) else "no_data"
