"""One device's thread, over a device that does what a test says."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from inferometer.gpu.backend import DeviceError
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.child.outbox import Outbox
from inferometer.gpu.child.sampling import SILENT_NS, Sampler, grid
from inferometer.gpu.clock import NS, Clock
from inferometer.gpu.messages import Condition, Found, Message
from inferometer.gpu.orders import Pace
from inferometer.gpu.quantities import Gauge, Tier
from inferometer.gpu.sample import DeviceState, Identity, Instance, Reading, Reason, Sample
from inferometer.gpu.supervision.decoding import Decoder
from support.sidecar import wait_until

MS = 1_000_000
PACE = Pace(tick_s=0.02, process_every=2, slow_s=0.06, alive_s=0.04, permission_s=0.05)


def identity(model: str = "T", *, mig: bool = False) -> Identity:
    return Identity(uuid="GPU-1", index=1, vendor="nvidia", model=model, mig=mig)


class Scripted:
    """A device; tests change its attributes."""

    def __init__(self) -> None:
        self.identity = identity()
        self.reasons: dict[str, Reason] = {}
        self.error: Exception | None = None
        self.instances: tuple[Instance, ...] | None = None
        self.answers = True
        self.gauges = {Gauge.SM_RATIO: 0.5}
        self.done: list[str] = []
        self.closed = False
        self.close_error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def probe(self) -> Mapping[str, Reason]:
        self.done.append("probe")
        return self.reasons

    def sample(self, tier: Tier) -> Reading:
        self.gate.wait(5)
        self.done.append(tier)
        if self.error is not None:
            raise self.error
        return Reading(gauges=dict(self.gauges), instances=self.instances)

    def alive(self) -> bool:
        self.done.append("alive")
        if not self.answers:
            raise KeyError
        return self.error is None

    def close(self) -> None:
        self.closed = True
        if self.close_error is not None:
            raise self.close_error


class Run:
    """A sampler in a thread, with what it has sent."""

    def __init__(self, pace: Pace = PACE) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._decoder = Decoder()
        self._messages: list[Message] = []
        self.device = Scripted()
        self.meter = Meter()
        clock = Clock()
        rhythm = grid(pace, now_ns=clock.monotonic_ns(), position=(0, 1))
        self.sampler = Sampler(
            self.device, self.meter, Outbox(self._writing), rhythm=(pace, rhythm), clock=clock
        )
        self._thread = threading.Thread(target=self.sampler.run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def messages(self) -> list[Message]:
        with contextlib.suppress(BlockingIOError):
            self._messages += self._decoder.feed(os.read(self._reading, 1 << 20))
        return self._messages

    def samples(self) -> list[Sample]:
        return [m for m in self.messages() if isinstance(m, Sample)]

    def states(self) -> list[str]:
        return [m.state for m in self.messages() if isinstance(m, Condition)]

    def until(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, what=str(self.messages()[-3:]))

    def end(self) -> None:
        self.sampler.report_end()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def close(self) -> None:
        if self._thread.is_alive():
            self.end()
        os.close(self._reading)
        os.close(self._writing)


@pytest.fixture
def run() -> Iterator[Run]:
    run = Run()
    yield run
    run.close()


def test_ticks_of_devices_are_spread_over_the_tick_on_one_grid() -> None:
    pace = Pace(tick_s=1.0)
    firsts = [grid(pace, now_ns=10 * NS + 1, position=(n, 4)).due_ns for n in range(6)]
    assert firsts == [n * NS // 4 for n in (44, 41, 42, 43, 44, 41)]


def test_with_a_long_tick_the_first_values_do_not_wait_for_it() -> None:
    rhythm = grid(Pace(tick_s=60.0), now_ns=61 * NS, position=(1, 4))
    assert rhythm.due_ns == 61 * NS + NS // 4
    rhythm.advance(rhythm.due_ns + 5)
    assert rhythm.due_ns == 75 * NS
    rhythm.advance(rhythm.due_ns)
    assert rhythm.due_ns == 135 * NS
    soon = grid(Pace(tick_s=60.0), now_ns=74 * NS, position=(1, 4))
    assert soon.due_ns == 75 * NS, "it is soon enough"


def test_a_device_is_announced_before_its_first_sample(run: Run) -> None:
    run.start()
    run.until(lambda: len(run.samples()) >= 2)
    kinds = [type(m) for m in run.messages()]
    assert kinds.index(Found) < kinds.index(Sample)
    assert kinds.count(Found) == 1
    assert run.states() == ["ok"]


def test_it_is_probed_once_and_then_each_tier_is_read_in_its_period(run: Run) -> None:
    run.device.reasons = {"fp64_ratio": "architecture"}
    run.start()
    run.until(lambda: run.device.done.count("slow") >= 2)
    assert run.device.done[:4] == ["probe", "fast", "process", "slow"]
    assert run.device.done.count("probe") == 1
    assert run.samples()[0].unsupported == {"fp64_ratio": "architecture"}
    assert run.samples()[0].gauges == {Gauge.SM_RATIO: 0.5}


def test_at_its_end_the_device_is_closed(run: Run) -> None:
    run.start()
    run.until(lambda: bool(run.samples()))
    assert run.sampler.well(0)
    run.end()
    assert run.device.closed


def test_a_device_that_cannot_be_closed_ends_all_the_same(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.device.close_error = ZeroDivisionError()
    run.start()
    run.until(lambda: bool(run.samples()))
    run.end()
    assert sum(r.message == "closing a device failed" for r in caplog.records) <= 1


@pytest.mark.req("GX-03")
@pytest.mark.parametrize("state", ["lost", "reset_required"])
def test_a_lost_device_is_only_asked_whether_it_lives(run: Run, state: DeviceState) -> None:
    run.start()
    run.until(lambda: run.states() == ["ok"])
    run.device.error = DeviceError(state, "scripted", code=15)
    run.until(lambda: run.states()[-1] == state)
    assert not run.sampler.well(0)
    assert run.sampler.silent(0)
    del run.device.done[:]
    run.until(lambda: run.device.done.count("alive") >= 2)
    assert set(run.device.done) == {"alive"}
    run.device.answers = False  # it may fail in any way
    run.until(lambda: run.device.done.count("alive") >= 4)
    run.device.answers, run.device.error = True, None
    run.until(lambda: run.states()[-1] == "ok")
    rest = run.device.done[run.device.done.index("probe") :]
    assert rest[:4] == ["probe", "fast", "process", "slow"]


def test_what_others_say_is_lost_is_left_alone(run: Run) -> None:
    run.start()
    run.until(lambda: bool(run.samples()))
    run.sampler.report_lost()
    run.until(lambda: "lost" in run.states())
    run.until(lambda: run.states()[-1] == "ok")


def test_a_driver_that_is_gone_is_told_with_its_code(run: Run) -> None:
    run.start()
    run.until(lambda: bool(run.samples()))
    assert run.sampler.driver_code is None
    run.device.error = DeviceError("lost", "scripted", code=9, backend_lost=True)
    run.until(lambda: run.sampler.driver_code == 9)
    run.until(lambda: run.messages()[-1] == Condition("GPU-1", "lost", 9, backend_lost=True))
    assert not run.sampler.silent(0)


def test_after_a_tick_that_failed_every_tier_is_read_anew(run: Run) -> None:
    run.start()
    run.until(lambda: bool(run.samples()))
    run.device.error = DeviceError("ok", "scripted", code=21)
    run.until(lambda: run.device.done[-3:] == ["fast"] * 3)
    del run.device.done[:]
    run.device.error = None
    run.until(lambda: "slow" in run.device.done)
    assert run.device.done[run.device.done.index("process") :][:2] == ["process", "slow"]
    assert run.states() == ["ok"]


def test_a_fault_of_ours_costs_a_tick_and_is_logged_once(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.device.error = ZeroDivisionError()
    run.start()
    run.until(lambda: run.device.done.count("fast") >= 3)
    assert run.samples() == []
    run.device.error = None
    run.until(lambda: bool(run.states()))
    assert run.states() == ["ok"]
    assert len(run.samples()) >= 1
    assert sum(record.message == "a tick failed" for record in caplog.records) <= 1


@pytest.mark.req("GX-05")
def test_when_instances_change_the_device_is_probed_again(run: Run) -> None:
    run.start()
    run.until(lambda: bool(run.samples()))
    run.device.instances = (
        Instance(
            gpu_instance=1, compute_instance=0, uuid="MIG-1", profile="1g", slices=1, slices_max=7
        ),
    )
    run.until(lambda: run.device.done.count("probe") == 2)
    run.until(lambda: bool(run.samples()[-1].instances))
    count = len(run.samples())
    run.until(lambda: len(run.samples()) > count + 4)
    assert run.device.done.count("probe") == 2


def test_when_mig_is_switched_on_it_is_probed_again_and_announced(run: Run) -> None:
    run.start()
    run.until(lambda: bool(run.samples()))
    run.device.identity = identity(mig=True)
    run.until(lambda: run.device.done.count("probe") == 2)
    run.until(lambda: Found(identity(mig=True)) in run.messages())


def test_what_permission_was_missing_for_is_probed_again(run: Run) -> None:
    run.device.reasons = {"sm_ratio": "no_permission"}
    run.start()
    run.until(lambda: run.device.done.count("probe") >= 3)
    run.device.reasons = {}
    run.until(lambda: run.samples()[-1].unsupported == {})
    count = run.device.done.count("probe")
    ticks = len(run.samples())
    run.until(lambda: len(run.samples()) > ticks + 5)
    assert run.device.done.count("probe") == count


def test_what_is_no_longer_told_because_it_took_too_long_says_so(run: Run) -> None:
    run.device.gauges = {Gauge.SM_RATIO: 0.5, Gauge.FAN_PERCENT: 3.0}
    times = iter(range(0, 10**12, 30 * MS))
    run.meter = run.sampler.meter = Meter(clock_ns=lambda: next(times) * 2)
    run.start()
    run.until(lambda: bool(run.samples()))
    assert run.samples()[-1].unsupported == {}
    run.meter.due("Fan", "fast", "fast")
    for _ in range(7):
        run.meter.run("Fan", lambda: None)
    run.device.gauges = {Gauge.SM_RATIO: 0.5}
    run.until(lambda: run.samples()[-1].unsupported == {"fan_percent": "too_slow"})


def test_late_ticks_are_counted(run: Run) -> None:
    run.start()
    run.until(lambda: bool(run.samples()))
    run.device.gate.clear()
    before = run.sampler.missed["fast"]
    began_ns = Clock().monotonic_ns()
    wait_until(lambda: Clock().monotonic_ns() > began_ns + 12 * 20 * MS, what="12 ticks")
    run.device.gate.set()
    run.until(lambda: run.sampler.missed["fast"] >= before + 9)


def test_a_call_under_way_for_three_seconds_says_nothing_of_the_driver(run: Run) -> None:
    run.meter.in_flight = ("Hang", 100)
    assert run.sampler.well(100 + SILENT_NS)
    assert not run.sampler.silent(100 + SILENT_NS)
    assert run.sampler.silent(101 + SILENT_NS)
    assert not run.sampler.well(101 + SILENT_NS)


@pytest.mark.req("GX-04")
def test_what_is_no_longer_told_says_so_until_it_is_told_again(run: Run) -> None:
    run.device.gauges = {Gauge.SM_RATIO: 0.5, Gauge.FAN_PERCENT: 3.0}
    run.start()
    run.until(lambda: bool(run.samples()))
    assert run.samples()[-1].unsupported == {}
    run.device.gauges = {Gauge.SM_RATIO: 0.5}
    run.until(lambda: run.samples()[-1].unsupported == {"fan_percent": "no_data"})
    run.device.gauges = {Gauge.SM_RATIO: 0.5, Gauge.FAN_PERCENT: 4.0}
    run.until(lambda: run.samples()[-1].unsupported == {})
