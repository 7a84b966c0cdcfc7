import threading
import time
from pathlib import Path

import pytest

from inferometer.gpu.backend import BackendError, DeviceError, Options
from inferometer.gpu.dcgm.backend import RETRY_S, DcgmBackend, open_backend
from inferometer.gpu.dcgm.binding import Binding
from inferometer.gpu.quantities import Gauge
from support import fake_dcgm
from support.fake_dcgm import HostEngine
from support.vendor_devices import Clock, device, read, samples, until

OPTIONS = Options(dcgm_bindings=fake_dcgm.BINDINGS)


def test_devices_are_described(opened: DcgmBackend) -> None:
    first, second = opened.discover()
    assert (first.uuid, first.index, second.index) == ("GPU-00000000", 0, 1)
    assert first.model == "NVIDIA H100 80GB HBM3"
    assert first.vendor == "nvidia"
    assert first.architecture == "Hopper"
    assert first.pci_bus_id == "00000000:1B:00.0"
    assert (first.minor, first.serial) == (0, "1650000000001")
    assert first.driver_version == opened.driver_version == "580.65.06"
    assert first.vbios_version == "96.00.89.00.01"
    assert first.mig is False


@pytest.mark.req("GX-03")
def test_after_a_restart_of_the_host_engine_values_are_back_within_15_seconds(
    host: HostEngine,
) -> None:
    backend = open_backend(OPTIONS)
    one, two = device(backend), device(backend, index=1)
    one.probe()
    two.probe()
    host.change(up=False)
    for _ in range(3):
        with pytest.raises(DeviceError) as caught:
            one.sample("fast")
        assert caught.value.state == "stalled"
    started_s = time.monotonic()
    host.restart()
    until(lambda: samples(one) and samples(two))
    assert time.monotonic() - started_s < 15
    assert one.probe().keys() == two.probe().keys()
    backend.close()


@pytest.mark.req("GX-03")
def test_a_host_engine_that_stays_away_is_tried_again_and_again(
    host: HostEngine, opened: DcgmBackend
) -> None:
    one = device(opened)
    one.probe()
    host.change(up=False)
    for _ in range(5):
        assert not samples(one)
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert (caught.value.state, caught.value.code) == ("stalled", -21)
    host.restart()
    until(lambda: samples(one))


@pytest.mark.req("GX-03")
def test_a_host_engine_that_has_no_devices_yet_is_not_back(host: HostEngine) -> None:
    clock = Clock()
    backend = DcgmBackend(Binding(fake_dcgm.BINDINGS), "localhost:5555", monotonic_s=clock.now_s)
    one = device(backend)
    one.probe()
    gpus = host.state["gpus"]
    host.change(gpus=[])
    host.restart()
    for _ in range(3):
        clock.s += RETRY_S
        with pytest.raises(DeviceError) as caught:
            one.sample("fast")
        assert caught.value.state == "stalled"
    host.change(gpus=gpus)
    assert not samples(one), "attempts are a second apart"
    clock.s += RETRY_S
    assert samples(one)
    backend.close()


@pytest.mark.req("GX-03")
def test_devices_are_found_again_by_uuid_when_numbers_change(
    host: HostEngine, opened: DcgmBackend
) -> None:
    one = device(opened)
    one.probe()
    first, second = host.state["gpus"]
    first["id"], second["id"] = 1, 0
    first["fields"]["155"] = 300.0
    host.restart()
    until(lambda: samples(one))
    assert read(one).gauges[Gauge.POWER_WATTS] == 300


def test_a_device_that_the_host_engine_lists_again_is_found(
    host: HostEngine, opened: DcgmBackend
) -> None:
    one = device(opened)
    one.probe()
    gpus = host.state["gpus"]
    host.change(gpus=gpus[1:])
    host.restart()

    def lost() -> bool:
        try:
            one.sample("fast")
        except DeviceError as error:
            return error.state == "lost"
        return False

    until(lost)
    host.change(gpus=gpus)
    until(one.alive)
    assert samples(one)


@pytest.mark.req("GX-04")
def test_each_xid_is_an_event_once(host: HostEngine, opened: DcgmBackend) -> None:
    assert opened.wait_events(0) == []
    host.xid(79)
    host.xid(31, gpu=1)
    host.xid(31, gpu=1)
    host.xid(0)
    host.xid(0x7FFFFFF0)
    events = opened.wait_events(0) or ()
    assert [(event.uuid, event.kind, event.xid) for event in events] == [
        ("GPU-00000000", "xid", 79),
        ("GPU-00000001", "xid", 31),
        ("GPU-00000001", "xid", 31),
    ]
    assert opened.wait_events(0) == []


def test_xids_are_told_once_and_none_is_lost_over_a_new_connection(
    host: HostEngine, opened: DcgmBackend
) -> None:
    one = device(opened)
    one.probe()
    host.xid(48)
    assert [event.xid for event in opened.wait_events(0) or ()] == [48]
    host.restart()
    with pytest.raises(DeviceError):
        opened.wait_events(0)
    host.xid(63)
    until(lambda: samples(one))
    assert [event.xid for event in opened.wait_events(0) or ()] == [63]
    opened.lose(opened.session())
    assert opened.wait_events(0) == ()


def test_waiting_for_events_ends_when_the_backend_is_closed(host: HostEngine) -> None:
    backend = open_backend(OPTIONS)
    assert host.state["up"]
    waiting = threading.Thread(target=backend.wait_events, args=(60,))
    waiting.start()
    backend.close()
    waiting.join(5)
    assert not waiting.is_alive()
    with pytest.raises(BackendError):
        backend.discover()


def test_a_device_that_does_not_answer_hides_no_other(host: HostEngine) -> None:
    host.state["gpus"][0]["uuid"] = "<<<NULL>>>"
    host.write()
    backend = open_backend(OPTIONS)
    assert [one.uuid for one in backend.discover()] == ["GPU-00000001"]
    backend.close()


def test_without_a_host_engine_the_backend_is_absent(host: HostEngine) -> None:
    host.change(up=False)
    with pytest.raises(BackendError) as caught:
        open_backend(OPTIONS)
    assert (caught.value.reason, caught.value.code) == ("host_engine_unreachable", -21)


def test_without_bindings_the_backend_is_absent(tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        open_backend(Options(dcgm_bindings=tmp_path))
    assert caught.value.reason == "bindings_not_found"
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("localhost:5555", "localhost:5555"),
        ("unix:/run/dcgm.sock", "/run/dcgm.sock"),
        ("/run/dcgm.sock", "/run/dcgm.sock"),
    ],
)
def test_an_address_is_a_host_and_port_or_a_socket(
    host: HostEngine, address: str, seen: str
) -> None:
    assert host.state["up"]
    binding = Binding(fake_dcgm.BINDINGS)
    handle = binding.connect(address)
    assert vars(handle)["address"] == seen
    binding.disconnect(handle)


@pytest.mark.parametrize("call", ["hierarchy", "group", "watch", "values"])
@pytest.mark.parametrize("code", [0, -3, -11])
def test_any_other_fault_makes_a_new_connection(
    host: HostEngine, opened: DcgmBackend, call: str, code: int
) -> None:
    one = device(opened)
    before = opened.session()
    host.change(failing={call: code})
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert caught.value.state == "stalled"
    host.change(failing={})
    until(lambda: samples(one))
    assert opened.session() is not before


@pytest.mark.parametrize("call", ["devices", "fields", "group", "field"])
def test_a_connection_that_cannot_be_prepared_is_none(host: HostEngine, call: str) -> None:
    host.change(failing={call: 0})
    with pytest.raises(BackendError) as caught:
        open_backend(OPTIONS)
    assert caught.value.reason == "host_engine_unreachable"


@pytest.mark.req("GX-03")
def test_a_device_that_cannot_even_be_described_hides_no_other(
    host: HostEngine, opened: DcgmBackend
) -> None:
    host.change(failing={"values 0": -18})
    assert [one.uuid for one in opened.discover()] == ["GPU-00000001"]
    host.change(failing={"values 0": 0})
    with pytest.raises(BackendError):
        opened.discover()


def test_letting_go_never_fails(host: HostEngine, opened: DcgmBackend) -> None:
    one = device(opened)
    one.probe()
    host.change(failing={"unwatch": -3, "destroy": -3, "disconnect": -3})
    one.close()
    opened.close()
    host.change(failing={})


def test_a_driver_without_a_text_is_of_unknown_version(host: HostEngine) -> None:
    for gpu in (0, 1):
        host.set(1, "<<<NOT_SUPPORTED>>>", gpu=gpu)
        host.set(63, {"status": -6}, gpu=gpu)
        host.set(52, 0x7FFFFFF2, gpu=gpu)
    backend = open_backend(OPTIONS)
    assert backend.driver_version == ""
    assert backend.discover()[1].architecture == ""
    backend.close()


def test_functions_of_the_bus_are_counted_where_there_is_a_bus(opened: DcgmBackend) -> None:
    number = opened.pci_devices()
    assert number is None or number >= 0
