import os
import time
from math import isclose

import pytest

from inferometer.gpu.backend import DeviceError, Options
from inferometer.gpu.fake.backend import (
    ENGINES,
    PROFILES,
    Clock,
    FakeBackend,
    Wave,
    born_s,
    open_backend,
    wave,
)
from inferometer.gpu.fake.scenario import Fault, Scenario
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import Reading
from support.gpu_views import Straight

FAULTS = (
    Fault(10, 0, "throttle", 10),
    Fault(15, 0, "ecc"),
    Fault(16, 0, "xid", code=31),
    Fault(30, 0, "hang", 5),
    Fault(40, 0, "lost", 5),
    Fault(50, 0, "reset_required", 5),
    Fault(60, 0, "no_permission", 5),
    Fault(70, None, "driver", 5),
)


class Time:
    """A clock that moves only when somebody waits, or says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, wait_s: float) -> None:
        self.now_s += wait_s


def backend(time: Time, *, processes: bool = False) -> FakeBackend:
    scenario = Scenario(devices=8, mig=(1,), faults=FAULTS)
    return FakeBackend(scenario, Clock(lambda: time.now_s, time.sleep), processes=processes)


def fast(time: Time, index: int) -> Reading:
    one = backend(time)
    return one.open_device(one.discover()[index], Straight()).sample("fast")


def test_the_integral_of_a_load_is_the_sum_of_its_moments() -> None:
    load = wave(3)
    steps = [load.at((n + 0.5) / 100) / 100 for n in range(5000)]
    assert isclose(load.until(50), sum(steps), rel_tol=1e-6)
    assert Wave(0.3, 0, 60, 0).until(10) == pytest.approx(3.0)


def test_loads_are_ratios_and_one_device_idles() -> None:
    for index in range(32):
        found = [wave(index).at(age) for age in range(200)]
        assert 0 <= min(found) <= max(found) <= 1
    assert wave(6).at(17.0) == 0


def test_the_same_age_gives_the_same_values_to_every_child() -> None:
    time = Time()
    time.now_s = 123.4
    assert fast(time, 0).gauges == fast(time, 0).gauges
    assert fast(time, 0).counters == fast(time, 0).counters


def test_counters_grow_as_the_gauges_say() -> None:
    time = Time()
    before = fast(time, 2).counters[Counter.ENERGY_MILLIJOULES]
    joules = 0.0
    for _ in range(500):
        joules += fast(time, 2).gauges[Gauge.POWER_WATTS] * 0.02
        time.sleep(0.02)
    after = fast(time, 2).counters[Counter.ENERGY_MILLIJOULES]
    assert (after - before) / 1000 == pytest.approx(joules, rel=0.01)


def test_sums_begin_when_a_device_is_opened() -> None:
    time = Time()
    time.now_s = 90.0
    one = backend(time)
    device = one.open_device(one.discover()[0], Straight())
    assert set(device.sample("fast").totals.values()) == {0}
    time.sleep(2.0)
    totals = device.sample("fast").totals
    assert totals[Total.OBSERVED_NS] == 2_000_000_000
    assert 0 < totals[Total.BUSY_NS] < 2_000_000_000
    assert {total for _, total, _ in ENGINES} <= set(totals)


def test_a_device_with_mig_has_instances_and_no_utilization() -> None:
    reading = fast(Time(), 1)
    assert reading.instances is not None
    assert [(i.gpu_instance, i.profile, i.slices) for i in reading.instances] == list(PROFILES)
    assert Gauge.UTILIZATION_PERCENT not in reading.gauges
    assert fast(Time(), 0).instances is None


def test_what_it_cannot_tell_has_a_reason() -> None:
    one = backend(Time())
    plain, mig = (one.open_device(i, Straight()).probe() for i in one.discover()[:2])
    assert plain["fan_percent"] == "not_supported"
    assert "utilization_percent" not in plain
    assert mig["utilization_percent"] == "mig_mode"


@pytest.mark.parametrize(
    ("age_s", "state", "code"),
    [(41, "lost", 15), (51, "reset_required", 16), (61, "no_permission", 4), (71, "lost", 999)],
)
def test_a_device_fails_as_the_script_says(age_s: float, state: str, code: int) -> None:
    time = Time()
    time.now_s = age_s
    one = backend(time)
    device = one.open_device(one.discover()[0], Straight())
    with pytest.raises(DeviceError) as caught:
        device.sample("fast")
    error = caught.value
    assert (error.state, error.code, error.backend_lost) == (state, code, code == 999)
    assert device.alive() == (state == "no_permission")
    time.now_s = 80
    assert device.alive()


def test_a_call_hangs_as_long_as_the_script_says() -> None:
    time = Time()
    time.now_s = 31.0
    fast(time, 0)
    assert 35.0 <= time.now_s < 35.2
    time.now_s = 31.0
    fast(time, 2)
    assert time.now_s == 31.0


def test_throttling_shows_in_clock_mask_and_counter() -> None:
    time = Time()
    cool = fast(time, 0)
    time.now_s = 14.0
    hot = fast(time, 0)
    assert hot.gauges[Gauge.SM_CLOCK_MHZ] < cool.gauges[Gauge.SM_CLOCK_MHZ]
    assert hot.gauges[Gauge.CLOCKS_EVENT_REASONS] == 32
    assert hot.counters[Counter.THROTTLED_THERMAL_NS] == 4_000_000_000


def test_events_come_once_and_only_from_now_on() -> None:
    time = Time()
    one = backend(time)
    assert one.wait_events(14.0) == []
    found = one.wait_events(1.5) or []
    assert [(event.kind, event.xid) for event in found] == [("ecc_dbe", None)]
    found = one.wait_events(1.5) or []
    assert [(event.kind, event.xid) for event in found] == [("xid", 31)]
    assert one.wait_events(1.0) == []
    assert backend(time).wait_events(1.0) == []


def test_an_uncorrected_error_stays_counted() -> None:
    time = Time()
    time.now_s = 20.0
    one = backend(time)
    slow = one.open_device(one.discover()[0], Straight()).sample("slow")
    assert slow.counters[Counter.ECC_UNCORRECTED_VOLATILE] == 1


def test_processes_are_told_where_they_are_asked_for() -> None:
    time = Time()
    one = backend(time, processes=True)
    busy, idle = (one.open_device(one.discover()[n], Straight()) for n in (0, 6))
    time.now_s = 5.0
    assert len(busy.sample("process").processes or ()) == 2
    assert idle.sample("process").processes is None
    silent = backend(time)
    assert silent.open_device(silent.discover()[0], Straight()).sample("process").processes is None


def test_the_machine_is_as_old_as_whoever_started_us() -> None:
    one = open_backend(Options())
    assert one.pci_devices() == len(one.discover()) == 8
    first = one.open_device(one.discover()[6], Straight())
    energy = first.sample("fast").counters[Counter.ENERGY_MILLIJOULES]
    assert energy > 0
    assert os.getppid()
    first.close()
    one.close()


def test_without_a_parent_to_ask_the_machine_is_new() -> None:
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 <= born_s(2**22 + 1) - now_s < 5
    assert born_s(os.getpid()) < now_s
