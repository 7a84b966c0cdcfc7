from collections.abc import Mapping
from pathlib import Path

import pytest

from inferometer.gpu.nvml import structs
from inferometer.gpu.nvml.gpm import IN_INSTANCES
from inferometer.gpu.nvml.mig import INSTANCES_MAX, profile
from inferometer.gpu.quantities import Gauge, Total
from inferometer.gpu.sample import Instance
from support.fake_nvml import Scenario
from support.nvml import Rig

GIB = 1 << 30


def sliced(*slices: tuple[int, int, str]) -> Scenario:
    """An H100 of those instances, each with metrics of its own."""
    scenario = Scenario.profile("h100").mig(0, *slices)
    for slot in range(len(slices)):
        for metric in IN_INSTANCES:
            scenario.gpm(metric.number, 10 * (slot + 1), mig=slot)
    return scenario


def instances(rig: Rig, ticks: int = 3) -> Mapping[int, Instance]:
    """What is told of instances after the topology was read and results are trusted."""
    rig.tick(tier="slow")
    found = rig.ticks(ticks).instances
    assert found is not None
    return {instance.gpu_instance: instance for instance in found}


def test_each_instance_has_who_it_is_and_what_it_does(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"), (9, 0, "1g.10gb"))) as rig:
        rig.device.probe()
        assert rig.device.identity.mig
        found = instances(rig, ticks=4)
        assert list(found) == [1, 9]
        big, small = found[1], found[9]
        assert (big.profile, big.slices, big.slices_max) == ("3g.40gb", 3, 7)
        assert (small.profile, small.slices, small.compute_instance) == ("1g.10gb", 1, 0)
        assert big.uuid.startswith("MIG-")
        assert big.gauges[Gauge.MEMORY_TOTAL_BYTES] == 40 * GIB
        assert small.gauges[Gauge.MEMORY_USED_BYTES] == 10 * GIB // 4
        for metric in IN_INSTANCES:
            assert big.gauges[metric.gauge] == pytest.approx(0.1)
            assert small.gauges[metric.gauge] == pytest.approx(0.2)


def test_an_instance_has_sums_of_its_own(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        before = instances(rig, ticks=4)[1].totals
        after = rig.ticks(5).instances
        assert after is not None
        busy_ns = after[0].totals[Total.BUSY_NS] - before[Total.BUSY_NS]
        assert busy_ns == pytest.approx(0.5e9)
        observed_ns = after[0].totals[Total.OBSERVED_NS] - before[Total.OBSERVED_NS]
        assert observed_ns == 5 * 10**9
        assert Total.PCIE_TRANSMIT_BYTES not in after[0].totals


def test_links_are_the_devices_not_an_instances(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        assert Gauge.PCIE_TRANSMIT_BYTES_PER_SECOND not in instances(rig, ticks=4)[1].gauges


def test_without_profiling_an_instance_still_has_memory(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "a100_mig") as rig:
        rig.device.probe()
        found = instances(rig)
        assert list(found) == [1, 5, 13, 14]
        assert found[5].profile == "2g.10gb"
        assert set(found[5].gauges) == {
            Gauge.MEMORY_USED_BYTES,
            Gauge.MEMORY_FREE_BYTES,
            Gauge.MEMORY_RESERVED_BYTES,
            Gauge.MEMORY_TOTAL_BYTES,
        }
        assert not found[5].totals


def test_what_has_no_meaning_in_mig_mode_says_so_and_is_not_asked(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100_mig") as rig:
        unsupported = rig.device.probe()
        names = (
            "utilization_percent",
            "memory_copy_percent",
            "encoder_percent",
            "decoder_percent",
            "process_busy_ns",
        )
        assert {unsupported[name] for name in names} == {"mig_mode"}
        assert not rig.calls(rig.tick)["nvmlDeviceGetUtilizationRates"]


def test_a_device_that_cannot_be_profiled_as_a_whole_says_why(tmp_path: Path) -> None:
    scenario = sliced((1, 0, "3g.40gb")).fail("nvmlGpmSampleGet", 3)
    with Rig.open(tmp_path, scenario) as rig:
        unsupported = rig.device.probe()
        assert unsupported["sm_ratio"] == unsupported["busy_ns"] == "mig_mode"
        assert rig.device.identity.busy_source == ""
        found = instances(rig, ticks=4)
        assert found[1].gauges[Gauge.SM_RATIO] == pytest.approx(0.1)


@pytest.mark.req("GX-05")
def test_a_new_slicing_shows_at_the_next_slow_tick(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"), (2, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        before = instances(rig)
        rig.change(lambda s: s.mig(0, (2, 0, "3g.40gb"), (9, 0, "1g.10gb"), (11, 0, "1g.10gb")))
        after = instances(rig)
        assert list(after) == [2, 9, 11]
        assert after[2].uuid == before[2].uuid
        assert not rig.fake.counts().violations["gpm_freed"]


@pytest.mark.req("GX-05")
def test_buffers_of_destroyed_instances_are_let_go(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"), (2, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        instances(rig)
        assert rig.fake.counts().live["gpm_samples"] == 2 + 4
        rig.change(lambda s: s.mig(0))
        assert rig.tick(tier="slow").instances == ()
        assert rig.fake.counts().live["gpm_samples"] == 2
        assert not rig.device.identity.mig
        assert rig.ticks(1).instances is None


@pytest.mark.req("GX-05")
def test_mig_mode_that_is_switched_on_shows_at_the_next_slow_tick(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        assert rig.tick(tier="slow").instances == ()
        rig.change(lambda s: s.mig(0, (1, 0, "7g.80gb")))
        found = rig.tick(tier="slow").instances
        assert found is not None
        assert [instance.profile for instance in found] == ["7g.80gb"]
        assert rig.device.identity.mig


@pytest.mark.req("GX-05")
def test_an_instance_that_fails_is_left_alone_until_the_next_slow_tick(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"), (2, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        instances(rig)
        rig.change(lambda s: s.fail("*", 2, mig=0))
        found = rig.ticks(1).instances
        assert found is not None
        assert not found[0].gauges
        assert found[1].gauges
        asked = rig.calls(lambda: rig.ticks(10))
        assert asked["nvmlDeviceGetMemoryInfo_v2"] == 10 * 2  # the device and the other instance


@pytest.mark.req("GX-05")
def test_a_handle_that_is_anothers_by_now_tells_nothing(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        instances(rig)
        rig.change(lambda s: s.memory(used=GIB, total=20 * GIB, mig=0))
        found = rig.ticks(1).instances
        assert found is not None
        assert not found[0].gauges


def test_sums_of_an_instance_go_on_after_it_failed(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        before = instances(rig, ticks=5)[1].totals[Total.BUSY_NS]
        symbol = "nvmlDeviceGetMemoryInfo_v2"
        rig.change(lambda s: s.fail(symbol, 999, mig=0))
        rig.ticks(1)
        rig.change(lambda s: s.fail(symbol, 0, mig=0))
        assert instances(rig, ticks=5)[1].totals[Total.BUSY_NS] > before


def test_two_compute_instances_of_one_gpu_instance_count_once(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"), (1, 1, "3g.40gb"))) as rig:
        rig.device.probe()
        rig.tick(tier="slow")
        found = rig.ticks(4).instances
        assert found is not None
        assert [bool(instance.totals) for instance in found] == [True, False]
        assert all(Gauge.MEMORY_USED_BYTES in instance.gauges for instance in found)


def test_an_instance_that_does_not_tell_who_it_is_does_not_count(tmp_path: Path) -> None:
    scenario = sliced((1, 0, "3g.40gb"), (2, 0, "3g.40gb"))
    scenario.fail("nvmlDeviceGetUUID", 999, mig=0)
    with Rig.open(tmp_path, scenario) as rig:
        rig.device.probe()
        assert list(instances(rig)) == [2]


def test_a_driver_without_mig_calls_has_no_instances(tmp_path: Path) -> None:
    for dropped in ("nvmlDeviceGetMigMode", "nvmlDeviceGetMigDeviceHandleByIndex"):
        with Rig.open(tmp_path, sliced((1, 0, "3g.40gb")).set("lib.drop", dropped)) as rig:
            rig.device.probe()
            assert rig.tick(tier="slow").instances == ()


def test_a_device_without_mig_mode_is_asked_once(tmp_path: Path) -> None:
    with Rig.open(tmp_path, Scenario.profile("h100").fail("nvmlDeviceGetMigMode", 3)) as rig:
        rig.device.probe()
        assert not rig.calls(lambda: rig.tick(tier="slow"))["nvmlDeviceGetMigMode"]


def test_instances_are_found_without_root(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100_mig") as rig:
        rig.device.probe()
        instances(rig)
        assert not rig.fake.counts().violations["forbidden"]


def test_instances_cost_three_calls_each_a_tick(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"), (2, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        rig.tick(tier="slow")
        rig.ticks(3)
        with_both = sum(rig.calls(rig.tick).values())
        rig.change(lambda s: s.mig(0, (2, 0, "3g.40gb")))
        rig.tick(tier="slow")
        rig.ticks(3)
        assert with_both - sum(rig.calls(rig.tick).values()) == 3


def test_without_room_for_samples_an_instance_has_memory_alone(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"))) as rig:
        rig.change(lambda s: s.fail("nvmlGpmSampleAlloc", 20, device=None))
        rig.device.probe()
        found = instances(rig)[1]
        assert Gauge.MEMORY_USED_BYTES in found.gauges
        assert not found.totals


def test_without_any_way_to_ask_for_memory_an_instance_is_there(tmp_path: Path) -> None:
    scenario = sliced((1, 0, "3g.40gb"))
    scenario.set("lib.drop", "nvmlDeviceGetMemoryInfo nvmlDeviceGetMemoryInfo_v2")
    with Rig.open(tmp_path, scenario) as rig:
        assert rig.device.probe()["memory_used_bytes"] == "function_not_found"
        assert instances(rig)[1].profile == "3g.40gb"


def test_memory_of_an_instance_has_an_older_form_too(tmp_path: Path) -> None:
    scenario = sliced((1, 0, "3g.40gb")).set("lib.drop", "nvmlDeviceGetMemoryInfo_v2")
    with Rig.open(tmp_path, scenario) as rig:
        rig.device.probe()
        assert instances(rig)[1].gauges[Gauge.MEMORY_TOTAL_BYTES] == 40 * GIB


def test_sums_of_destroyed_instances_are_kept_within_a_bound(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.device.probe()
        for number in range(INSTANCES_MAX + 3):
            rig.change(lambda s, number=number: s.mig(0, (number, 0, "1g.10gb")))  # type: ignore[misc]  # now
            found = rig.tick(tier="slow").instances
            assert found is not None
            assert [instance.gpu_instance for instance in found] == [number]


def test_a_profile_is_what_the_name_says() -> None:
    attributes = structs.Attributes(gpu_instance_slices=3)
    assert profile("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", attributes) == "1g.10gb+me"


@pytest.mark.parametrize(
    ("compute", "slices", "name"), [(3, 3, "3g.40gb"), (1, 3, "1c.3g.40gb"), (0, 1, "1g.40gb")]
)
def test_without_a_name_a_profile_is_made_of_its_size(compute: int, slices: int, name: str) -> None:
    attributes = structs.Attributes(
        compute_instance_slices=compute, gpu_instance_slices=slices, memory_mib=40448
    )
    assert profile("", attributes) == name


@pytest.mark.req("GX-04")
def test_the_sums_of_an_instance_are_absent_while_its_activity_is_unknown(tmp_path: Path) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        rig.tick(tier="slow")
        rig.ticks(3)
        before = instances(rig)[1].totals
        assert before[Total.OBSERVED_NS] > 0
        rig.change(lambda s: s.fail("nvmlGpmMigSampleGet", 999))
        assert not instances(rig)[1].totals
        assert Gauge.MEMORY_USED_BYTES in instances(rig)[1].gauges
        rig.change(lambda s: s.fail("nvmlGpmMigSampleGet", 0))
        after = instances(rig)[1].totals
        assert after[Total.OBSERVED_NS] - before[Total.OBSERVED_NS] >= 2 * 10**9


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("name", ["GpmMigSampleGet", "DeviceGetMemoryInfo_v2"])
def test_what_is_not_asked_for_any_more_is_forgotten(tmp_path: Path, name: str) -> None:
    with Rig.open(tmp_path, sliced((1, 0, "3g.40gb"))) as rig:
        rig.device.probe()
        rig.tick(tier="slow")
        rig.ticks(3)
        known = instances(rig)[1].gauges
        gone = Gauge.SM_RATIO if name.startswith("Gpm") else Gauge.MEMORY_USED_BYTES
        assert gone in known
        call = rig.meter._call(name)
        call.pace, call.until = "off", 1
        for _ in range(2):  # it may have been looked at since the last slow tick
            rig.tick()
            found = rig.tick(tier="slow").instances
        assert found is not None
        assert gone not in found[0].gauges
        assert len(found[0].gauges) > 0
