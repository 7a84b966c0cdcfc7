"""A backend kept running by real children, whatever they and their driver do."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.gpu.quantities import Total
from inferometer.gpu.sample import DeviceView
from inferometer.gpu.supervision.spawn import ChildCommand, Process
from inferometer.gpu.supervision.supervise import Supervisor
from support.gpu_child import (
    ENERGY,
    LIMITS,
    PACE,
    TESTS,
    TICK_S,
    alive,
    child_of,
    children,
    command,
    energy,
    path_to_support,
    states,
    supervised,
    up,
)
from support.process import descriptors, threads
from support.scripted_backend import Script
from support.sidecar import wait_until

STOP_S = 6.0
"""Two seconds and what a busy machine adds; a benchmark holds the exporter to the two."""


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path / "script.json")


def samples_counted(supervisor: Supervisor) -> int:
    stats = supervisor.backend().calls.get("Sample")
    return stats.results["ok"] if stats else 0


def hangs_for_s(supervisor: Supervisor, index: int) -> float:
    """Return how long the call under way of a device has taken, 0 without one."""
    return (supervisor.views()[index].call_inflight or ("", 0.0))[1]


def test_a_scrape_can_be_answered_before_the_first_tick(script: Script) -> None:
    script.set(hang_discover=[True])
    with supervised(script) as supervisor:
        assert supervisor.views() == ()
        assert supervisor.backend().state == "starting"
        script.set(hang_discover=[])
        up(supervisor)


def test_devices_are_read_each_tick_and_told_of(script: Script) -> None:
    told: list[DeviceView] = []
    script.set(pci=3, instances=["MIG-1"], unsupported={"fp64_ratio": "architecture"})
    with supervised(script, on_sample=told.append) as supervisor:
        up(supervisor)
        wait_until(lambda: len(told) > 8, what="ticks")
        wait_until(lambda: samples_counted(supervisor) >= 2, what="a heartbeat that tells of calls")
        wait_until(lambda: supervisor.views()[1].xid_last is not None, what="events")
        backend = supervisor.backend()
        (first, second) = supervisor.views()
    assert (backend.state, backend.reason, backend.driver_version) == ("running", "", "999.1")
    assert (backend.devices_listed, backend.devices_pci) == (2, 3)
    assert backend.calls["Sample"].results["ok"] >= 2
    assert backend.calls["open"].results == {"ok": 1}
    assert first.sample is not None
    assert first.unsupported == {"fp64_ratio": "architecture"}
    assert first.instance_totals["MIG-1"][Total.BUSY_NS] > 0
    assert second.xid_last == 0
    assert {view.identity.index for view in told} == {0, 1}
    assert all(view.state == "ok" for view in told)


def test_a_listener_that_fails_spoils_nothing(script: Script) -> None:
    def fail(_: DeviceView) -> None:
        raise ZeroDivisionError

    with supervised(script, on_sample=fail) as supervisor:
        up(supervisor)
        assert supervisor.internal_errors > 0


@pytest.mark.req("GX-01")
def test_one_hung_device_of_eight_leaves_the_others_every_tick(script: Script) -> None:
    script.set(devices=8)
    with supervised(script, pace=replace(PACE, tick_s=0.2)) as supervisor:
        up(supervisor, 8)
        pid = child_of(supervisor)
        script.set(hang=[3])
        wait_until(lambda: states(supervisor)[3] == "stalled", what="stalled")
        wait_until(lambda: hangs_for_s(supervisor, 3) > 3 * 0.2, what="three ticks")
        before = {v.identity.index: v for v in supervisor.views()}
        assert before[3].call_inflight is not None
        assert before[3].call_inflight[0] == "Sample"
        assert before[3].sample is None
        wait_until(lambda: hangs_for_s(supervisor, 3) > 12 * 0.2, what="12 ticks")
        wait_until(lambda: states(supervisor) == dict.fromkeys(range(8), "ok") | {3: "stalled"})
        after = {v.identity.index: v for v in supervisor.views()}
        for index in set(range(8)) - {3}:
            assert after[index].ticks_missed["fast"] <= 4, "only a busy machine makes them late"
            assert after[index].accumulated[ENERGY] > before[index].accumulated[ENERGY]
        assert child_of(supervisor) == pid
        script.set(hang=[])
        up(supervisor, 8)
        assert supervisor.views()[3].accumulated[ENERGY] > after[3].accumulated[ENERGY]
        wait_until(lambda: supervisor.views()[3].ticks_missed["fast"] > 4, what="missed ticks")
        assert supervisor.backend().restarts == {}


@pytest.mark.req("GX-01")
def test_there_is_one_stuck_thread_for_a_device_however_long_it_hangs(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        wait_until(lambda: supervisor.views()[1].xid_last is not None, what="the last thread")
        count = threads(child_of(supervisor))
        script.set(hang=[0])
        wait_until(lambda: hangs_for_s(supervisor, 0) > 1.5, what="time")
        assert threads(child_of(supervisor)) == count


@pytest.mark.parametrize("how", ["killed", "crashed"])
def test_after_a_childs_end_values_are_back_and_no_sum_has_fallen(script: Script, how: str) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        before = supervisor.views()
        pid = child_of(supervisor)
        if how == "killed":
            os.kill(pid, signal.SIGKILL)
        else:
            script.set(crash=pid)
        wait_until(lambda: supervisor.backend().restarts != {}, what="its end")
        shown = energy(supervisor)
        wait_until(lambda: energy(supervisor)[0] > shown[0], wait_s=5, what="values")
        up(supervisor)
        after = supervisor.views()
        assert child_of(supervisor) != pid
        assert supervisor.backend().restarts == {"crashed": 1}
    for old, new in zip(before, after, strict=True):
        assert new.accumulated[ENERGY] >= old.accumulated[ENERGY]
        assert all(new.totals[total] >= value for total, value in old.totals.items())
        assert new.implausible == {}


def test_a_child_that_sends_garbage_is_replaced(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        script.set(garbage=True)
        wait_until(lambda: "garbage" in supervisor.backend().restarts, what="its end")
        script.set(garbage=False)
        up(supervisor)


def test_a_child_that_falls_silent_is_replaced(script: Script) -> None:
    with supervised(script, limits=replace(LIMITS, silent_s=3.0, kill_s=0.2)) as supervisor:
        up(supervisor)
        pid = child_of(supervisor)
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: states(supervisor) == {0: "stalled", 1: "stalled"}, what="no values")
        wait_until(lambda: "silent" in supervisor.backend().restarts, what="its end")
        wait_until(lambda: not alive(pid), what="its death")
        up(supervisor)


def test_a_child_on_whose_devices_all_calls_hang_is_replaced(script: Script) -> None:
    with supervised(script, limits=replace(LIMITS, all_stalled_s=1.5, kill_s=0.2)) as supervisor:
        up(supervisor)
        script.set(hang=[0, 1])
        wait_until(lambda: "stalled" in supervisor.backend().restarts, what="its end")
        script.set(hang=[])
        up(supervisor)


def test_a_child_that_does_not_come_up_is_replaced(script: Script) -> None:
    script.set(hang_discover=[True])
    with supervised(script, limits=replace(LIMITS, start_s=0.5)) as supervisor:
        wait_until(lambda: supervisor.backend().restarts != {}, what="its end")
        backend = supervisor.backend()
        assert backend.restarts == {"start_timeout": 1}
        assert (backend.state, backend.reason) == ("absent", "start_timeout")


def test_a_child_that_is_told_to_end_by_somebody_else_is_replaced(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        os.kill(child_of(supervisor), signal.SIGTERM)
        wait_until(lambda: supervisor.backend().restarts == {"exited": 1}, what="its end")
        up(supervisor)


@pytest.mark.req("GX-02")
def test_a_hung_call_does_not_delay_the_end(script: Script) -> None:
    script.set(hang=[0])
    with supervised(script) as supervisor:
        wait_until(lambda: states(supervisor).get(1) == "ok", what="the other")
        wait_until(lambda: supervisor.views()[0].call_inflight is not None, what="the hang")
        pid = child_of(supervisor)
        began_s = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - began_s < STOP_S
        wait_until(lambda: not alive(pid), wait_s=STOP_S, what="its end")


@pytest.mark.req("GX-02")
def test_nor_does_a_child_that_is_stopped(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        pid = child_of(supervisor)
        os.kill(pid, signal.SIGSTOP)
        began_s = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - began_s < STOP_S
        wait_until(lambda: not alive(pid), wait_s=STOP_S, what="its death")


def test_at_the_end_everything_is_closed_in_good_order(script: Script, tmp_path: Path) -> None:
    script.set(closed=str(tmp_path))
    before = (descriptors(os.getpid()), threads(os.getpid()))
    with supervised(script) as supervisor:
        up(supervisor)
    wait_until(lambda: threads(os.getpid()) <= before[1], what="our thread's end")
    assert {p.name for p in tmp_path.iterdir()} >= {"GPU-00000000", "GPU-00000001", "backend"}
    assert descriptors(os.getpid()) <= before[0]
    supervisor.release()
    supervisor.stop()


def test_a_library_that_prints_a_lot_reaches_the_log_in_part(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.set(chatter=200)
    with supervised(script) as supervisor:
        up(supervisor)
        wait_until(lambda: min(energy(supervisor)) > 5 * TICK_S * 1000, what="ticks")
    lines = [r for r in caplog.records if r.message == "the child says"]
    assert 0 < len(lines) < 200


class Immortal:
    """A child that says nothing and that no signal ends."""

    def __init__(self) -> None:
        self.pid = 1
        self.signals: list[int] = []
        self.messages_fd, self._messages_end = os.pipe()
        self.errors_fd, self._errors_end = os.pipe()
        os.set_blocking(self.messages_fd, False)
        os.set_blocking(self.errors_fd, False)
        self.ended: int | None = None

    def poll(self) -> int | None:
        return self.ended

    def send(self, number: int) -> None:
        self.signals.append(number)

    def close(self) -> None:
        for fd in (self.messages_fd, self._messages_end, self.errors_fd, self._errors_end):
            os.close(fd)


QUICK = replace(LIMITS, silent_s=0.2, kill_s=0.1, unkillable_s=0.1, stop_kill_s=0.1, stop_s=0.2)


def test_with_two_children_that_cannot_be_killed_there_is_no_third() -> None:
    launched: list[Immortal] = []

    def launch(_: ChildCommand) -> Process:
        launched.append(Immortal())
        return launched[-1]

    supervisor = Supervisor(ChildCommand(backend="nvml"), limits=QUICK, launch=launch)
    supervisor.start()
    try:
        wait_until(lambda: supervisor.backend().state == "stuck", what="stuck")
        assert len(launched) == 2
        assert all(child.signals == [signal.SIGTERM, signal.SIGKILL] for child in launched)
        assert supervisor.backend().reason == "unkillable"
        launched[0].ended = -9
        wait_until(lambda: len(launched) == 3, what="a third")
    finally:
        began_s = time.monotonic()
        supervisor.stop()
    assert time.monotonic() - began_s < STOP_S


def test_a_machine_without_room_for_a_child_is_asked_again() -> None:
    attempts: list[int] = []

    def launch(_: ChildCommand) -> Process:
        attempts.append(1)
        raise OSError(12, "no memory")

    supervisor = Supervisor(ChildCommand(backend="nvml"), limits=QUICK, launch=launch)
    supervisor.start()
    try:
        wait_until(lambda: len(attempts) > 2, what="attempts")
        assert supervisor.backend().reason == "spawn"
    finally:
        supervisor.stop()


def test_a_fault_of_our_own_is_counted_and_costs_a_turn() -> None:
    attempts: list[int] = []

    def launch(_: ChildCommand) -> Process:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError(12, "no memory")
        raise ZeroDivisionError

    supervisor = Supervisor(ChildCommand(backend="nvml"), limits=QUICK, launch=launch)
    supervisor.start()
    try:
        wait_until(lambda: supervisor.internal_errors > 1, what="turns")
    finally:
        supervisor.stop()


def test_a_supervisor_that_was_never_started_can_be_stopped(script: Script) -> None:
    Supervisor(command(script)).stop()


def test_a_child_begins_where_the_last_one_left_the_kernels_log(
    script: Script, tmp_path: Path
) -> None:
    log = tmp_path / "kmsg"
    log.write_bytes(b"3,41,5000000,-;NVRM: Xid (PCI:0000:18:00): 48, pid=1\n")
    script.set(pci_bus_id="00000000:18:00.0", devices=1)
    with path_to_support():
        quick = replace(command(script), kernel_log=log)
        supervisor = Supervisor(quick, limits=LIMITS)
        supervisor.start()
        try:
            wait_until(lambda: 48 in dict(*[v.xids for v in supervisor.views()]), what="the XID")
            first = child_of(supervisor)
            argv = Path(f"/proc/{first}/cmdline").read_bytes().split(b"\0")
            assert argv[argv.index(b"--kernel-after") + 1] == b"-1"
            wait_until(lambda: supervisor._work.kernel_sequence == 41, what="a heartbeat")
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: supervisor.child_pid not in {None, first}, what="the next")
            argv = Path(f"/proc/{child_of(supervisor)}/cmdline").read_bytes().split(b"\0")
            assert argv[argv.index(b"--kernel-after") + 1] == b"41"
            up(supervisor, 1)
            assert supervisor.views()[0].xids[48].seen == 1
        finally:
            supervisor.stop()


SERVER = """
import sys, time
from pathlib import Path
from support.gpu_child import command, LIMITS
from support.scripted_backend import Script
from inferometer.gpu.supervision.supervise import Supervisor
supervisor = Supervisor(command(Script(Path(sys.argv[1]), hang=[0])), limits=LIMITS)
supervisor.start()
while not any(v.state == "ok" for v in supervisor.views()):
    time.sleep(0.01)
print("up", flush=True)
time.sleep(60)
"""


def test_a_child_dies_with_its_server_even_while_a_call_hangs(tmp_path: Path) -> None:
    with path_to_support():
        argv = [sys.executable, "-c", SERVER, str(tmp_path / "script.json")]
        environ = {**os.environ, "PYTHONPATH": str(TESTS)}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"up\n"
            (pid,) = children(server.pid)
            server.kill()
        wait_until(lambda: not alive(pid), what="its end")
