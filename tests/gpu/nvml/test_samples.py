from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.child.calls import Meter
from inferometer.gpu.nvml import samples
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.samples import FORGOTTEN_MAX_US, SPAN_MAX_US, Curve, Sampled, Sum
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import Total
from support.fake_nvml import Scenario
from support.nvml import SECOND_US, Rig

T0 = 1_700_000_000_000_000


def test_a_sample_speaks_for_the_time_since_the_one_before() -> None:
    curve = Curve()
    assert curve.take([(T0, 90)]) == Sum(0, 0)
    assert curve.take([(T0 + 100_000, 50), (T0 + 300_000, 20)]) == Sum(
        50 * 100_000 + 20 * 200_000, 300_000
    )


def test_it_does_not_matter_in_which_order_samples_come() -> None:
    curve = Curve()
    curve.take([(T0, 0)])
    assert curve.take([(T0 + 300_000, 20), (T0 + 100_000, 50)]) == Sum(9_000_000, 300_000)


def test_a_sample_never_speaks_for_longer_than_its_window_can_be() -> None:
    curve = Curve()
    curve.take([(T0, 0)])
    assert curve.take([(T0 + 10 * SPAN_MAX_US, 100)]) == Sum(100 * SPAN_MAX_US, SPAN_MAX_US)


def test_samples_that_were_taken_before_add_nothing() -> None:
    curve = Curve()
    curve.take([(T0, 0)])
    curve.take([(T0 + 5, 1)])
    assert curve.take([(T0 + 5, 1), (T0, 1)]) == Sum(0, 0)


def test_a_rest_is_not_part_of_the_next_sample() -> None:
    curve = Curve()
    curve.rest(1_000_000)  # before any sample there is nothing to rest from
    curve.take([(T0, 0)])
    curve.rest(1_000_000)
    assert curve.take([(T0 + 1_100_000, 100)]) == Sum(100 * 100_000, 100_000)


@given(
    steps=st.lists(st.tuples(st.integers(1, 500_000), st.integers(0, 100)), max_size=40),
    cut=st.integers(0, 40),
)
def test_cutting_samples_between_calls_elsewhere_changes_nothing(
    steps: list[tuple[int, int]], cut: int
) -> None:
    moments = []
    moment_us = T0
    for step_us, value in steps:
        moment_us += step_us
        moments.append((moment_us, value))
    whole, parts = Curve(), Curve()
    whole.take([(T0, 0)])
    parts.take([(T0, 0)])
    one, other = parts.take(moments[:cut]), parts.take(moments[cut:])
    together = Sum(one.area + other.area, one.observed_us + other.observed_us)
    assert whole.take(moments) == together


def test_busy_time_is_the_integral_of_the_samples(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        assert rig.device.identity.busy_source == "samples"
        before = rig.tick().totals
        rig.change(lambda scenario: scenario.busy(25))
        after = rig.ticks(4).totals
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == pytest.approx(4e9, rel=0.1)
        assert after[Total.BUSY_NS] - before[Total.BUSY_NS] == pytest.approx(1e9, rel=0.1)


def test_a_late_tick_loses_nothing_that_the_driver_still_has(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        before = rig.tick().totals
        after = rig.tick(us=9 * SECOND_US).totals
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == pytest.approx(9e9, rel=0.05)
        assert after[Total.BUSY_NS] - before[Total.BUSY_NS] == pytest.approx(5.67e9, rel=0.05)


def test_no_samples_means_that_the_device_was_idle(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        before = rig.tick().totals
        rig.change(lambda scenario: scenario.fail("nvmlDeviceGetSamples", 6, args=(1,)))
        after = rig.ticks(10).totals
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == 10**10
        assert after[Total.BUSY_NS] == before[Total.BUSY_NS]
        rig.change(lambda scenario: scenario.fail("nvmlDeviceGetSamples", 0, args=(1,)))
        later = rig.tick().totals
        assert later[Total.BUSY_NS] - after[Total.BUSY_NS] <= 0.64e9


def test_a_failing_call_leaves_busy_time_out_and_loses_nothing(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        before = rig.tick().totals
        rig.change(lambda scenario: scenario.fail("nvmlDeviceGetSamples", 999, args=(1,)))
        assert Total.BUSY_NS not in rig.ticks(3).totals
        rig.change(lambda scenario: scenario.fail("nvmlDeviceGetSamples", 0, args=(1,)))
        after = rig.tick().totals
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] == pytest.approx(4e9, rel=0.1)


@pytest.mark.req("GX-04")
def test_a_sample_that_cannot_be_true_is_refused_and_counted(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        rig.change(lambda s: s.value("nvmlDeviceGetSamples", 250, args=(1,)))
        reading = rig.tick()
        assert Total.BUSY_NS not in reading.totals
        assert reading.implausible["busy_ns"] >= 1


def test_a_device_that_is_idle_at_the_start_has_samples_later(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.change(lambda s: s.fail("nvmlDeviceGetSamples", 6, args=(1,)))
        assert "busy_ns" not in rig.probed()
        assert rig.tick().totals[Total.BUSY_NS] == 0
        rig.change(lambda s: s.fail("nvmlDeviceGetSamples", 0, args=(1,)))
        assert rig.ticks(3).totals[Total.BUSY_NS] > 0


@pytest.mark.req("GX-04")
def test_blank_samples_are_none(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        before = rig.tick().totals[Total.BUSY_NS]
        rig.change(lambda s: s.value("nvmlDeviceGetSamples", 0xFFFFFFFF, args=(1,)))
        assert rig.tick().totals.get(Total.BUSY_NS, before) == before


def test_a_drivers_clock_that_is_set_starts_the_integral_anew(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "t4") as rig:
        rig.probed()
        hour_us = 3600 * SECOND_US
        before = rig.tick().totals[Total.BUSY_NS]
        rig.fake.scenario.clock(rig.fake.scenario.now_us + hour_us)
        rig.fake.publish()
        rig.ahead_us = hour_us  # our own clock is monotonic and was not set
        after = [rig.tick().totals.get(Total.BUSY_NS) for _ in range(5)]
        assert after[:2] == [None, None]  # found out, and begun anew
        assert after[4] is not None
        assert 0 < after[4] - before <= 4e9


def test_without_the_function_there_are_no_samples() -> None:
    sampled = Sampled(Caller(Meter()), lambda: 0, name="DeviceGetSamples", most=100)
    assert sampled.probe(None, Handle(1), kind=samples.GPU) == 13
    assert not sampled.read(idle_is_zero=True)


@pytest.mark.req("GX-02")
@pytest.mark.parametrize("every_s", [30, 40, 60])
def test_a_ring_that_does_not_reach_back_speaks_for_what_it_has_forgotten(
    tmp_path: Path, every_s: int
) -> None:
    with Rig.open(tmp_path, "t4") as rig:  # its ring holds 12 s
        rig.change(lambda s: s.busy(70))
        rig.probed()
        before = rig.tick(us=every_s * SECOND_US).totals
        for _ in range(4):
            after = rig.tick(us=every_s * SECOND_US).totals
        observed_ns = after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS]
        busy_ns = after[Total.BUSY_NS] - before[Total.BUSY_NS]
        assert observed_ns == pytest.approx(4 * every_s * 1e9, rel=0.01)
        assert busy_ns == pytest.approx(0.7 * observed_ns, rel=0.01)


def test_a_ring_that_is_not_full_has_forgotten_nothing() -> None:
    few = [(T0 + 30_000_000 + n * 100_000, 100) for n in range(10)]
    curve = Curve()
    curve.take([(T0, 0)])
    assert curve.take(few).observed_us == SPAN_MAX_US + 900_000


def test_no_mean_speaks_for_more_than_a_minute_and_a_half() -> None:
    curve = Curve()
    curve.take([(T0, 0)])
    late = [(T0 + FORGOTTEN_MAX_US + n * 100_000, 50) for n in range(1, 21)]
    assert curve.take(late, full=True).observed_us == SPAN_MAX_US + 1_900_000
    alone = Curve()
    alone.take([(T0, 0)])
    assert alone.take([(T0 + 30_000_000, 50)], full=True) == Sum(0, 0)


def test_ticks_between_two_samples_leave_energy_known(tmp_path: Path) -> None:
    scenario = Scenario.profile("t4").fail("field", 3, args=(83,))
    with Rig.open(tmp_path, scenario) as rig:
        rig.probed()
        known = rig.tick().totals[Total.ENERGY_MICROJOULES]
        rig.change(lambda s: s.fail("nvmlDeviceGetSamples", 6, args=(0,)))
        assert rig.tick().totals[Total.ENERGY_MICROJOULES] == known
        assert Total.ENERGY_MICROJOULES not in rig.ticks(2).totals
