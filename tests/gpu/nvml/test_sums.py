from pathlib import Path

import pytest

from inferometer.gpu.quantities import Gauge, Total
from support.fake_nvml import Scenario
from support.nvml import SECOND_US, Rig


def without_energy(profile: str = "t4") -> Scenario:
    return Scenario.profile(profile).fail("field", 3, args=(83,))


def test_energy_is_integrated_from_power_where_nothing_counts_it(tmp_path: Path) -> None:
    with Rig.open(tmp_path, without_energy()) as rig:
        unsupported = rig.probed()
        assert rig.device.identity.energy_source == "power"
        assert unsupported["energy_millijoules"] == "not_supported"
        assert "energy_microjoules" not in unsupported
        before = rig.tick().totals[Total.ENERGY_MICROJOULES]
        after = rig.ticks(10).totals[Total.ENERGY_MICROJOULES]
        assert after - before == pytest.approx(10 * 48.5e6, rel=0.05)


def test_a_time_without_power_samples_is_not_a_time_without_power(tmp_path: Path) -> None:
    with Rig.open(tmp_path, without_energy()) as rig:
        rig.probed()
        rig.change(lambda s: s.fail("nvmlDeviceGetSamples", 6, args=(0,)))
        assert Total.ENERGY_MICROJOULES not in rig.ticks(3).totals


def test_without_any_power_there_is_no_energy(tmp_path: Path) -> None:
    with Rig.open(tmp_path, without_energy().fail("nvmlDeviceGetSamples", 4, args=(0,))) as rig:
        assert rig.probed()["energy_microjoules"] == "no_permission"
        assert rig.device.identity.energy_source == ""


@pytest.mark.req("GX-04")
def test_power_that_cannot_be_true_is_refused(tmp_path: Path) -> None:
    with Rig.open(tmp_path, without_energy()) as rig:
        rig.probed()
        rig.change(lambda s: s.value("nvmlDeviceGetSamples", 10**9, args=(0,)))
        assert rig.tick().implausible["energy_microjoules"] >= 1


def test_a_counted_energy_is_not_integrated_too(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        assert rig.device.identity.energy_source == "counter"
        assert Total.ENERGY_MICROJOULES not in rig.ticks(3).totals


def test_without_samples_busy_time_is_utilisation_times_the_interval(tmp_path: Path) -> None:
    scenario = Scenario.profile("t4").fail("nvmlDeviceGetSamples", 3)
    scenario.value("nvmlDeviceGetUtilizationRates", 40, 10)
    with Rig.open(tmp_path, scenario) as rig:
        assert "busy_ns" not in rig.probed()
        assert rig.device.identity.busy_source == "utilization"
        before, after = rig.tick().totals, rig.ticks(5).totals
        assert after[Total.BUSY_NS] - before[Total.BUSY_NS] == 2 * 10**9
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == 5 * 10**9


def test_a_value_of_a_moment_does_not_speak_for_a_gap(tmp_path: Path) -> None:
    scenario = Scenario.profile("t4").fail("nvmlDeviceGetSamples", 3)
    with Rig.open(tmp_path, scenario) as rig:
        rig.probed()
        before = rig.ticks(2).totals
        after = rig.tick(us=30 * SECOND_US).totals
        assert after[Total.OBSERVED_NS] == before[Total.OBSERVED_NS]


def test_without_any_source_busy_time_is_absent_with_the_reason(tmp_path: Path) -> None:
    scenario = Scenario.profile("t4").fail("nvmlDeviceGetSamples", 3)
    scenario.fail("nvmlDeviceGetUtilizationRates", 4)
    with Rig.open(tmp_path, scenario) as rig:
        unsupported = rig.probed()
        assert unsupported["busy_ns"] == unsupported["observed_ns"] == "no_permission"
        assert rig.device.identity.busy_source == ""
        assert Total.BUSY_NS not in rig.ticks(3).totals


def test_media_engines_have_sums_of_their_own(tmp_path: Path) -> None:
    scenario = Scenario.profile("t4").value("nvmlDeviceGetEncoderUtilization", 50, 167000)
    scenario.fail("nvmlDeviceGetDecoderUtilization", 3)
    with Rig.open(tmp_path, scenario) as rig:
        assert rig.probed()["decoder_active_ns"] == "not_supported"
        before, after = rig.tick().totals, rig.ticks(4).totals
        encoder = Total.ENCODER_ACTIVE_NS
        assert after[encoder] - before[encoder] == 2 * 10**9
        assert Total.DECODER_ACTIVE_NS not in after


def test_a_sum_is_absent_before_any_time_was_watched(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.device.probe()
        reading = rig.tick()
        assert Gauge.ENCODER_PERCENT in reading.gauges
        assert Total.ENCODER_ACTIVE_NS not in reading.totals
