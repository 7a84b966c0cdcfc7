"""What can be known about a device: every quantity by name, in its unit, whoever measures it.

Backends fill these in and families are made of them, so neither knows the other. A quantity that
is unknown is not there: no entry stands for zero, blank or "not supported".
"""

from enum import StrEnum
from typing import Final, Literal

Tier = Literal["fast", "process", "slow"]
"""How often a driver call is made: every tick, every fifth, every 30 seconds."""


class Gauge(StrEnum):
    """Values of a moment, or means over the last second. Units are in the names."""

    SM_CLOCK_MHZ = "sm_clock_mhz"
    MEMORY_CLOCK_MHZ = "memory_clock_mhz"
    GPU_TEMPERATURE_CELSIUS = "gpu_temperature_celsius"
    MEMORY_TEMPERATURE_CELSIUS = "memory_temperature_celsius"
    TEMPERATURE_MARGIN_CELSIUS = "temperature_margin_celsius"
    POWER_WATTS = "power_watts"
    POWER_INSTANT_WATTS = "power_instant_watts"
    POWER_LIMIT_WATTS = "power_limit_watts"
    POWER_LIMIT_ENFORCED_WATTS = "power_limit_enforced_watts"
    UTILIZATION_PERCENT = "utilization_percent"
    MEMORY_COPY_PERCENT = "memory_copy_percent"
    ENCODER_PERCENT = "encoder_percent"
    DECODER_PERCENT = "decoder_percent"
    MEMORY_USED_BYTES = "memory_used_bytes"
    MEMORY_FREE_BYTES = "memory_free_bytes"
    MEMORY_RESERVED_BYTES = "memory_reserved_bytes"
    MEMORY_TOTAL_BYTES = "memory_total_bytes"
    BAR1_TOTAL_BYTES = "bar1_total_bytes"
    BAR1_USED_BYTES = "bar1_used_bytes"
    BAR1_FREE_BYTES = "bar1_free_bytes"
    PERFORMANCE_STATE = "performance_state"
    FAN_PERCENT = "fan_percent"
    CLOCKS_EVENT_REASONS = "clocks_event_reasons"  # a bit mask
    RECOVERY_ACTION = "recovery_action"  # 0 none to 7 system_reboot
    ROW_REMAP_PENDING = "row_remap_pending"
    ROW_REMAP_FAILED = "row_remap_failed"
    RETIRED_PENDING = "retired_pending"
    VGPU_LICENSE_STATUS = "vgpu_license_status"  # 0 or 1
    FABRIC_STATE = "fabric_state"  # 1 not_started, 2 in_progress, 3 completed
    PCIE_LINK_WIDTH = "pcie_link_width"
    PCIE_LINK_WIDTH_MAX = "pcie_link_width_max"
    PCIE_LINK_GENERATION = "pcie_link_generation"
    PCIE_LINK_GENERATION_MAX = "pcie_link_generation_max"
    NVLINK_BYTES_PER_SECOND = "nvlink_bytes_per_second"  # data, both ways, all links
    GRAPHICS_ENGINE_RATIO = "graphics_engine_ratio"
    SM_RATIO = "sm_ratio"
    SM_OCCUPANCY_RATIO = "sm_occupancy_ratio"
    TENSOR_RATIO = "tensor_ratio"
    DRAM_RATIO = "dram_ratio"
    FP64_RATIO = "fp64_ratio"
    FP32_RATIO = "fp32_ratio"
    FP16_RATIO = "fp16_ratio"
    INTEGER_RATIO = "integer_ratio"
    IMMA_RATIO = "imma_ratio"
    HMMA_RATIO = "hmma_ratio"
    DFMA_RATIO = "dfma_ratio"
    PCIE_TRANSMIT_BYTES_PER_SECOND = "pcie_transmit_bytes_per_second"
    PCIE_RECEIVE_BYTES_PER_SECOND = "pcie_receive_bytes_per_second"
    NVLINK_TRANSMIT_BYTES_PER_SECOND = "nvlink_transmit_bytes_per_second"
    NVLINK_RECEIVE_BYTES_PER_SECOND = "nvlink_receive_bytes_per_second"


class Counter(StrEnum):
    """Counts that the driver keeps, as it says them: since it was loaded, or for ever."""

    ENERGY_MILLIJOULES = "energy_millijoules"
    PCIE_REPLAYS = "pcie_replays"
    PCIE_TRANSMIT_BYTES = "pcie_transmit_bytes"
    PCIE_RECEIVE_BYTES = "pcie_receive_bytes"
    NVLINK_TRANSMIT_BYTES = "nvlink_transmit_bytes"
    NVLINK_RECEIVE_BYTES = "nvlink_receive_bytes"
    NVLINK_CRC_FLIT_ERRORS = "nvlink_crc_flit_errors"
    NVLINK_CRC_DATA_ERRORS = "nvlink_crc_data_errors"
    NVLINK_REPLAY_ERRORS = "nvlink_replay_errors"
    NVLINK_RECOVERY_ERRORS = "nvlink_recovery_errors"
    REMAPPED_ROWS_UNCORRECTED = "remapped_rows_uncorrected"
    REMAPPED_ROWS_CORRECTED = "remapped_rows_corrected"
    RETIRED_PAGES_SBE = "retired_pages_sbe"
    RETIRED_PAGES_DBE = "retired_pages_dbe"
    ECC_CORRECTED_VOLATILE = "ecc_corrected_volatile"
    ECC_UNCORRECTED_VOLATILE = "ecc_uncorrected_volatile"
    ECC_CORRECTED_AGGREGATE = "ecc_corrected_aggregate"
    ECC_UNCORRECTED_AGGREGATE = "ecc_uncorrected_aggregate"
    THROTTLED_POWER_NS = "throttled_power_ns"
    THROTTLED_THERMAL_NS = "throttled_thermal_ns"
    THROTTLED_SYNC_BOOST_NS = "throttled_sync_boost_ns"
    THROTTLED_BOARD_LIMIT_NS = "throttled_board_limit_ns"
    THROTTLED_LOW_UTIL_NS = "throttled_low_util_ns"
    THROTTLED_RELIABILITY_NS = "throttled_reliability_ns"
    THROTTLED_HW_THERMAL_NS = "throttled_hw_thermal_ns"
    THROTTLED_HW_POWER_BRAKE_NS = "throttled_hw_power_brake_ns"
    THROTTLED_SW_THERMAL_NS = "throttled_sw_thermal_ns"


class Total(StrEnum):
    """Sums that a backend runs itself since it was opened; integers, so that nothing is lost."""

    OBSERVED_NS = "observed_ns"  # time over which BUSY_NS was watched
    BUSY_NS = "busy_ns"  # of it, with work on the device
    SM_ACTIVE_NS = "sm_active_ns"  # ratio x time, as all that follow
    TENSOR_ACTIVE_NS = "tensor_active_ns"
    DRAM_ACTIVE_NS = "dram_active_ns"
    FP64_ACTIVE_NS = "fp64_active_ns"
    FP32_ACTIVE_NS = "fp32_active_ns"
    FP16_ACTIVE_NS = "fp16_active_ns"
    INTEGER_ACTIVE_NS = "integer_active_ns"
    ENCODER_ACTIVE_NS = "encoder_active_ns"
    DECODER_ACTIVE_NS = "decoder_active_ns"
    ENERGY_MICROJOULES = "energy_microjoules"  # integrated from power, only where nothing counts it
    PCIE_TRANSMIT_BYTES = "pcie_transmit_bytes"  # rate x time, only where nothing counts it
    PCIE_RECEIVE_BYTES = "pcie_receive_bytes"
    NVLINK_TRANSMIT_BYTES = "nvlink_transmit_bytes"
    NVLINK_RECEIVE_BYTES = "nvlink_receive_bytes"


Quantity = Gauge | Counter | Total

EVENTS: Final = (
    "ecc_sbe",
    "ecc_dbe",
    "dram_retirement",
    "dram_retirement_failed",
    "poison_nonfatal",
    "poison_fatal",
    "unavailable",
    "recovery_action",
    "fallen_off_bus",
)
"""Events other than XIDs that are counted."""

XID: Final = "xid"
"""The kind of an event that is an XID; what a backend says it cannot have where it hears none."""
