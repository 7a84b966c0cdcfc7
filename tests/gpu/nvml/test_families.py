"""Every DCGM family with a value that went through the C ABI, and who has it.

The first table is the list of families with their test: name, what the driver is made to say, the
tier that reads it, and the value in DCGM's unit.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from inferometer.gpu.page.families import LAST_XID, MEMORY_SHARE, NEEDS, SHOWN, memory_ratio
from inferometer.gpu.quantities import Counter, Gauge, Quantity, Tier, Total
from inferometer.gpu.sample import Event, Reading
from support.fake_nvml import Scenario
from support.nvml import Rig

MIB = 1 << 20


class Case(NamedTuple):
    """Lines of the scenario for device 0, and what becomes of them."""

    family: str
    lines: dict[str, object]
    expected: float
    tier: Tier = "fast"


def field(family: str, number: int, value: int, expected: float, tier: Tier = "fast") -> Case:
    lines = {f"field.{number}.value": value, f"field.{number}.ramp": 0, f"field.{number}.type": 3}
    return Case(family, dict(lines), expected, tier)


def call(family: str, symbol: str, answer: object, expected: float, tier: Tier = "fast") -> Case:
    return Case(family, {f"nvmlDeviceGet{symbol}.value": answer}, expected, tier)


def metric(family: str, number: int, value: float, expected: float) -> Case:
    return Case(family, {f"gpm.{number}.ramp": value}, expected)


def power(family: str, number: int, milliwatts: int, watts: float, tier: Tier = "fast") -> Case:
    return Case(family, {f"field.{number}.0.value": milliwatts}, watts, tier)


DEVICE = "DCGM_FI_DEV_"
PROFILING = "DCGM_FI_PROF_"
MEMORY = f"{80 * MIB} {5 * MIB} {45 * MIB} {30 * MIB}"
BAR1 = f"{128 * MIB} {100 * MIB} {28 * MIB}"
CASES = [
    call("SM_CLOCK", "ClockInfo.1", 1711, 1711),
    call("MEM_CLOCK", "ClockInfo.2", 2612, 2612),
    call("GPU_TEMP", "Temperature.0", 47, 47),
    field("MEMORY_TEMP", 82, 66, 66),
    power("POWER_USAGE", 185, 511_250, 511.25),
    power("POWER_USAGE_INSTANT", 186, 498_500, 498.5),
    field("TOTAL_ENERGY_CONSUMPTION", 83, 987_654_321, 987_654_321),
    call("GPU_UTIL", "UtilizationRates", "71 33", 71),
    call("MEM_COPY_UTIL", "UtilizationRates", "71 33", 33),
    call("ENC_UTIL", "EncoderUtilization", "12 167000", 12),
    call("DEC_UTIL", "DecoderUtilization", "9 167000", 9),
    call("FB_TOTAL", "MemoryInfo_v2", MEMORY, 80),
    call("FB_RESERVED", "MemoryInfo_v2", MEMORY, 5),
    call("FB_FREE", "MemoryInfo_v2", MEMORY, 45),
    call("FB_USED", "MemoryInfo_v2", MEMORY, 30),
    field("PCIE_REPLAY_COUNTER", 94, 17, 17),
    field("UNCORRECTABLE_REMAPPED_ROWS", 143, 2, 2, "slow"),
    field("CORRECTABLE_REMAPPED_ROWS", 142, 5, 5, "slow"),
    field("ROW_REMAP_FAILURE", 145, 1, 1, "slow"),
    field("ROW_REMAP_PENDING", 144, 1, 1, "slow"),
    field("RETIRED_SBE", 29, 6, 6, "slow"),
    field("RETIRED_DBE", 30, 4, 4, "slow"),
    field("RETIRED_PENDING", 31, 1, 1, "slow"),
    field("ECC_SBE_VOL_TOTAL", 3, 11, 11, "slow"),
    field("ECC_DBE_VOL_TOTAL", 4, 12, 12, "slow"),
    field("ECC_SBE_AGG_TOTAL", 5, 13, 13, "slow"),
    field("ECC_DBE_AGG_TOTAL", 6, 14, 14, "slow"),
    Case(
        "NVLINK_BANDWIDTH_TOTAL",
        {"field.138.0xFFFFFFFF.ramp": 3_000_000, "field.139.0xFFFFFFFF.ramp": 1_500_000},
        4500,
    ),
    field("NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", 38, 21, 21, "slow"),
    field("NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", 45, 22, 22, "slow"),
    field("NVLINK_REPLAY_ERROR_COUNT_TOTAL", 52, 23, 23, "slow"),
    field("NVLINK_RECOVERY_ERROR_COUNT_TOTAL", 59, 24, 24, "slow"),
    field("POWER_VIOLATION", 74, 31_000, 31_000),
    field("THERMAL_VIOLATION", 75, 32_000, 32_000),
    field("SYNC_BOOST_VIOLATION", 76, 33_000, 33_000),
    field("BOARD_LIMIT_VIOLATION", 77, 34_000, 34_000),
    field("LOW_UTIL_VIOLATION", 78, 35_000, 35_000),
    field("RELIABILITY_VIOLATION", 79, 36_000, 36_000),
    power("POWER_MGMT_LIMIT", 192, 650_000, 650, "slow"),
    power("ENFORCED_POWER_LIMIT", 190, 600_000, 600, "slow"),
    call("CLOCKS_EVENT_REASONS", "CurrentClocksEventReasons", 0x84, 0x84),
    call("CLOCK_THROTTLE_REASONS", "CurrentClocksEventReasons", 0x84, 0x84),
    call("PSTATE", "PerformanceState", 2, 2, "slow"),
    call("FAN_SPEED", "FanSpeed", 55, 55, "slow"),
    call("BAR1_TOTAL", "BAR1MemoryInfo", BAR1, 128, "slow"),
    call("BAR1_FREE", "BAR1MemoryInfo", BAR1, 100, "slow"),
    call("BAR1_USED", "BAR1MemoryInfo", BAR1, 28, "slow"),
    field("GET_GPU_RECOVERY_ACTION", 230, 3, 3, "slow"),
    metric("PROF_GR_ENGINE_ACTIVE", 1, 61.5, 0.615),
    metric("PROF_SM_ACTIVE", 2, 62.5, 0.625),
    metric("PROF_SM_OCCUPANCY", 3, 63.5, 0.635),
    metric("PROF_PIPE_INT_ACTIVE", 4, 4.5, 0.045),
    metric("PROF_PIPE_TENSOR_ACTIVE", 5, 55.5, 0.555),
    metric("PROF_PIPE_TENSOR_DFMA_ACTIVE", 6, 6.5, 0.065),
    metric("PROF_PIPE_TENSOR_HMMA_ACTIVE", 7, 7.5, 0.075),
    metric("PROF_PIPE_TENSOR_IMMA_ACTIVE", 9, 9.5, 0.095),
    metric("PROF_DRAM_ACTIVE", 10, 10.5, 0.105),
    metric("PROF_PIPE_FP64_ACTIVE", 11, 11.5, 0.115),
    metric("PROF_PIPE_FP32_ACTIVE", 12, 12.5, 0.125),
    metric("PROF_PIPE_FP16_ACTIVE", 13, 13.5, 0.135),
    metric("PROF_PCIE_TX_BYTES", 20, 20.5, 20.5 * MIB),
    metric("PROF_PCIE_RX_BYTES", 21, 21.5, 21.5 * MIB),
    metric("PROF_NVLINK_RX_BYTES", 60, 60.5, 60.5 * MIB),
    metric("PROF_NVLINK_TX_BYTES", 61, 61.5, 61.5 * MIB),
]
"""All but FB_USED_PERCENT, which is made of three values, and XID_ERRORS, which is an event."""


def full_name(suffix: str) -> str:
    return f"DCGM_FI_{suffix}" if suffix.startswith("PROF_") else f"{DEVICE}{suffix}"


def value(reading: Reading, quantity: Quantity) -> float:
    if isinstance(quantity, Gauge):
        return reading.gauges[quantity]
    assert isinstance(quantity, Counter)
    return reading.counters[quantity]


def test_no_family_is_without_a_case() -> None:
    of_dcgm_alone = {full_name("VGPU_LICENSE_STATUS")}
    assert {full_name(case.family) for case in CASES} == set(SHOWN) - of_dcgm_alone


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.family)
def test_a_family_shows_what_the_driver_says(tmp_path: Path, case: Case) -> None:
    scenario = Scenario.profile("h100")
    for key, answer in case.lines.items():
        scenario.set(f"dev.0.{key}", answer)
    shown = SHOWN[full_name(case.family)]
    with Rig.open(tmp_path, scenario) as rig:
        assert shown.quantity not in rig.probed()
        reading = rig.tick(tier=case.tier)
        assert value(reading, shown.quantity) / shown.divisor == pytest.approx(case.expected)


def test_used_memory_is_a_share_of_what_is_not_reserved(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").value("nvmlDeviceGetMemoryInfo_v2", MEMORY)
    with Rig.open(tmp_path, scenario) as rig:
        rig.probed()
        assert memory_ratio(rig.tick().gauges) == pytest.approx(30 / 75)


def test_the_last_xid_is_an_event(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        assert "xid" not in rig.device.probe()
        rig.backend.wait_events(0)
        rig.fake.event(0, 94)
        assert rig.backend.wait_events(1) == [Event(rig.device.identity.uuid, "xid", 94)]


PROFILES = ("t4", "v100", "a10", "a100", "l40s", "geforce", "h100", "h200", "b200")
NO_HBM = ("t4", "a10", "l40s", "geforce")
BEFORE_AMPERE = ("t4", "v100")
NO_GPM = ("t4", "v100", "a10", "a100", "l40s", "geforce")
RETIRED = ("RETIRED_SBE", "RETIRED_DBE", "RETIRED_PENDING")
REMAPPED = (
    "UNCORRECTABLE_REMAPPED_ROWS",
    "CORRECTABLE_REMAPPED_ROWS",
    "ROW_REMAP_FAILURE",
    "ROW_REMAP_PENDING",
)
ECC = ("ECC_SBE_VOL_TOTAL", "ECC_DBE_VOL_TOTAL", "ECC_SBE_AGG_TOTAL", "ECC_DBE_AGG_TOTAL")
LINK_ERRORS = tuple(
    f"NVLINK_{kind}_ERROR_COUNT_TOTAL" for kind in ("CRC_FLIT", "CRC_DATA", "REPLAY", "RECOVERY")
)
PROF = tuple(case.family for case in CASES if case.family.startswith("PROF_"))
LACKING = [
    (("MEMORY_TEMP",), NO_HBM, "not_supported"),
    (REMAPPED, (*BEFORE_AMPERE, "geforce"), "not_supported"),
    (RETIRED, tuple(each for each in PROFILES if each not in BEFORE_AMPERE), "not_supported"),
    (ECC, ("geforce",), "not_supported"),
    (("NVLINK_BANDWIDTH_TOTAL",), NO_HBM, "not_supported"),
    (LINK_ERRORS, (*NO_HBM, "b200"), "not_supported"),  # NVLink 5 has other counters
    (("VGPU_LICENSE_STATUS",), PROFILES, "backend"),
    (("FAN_SPEED",), tuple(each for each in PROFILES if each != "geforce"), "not_supported"),
    (("GET_GPU_RECOVERY_ACTION",), (*BEFORE_AMPERE, "geforce"), "not_supported"),
    (PROF, NO_GPM, "architecture"),
]
"""Families, who lacks them, and why: the rest has them."""


@pytest.mark.parametrize("profile", PROFILES)
def test_a_device_has_the_families_of_its_kind_and_says_why_not_the_others(
    tmp_path: Path, profile: str
) -> None:
    lacking = {
        full_name(family): reason
        for families, profiles, reason in LACKING
        for family in families
        if profile in profiles
    }
    with Rig.open(tmp_path, profile) as rig:
        unsupported = rig.probed()
        found = {name: unsupported.get(shown.quantity.value) for name, shown in SHOWN.items()}
        assert {name: why for name, why in found.items() if why is not None} == lacking
        told = {*rig.tick().gauges, *rig.tick().counters}
        slow = rig.tick(tier="slow")
        told |= {*slow.gauges, *slow.counters}
        for name, shown in SHOWN.items():
            assert (shown.quantity in told) == (name not in lacking), name


@pytest.mark.parametrize("profile", [*PROFILES, "a100_mig", "h100_mig"])
def test_what_is_not_told_has_a_reason_and_what_has_one_is_not_told(
    tmp_path: Path, profile: str
) -> None:
    with Rig.open(tmp_path, profile) as rig:
        unsupported = rig.probed()
        fast, slow = rig.ticks(2), rig.tick(tier="slow")
        told: set[str] = set()
        for reading in (fast, slow):
            told |= {str(each) for each in (*reading.gauges, *reading.counters, *reading.totals)}
        # Where one source of a sum serves, the other one is neither told nor missed.
        spare = {Total.ENERGY_MICROJOULES.value}
        everything = {each.value for kind in (Gauge, Counter, Total) for each in kind}
        assert everything - told - spare == everything & unsupported.keys()
        assert not told & unsupported.keys()


def test_families_of_our_own_are_all_made_of_what_this_backend_can_tell(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        unsupported = rig.probed()
        lacking = {name for name, needs in NEEDS.items() if unsupported.keys() >= {*needs}}
        own = {name for name in lacking if name.startswith("inferometer_")}
        assert own == set()
        assert MEMORY_SHARE not in lacking
        assert LAST_XID not in lacking
