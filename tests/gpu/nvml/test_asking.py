from pathlib import Path

import pytest

from inferometer.gpu.quantities import Counter, Gauge
from support.fake_nvml import Scenario
from support.nvml import Rig


def test_memory_of_old_drivers_has_no_reserved_part(tmp_path: Path) -> None:
    with Rig.open(tmp_path, Scenario.profile("t4", "r470")) as rig:
        unsupported = rig.probed()
        gauges = rig.tick().gauges
        assert unsupported["memory_reserved_bytes"] == "function_not_found"
        assert Gauge.MEMORY_RESERVED_BYTES not in gauges
        assert gauges[Gauge.MEMORY_TOTAL_BYTES] == 16106127360


@pytest.mark.parametrize("code", [25, 26])
def test_an_older_form_is_asked_where_the_newer_one_is_not_understood(
    tmp_path: Path, code: int
) -> None:
    scenario = Scenario.profile("h100").fail("nvmlDeviceGetMemoryInfo_v2", code)
    scenario.value("nvmlDeviceGetMemoryInfo", 85520809984, 19921895424, 65598914560)
    with Rig.open(tmp_path, scenario) as rig:
        reasons = {25: "version_mismatch", 26: "deprecated"}
        assert rig.probed()["memory_reserved_bytes"] == reasons[code]
        assert rig.tick().gauges[Gauge.MEMORY_USED_BYTES] == 65598914560


@pytest.mark.parametrize(
    ("dropped", "gauge", "value"),
    [
        ("nvmlDeviceGetTemperatureV", Gauge.GPU_TEMPERATURE_CELSIUS, 52),
        ("nvmlDeviceGetCurrentClocksEventReasons", Gauge.CLOCKS_EVENT_REASONS, 4),
    ],
)
def test_older_names_of_a_function_serve_as_well(
    tmp_path: Path, dropped: str, gauge: Gauge, value: int
) -> None:
    scenario = Scenario.profile("h100").set("lib.drop", dropped)
    scenario.value("nvmlDeviceGetCurrentClocksThrottleReasons", 4)
    with Rig.open(tmp_path, scenario) as rig:
        rig.probed()
        assert rig.tick().gauges[gauge] == value


def test_the_fabrics_state_has_an_older_form_too(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").set("lib.drop", "nvmlDeviceGetGpuFabricInfoV")
    uuid = "00000000000000000000000000000001"
    scenario.value("nvmlDeviceGetGpuFabricInfo", uuid, 0, 1, 2)
    with Rig.open(tmp_path, scenario) as rig:
        rig.probed()
        assert rig.tick(tier="slow").gauges[Gauge.FABRIC_STATE] == 2


def test_a_device_outside_of_any_fabric_has_no_state_in_one(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100")
    scenario.value("nvmlDeviceGetGpuFabricInfoV", "0" * 32, 0, 1, 0, 0, 0)
    with Rig.open(tmp_path, scenario) as rig:
        assert rig.probed()["fabric_state"] == "not_supported"
        assert not rig.calls(lambda: rig.tick(tier="slow"))["nvmlDeviceGetGpuFabricInfoV"]


def test_power_and_limits_have_calls_where_fields_are_missing(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100")
    for field in ((185, 0), (190, 0), (192, 0)):
        scenario.fail("field", 3, args=field)
    scenario.value("nvmlDeviceGetPowerUsage", 511_250)
    scenario.value("nvmlDeviceGetEnforcedPowerLimit", 650_000)
    with Rig.open(tmp_path, scenario) as rig:
        unsupported = rig.probed()
        assert not unsupported.keys() & {"power_watts", "power_limit_watts"}
        assert rig.tick().gauges[Gauge.POWER_WATTS] == 511.25
        slow = rig.tick(tier="slow").gauges
        assert slow[Gauge.POWER_LIMIT_WATTS] == 700
        assert slow[Gauge.POWER_LIMIT_ENFORCED_WATTS] == 650


def test_errors_and_rows_have_calls_where_fields_are_missing(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").value("nvmlDeviceGetRemappedRows", 4, 3, 1, 0)
    for field in (3, 4, 5, 6, 142, 143, 144, 145):
        scenario.fail("field", 3, args=(field,))
    for kind in (0, 1):
        for span in (0, 1):
            scenario.value("nvmlDeviceGetTotalEccErrors", 10 * kind + span, args=(kind, span))
    with Rig.open(tmp_path, scenario) as rig:
        rig.probed()
        reading = rig.tick(tier="slow")
        assert reading.counters[Counter.ECC_CORRECTED_AGGREGATE] == 1
        assert reading.counters[Counter.ECC_UNCORRECTED_VOLATILE] == 10
        assert reading.counters[Counter.ECC_UNCORRECTED_AGGREGATE] == 11
        assert reading.counters[Counter.REMAPPED_ROWS_CORRECTED] == 4
        assert reading.counters[Counter.REMAPPED_ROWS_UNCORRECTED] == 3
        assert reading.gauges[Gauge.ROW_REMAP_PENDING] == 1
        assert reading.gauges[Gauge.ROW_REMAP_FAILED] == 0


def test_what_fields_give_is_not_asked_for_again(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        calls = rig.calls(lambda: [rig.tick(), rig.tick(tier="slow")])
        assert not calls["nvmlDeviceGetPowerUsage"]
        assert not calls["nvmlDeviceGetTotalEccErrors"]
        assert not calls["nvmlDeviceGetRemappedRows"]


@pytest.mark.req("GX-04")
@pytest.mark.parametrize(
    ("symbol", "blank", "name"),
    [
        ("nvmlDeviceGetFanSpeed", "0xFFFFFFFF", "fan_percent"),
        ("nvmlDeviceGetMemoryInfo_v2", " ".join(["0xFFFFFFFFFFFFFFFF"] * 4), "memory_used_bytes"),
        ("nvmlDeviceGetCurrentClocksEventReasons", "0xFFFFFFFFFFFFFFFF", "clocks_event_reasons"),
        ("nvmlDeviceGetUtilizationRates", "0xFFFFFFFF 0xFFFFFFFF", "utilization_percent"),
    ],
)
def test_a_blank_value_is_absent_not_zero_and_not_asked_for_again(
    tmp_path: Path, symbol: str, blank: str, name: str
) -> None:
    with Rig.open(tmp_path, Scenario.profile("h100").value(symbol, blank)) as rig:
        assert rig.probed()[name] == "no_data"
        calls = rig.calls(lambda: [rig.tick(), rig.tick(tier="slow")])
        assert not calls[symbol]


@pytest.mark.req("GX-04")
def test_a_value_that_turns_blank_is_absent_then(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda s: s.value("nvmlDeviceGetUtilizationRates", "0xFFFFFFFF", 41))
        gauges = rig.tick().gauges
        assert Gauge.UTILIZATION_PERCENT not in gauges
        assert gauges[Gauge.MEMORY_COPY_PERCENT] == 41


@pytest.mark.req("GX-04")
def test_an_implausible_value_at_the_start_is_looked_at_again(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").value("nvmlDeviceGetPerformanceState", 32)
    with Rig.open(tmp_path, scenario) as rig:
        assert rig.probed()["performance_state"] == "implausible"
        assert Gauge.PERFORMANCE_STATE not in rig.tick(tier="slow").gauges
        rig.change(lambda s: s.value("nvmlDeviceGetPerformanceState", 2))
        assert rig.tick(tier="slow").gauges[Gauge.PERFORMANCE_STATE] == 2


@pytest.mark.req("GX-04")
def test_one_failing_call_leaves_the_others(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda s: s.fail("nvmlDeviceGetClockInfo", 999, args=(1,)))
        gauges = rig.tick().gauges
        assert Gauge.SM_CLOCK_MHZ not in gauges
        assert gauges[Gauge.MEMORY_CLOCK_MHZ] == 2619
        results = rig.meter.stats()["DeviceGetClockInfo"].results
        assert results["unknown"] == 1


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("seed", range(8))
def test_noise_never_becomes_a_value_that_cannot_be_true(tmp_path: Path, seed: int) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        for symbol in ("UtilizationRates", "ClockInfo", "TemperatureV", "MemoryInfo_v2"):
            rig.fake.scenario.garbage(f"nvmlDeviceGet{symbol}", seed)
        gauges = rig.tick().gauges
        assert 0 <= gauges.get(Gauge.UTILIZATION_PERCENT, 0) <= 100
        assert 0 <= gauges.get(Gauge.SM_CLOCK_MHZ, 0) <= 20_000
        assert -60 <= gauges.get(Gauge.GPU_TEMPERATURE_CELSIUS, 0) <= 250
