from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.gpu.backend import BackendError, DeviceError, Options
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.nvml import library
from inferometer.gpu.nvml.backend import NvmlBackend
from inferometer.gpu.sample import Event
from support.fake_nvml import FakeNvml, Scenario
from support.nvml import Rig


def opened(pci_devices: Path | None = None) -> NvmlBackend:
    if pci_devices is None:
        return NvmlBackend(library.load(), Options())
    return NvmlBackend(library.load(), Options(), pci_devices=pci_devices)


def test_a_device_tells_who_it_is(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        identity = rig.device.identity
        assert identity.uuid == "GPU-0852d2be-6d68-5305-abb3-6a8f1d8099b1"
        assert identity.model == "NVIDIA H100 80GB HBM3"
        assert (identity.index, identity.minor, identity.vendor) == (0, 0, "nvidia")
        assert identity.pci_bus_id == "00000000:10:00.0"
        assert identity.architecture == "Hopper"
        assert identity.driver_version == rig.backend.driver_version == "580.95.05"
        assert identity.vbios_version == "96.00.89.00.01"
        assert identity.serial == "1650421000001"
        assert (rig.backend.name, identity.mig) == ("nvml", False)


def test_identity_costs_seven_calls_a_device_and_two_once_it_is_known(tmp_path: Path) -> None:
    with FakeNvml.loaded(tmp_path, "h100x8") as fake:
        backend = opened()
        before = sum(fake.counts().calls.values())
        first = backend.discover()
        between = sum(fake.counts().calls.values())
        assert between - before == 1 + 8 * (1 + 7)
        assert backend.discover() == first
        assert sum(fake.counts().calls.values()) - between == 1 + 8 * (1 + 2)
        backend.close()


def test_calls_of_a_discovery_are_metered_one_by_one(tmp_path: Path) -> None:
    with FakeNvml.loaded(tmp_path, "h100"):
        backend = opened()
        meter = Meter()
        backend.discover(meter)
        assert meter.stats()["DeviceGetUUID"].results == {"ok": 1}
        assert {"DeviceGetCount_v2", "DeviceGetHandleByIndex_v2"} <= meter.stats().keys()
        backend.close()


@pytest.mark.req("GX-03")
@pytest.mark.parametrize("code", [10, 4, 999])
@pytest.mark.parametrize(
    "failing",
    [
        ("nvmlDeviceGetUUID",),
        ("nvmlDeviceGetUUID", "nvmlDeviceGetPciInfo_v3"),
        ("nvmlDeviceGetHandleByIndex_v2",),
    ],
)
def test_a_known_device_stays_listed_when_a_call_about_it_fails(
    tmp_path: Path, failing: tuple[str, ...], code: int
) -> None:
    with FakeNvml.loaded(tmp_path, Scenario.node("h100", "h100", "h100")) as fake:
        backend = opened()
        before = backend.discover()
        for symbol in failing:
            fake.scenario.fail(symbol, code, device=1)
        fake.publish()
        assert backend.discover() == before
        assert backend.open_device(before[1], Meter()).identity == before[1]
        for symbol in failing:
            fake.scenario.fail(symbol, 15, device=1)
        fake.publish()
        assert backend.discover() == [before[0], before[2]]
        assert backend.devices_listed == 3
        backend.close()


def test_a_device_that_is_not_where_a_known_one_was_is_not_taken_for_it(tmp_path: Path) -> None:
    with FakeNvml.loaded(tmp_path, Scenario.node("h100", "h100")) as fake:
        backend = opened()
        before = backend.discover()
        fake.scenario.fail("nvmlDeviceGetUUID", 10, device=1)
        fake.scenario.value("nvmlDeviceGetPciInfo_v3", "00000000:99:00.0", device=1)
        fake.publish()
        assert backend.discover() == before[:1]
        backend.close()


def test_the_code_of_the_call_that_failed_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scenario = Scenario.node("h100", "h100").fail("nvmlDeviceGetUUID", 21, device=1)
    with FakeNvml.loaded(tmp_path, scenario):
        backend = opened()
        assert len(backend.discover()) == 1
        assert backend.devices_listed == 2
        backend.close()
    codes = [vars(r)["code"] for r in caplog.records if r.message.startswith("a device cannot")]
    assert codes in ([21], [])  # it is said once a process


def test_what_a_device_does_not_tell_of_itself_is_empty(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100")
    for symbol in ("Serial", "VbiosVersion", "MinorNumber", "Architecture", "PciInfo_v3", "Name"):
        scenario.fail(f"nvmlDeviceGet{symbol}", 3)
    with Rig.open(tmp_path, scenario) as rig:
        identity = rig.device.identity
        assert identity == replace(
            identity, serial="", vbios_version="", minor=None, architecture="", pci_bus_id="",
            model="",
        )  # fmt: skip


@pytest.mark.req("GX-05")
@pytest.mark.parametrize("code", [2, 4, 15, 999])
def test_a_device_that_fails_never_hides_the_others(tmp_path: Path, code: int) -> None:
    scenario = Scenario.node("h100", "h100", "h100").fail("*", code, device=1)
    with FakeNvml.loaded(tmp_path, scenario):
        backend = opened()
        assert [identity.index for identity in backend.discover()] == [0, 2]
        backend.close()


@pytest.mark.parametrize("code", [1, 9, 18, 999])
def test_if_no_device_can_be_opened_the_driver_is_gone(tmp_path: Path, code: int) -> None:
    with FakeNvml.loaded(tmp_path, Scenario.node("h100", "h100").fail("*", code, device="*")):
        backend = opened()
        with pytest.raises(BackendError) as caught:
            backend.discover()
        assert caught.value.code == code
        backend.close()


def test_devices_that_cannot_be_listed_are_an_error(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").fail("nvmlDeviceGetCount_v2", 999, device=None)
    with FakeNvml.loaded(tmp_path, scenario):
        backend = opened()
        with pytest.raises(BackendError, match="devices cannot be listed"):
            backend.discover()
        backend.close()


def test_a_driver_that_has_no_way_to_list_devices_is_an_error(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").set("lib.drop", "nvmlDeviceGetHandleByIndex_v2")
    with FakeNvml.loaded(tmp_path, scenario):
        backend = opened()
        with pytest.raises(BackendError) as caught:
            backend.discover()
        assert caught.value.reason == "function_not_found"
        backend.close()


def test_a_driver_may_not_tell_its_version(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").fail("nvmlSystemGetDriverVersion", 999, device=None)
    with FakeNvml.loaded(tmp_path, scenario):
        backend = opened()
        assert backend.driver_version == ""
        backend.close()


def test_a_device_that_is_not_listed_is_lost(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        stranger = replace(rig.device.identity, uuid="GPU-0")
        with pytest.raises(DeviceError) as caught:
            rig.backend.open_device(stranger, Meter())
        assert caught.value.state == "lost"


@pytest.mark.req("GX-05")
def test_devices_are_told_apart_by_uuid_when_they_are_numbered_anew(tmp_path: Path) -> None:
    with FakeNvml.loaded(tmp_path, Scenario.node("h100", "t4")) as fake:
        before = opened()
        models = {identity.uuid: identity.model for identity in before.discover()}
        before.close()
        fake.scenario.order(1, 0)
        fake.publish()
        after = opened()
        found = after.discover()
        assert [identity.model for identity in found] == ["Tesla T4", "NVIDIA H100 80GB HBM3"]
        for identity in found:
            assert models[identity.uuid] == identity.model
            device = after.open_device(identity, Meter())
            device.probe()
            assert device.identity.model == identity.model
            device.close()
        after.close()


def function(folder: Path, vendor: str, kind: str) -> None:
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")


def test_gpus_on_the_bus_are_counted_without_the_driver(tmp_path: Path) -> None:
    devices = tmp_path / "devices"
    function(devices / "0000:10:00.0", "0x10de", "0x030200")
    function(devices / "0000:11:00.0", "0x10de", "0x030000")
    function(devices / "0000:11:00.1", "0x10de", "0x040300")  # its audio
    function(devices / "0000:00:02.0", "0x8086", "0x030000")
    with FakeNvml.loaded(tmp_path, "h100"):
        backend = opened(devices)
        assert backend.pci_devices() == 2
        backend.close()
        backend = opened(tmp_path / "none")
        assert backend.pci_devices() is None
        backend.close()


def test_events_of_a_backend_name_the_device(tmp_path: Path) -> None:
    with Rig.open(tmp_path, Scenario.node("h100", "h100")) as rig:
        second = rig.backend.discover()[1]
        assert rig.backend.wait_events(0.01) == []
        rig.fake.event(1, 31)
        assert rig.backend.wait_events(1) == [Event(second.uuid, "xid", 31)]
