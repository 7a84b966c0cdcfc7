import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inferometer.gpu.backend import BackendError, DeviceError
from inferometer.gpu.nvml import library
from inferometer.gpu.nvml.events import EVENTS_MAX, KINDS, RETRY_NS, Events
from inferometer.gpu.nvml.library import CFunction, Library
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import EVENTS
from inferometer.gpu.sample import Event
from support.fake_nvml import FakeNvml, Scenario


class Waiting:
    """Events of all devices of a fake driver, with a clock that only tests move."""

    def __init__(self, fake: FakeNvml) -> None:
        self.fake = fake
        self.now_ns = 0
        self.loaded = library.load()
        self.events = Events(self.loaded, lambda: self.now_ns)
        self.handles: dict[str, Handle] = {}
        by_index = self.loaded.function("nvmlDeviceGetHandleByIndex_v2")
        assert by_index is not None
        for index in range(2):
            handle = Handle()
            if by_index(index, ctypes.byref(handle)) == 0:
                self.handles[f"GPU-{index}"] = handle

    def wait(self, timeout_s: float = 0.0) -> list[Event] | None:
        found = self.events.wait(self.handles, timeout_s)
        return None if found is None else list(found)

    def change(self, edit: Callable[[Scenario], object]) -> None:
        edit(self.fake.scenario)
        self.fake.publish()


@contextmanager
def waiting(folder: Path, scenario: Scenario) -> Iterator[Waiting]:
    with FakeNvml.loaded(folder, scenario) as fake:
        made = Waiting(fake)
        try:
            yield made
        finally:
            made.events.close()
            made.loaded.close()
            assert not fake.counts().live["event_sets"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Waiting]:
    with waiting(tmp_path, Scenario.node("h100", "h100")) as made:
        yield made


def test_every_kind_has_a_name_that_is_counted() -> None:
    assert set(KINDS.values()) - {"xid"} <= set(EVENTS)


def test_nothing_from_before_the_registration_is_seen(pair: Waiting) -> None:
    pair.fake.event(0, 79)
    assert pair.wait() == []


def test_an_xid_is_an_event_of_its_device(pair: Waiting) -> None:
    pair.wait()
    pair.fake.event(1, 48)
    assert pair.wait(1) == [Event("GPU-1", "xid", 48)]


@pytest.mark.req("GX-04")
def test_two_equal_xids_are_two_events(pair: Waiting) -> None:
    pair.wait()
    pair.fake.event(0, 13)
    pair.fake.event(0, 13)
    found = [*(pair.wait(1) or ()), *(pair.wait(0.2) or ())]
    assert found == [Event("GPU-0", "xid", 13)] * 2


def test_an_event_of_an_instance_carries_its_id(pair: Waiting) -> None:
    pair.wait()
    pair.fake.event(0, 43, gi=5, ci=0)
    assert pair.wait(1) == [Event("GPU-0", "xid", 43, 5)]


@pytest.mark.parametrize(("bit", "name"), [(k, n) for k, n in KINDS.items() if n != "xid"])
def test_other_events_have_their_names(tmp_path: Path, bit: int, name: str) -> None:
    scenario = Scenario.profile("h100").value("nvmlDeviceGetSupportedEventTypes", hex(0xFFFF))
    with waiting(tmp_path, scenario) as made:
        made.wait()
        made.fake.event(0, 7, kind=bit)
        assert made.wait(1) == [Event("GPU-0", name)]


def test_only_supported_kinds_are_registered(tmp_path: Path) -> None:
    scenario = Scenario.profile("geforce")  # supports XIDs, of all that we know
    with waiting(tmp_path, scenario) as made:
        made.wait()
        made.fake.event(0, 1, kind=0x2)
        made.fake.event(0, 31)
        assert made.wait(1) == [Event("GPU-0", "xid", 31)]


def test_a_wait_without_events_lasts_as_long_as_asked(pair: Waiting) -> None:
    pair.wait()
    began_s = time.monotonic()
    assert pair.wait(0.2) == []
    assert 0.15 <= time.monotonic() - began_s < 5


def test_a_storm_of_events_is_taken_in_parts(pair: Waiting) -> None:
    pair.wait()
    for _ in range(EVENTS_MAX + 6):
        pair.fake.event(0, 45)
    found = 0
    sizes = []
    while found < EVENTS_MAX + 6:
        part = pair.wait(1)
        assert part
        sizes.append(len(part))
        found += len(part)
    assert max(sizes) <= EVENTS_MAX
    assert found == EVENTS_MAX + 6


def test_events_of_no_known_kind_cannot_keep_a_wait() -> None:
    waits: list[int] = []

    def wait(_: object, data: object, timeout_ms: ctypes.c_uint32) -> int:
        waits.append(timeout_ms.value)
        data._obj.kind = 0x4  # type: ignore[attr-defined]  # what ctypes calls it
        return 0

    def supported(_: object, kinds: object) -> int:
        kinds._obj.value = 0xFFFF  # type: ignore[attr-defined]  # as above
        return 0

    functions: dict[str, CFunction] = {
        "nvmlEventSetWait_v2": wait,
        "nvmlEventSetCreate": lambda _: 0,
        "nvmlDeviceGetSupportedEventTypes": supported,
        "nvmlDeviceRegisterEvents": lambda *_: 0,
        "nvmlSystemEventSetCreate": lambda _: 0,
        "nvmlSystemRegisterEvents": lambda _: 0,
    }
    find: Callable[[str], CFunction | None] = functions.get
    events = Events(Library(find, shutdown=lambda: None), lambda: 0)
    assert events.wait({"GPU-0": Handle(1)}, 5.0) == []
    assert waits == [1000, *[0] * (EVENTS_MAX - 1)]
    events.close()  # a driver that cannot free sets is not asked to


def test_after_a_device_is_lost_the_others_are_still_heard(pair: Waiting) -> None:
    pair.wait()
    pair.change(lambda s: s.lost(0))
    assert pair.wait() == []  # the set is built anew, without the lost one
    assert pair.wait() == []
    pair.fake.event(1, 31)
    assert pair.wait(1) == [Event("GPU-1", "xid", 31)]
    assert pair.fake.counts().live["event_sets"] == 2  # the other one is for system events


def test_a_device_that_could_not_be_registered_is_tried_again_after_a_while(
    pair: Waiting,
) -> None:
    pair.change(lambda s: s.fail("nvmlDeviceRegisterEvents", 999, device=0))
    pair.wait()
    assert [pair.events.hears(uuid) for uuid in ("GPU-0", "GPU-1")] == [False, True]
    pair.change(lambda s: s.fail("nvmlDeviceRegisterEvents", 0, device=0))
    registrations = pair.fake.counts().total("nvmlDeviceRegisterEvents", device=0)
    pair.wait()
    assert pair.fake.counts().total("nvmlDeviceRegisterEvents", device=0) == registrations
    pair.now_ns += RETRY_NS
    pair.wait()
    pair.fake.event(0, 31)
    assert pair.wait(1) == [Event("GPU-0", "xid", 31)]


def test_if_no_device_can_be_registered_for_now_it_is_an_error(pair: Waiting) -> None:
    pair.change(lambda s: s.fail("nvmlDeviceRegisterEvents", 999, device="*"))
    with pytest.raises(DeviceError):
        pair.wait()


def test_without_a_set_nothing_can_be_registered_for_now(pair: Waiting) -> None:
    pair.change(lambda s: s.fail("nvmlEventSetCreate", 20, device=None))
    with pytest.raises(DeviceError):
        pair.wait()


def test_no_device_yet_is_not_the_same_as_no_events(pair: Waiting) -> None:
    with pytest.raises(DeviceError):
        pair.events.wait({}, 0)


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.value("nvmlDeviceGetSupportedEventTypes", 0),
        lambda s: s.fail("nvmlDeviceGetSupportedEventTypes", 3),
        lambda s: s.set("lib.drop", "nvmlEventSetWait*"),
        lambda s: s.set("lib.drop", "nvmlDeviceRegisterEvents"),
    ],
)
def test_devices_without_any_events_are_told_of_once(
    tmp_path: Path, edit: Callable[[Scenario], object]
) -> None:
    scenario = Scenario.profile("h100")
    edit(scenario)
    with waiting(tmp_path, scenario) as made:
        assert made.wait() is None
        before = sum(made.fake.counts().calls.values())
        assert made.wait() is None
        assert sum(made.fake.counts().calls.values()) - before <= 1  # system events only


def test_a_driver_that_is_unbound_ends_the_waiting(pair: Waiting) -> None:
    pair.wait()
    pair.fake.system_event(2)
    pair.wait(0.05)
    pair.fake.system_event(1)
    with pytest.raises(BackendError) as caught:
        pair.wait()
    assert caught.value.reason == "driver_unbind"


@pytest.mark.parametrize(
    "edit",
    [
        lambda s: s.set("lib.drop", "nvmlSystemEventSet* nvmlSystemRegisterEvents"),
        lambda s: s.fail("nvmlSystemEventSetCreate", 3, device=None),
        lambda s: s.fail("nvmlSystemRegisterEvents", 4, device=None),
        lambda s: s.fail("nvmlSystemEventSetWait", 999, device=None),
    ],
)
def test_without_system_events_xids_are_heard_all_the_same(
    tmp_path: Path, edit: Callable[[Scenario], object]
) -> None:
    scenario = Scenario.profile("h100")
    edit(scenario)
    with waiting(tmp_path, scenario) as made:
        made.wait()
        made.fake.event(0, 31)
        assert made.wait(1) == [Event("GPU-0", "xid", 31)]
