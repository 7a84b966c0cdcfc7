"""Events are counted, and what comes back too soon is asked less often."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.backend import Backend, BackendError, DeviceError
from inferometer.gpu.child.kmsg import KernelLog, Place
from inferometer.gpu.child.outbox import Outbox
from inferometer.gpu.child.watching import BACK_OFF_S, DEAF_NS, DEVICES_MAX, Tally, Watch
from inferometer.gpu.clock import NS, Clock
from inferometer.gpu.messages import CODES_MAX, Condition, EventTotals, Message
from inferometer.gpu.sample import DeviceState, Event, Xid
from inferometer.gpu.supervision.decoding import Decoder
from support.sidecar import wait_until

Answer = Callable[[], Sequence[Event] | None]


def nothing() -> Sequence[Event]:
    return []


class Scripted:
    """The events of a backend: each answer once, the last for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.deaf: set[str] = set()
        self.moments_s: list[float] = []

    def hears(self, uuid: str) -> bool:
        return uuid not in self.deaf

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        assert 0 < timeout_s <= 1
        self.moments_s.append(time.monotonic())
        self.asked += 1
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()


class Heard:
    def __init__(self) -> None:
        self.lost: list[str] = []
        self.failures: list[BackendError] = []
        self.rests: set[str] = set()

    def uuids(self) -> Sequence[str]:
        return ("GPU-1",)

    def resting(self, uuid: str) -> bool:
        return uuid in self.rests

    def uuid_at(self, place: Place) -> str | None:
        return "GPU-1" if place == Place(0, 0x18, 0) else None

    def report_lost(self, uuid: str) -> None:
        self.lost.append(uuid)

    def report_failure(self, error: BackendError) -> None:
        self.failures.append(error)


class Run:
    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._decoder = Decoder()
        self._messages: list[Message] = []
        self.outbox = Outbox(self._writing)
        self.heard = Heard()
        self._watch: Watch | None = None
        self.ahead_ns = 0
        self.clock = Clock(lambda: time.monotonic_ns() + self.ahead_ns, lambda: 5.0)
        self.thread: threading.Thread | None = None

    def start(self, backend: Scripted, kernel: KernelLog | None = None) -> Watch:
        clock = Clock(lambda: 100 * NS, lambda: 5.0) if kernel else self.clock
        watch = Watch(cast("Backend", backend), self.outbox, self.heard, kernel=kernel, clock=clock)
        self._watch = watch
        self.thread = threading.Thread(target=watch.run, daemon=True)
        self.thread.start()
        return watch

    def told(self) -> EventTotals | None:
        """What was said of the device last."""
        said = [m for m in self.messages() if isinstance(m, EventTotals) and m.uuid == "GPU-1"]
        return said[-1] if said else None

    def messages(self) -> list[Message]:
        with contextlib.suppress(BlockingIOError):
            self._messages += self._decoder.feed(os.read(self._reading, 1 << 20))
        return self._messages

    def ended(self) -> bool:
        return self.thread is not None and not self.thread.is_alive()

    def close(self) -> None:
        if self._watch is not None and self.thread is not None:
            self._watch.report_end()
            self.thread.join(10)
            assert not self.thread.is_alive()
        os.close(self._reading)
        os.close(self._writing)


@pytest.fixture
def run() -> Iterator[Run]:
    run = Run()
    yield run
    run.close()


def test_that_events_can_be_had_is_told_before_the_first(run: Run) -> None:
    run.start(Scripted(nothing))
    wait_until(lambda: EventTotals("GPU-1", {}, 0, {}) in run.messages())
    assert len(run.messages()) == 1


def test_of_a_device_that_is_not_heard_nothing_is_told(run: Run) -> None:
    backend = Scripted(nothing)
    backend.deaf = {"GPU-1"}
    run.start(backend)
    wait_until(lambda: backend.asked > 2)
    assert run.messages() == []
    backend.deaf = set()
    wait_until(lambda: EventTotals("GPU-1", {}, 0, {}) in run.messages())


def test_a_backend_without_events_ends_the_watch_and_tells_nothing(run: Run) -> None:
    run.start(Scripted(lambda: None))
    wait_until(run.ended)
    assert run.messages() == []


def test_events_are_sent_as_running_totals(run: Run) -> None:
    first = [Event("GPU-1", "xid", 48), Event("GPU-1", "ecc_dbe"), Event("", "unavailable")]
    run.start(Scripted(lambda: first, lambda: [Event("GPU-1", "xid", 48)], nothing))
    last = EventTotals("GPU-1", {48: Xid(2, 5.0)}, 48, {"ecc_dbe": 1})
    wait_until(lambda: last in run.messages())
    assert EventTotals("", {}, 0, {"unavailable": 1}) in run.messages()
    assert run.heard.lost == []


@pytest.mark.req("GX-03")
@pytest.mark.parametrize("event", [Event("GPU-1", "xid", 79), Event("GPU-1", "fallen_off_bus")])
def test_a_gpu_that_fell_off_the_bus_is_lost_at_once(run: Run, event: Event) -> None:
    run.start(Scripted(lambda: [event], nothing))
    wait_until(lambda: Condition("GPU-1", "lost", None, backend_lost=False) in run.messages())
    assert run.heard.lost == ["GPU-1"]


def test_an_answer_that_comes_at_once_again_and_again_makes_no_busy_loop(run: Run) -> None:
    backend = Scripted(nothing)
    run.start(backend)
    wait_until(lambda: backend.asked >= 6)
    assert backend.moments_s[5] - backend.moments_s[1] >= 4 * BACK_OFF_S


def test_an_error_is_logged_once_and_tried_again(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Sequence[Event]:
        raise ZeroDivisionError

    run.start(Scripted(fail, fail, fail, lambda: [Event("GPU-1", "xid", 48)], nothing))
    wait_until(lambda: EventTotals("GPU-1", {48: Xid(1, 5.0)}, 48, {}) in run.messages())
    said = [r for r in caplog.records if r.message == "waiting for events failed"]
    assert len(said) <= 1


def test_a_backend_that_is_gone_is_reported(run: Run) -> None:
    def fail() -> Sequence[Event]:
        reason = "driver_unbind"
        raise BackendError(reason, "scripted")

    run.start(Scripted(fail))
    wait_until(run.ended)
    assert [error.reason for error in run.heard.failures] == ["driver_unbind"]


def test_a_storm_of_events_stays_a_trickle_of_messages(run: Run) -> None:
    backend = Scripted(*[lambda: [Event("GPU-1", "xid", 45)]] * 3000, nothing)
    run.start(backend)
    last = EventTotals("GPU-1", {45: Xid(3000, 5.0)}, 45, {})
    wait_until(lambda: last in run.messages())
    assert len(run.messages()) < 100


def test_what_found_the_pipe_full_is_sent_later(run: Run) -> None:
    while run.outbox.send(Condition("x" * 4000, "ok", None, backend_lost=False)):
        pass
    backend = Scripted(nothing)
    run.start(backend)
    wait_until(lambda: backend.asked >= 2)
    wait_until(lambda: EventTotals("GPU-1", {}, 0, {}) in run.messages())


def test_devices_with_events_are_bounded(run: Run) -> None:
    many = [Event(f"GPU-{n}", "xid", 1) for n in range(DEVICES_MAX + 10)]
    run.start(Scripted(lambda: many, nothing))
    wait_until(lambda: len(run.messages()) >= DEVICES_MAX)
    assert {m.uuid for m in run.messages() if isinstance(m, EventTotals)} == {
        f"GPU-{n}" for n in range(DEVICES_MAX)
    }


XID_48 = b"4,7,90000000,-;NVRM: Xid (PCI:0000:18:00): 48, pid=1, DBE\n"
XID_OTHER = b"4,8,90000000,-;NVRM: Xid (PCI:0000:99:00): 48, pid=1, DBE\n"
FALLEN = b"4,9,95000000,-;NVRM: GPU 0000:18:00.0: GPU has fallen off the bus.\n"


def test_what_the_kernel_wrote_before_we_listened_is_counted_and_loses_nothing(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "kmsg"
    path.write_bytes(XID_48 + XID_OTHER + FALLEN)
    run.start(Scripted(nothing), KernelLog(path))
    # At 100 s of the machine it is 5 s of the day, so 90 s is 10 s before that.
    before = EventTotals("GPU-1", {48: Xid(1, -5.0)}, 48, {"fallen_off_bus": 1}, kernel_sequence=9)
    wait_until(lambda: before in run.messages())
    assert run.heard.lost == []


@pytest.mark.req("GX-03")
def test_later_xids_come_from_the_library_alone_but_a_fall_from_the_bus_counts(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "kmsg"
    path.touch()
    backend = Scripted(nothing)
    run.start(backend, KernelLog(path))
    wait_until(lambda: backend.asked >= 1)
    with path.open("ab") as log:
        log.write(XID_48 + FALLEN)
    wait_until(lambda: Condition("GPU-1", "lost", None, backend_lost=False) in run.messages())
    assert run.heard.lost == ["GPU-1"]


@given(st.lists(st.none() | st.integers(-1, 200)))
def test_a_tally_counts_every_xid_and_tells_64_apart(codes: list[int | None]) -> None:
    tally = Tally()
    for code in codes:
        tally.take(Event("", "xid", code), 1.0)
    totals = tally.totals("GPU-1")
    assert sum(xid.seen for xid in totals.xids.values()) == len(codes)
    assert len(totals.xids.keys() - {None}) <= CODES_MAX
    assert totals.xid_last >= 0


def test_above_64_codes_xids_count_under_none_and_the_last_is_still_known() -> None:
    tally = Tally()
    for code in range(CODES_MAX + 3):
        tally.take(Event("", "xid", code), 1.0)
    totals = tally.totals("")
    assert totals.xids[None].seen == 3
    assert totals.xid_last == CODES_MAX + 2


def test_an_event_that_nobody_knows_is_not_counted() -> None:
    tally = Tally()
    tally.take(Event("", "something_new"), 1.0)
    assert tally.totals("") == EventTotals("", {}, 0, {})


HEARD = EventTotals("GPU-1", {48: Xid(1, 5.0)}, 48, {})
UNHEARD = HEARD._replace(heard=False)


@pytest.mark.req("GX-03")
def test_while_the_wait_hangs_events_pass_unheard_and_that_is_told(run: Run) -> None:
    gate, hanging = threading.Event(), threading.Event()

    def hang() -> Sequence[Event]:
        hanging.set()
        gate.wait(30)
        return [Event("GPU-1", "xid", 48)]

    backend = Scripted(lambda: [Event("GPU-1", "xid", 48)], nothing, hang, nothing)
    watch = run.start(backend)
    wait_until(hanging.is_set)
    watch.judge()
    assert run.told() == HEARD
    assert watch.meter.in_flight is not None
    assert watch.meter.in_flight[0] == "wait_events"
    run.ahead_ns = DEAF_NS + NS
    for _ in range(3):
        watch.judge()
    assert [m for m in run.messages() if m == UNHEARD] == [UNHEARD], "it is said once"
    gate.set()
    wait_until(lambda: run.told() == HEARD._replace(xids={48: Xid(2, 5.0)}))


def test_that_the_wait_hangs_is_told_again_until_it_went_out(run: Run) -> None:
    gate, hanging = threading.Event(), threading.Event()

    def hang() -> Sequence[Event]:
        hanging.set()
        gate.wait(30)
        return []

    watch = run.start(Scripted(lambda: [Event("GPU-1", "xid", 48)], nothing, hang, nothing))
    wait_until(hanging.is_set)
    assert run.told() == HEARD
    while run.outbox.send(Condition("x" * 4000, "ok", None, backend_lost=False)):
        pass
    run.ahead_ns = DEAF_NS + NS
    watch.judge()
    while run.told() == HEARD:
        watch.judge()
    assert run.told() == UNHEARD
    gate.set()


def test_a_device_that_is_no_longer_registered_is_unheard_until_it_is(run: Run) -> None:
    backend = Scripted(lambda: [Event("GPU-1", "xid", 48)], nothing)
    run.start(backend)
    wait_until(lambda: run.told() == HEARD)
    backend.deaf = {"GPU-1"}
    asked = backend.asked
    wait_until(lambda: backend.asked > asked + 2)
    assert run.told() == HEARD, "it may be registered again in a moment"
    run.ahead_ns = DEAF_NS
    wait_until(lambda: run.told() == UNHEARD)
    backend.deaf = set()
    wait_until(lambda: run.told() == HEARD)


def test_so_it_is_while_no_device_can_be_registered(run: Run) -> None:
    def fail() -> Sequence[Event]:
        backend.deaf = {"GPU-1"}
        state: DeviceState = "ok"
        raise DeviceError(state, "scripted")

    backend = Scripted(lambda: [Event("GPU-1", "xid", 48)], nothing, fail)
    run.start(backend)
    wait_until(lambda: run.told() == HEARD)
    run.ahead_ns = DEAF_NS
    wait_until(lambda: run.told() == UNHEARD)


def test_once_no_device_has_events_any_more_they_are_unheard(run: Run) -> None:
    run.start(Scripted(lambda: [Event("GPU-1", "xid", 48)], lambda: None))
    wait_until(run.ended)
    assert run.told() == UNHEARD


@pytest.mark.req("GX-03")
def test_of_a_lost_device_nobody_expects_to_hear_so_its_counts_stay(run: Run) -> None:
    backend = Scripted(lambda: [Event("GPU-1", "xid", 48)], nothing)
    run.start(backend)
    wait_until(lambda: run.told() == HEARD)
    run.heard.rests = {"GPU-1"}
    backend.deaf = {"GPU-1"}
    run.ahead_ns = DEAF_NS
    asked = backend.asked
    wait_until(lambda: backend.asked > asked + 3)
    assert run.told() == HEARD


def test_only_the_last_message_tells_that_a_line_of_the_kernel_was_counted(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "kmsg"
    path.write_bytes(XID_48)
    watch = run.start(Scripted(lambda: [Event("", "unavailable")], nothing), KernelLog(path))
    wait_until(lambda: watch.kernel_sequence == 7)
    told = [m.kernel_sequence for m in run.messages() if isinstance(m, EventTotals)]
    assert told == [-1, 7]
