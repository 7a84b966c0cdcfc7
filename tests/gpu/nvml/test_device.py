import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from inferometer.gpu.backend import DeviceError, Options
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.nvml import library
from inferometer.gpu.nvml.backend import NvmlBackend
from inferometer.gpu.nvml.device import NvmlDevice
from inferometer.gpu.quantities import Counter, Gauge, Tier, Total
from support.fake_nvml import FakeNvml, Scenario
from support.nvml import Rig

PROFILES = ("t4", "v100", "a10", "a100", "l40s", "geforce", "h100", "h200", "b200")
BUDGETS: dict[Tier, int] = {"fast": 12, "process": 3, "slow": 25}
NO_GPM = ("t4", "v100", "a10", "a100", "l40s", "geforce")
DEAREST = {
    "as it is": Scenario.profile,
    "power by its call": lambda name: Scenario.profile(name).fail("field", 3, args=(185, 0)),
    "health by calls": lambda name: _without_fields(name, 3, 4, 5, 6, 142, 143, 144, 145, 190, 192),
}


def _without_fields(name: str, *numbers: int) -> Scenario:
    scenario = Scenario.profile(name)
    for number in numbers:
        for args in ((number,), (number, 0)):
            scenario.fail("field", 3, args=args)
    for kind in (0, 1):
        for span in (0, 1):
            scenario.value("nvmlDeviceGetTotalEccErrors", 0, args=(kind, span))
    return scenario


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("make", DEAREST.values(), ids=DEAREST)
def test_a_tier_stays_within_its_calls(
    tmp_path: Path, profile: str, make: Callable[[str], Scenario]
) -> None:
    with Rig.open(tmp_path, make(profile)) as rig:
        rig.probed()
        for tier, most in BUDGETS.items():
            calls = rig.calls(lambda tier=tier: rig.tick(tier=tier))  # type: ignore[misc]  # now
            assert 0 < sum(calls.values()) <= most, calls


@pytest.mark.parametrize("profile", NO_GPM)
def test_a_device_without_an_energy_counter_stays_within_its_calls_too(
    tmp_path: Path, profile: str
) -> None:
    with Rig.open(tmp_path, _without_fields(profile, 83, 185)) as rig:
        rig.probed()
        calls = rig.calls(rig.tick)
        assert calls["nvmlDeviceGetSamples"] == 2
        assert sum(calls.values()) == BUDGETS["fast"]


def test_an_h100_takes_eleven_calls_a_second(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        calls = rig.calls(rig.tick)
        assert calls.pop("nvmlDeviceGetClockInfo") == 2
        assert set(calls) == {
            "nvmlDeviceGetFieldValues",
            "nvmlDeviceGetMemoryInfo_v2",
            "nvmlDeviceGetUtilizationRates",
            "nvmlDeviceGetTemperatureV",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetEncoderUtilization",
            "nvmlDeviceGetDecoderUtilization",
            "nvmlGpmSampleGet",
            "nvmlGpmMetricsGet",
        }
        assert set(calls.values()) == {1}


@pytest.mark.parametrize("profile", [*PROFILES, "a100_mig", "h100_mig"])
def test_calls_that_block_or_need_root_are_never_made(tmp_path: Path, profile: str) -> None:
    with Rig.open(tmp_path, profile) as rig:
        rig.probed()
        for tier in BUDGETS:
            rig.tick(tier=tier)
        counts = rig.fake.counts()
        assert not counts.violations
        assert not counts.total("nvmlDeviceGetPcieThroughput")
        assert not counts.total("nvmlDeviceGetGpuInstances")


def test_a_call_that_has_become_slow_is_made_in_the_slow_tier(tmp_path: Path) -> None:
    names = {"DeviceGetMemoryInfo_v2", "DeviceGetProcessUtilization"}

    class Demoting:
        """The governor's verdict on one call."""

        def due(self, name: str, declared: Tier, tier: Tier) -> bool:
            return tier == ("slow" if name in names else declared)

        def run(self, name: str, call: Callable[[], int], *, result: object = None) -> int:
            assert name
            assert callable(result)
            return call()

    with Rig.open(tmp_path, "h100") as rig:
        device = rig.backend.open_device(rig.device.identity, Demoting())  # type: ignore[arg-type]  # calls of ints only
        device.probe()
        assert Gauge.MEMORY_USED_BYTES not in device.sample("fast").gauges
        assert Gauge.MEMORY_USED_BYTES in device.sample("slow").gauges
        assert device.sample("process").processes
        device.close()


def test_processes_that_nobody_wants_are_not_asked_for(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100", Options()) as rig:
        rig.device.probe()
        before = rig.fake.counts().total("nvmlDeviceGetComputeRunningProcesses_v3")
        for tier in BUDGETS:
            assert rig.device.sample(tier).processes is None
        after = rig.fake.counts().total("nvmlDeviceGetComputeRunningProcesses_v3")
        assert after == before


@pytest.mark.parametrize("tier", BUDGETS)
@pytest.mark.parametrize(("code", "state"), [(15, "lost"), (16, "reset_required")])
def test_a_device_that_is_gone_is_said_to_be_and_asked_nothing_more(
    tmp_path: Path, tier: Tier, code: int, state: str
) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda s: s.fail("*", code))
        with pytest.raises(DeviceError) as caught:
            rig.tick(tier=tier)
        assert (caught.value.state, caught.value.code) == (state, code)
        assert not caught.value.backend_lost
        assert rig.meter.stats()["DeviceGetUUID"].results  # it was asked before


def test_the_first_call_that_finds_it_gone_is_the_last(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda s: s.lost(0))

        def find_out() -> None:
            with pytest.raises(DeviceError):
                rig.tick()

        assert sum(rig.calls(find_out).values()) == 1


@pytest.mark.parametrize("code", [1, 9, 18, 999])
@pytest.mark.parametrize("profile", ["h100", "t4"])
def test_a_driver_that_is_gone_fails_every_call(tmp_path: Path, code: int, profile: str) -> None:
    with Rig.open(tmp_path, profile) as rig:
        rig.probed()
        rig.change(lambda s: s.driver_reset(code))
        with pytest.raises(DeviceError) as caught:
            rig.tick()
        assert caught.value.backend_lost
        assert caught.value.code == code


@pytest.mark.parametrize("code", [4, 17])
def test_a_device_that_refuses_every_call_lacks_permission(tmp_path: Path, code: int) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("*", code))
        with pytest.raises(DeviceError) as caught:
            rig.device.probe()
        assert caught.value.state == "no_permission"
        rig.change(lambda s: s.fail("*", 0))
        rig.probed()
        assert rig.tick().gauges[Gauge.SM_CLOCK_MHZ] == 1755


def test_lists_of_processes_that_are_refused_are_not_the_whole_device(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        for symbol in ("Compute", "MPSCompute"):
            rig.fake.scenario.fail(f"nvmlDeviceGet{symbol}RunningProcesses_v3", 4)
        rig.change(lambda s: s.fail("nvmlDeviceGetProcessUtilization", 4))
        assert rig.tick(tier="process").processes is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, "not_supported"),
        (4, "no_permission"),
        (25, "version_mismatch"),
        (26, "deprecated"),
        (6, "no_data"),
        (999, "no_data"),
    ],
)
@pytest.mark.req("GX-04")
def test_a_quantity_that_cannot_be_had_says_why(tmp_path: Path, code: int, reason: str) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("nvmlDeviceGetPerformanceState", code))
        rig.change(lambda s: s.fail("field", code, args=(82,)))
        unsupported = rig.probed()
        assert unsupported["performance_state"] == reason
        assert unsupported["memory_temperature_celsius"] == reason


def test_a_function_that_the_driver_lacks_is_not_called(tmp_path: Path) -> None:
    with Rig.open(tmp_path, Scenario.profile("t4", "r470")) as rig:
        unsupported = rig.probed()
        assert unsupported["temperature_margin_celsius"] == "function_not_found"
        assert unsupported["fabric_state"] == "function_not_found"
        assert unsupported["sm_ratio"] == "function_not_found"
        for tier in BUDGETS:
            rig.tick(tier=tier)


@pytest.mark.parametrize("driver", ["r470", "r535_86", "r535_98", "r580"])
@pytest.mark.parametrize("profile", ["t4", "a100"])
def test_every_driver_tells_the_load_of_a_device(tmp_path: Path, profile: str, driver: str) -> None:
    with Rig.open(tmp_path, Scenario.profile(profile, driver)) as rig:
        rig.probed()
        reading = rig.ticks(3)
        assert reading.gauges[Gauge.UTILIZATION_PERCENT] == 63
        assert reading.totals[Total.BUSY_NS] > 0
        assert rig.tick(tier="slow").gauges[Gauge.POWER_LIMIT_WATTS] > 0


def test_a_lost_device_is_looked_for_by_its_place_on_the_bus_alone(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda s: s.lost(0))
        assert rig.calls(rig.device.alive) == {"nvmlDeviceGetHandleByPciBusId_v2": 1}
        assert not rig.device.alive()
        rig.change(lambda s: s.fail("*", 0))
        assert rig.device.alive()
        rig.probed()
        assert rig.tick().gauges[Gauge.SM_RATIO] == pytest.approx(0.5725)


def test_without_that_function_the_next_tick_shows_whether_it_is_back(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").set("lib.drop", "nvmlDeviceGetHandleByPciBusId_v2")
    with Rig.open(tmp_path, scenario) as rig:
        assert rig.device.alive()


@pytest.mark.req("GX-05")
def test_another_device_in_its_place_is_not_taken_for_it(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.change(lambda s: s.value("nvmlDeviceGetUUID", "GPU-another"))
        assert rig.device.alive()
        with pytest.raises(DeviceError) as caught:
            rig.device.probe()
        assert caught.value.state == "lost"


@pytest.mark.req("GX-04")
def test_counters_are_as_the_driver_says_them(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick().counters[Counter.ENERGY_MILLIJOULES]
        assert rig.tick().counters[Counter.ENERGY_MILLIJOULES] - before == 512_000
        rig.change(lambda s: s.field(83, 5))  # a reset is the server's to judge
        assert rig.tick().counters[Counter.ENERGY_MILLIJOULES] == 5


@pytest.mark.req("GX-04")
def test_sums_of_our_own_never_fall(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = dict(rig.tick().totals)
        for step in range(12):
            rig.fake.scenario.busy(step * 9)
            if step == 6:
                rig.probed()
            after = dict(rig.tick().totals)
            assert all(after[total] >= value for total, value in before.items())
            before = after


def test_permission_that_comes_later_is_found_by_a_new_probing(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("nvmlGpmSampleGet", 4))
        assert rig.probed()["sm_ratio"] == "no_permission"
        rig.change(lambda s: s.fail("nvmlGpmSampleGet", 0))
        assert "sm_ratio" not in rig.probed()
        assert rig.device.identity.busy_source == "gpm"
        assert rig.tick().gauges[Gauge.SM_RATIO] == pytest.approx(0.5725)


@pytest.mark.parametrize(
    ("code", "reason"), [(4, "no_permission"), (13, "function_not_found"), (3, "not_supported")]
)
def test_events_that_a_device_has_not_are_named(tmp_path: Path, code: int, reason: str) -> None:
    scenario = Scenario.profile("h100")
    if code == 13:
        scenario.set("lib.drop", "nvmlDeviceGetSupportedEventTypes")
    else:
        scenario.fail("nvmlDeviceGetSupportedEventTypes", code)
    with Rig.open(tmp_path, scenario) as rig:
        unsupported = rig.device.probe()
        assert unsupported["xid"] == unsupported["event_recovery_action"] == reason
        assert "recovery_action" not in unsupported  # the quantity is another thing


@pytest.mark.req("GX-01")
def test_devices_share_no_buffer_and_a_hang_holds_one_thread(tmp_path: Path) -> None:
    scenario = Scenario.node("h100", "h100", "h100").hang("nvmlDeviceGetClockInfo", device=1)
    with FakeNvml.loaded(tmp_path, scenario) as fake:
        backend = NvmlBackend(library.load(), Options())
        devices = [backend.open_device(each, Meter()) for each in backend.discover()]
        done = [threading.Event() for _ in devices]

        def read(device: NvmlDevice, ready: threading.Event) -> None:
            device.probe()
            for _ in range(3):
                device.sample("fast")
            device.close()
            ready.set()

        for device, ready in zip(devices, done, strict=True):
            threading.Thread(target=read, args=[device, ready], daemon=True).start()
        assert done[0].wait(20)
        assert done[2].wait(20)
        assert not done[1].is_set()
        scenario.release("nvmlDeviceGetClockInfo", device=1)
        fake.publish()
        assert done[1].wait(20)
        counts = fake.counts()
        assert not counts.violations["gpm_threads"]
        assert not counts.live["gpm_samples"]
        backend.close()
