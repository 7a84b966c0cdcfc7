"""Events reach the sets that registered for them, and nothing from before does."""

import threading
import time
from pathlib import Path
from typing import Any

from support.fake_nvml import FakeNvml

XID = 8
WAIT_S = 10.0


def registered(binding: Any, device: Any, types: int = XID) -> Any:
    events = binding.nvmlEventSetCreate()
    binding.nvmlDeviceRegisterEvents(device, types, events)
    return events


def test_an_event_ends_the_wait_and_names_its_device(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    events = binding.nvmlEventSetCreate()
    fake.event(0, 31)  # before the registration
    binding.nvmlDeviceRegisterEvents(device, XID, events)
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.append(binding.nvmlEventSetWait(events, 10_000)))
    thread.start()
    fake.event(0, 79)
    thread.join(WAIT_S)
    (event,) = heard
    assert (event.eventType, event.eventData) == (XID, 79)
    assert (event.gpuInstanceId, event.computeInstanceId) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert binding.nvmlDeviceGetIndex(event.device) == 0


def test_events_come_one_by_one_in_order_and_then_time_runs_out(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    events = registered(binding, device, XID | 2)
    fake.event(0, 43, gi=2, ci=1)
    fake.event(0, 1, kind=2)
    fake.event(0, 1, kind=1)  # not registered for
    fake.event(5, 63)  # no device of this set
    told = [binding.nvmlEventSetWait(events, 1000) for _ in range(2)]
    assert [(e.eventType, e.eventData, e.gpuInstanceId) for e in told] == [
        (8, 43, 2),
        (2, 1, 0xFFFFFFFF),
    ]
    start_s = time.monotonic()
    assert code(binding.nvmlEventSetWait, events, 30) == binding.NVML_ERROR_TIMEOUT
    assert time.monotonic() - start_s >= 0.028  # the driver counts in whole milliseconds


def test_every_set_hears_every_event(binding: Any, fake: FakeNvml, device: Any) -> None:
    sets = [registered(binding, device) for _ in range(2)]
    fake.event(0, 48)
    assert [binding.nvmlEventSetWait(events, 1000).eventData for events in sets] == [48, 48]
    assert fake.counts().live["event_sets"] == 2
    for events in sets:
        binding.nvmlEventSetFree(events)
    assert fake.counts().live["event_sets"] == 0


def test_types_that_a_device_lacks_cannot_be_registered(
    tmp_path: Path, binding: Any, code: Any
) -> None:
    with FakeNvml.loaded(tmp_path, "geforce"):
        binding.nvmlInit()
        device = binding.nvmlDeviceGetHandleByIndex(0)
        events = binding.nvmlEventSetCreate()
        assert binding.nvmlDeviceGetSupportedEventTypes(device) == 0x1C
        assert code(binding.nvmlDeviceRegisterEvents, device, 0x1, events) == 3
        assert code(binding.nvmlDeviceRegisterEvents, device, XID, events) == 0


def test_a_lost_device_fails_the_wait_of_its_sets(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    events = registered(binding, device)
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(code(binding.nvmlEventSetWait, events, 10_000))
    )
    thread.start()
    fake.scenario.lost(0)
    fake.publish()
    thread.join(WAIT_S)
    assert codes == [15]
    empty = binding.nvmlEventSetCreate()
    assert code(binding.nvmlEventSetWait, empty, 0) == binding.NVML_ERROR_TIMEOUT


def test_the_system_tells_of_drivers_that_come_and_go(binding: Any, fake: FakeNvml) -> None:
    events = binding.nvmlSystemEventSetCreate(binding.nvmlSystemEventSetCreateRequest_v1)
    binding.nvmlSystemRegisterEvents(binding.nvmlSystemRegisterEventRequest_v1, 3, events)
    fake.system_event(1, 0x1000)
    fake.event(0, 79)
    fake.system_event(2, 0x1000)
    room = (binding.c_nvmlSystemEventData_v1_t * 4)()
    wait = [binding.nvmlSystemEventSetWaitRequest_v1, events]
    told = binding.nvmlSystemEventSetWait(*wait, 1000, room, 4)
    assert told == [{"eventType": 1, "gpuId": 0x1000}, {"eventType": 2, "gpuId": 0x1000}]
    assert binding.nvmlSystemEventSetWait(*wait, 10, room, 4) == []
    binding.nvmlSystemEventSetFree(binding.nvmlSystemEventSetFreeRequest_v1, events)
