import time
from collections.abc import Mapping

import pytest

from inferometer.gpu.backend import Device, DeviceError, Options
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.dcgm.backend import DcgmBackend, open_backend
from inferometer.gpu.dcgm.fields import FIELDS
from inferometer.gpu.quantities import Counter, Gauge, Tier, Total
from inferometer.gpu.sample import Reading
from support import fake_dcgm
from support.fake_dcgm import HostEngine
from support.vendor_devices import device, read

OPTIONS = Options(dcgm_bindings=fake_dcgm.BINDINGS)
SECOND = 1_000_000_000


def test_values_are_in_our_units(opened: DcgmBackend) -> None:
    one = device(opened)
    one.probe()
    fast, slow = one.sample("fast"), one.sample("slow")
    assert fast.gauges[Gauge.MEMORY_TOTAL_BYTES] == 81559 << 20
    assert fast.gauges[Gauge.POWER_WATTS] == 123.5
    assert fast.gauges[Gauge.UTILIZATION_PERCENT] == 40
    assert fast.gauges[Gauge.NVLINK_BYTES_PER_SECOND] == 1500 * 1024 * 1000
    assert fast.gauges[Gauge.SM_RATIO] == 0.4
    assert fast.counters[Counter.ENERGY_MILLIJOULES] == 987654321
    assert fast.counters[Counter.THROTTLED_POWER_NS] == 1_000_000_000
    assert slow.gauges[Gauge.BAR1_TOTAL_BYTES] == 131072 << 20
    assert slow.gauges[Gauge.POWER_LIMIT_WATTS] == 700
    assert slow.gauges[Gauge.FABRIC_STATE] == 3
    assert slow.gauges[Gauge.RECOVERY_ACTION] == 0
    assert slow.counters[Counter.ECC_CORRECTED_AGGREGATE] == 2
    assert one.sample("process") == Reading()


def test_every_field_of_the_table_reaches_a_reading(host: HostEngine, opened: DcgmBackend) -> None:
    for field in (191, 390, 391, 392, 526):
        host.set(field, 1)
    one = device(opened)
    reasons = one.probe()
    assert not {str(field.quantity) for field in FIELDS} & reasons.keys()
    fast, slow = one.sample("fast"), one.sample("slow")
    seen = {*fast.gauges, *fast.counters, *slow.gauges, *slow.counters}
    assert seen == {field.quantity for field in FIELDS}


@pytest.mark.req("GX-04")
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0x7FFFFFF0, "no_data"),
        (0x7FFFFFF1, "no_data"),
        (0x7FFFFFF2, "not_supported"),
        (0x7FFFFFF3, "no_permission"),
        (0x7FFFFFFFFFFFFFF0, "no_data"),
        (0x7FFFFFFFFFFFFFF2, "not_supported"),
        (0x7FFFFFFFFFFFFFF3, "no_permission"),
        (0x7FFFFFFFFFFFFFFF, "no_data"),
        (2.0**47, "no_data"),
        (2.0**47 + 2, "not_supported"),
        (2.0**47 + 3, "no_permission"),
        (2.0**60, "no_data"),
        (float("nan"), "implausible"),
        (-1, "implausible"),
        ("a text", "no_data"),
        (None, "no_data"),
        ({"status": -6}, "not_supported"),
        ({"status": -17}, "no_permission"),
        ({"status": -14}, "no_data"),
        ({"status": -99}, "no_data"),
    ],
)
def test_a_blank_is_no_value_and_says_why(
    host: HostEngine, opened: DcgmBackend, value: object, reason: str
) -> None:
    host.set(155, value)
    one = device(opened)
    assert one.probe()["power_watts"] == reason
    gauges = read(one).gauges
    assert Gauge.POWER_WATTS not in gauges
    assert Gauge.POWER_INSTANT_WATTS in gauges


@pytest.mark.req("GX-04")
def test_one_failing_field_leaves_the_others_and_is_counted_by_field_and_code(
    host: HostEngine, opened: DcgmBackend
) -> None:
    meter = Meter()
    one = device(opened, meter=meter)
    one.probe()
    before = read(one)
    host.set(203, {"status": -11})
    after = read(one)
    assert set(before.gauges) - set(after.gauges) == {Gauge.UTILIZATION_PERCENT}
    assert before.counters == after.counters
    read(one)
    assert meter.stats()["DCGM_FI_DEV_GPU_UTIL"].results == {"timeout": 2}


@pytest.mark.req("GX-04")
def test_a_value_that_cannot_be_is_refused_and_counted(
    host: HostEngine, opened: DcgmBackend
) -> None:
    one = device(opened)
    one.probe()
    host.set(1002, 1.5)
    host.set(203, 250)
    read(one)
    reading = read(one)
    assert not {Gauge.SM_RATIO, Gauge.UTILIZATION_PERCENT} & set(reading.gauges)
    assert reading.implausible == {"sm_ratio": 2, "utilization_percent": 2}


def test_what_the_vendor_never_has_is_named(opened: DcgmBackend) -> None:
    reasons = device(opened).probe()
    assert reasons["fan_percent"] == "not_supported"
    assert {name for name, reason in reasons.items() if reason == "backend"} == set()


def test_without_profiling_its_quantities_say_why_and_busy_time_is_of_utilization(
    host: HostEngine, opened: DcgmBackend
) -> None:
    host.change(refused={"1001": -36, "1006": -36})
    one = device(opened)
    reasons = one.probe()
    assert reasons["sm_ratio"] == reasons["sm_active_ns"] == "architecture"
    assert reasons["nvlink_transmit_bytes"] == "architecture"
    assert "busy_ns" not in reasons
    assert one.identity.busy_source == "utilization"
    totals = spaced(host, one)
    assert totals[Total.BUSY_NS] == SECOND * 40 // 100
    assert Total.SM_ACTIVE_NS not in totals


def test_profiling_goes_as_far_as_its_fields_go_together(
    host: HostEngine, opened: DcgmBackend
) -> None:
    host.change(refused={"1011": -6, "1012": -38, "1003": -38})
    one, two = device(opened), device(opened, index=1)
    reasons = one.probe()
    assert reasons["nvlink_transmit_bytes_per_second"] == "not_supported"
    assert reasons["sm_occupancy_ratio"] == "not_supported"
    assert not {"sm_ratio", "fp64_ratio", "pcie_transmit_bytes"} & reasons.keys()
    assert read(one).gauges[Gauge.INTEGER_RATIO] == 0.05
    assert two.probe() == reasons
    one.close()
    assert read(two).gauges[Gauge.SM_RATIO] == 0.4


def test_a_slow_watch_that_is_refused_leaves_the_rest(
    host: HostEngine, opened: DcgmBackend
) -> None:
    host.change(refused={"313": -29})
    one = device(opened)
    assert one.probe()["bar1_total_bytes"] == "no_permission"
    assert read(one).gauges
    assert one.sample("slow").gauges == {}


def test_busy_time_is_the_profiled_ratio_over_the_host_engines_own_moments(
    host: HostEngine, opened: DcgmBackend
) -> None:
    one = device(opened)
    one.probe()
    assert one.identity.busy_source == "profiling"
    assert one.identity.energy_source == "counter"
    totals = spaced(host, one)
    assert totals[Total.OBSERVED_NS] == SECOND
    assert totals[Total.BUSY_NS] == SECOND // 2
    assert totals[Total.TENSOR_ACTIVE_NS] == SECOND * 3 // 10
    assert totals[Total.ENCODER_ACTIVE_NS] == SECOND // 10
    assert totals[Total.PCIE_RECEIVE_BYTES] == 2_000_000
    assert totals[Total.NVLINK_TRANSMIT_BYTES] == 3_000_000
    assert Total.ENERGY_MICROJOULES not in totals


def test_energy_is_added_up_from_power_only_where_nothing_counts_it(
    host: HostEngine, opened: DcgmBackend
) -> None:
    host.set(156, 0x7FFFFFFFFFFFFFF2)
    one = device(opened)
    one.probe()
    assert one.identity.energy_source == "power"
    assert spaced(host, one)[Total.ENERGY_MICROJOULES] == 123_500_000


def test_a_field_that_only_the_library_or_only_we_know_is_left_out(host: HostEngine) -> None:
    host.change(unknown=[1523, 1422], library_unknown=[157])
    backend = open_backend(OPTIONS)
    one = device(backend)
    reasons = one.probe()
    for name in ("recovery_action", "throttled_sw_thermal_ns", "power_instant_watts"):
        assert reasons[name] == "function_not_found"
    assert Gauge.POWER_WATTS in read(one).gauges
    assert Counter.THROTTLED_HW_THERMAL_NS in read(one).counters
    backend.close()


@pytest.mark.req("GX-03")
def test_nothing_older_than_its_limit_is_passed_on(host: HostEngine, opened: DcgmBackend) -> None:
    one = device(opened)
    one.probe()
    now_us = int(time.time() * 1e6)
    host.change(moment_us=now_us - 3_000_000)
    assert read(one).gauges
    host.set(155, {"status": 0, "ts": now_us - 6_000_000, "value": 99.0})
    assert Gauge.POWER_WATTS not in read(one).gauges
    host.change(moment_us=now_us - 6_000_000)
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert caught.value.state == "stalled"
    assert one.sample("slow").gauges
    host.change(moment_us=now_us - 66_000_000)
    with pytest.raises(DeviceError):
        one.sample("slow")
    host.change(moment_us=now_us + 66_000_000)
    with pytest.raises(DeviceError):
        one.sample("slow")


@pytest.mark.req("GX-03")
@pytest.mark.parametrize(("code", "state"), [(-18, "lost"), (-19, "reset_required")])
def test_a_lost_device_is_lost_and_the_other_goes_on(
    host: HostEngine, opened: DcgmBackend, code: int, state: str
) -> None:
    one, two = device(opened), device(opened, index=1)
    one.probe()
    two.probe()
    host.state["gpus"][0]["fields"] = {str(f.number): {"status": code} for f in FIELDS}
    host.write()
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert (caught.value.state, caught.value.code) == (state, code)
    assert not one.alive()
    assert two.alive()
    assert read(two).gauges
    host.state["gpus"][0]["fields"] = {}
    host.write()
    assert one.alive()
    assert read(one).gauges


def test_instances_are_cut_out_of_a_device(host: HostEngine, opened: DcgmBackend) -> None:
    for field in (203, 204, 206, 207):
        host.set(field, {"status": -6})
    host.cut(3, 4)
    one = device(opened)
    reasons = one.probe()
    assert one.identity.mig
    assert reasons["utilization_percent"] == "mig_mode"
    small, large = read(one).instances or ()
    assert (small.gpu_instance, small.profile, small.slices) == (1, "3g.30gb", 3)
    assert (large.gpu_instance, large.slices, large.slices_max) == (2, 4, 7)
    assert large.uuid == "MIG-GPU-00000000/2/0"
    assert large.compute_instance == 0
    assert large.gauges[Gauge.MEMORY_USED_BYTES] == 1000 << 20
    assert large.gauges[Gauge.SM_RATIO] == 0.4
    assert Gauge.POWER_WATTS not in large.gauges
    host.change(moment_us=int(time.time() * 1e6) + SECOND // 1000)
    again = (read(one).instances or ())[1]
    assert 0 < again.totals[Total.BUSY_NS] <= again.totals[Total.OBSERVED_NS]


@pytest.mark.req("GX-05")
def test_a_device_that_is_cut_anew_shows_it_at_the_next_slow_tick(
    host: HostEngine, opened: DcgmBackend
) -> None:
    one = device(opened)
    one.probe()
    assert read(one).instances == ()
    host.cut(1, 1, 2)
    one.sample("slow")
    assert [found.slices for found in read(one).instances or ()] == [1, 1, 2]
    assert one.identity.mig
    host.cut()
    one.sample("slow")
    assert read(one).instances == ()
    assert not one.identity.mig


def test_without_the_number_of_slices_there_are_no_instances(
    host: HostEngine, opened: DcgmBackend
) -> None:
    host.cut(3)
    host.set(69, {"status": -6})
    one = device(opened)
    one.probe()
    assert read(one).instances == ()


@pytest.mark.parametrize("code", [-6, -14, -20])
def test_a_host_engine_that_knows_nothing_of_instances_has_none(
    host: HostEngine, opened: DcgmBackend, code: int
) -> None:
    host.change(failing={"hierarchy": code})
    one = device(opened)
    one.probe()
    assert read(one).instances == ()


def test_a_call_without_permission_says_so(host: HostEngine, opened: DcgmBackend) -> None:
    one = device(opened)
    one.probe()
    host.change(failing={"values": -17})
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert caught.value.state == "no_permission"


def test_a_device_that_is_closed_has_no_watches_left(host: HostEngine, opened: DcgmBackend) -> None:
    assert host.state["up"]
    one = device(opened)
    one.probe()
    connection = vars(vars(opened.session())["_handle"])["handle"]
    assert connection.watched
    one.close()
    assert {field for *_, field in connection.watched} == {230}


def test_a_governed_call_leaves_the_sums_as_they_were(opened: DcgmBackend) -> None:
    class Resting(Meter):
        def due(self, name: str, declared: Tier, tier: Tier) -> bool:
            del name, declared, tier
            return False

    one = device(opened, meter=Resting())
    one.probe()
    assert one.sample("fast") == Reading()


def spaced(host: HostEngine, one: Device) -> Mapping[Total, int]:
    """Read twice, the host engine's moments a second apart."""
    now_us = int(time.time() * 1e6)
    for moment_us in (now_us, now_us, now_us + 1_000_000):
        host.change(moment_us=moment_us)
        totals = one.sample("fast").totals
    return totals
