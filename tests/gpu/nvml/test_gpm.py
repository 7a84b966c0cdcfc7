import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.nvml.gpm import METRICS, MIB, Metric, believable
from inferometer.gpu.quantities import Gauge, Total
from support.nvml import SECOND_US, Rig

RATIO, RATE = METRICS[0], METRICS[12]


@pytest.mark.parametrize(("percent", "ratio"), [(0, 0), (63.5, 0.635), (100, 1), (100.5, 1)])
def test_percent_become_a_ratio_of_at_most_one(percent: float, ratio: float) -> None:
    assert believable(RATIO, percent, limit=0) == pytest.approx(ratio)


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("percent", [math.nan, math.inf, -0.001, 100.51, 1e300])
def test_percent_that_cannot_be_true_are_not_believed(percent: float) -> None:
    assert believable(RATIO, percent, limit=0) is None


@pytest.mark.req("GX-04")
def test_a_rate_is_believed_up_to_what_the_link_carries() -> None:
    assert believable(RATE, 10, limit=10 * MIB) == 10 * MIB
    assert believable(RATE, 10.1, limit=10 * MIB) is None
    assert believable(RATE, math.nan, limit=10 * MIB) is None


@given(value=st.floats(), limit=st.floats(0, 1e15), metric=st.sampled_from(METRICS))
def test_what_is_believed_is_a_number_within_limits(
    value: float, limit: float, metric: Metric
) -> None:
    found = believable(metric, value, limit=limit)
    assert found is None or 0 <= found <= (limit if metric.link else 1)


def test_the_first_two_results_are_discarded(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.device.probe()  # makes the first one
        assert Gauge.SM_RATIO not in rig.tick().gauges
        assert rig.tick().gauges[Gauge.SM_RATIO] == pytest.approx(0.5725)


def test_all_metrics_come_in_one_call_and_one_sample_a_tick(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        calls = rig.calls(rig.tick)
        assert calls["nvmlGpmSampleGet"] == calls["nvmlGpmMetricsGet"] == 1
        assert not calls["nvmlGpmSampleAlloc"]


def test_nvlink_transmits_by_metric_61_and_receives_by_60(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.gpm(60, 100).gpm(61, 200))
        rig.probed()
        gauges = rig.tick().gauges
        assert gauges[Gauge.NVLINK_RECEIVE_BYTES_PER_SECOND] == pytest.approx(100 * MIB)
        assert gauges[Gauge.NVLINK_TRANSMIT_BYTES_PER_SECOND] == pytest.approx(200 * MIB)


def test_a_late_tick_is_exact_over_those_it_missed(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick().totals
        rig.fake.step(20 * SECOND_US)
        rig.change(lambda s: s.busy(10))
        after = rig.tick(us=10 * SECOND_US).totals
        busy_ns = after[Total.BUSY_NS] - before[Total.BUSY_NS]
        assert busy_ns == pytest.approx(20e9 * 0.635 + 10e9 * 0.1, abs=2)
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == 30 * 10**9


def test_a_sample_that_fails_loses_nothing(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick().totals
        rig.change(lambda s: s.fail("nvmlGpmSampleGet", 999))
        failed = rig.tick()
        assert Gauge.SM_RATIO not in failed.gauges
        assert Total.BUSY_NS not in failed.totals
        rig.change(lambda s: s.fail("nvmlGpmSampleGet", 0))
        after = rig.tick().totals
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == 2 * 10**9


@pytest.mark.req("GX-04")
def test_a_result_that_fails_is_made_up_for_by_the_next_one(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick().totals
        rig.change(lambda s: s.fail("nvmlGpmMetricsGet", 999))
        assert Total.BUSY_NS not in rig.tick().totals
        rig.change(lambda s: s.fail("nvmlGpmMetricsGet", 0))
        rig.fake.scenario.busy(20)
        rig.fake.publish()
        after = rig.tick().totals
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == 2 * 10**9
        busy_ns = after[Total.BUSY_NS] - before[Total.BUSY_NS]
        assert busy_ns == pytest.approx(0.635e9 + 0.2e9, abs=2)


def test_samples_are_never_closer_than_a_tenth_of_a_second(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.tick()
        assert not rig.calls(lambda: rig.tick(us=99_000))["nvmlGpmSampleGet"]
        assert rig.calls(lambda: rig.tick(us=1_000))["nvmlGpmSampleGet"] == 1
        assert not rig.fake.counts().violations["gpm_early"]


@pytest.mark.req("GX-04")
def test_a_metric_that_cannot_be_true_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick()
        rig.change(lambda s: s.gpm(2, 180))
        after = rig.tick()
        assert Gauge.SM_RATIO not in after.gauges
        assert after.gauges[Gauge.TENSOR_RATIO] == pytest.approx(0.445)
        assert Total.SM_ACTIVE_NS in before.totals
        assert Total.SM_ACTIVE_NS not in after.totals
        assert after.implausible == {"sm_ratio": 1}


@pytest.mark.req("GX-04")
def test_a_metric_with_a_code_of_its_own_is_absent_and_says_why(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("gpm", 3, args=(3,)))
        assert rig.probed()["sm_occupancy_ratio"] == "not_supported"
        gauges = rig.tick().gauges
        assert Gauge.SM_OCCUPANCY_RATIO not in gauges
        assert Gauge.SM_RATIO in gauges


def test_without_metric_1_busy_time_has_another_source(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("gpm", 3, args=(1,)))
        unsupported = rig.probed()
        assert unsupported["graphics_engine_ratio"] == "not_supported"
        assert "busy_ns" not in unsupported
        assert rig.device.identity.busy_source == "samples"
        assert rig.ticks(3).totals[Total.BUSY_NS] > 0


@pytest.mark.parametrize("profile", ["t4", "v100", "a10", "a100", "l40s", "geforce"])
def test_before_hopper_profiling_is_absent_by_architecture(tmp_path: Path, profile: str) -> None:
    with Rig.open(tmp_path, profile) as rig:
        unsupported = rig.probed()
        assert unsupported["tensor_ratio"] == unsupported["tensor_active_ns"] == "architecture"
        assert Gauge.TENSOR_RATIO not in rig.tick().gauges
        assert not rig.fake.counts().total("nvmlGpmSampleGet")


@pytest.mark.parametrize(
    ("symbol", "code", "reason"),
    [
        ("nvmlGpmQueryDeviceSupport", 4, "no_permission"),
        ("nvmlGpmQueryDeviceSupport", 3, "architecture"),
        ("nvmlGpmQueryDeviceSupport", 25, "version_mismatch"),
        ("nvmlGpmSampleGet", 4, "no_permission"),
        ("nvmlGpmSampleGet", 3, "not_supported"),
        ("nvmlGpmMetricsGet", 17, "no_permission"),
        ("nvmlGpmSampleAlloc", 20, "no_data"),
    ],
)
def test_profiling_that_is_refused_says_why(
    tmp_path: Path, symbol: str, code: int, reason: str
) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        everywhere = None if symbol.endswith("Alloc") else 0
        rig.change(lambda s: s.fail(symbol, code, device=everywhere))
        unsupported = rig.probed()
        assert {unsupported[metric.gauge] for metric in METRICS} == {reason}
        assert not rig.fake.counts().live["gpm_samples"]


def test_an_old_driver_has_no_profiling(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.set("lib.drop", "nvmlGpm*"))
    with Rig.open(tmp_path, rig.fake.scenario) as old:
        assert old.probed()["sm_ratio"] == "function_not_found"
        assert old.device.identity.busy_source == "samples"


def test_sums_go_on_over_a_new_probing(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick().totals[Total.BUSY_NS]
        rig.probed()
        after = rig.tick().totals[Total.BUSY_NS]
        assert after - before == pytest.approx(2 * 0.635e9)


def test_buffers_are_two_and_are_freed(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.probed()
        assert rig.fake.counts().live["gpm_samples"] == 2
        rig.device.close()
        rig.device.close()
        counts = rig.fake.counts()
        assert not counts.live["gpm_samples"]
        assert not counts.violations


@pytest.mark.req("GX-04")
def test_a_metric_that_fails_alone_leaves_its_sum_out_and_not_the_others(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick().totals
        rig.change(lambda s: s.fail("gpm", 999, args=(5,)))
        after = rig.ticks(2).totals
        assert Total.TENSOR_ACTIVE_NS not in after
        assert after[Total.BUSY_NS] > before[Total.BUSY_NS]
        rig.change(lambda s: s.fail("gpm", 0, args=(5,)))
        later = rig.tick().totals
        assert later[Total.TENSOR_ACTIVE_NS] > before[Total.TENSOR_ACTIVE_NS]


@pytest.mark.req("GX-04")
def test_a_first_value_that_cannot_be_true_says_so_and_is_looked_at_again(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.gpm(1, 180).gpm(2, 180))
        unsupported = rig.probed()
        assert rig.device.identity.busy_source == "gpm"
        for name in ("graphics_engine_ratio", "busy_ns", "observed_ns", "sm_ratio"):
            assert unsupported[name] == "implausible"
        assert "tensor_ratio" not in unsupported
        assert Total.BUSY_NS not in rig.tick().totals
        rig.change(lambda s: s.gpm(1, 50).gpm(2, 50))
        assert rig.ticks(2).totals[Total.BUSY_NS] > 0
