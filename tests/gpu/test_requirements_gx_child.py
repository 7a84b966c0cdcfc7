"""GX requirements of the child and its supervisor, over the C ABI of a fake driver."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.gpu.backend import Options
from inferometer.gpu.quantities import Counter
from inferometer.gpu.supervision.spawn import ChildCommand
from inferometer.gpu.supervision.supervise import Supervisor
from support.fake_nvml import FakeNvml
from support.gpu_child import LIMITS, PACE, alive, states
from support.sidecar import wait_until

MEMORY = "nvmlDeviceGetMemoryInfo_v2"
SICK = 3
COMMAND = ChildCommand(
    backend="nvml", options=Options(), pace=replace(PACE, tick_s=0.25, slow_s=1.0, alive_s=0.5)
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml(tmp_path, "h100x8")
    for name, value in fake.environment().items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
def supervisor(fake: FakeNvml) -> Iterator[Supervisor]:
    assert fake.scenario_path.exists()
    supervisor = Supervisor(COMMAND, limits=replace(LIMITS, stall_floor_s=0.8))
    supervisor.start()
    try:
        wait_until(all_are(supervisor, "ok"), wait_s=30, what="all devices up")
        yield supervisor
    finally:
        supervisor.stop()


def all_are(supervisor: Supervisor, state: str) -> Callable[[], bool]:
    return lambda: states(supervisor) == dict.fromkeys(range(8), state)


def energy(supervisor: Supervisor) -> list[int]:
    return [view.accumulated[Counter.ENERGY_MILLIJOULES] for view in supervisor.views()]


@pytest.mark.req("GX-01")
def test_a_call_that_hangs_on_one_gpu_costs_the_others_nothing(
    fake: FakeNvml, supervisor: Supervisor
) -> None:
    fake.scenario.hang(MEMORY, device=SICK)
    fake.publish()
    wait_until(lambda: states(supervisor)[SICK] == "stalled", what="stalled")
    before = energy(supervisor)
    wait_until(lambda: (supervisor.views()[SICK].call_inflight or ("", 0))[1] > 3, what="12 ticks")
    name, _ = supervisor.views()[SICK].call_inflight or ("", 0.0)
    assert name == "DeviceGetMemoryInfo_v2"
    after = energy(supervisor)
    for view in supervisor.views():
        index = view.identity.index
        assert (view.sample is None) == (index == SICK)
        assert (after[index] > before[index]) == (index != SICK)
        assert view.ticks_missed["fast"] <= 4, "only a busy machine makes siblings late"
    fake.scenario.release(MEMORY, device=SICK)
    fake.publish()
    wait_until(all_are(supervisor, "ok"), what="its return")
    assert energy(supervisor)[SICK] > after[SICK]
    assert supervisor.backend().restarts == {}


@pytest.mark.req("GX-02")
def test_the_end_does_not_wait_for_a_call_that_hangs(
    fake: FakeNvml, supervisor: Supervisor
) -> None:
    pid = supervisor.child_pid
    assert pid is not None
    fake.scenario.hang(MEMORY, device="*")
    fake.publish()
    wait_until(lambda: all(v.call_inflight for v in supervisor.views()), what="the hang")
    supervisor.stop()  # returns in time, whatever the child does
    wait_until(lambda: not alive(pid), wait_s=5, what="its end")


@pytest.mark.req("GX-03")
def test_a_lost_gpu_is_left_alone_and_the_others_go_on(
    fake: FakeNvml, supervisor: Supervisor
) -> None:
    fake.scenario.lost(SICK)
    fake.publish()
    wait_until(lambda: states(supervisor)[SICK] == "lost", what="lost")
    assert supervisor.views()[SICK].sample is None
    assert set(states(supervisor).values()) == {"ok", "lost"}
    fake.scenario.fail("*", 0, device=SICK)
    fake.publish()
    wait_until(all_are(supervisor, "ok"), what="its return")


@pytest.mark.req("GX-03")
def test_a_gpu_that_fell_off_the_bus_is_lost_and_its_xid_is_counted(
    fake: FakeNvml, supervisor: Supervisor
) -> None:
    fake.event(SICK, 79)
    wait_until(lambda: states(supervisor)[SICK] == "lost", what="lost")
    wait_until(lambda: 79 in supervisor.views()[SICK].xids, what="the XID")
    assert supervisor.views()[SICK].xid_last == 79


@pytest.mark.req("GX-03")
@pytest.mark.parametrize("code", [9, 999])
def test_after_a_driver_reload_all_gpus_are_back_without_a_restart(
    fake: FakeNvml, supervisor: Supervisor, code: int
) -> None:
    before = energy(supervisor)
    fake.scenario.driver_reset(code)
    fake.publish()
    wait_until(lambda: supervisor.backend().restarts == {"driver": 1}, what="the loss")
    wait_until(all_are(supervisor, "ok"), wait_s=30, what="their return")
    assert all(new >= old for new, old in zip(energy(supervisor), before, strict=True))
    assert supervisor.wants_exit is None


@pytest.mark.req("GX-03")
def test_when_the_driver_is_unbound_we_let_go_of_it(fake: FakeNvml, supervisor: Supervisor) -> None:
    pid = supervisor.child_pid
    assert pid is not None
    fake.system_event(1)
    wait_until(lambda: supervisor.backend().state == "released", what="released")
    wait_until(lambda: not alive(pid), what="its end")
    supervisor.resume()
    wait_until(all_are(supervisor, "ok"), what="their return")
