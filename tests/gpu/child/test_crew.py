"""All that works on a backend in a child, here in a thread."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from inferometer.gpu.backend import Backend
from inferometer.gpu.child.crew import CALLS_EVERY
from inferometer.gpu.child.kmsg import KernelLog
from inferometer.gpu.clock import Clock
from inferometer.gpu.messages import (
    Bye,
    Condition,
    EventTotals,
    Failure,
    Found,
    Heartbeat,
    Hello,
)
from inferometer.gpu.sample import CallStats, Xid
from support.crew import Run
from support.scripted_backend import uuid
from support.sidecar import wait_until


def test_devices_are_announced_read_and_closed(run: Run, tmp_path: Path) -> None:
    run.script.set(pci=2)
    crew = run.start()
    wait_until(run.sampled(0, 1))
    assert run.messages()[0] == Hello("999.1", (uuid(0), uuid(1)), 2)
    assert sum(isinstance(m, Found) for m in run.messages()[:4]) >= 1
    assert set(crew.uuids()) == {uuid(0), uuid(1)}
    crew.end()
    run.end()
    assert run.returned == [True]
    assert run.last(Bye) == run.messages()[-1]
    assert {p.name for p in tmp_path.iterdir()} >= {uuid(0), uuid(1), "backend"}


def test_a_heartbeat_names_calls_under_way_and_done(run: Run) -> None:
    run.script.set(hang=[1], no_events=True)
    crew = run.start()
    wait_until(run.sampled(0))

    def beat() -> Heartbeat:
        crew.beat()
        found = run.last(Heartbeat)
        assert isinstance(found, Heartbeat)
        return found

    def calls() -> Mapping[str, CallStats]:
        told = [beat().calls for _ in range(CALLS_EVERY)]
        return next(each for each in told if each is not None)

    wait_until(lambda: beat().in_flight.get(uuid(1), ("", 0))[0] == "Sample")
    wait_until(lambda: calls()["Sample"].results["ok"] > 2)
    assert calls()["open"].results == {"ok": 1}
    assert beat().ticks_missed.keys() == {uuid(0), uuid(1)}
    assert beat().dropped == 0
    run.script.set(hang=[])
    crew.end()


def test_most_heartbeats_leave_out_the_calls_that_were_made(run: Run) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    for _ in range(3 * CALLS_EVERY):
        crew.beat()
    beats = [message for message in run.messages() if isinstance(message, Heartbeat)]
    told = [number for number, beat in enumerate(beats) if beat.calls is not None]
    assert told == list(range(0, len(beats), CALLS_EVERY))
    crew.end()


def test_a_call_that_is_off_on_one_device_is_said_to_be_off(run: Run) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    # A device whose thread has ended, or its own call that is under way would be judged, too.
    for sampler in crew._samplers.values():
        sampler.report_end()
    wait_until(lambda: {uuid(0), uuid(1)} <= run.closed(), what="the end of the ticks")
    for sampler, slow_ns in zip(crew._samplers.values(), (60_000_000, 3_000_000), strict=True):
        call = sampler.meter._call("Sample")
        for _ in range(7):
            call.judge(slow_ns, Clock().monotonic_ns())
    crew.beat()
    beat = run.last(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.demoted == {"Sample": "off"}
    crew.end()


def test_load_is_told_once_a_minute(run: Run) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    assert crew.busy() == {}
    run.offset_ns = 61 * 10**9
    assert crew.busy().keys() == {uuid(0), uuid(1)}
    crew.end()


def test_a_backend_that_cannot_be_opened_is_a_failure(run: Run) -> None:
    run.script.set(fail_to_open={"reason": "library_not_found", "code": 12})
    run.start()
    run.end()
    assert run.returned == [False]
    assert run.messages() == [Failure("library_not_found", "scripted", 12)]


def test_so_is_one_that_raises_anything_else(run: Run) -> None:
    def fail() -> Backend:
        raise KeyError

    run.start(fail)
    run.end()
    assert run.messages() == [Failure("backend", "KeyError: ", None)]


@pytest.mark.parametrize(
    ("codes", "expected"), [((999, 18), 18), ((9, 1), 9), ((None, None), None)]
)
def test_when_the_driver_is_gone_on_all_devices_the_crew_ends(
    run: Run, codes: tuple[int | None, int | None], expected: int | None
) -> None:
    run.start()
    wait_until(run.sampled(0, 1))
    fail = {
        str(index): {"state": "lost", "code": code, "driver": True}
        for index, code in enumerate(codes)
    }
    run.script.set(fail=fail)
    run.beat_to_the_end()
    assert run.last(Failure) == Failure("driver", "no device can be called any more", expected)


def test_on_one_device_alone_it_goes_on(run: Run) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    run.script.set(fail={"0": {"state": "lost", "code": 999, "driver": True}})
    wait_until(lambda: Condition(uuid(0), "lost", 999, backend_lost=True) in run.messages())
    crew.beat()
    run.script.set(fail={})
    crew.end()
    run.end()
    assert run.returned == [True]


def test_a_device_that_is_lost_itself_does_not_vouch_for_the_driver(run: Run) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    run.script.set(fail={"0": {"state": "lost", "code": 15}})
    wait_until(lambda: Condition(uuid(0), "lost", 15, backend_lost=False) in run.messages())
    crew.beat()
    gone = {"state": "lost", "code": 9, "driver": True}
    run.script.set(fail={"0": {"state": "lost", "code": 15}, "1": gone})
    run.beat_to_the_end()
    assert run.returned == [False]


@pytest.mark.req("GX-05")
def test_events_reach_the_server_and_the_device(run: Run) -> None:
    run.script.set(events=[(1, "xid", 79)], fail={"1": {"state": "lost", "code": 15}})
    crew = run.start()
    wait_until(lambda: isinstance(run.last(EventTotals), EventTotals))

    def seen() -> bool:
        totals = [m for m in run.messages() if isinstance(m, EventTotals) and m.xids]
        return bool(totals) and isinstance(totals[0].xids[79], Xid)

    wait_until(seen)
    crew.report_lost("nobody")
    crew.end()


def test_the_kernels_log_is_read_before_anybody_listens(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_bytes(b"3,41,5000000,-;NVRM: Xid (PCI:0000:18:00): 48, pid=1\n")
    run.script.set(devices=1, pci_bus_id="00000000:18:00.0")
    crew = run.start(kernel=KernelLog(path))
    wait_until(lambda: any(isinstance(m, EventTotals) and 48 in m.xids for m in run.messages()))
    crew.beat()
    beat = run.last(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.kernel_sequence == 41
    crew.end()


def test_a_library_that_cannot_be_closed_ends_all_the_same(run: Run) -> None:
    run.script.set(fail_close="unknown")
    crew = run.start()
    wait_until(run.sampled(0, 1))
    crew.end()
    run.end()
    assert run.returned == [True]


def test_a_backend_whose_driver_is_unbound_ends_the_crew(run: Run) -> None:
    run.start()
    wait_until(run.sampled(0, 1))
    run.script.set(fail_events="driver_unbind")
    run.end()
    assert run.last(Failure) == Failure("driver_unbind", "scripted", None)


def test_with_a_call_that_hangs_the_library_is_left_open(run: Run, tmp_path: Path) -> None:
    run.script.set(hang=[1])
    crew = run.start()
    wait_until(run.sampled(0))

    def hangs() -> bool:
        sampler = crew._samplers.get(uuid(1))
        return sampler is not None and sampler.meter.in_flight is not None

    wait_until(hangs, what="the hang")
    crew.end()
    run.end()
    names = {p.name for p in tmp_path.iterdir()}
    assert uuid(0) in names
    assert "backend" not in names
    run.script.set(hang=[])
    wait_until((tmp_path / uuid(1)).exists, what="the thread's end")


@pytest.mark.req("GX-03")
def test_a_driver_that_fails_is_told_of_even_while_the_main_thread_hangs_in_it(run: Run) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    run.script.set(hang_discover=[True])
    wait_until(lambda: (crew._meter.in_flight or ("", 0))[0] == "discover")
    gone = {"state": "lost", "code": 9, "driver": True}
    run.script.set(fail={"0": gone, "1": gone})
    lost = (Condition(uuid(index), "lost", 9, backend_lost=True) for index in (0, 1))
    for condition in lost:
        wait_until(lambda condition=condition: condition in run.messages())  # type: ignore[misc]  # now

    def told() -> bool:
        crew.beat()
        return run.last(Failure) is not None

    wait_until(told, what="the failure, some seconds later")
    assert run.last(Failure) == Failure("driver", "no device can be called any more", 9)
    assert run.returned == []
    run.script.set(hang_discover=[])
    run.end()
    assert run.returned == [False]


def test_the_wait_for_events_is_in_the_heartbeat(run: Run) -> None:
    crew = run.start()

    def waits() -> bool:
        crew.beat()
        beat = run.last(Heartbeat)
        return isinstance(beat, Heartbeat) and beat.in_flight.get("events") is not None

    wait_until(waits)
    beat = run.last(Heartbeat)
    assert isinstance(beat, Heartbeat)
    assert beat.in_flight["events"][0] == "wait_events"
    crew.end()
