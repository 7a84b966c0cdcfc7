"""What happens to devices and drivers, seen through a supervisor and real children."""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.gpu.supervision.supervise import Supervisor
from support.gpu_child import (
    LIMITS,
    PACE,
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
from support.scripted_backend import Script
from support.sidecar import wait_until


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path / "script.json")


@pytest.mark.req("GX-03")
def test_a_lost_device_is_left_alone_and_comes_back(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        script.set(fail={"1": {"state": "lost", "code": 15}})
        wait_until(lambda: states(supervisor) == {0: "ok", 1: "lost"}, what="lost")
        assert supervisor.views()[1].sample is None
        script.set(fail={})
        up(supervisor)
        assert supervisor.backend().restarts == {}


def test_without_permission_a_device_is_tried_again_later(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        script.set(fail={"0": {"state": "no_permission", "code": 4}})
        wait_until(lambda: states(supervisor)[0] == "no_permission", what="no permission")
        script.set(fail={})
        up(supervisor)


@pytest.mark.req("GX-03")
def test_after_a_driver_reset_values_return_without_a_restart_of_ours(script: Script) -> None:
    script.set(energy_offset=10**9)
    with supervised(script) as supervisor:
        up(supervisor)
        wait_until(lambda: min(energy(supervisor)) > 0, what="two ticks")
        before = energy(supervisor)
        gone = {"state": "lost", "code": 9, "driver": True}
        script.set(fail={"0": gone, "1": gone}, fail_to_open={"reason": "driver_not_loaded"})
        wait_until(lambda: states(supervisor) == {0: "lost", 1: "lost"}, what="lost")
        wait_until(lambda: supervisor.backend().reason == "driver_not_loaded", what="retries")
        backend = supervisor.backend()
        assert (backend.state, backend.devices_listed) == ("lost", None)
        assert backend.restarts == {"driver": 1}
        script.set(fail={}, fail_to_open=None, energy_offset=0)  # it counts from anew
        up(supervisor)
        after = energy(supervisor)
        assert all(new > old for new, old in zip(after, before, strict=True))
        assert supervisor.backend().restarts == {"driver": 1}
        assert supervisor.wants_exit is None
        assert all(view.implausible == {} for view in supervisor.views())


@pytest.mark.req("GX-03")
def test_started_before_the_driver_it_waits_and_says_so(script: Script) -> None:
    script.set(fail_to_open={"reason": "library_not_found", "code": 12})
    with supervised(script) as supervisor:
        wait_until(lambda: supervisor.backend().state == "absent", what="absent")
        assert supervisor.backend().reason == "library_not_found"
        assert supervisor.backend().restarts == {}
        assert not supervisor.ever_ran
        script.set(fail_to_open=None)
        up(supervisor)
        assert supervisor.ever_ran


def test_a_library_of_another_version_asks_for_an_end(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        gone = {"state": "lost", "code": 18, "driver": True}
        script.set(fail={"0": gone, "1": gone}, fail_to_open={"reason": "x", "code": 18})
        wait_until(lambda: supervisor.wants_exit is not None, what="the wish")
        assert "code 18" in (supervisor.wants_exit or "")


@pytest.mark.req("GX-05")
def test_a_device_that_is_plugged_in_is_found(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        script.set(devices=3)
        up(supervisor, 3)
        script.set(devices=2)
        wait_until(lambda: states(supervisor)[2] == "lost", what="its loss")
        assert supervisor.backend().restarts == {}


def test_a_device_that_cannot_be_opened_hides_no_other(script: Script) -> None:
    script.set(fail_open=[0])
    with supervised(script) as supervisor:
        wait_until(lambda: states(supervisor) == {0: "lost", 1: "ok"}, what="the other")
        script.set(fail_open=[])
        up(supervisor)


def test_xids_are_counted_over_children_and_79_loses_the_device(script: Script) -> None:
    script.set(events=[(0, "xid", 48), (0, "xid", 48), (1, "ecc_dbe", None)])
    with supervised(script) as supervisor:
        up(supervisor)
        wait_until(lambda: 48 in supervisor.views()[0].xids, what="events")
        assert supervisor.views()[0].xids[48].seen == 2
        wait_until(lambda: supervisor.views()[1].events == {"ecc_dbe": 1}, what="the other's")
        os.kill(child_of(supervisor), signal.SIGKILL)
        wait_until(lambda: supervisor.views()[0].xids[48].seen == 4, what="events again")
        script.set(fail={"0": {"state": "lost", "code": 15}}, events=[(0, "xid", 79)] * 4)
        wait_until(lambda: 79 in supervisor.views()[0].xids, what="79")
        wait_until(lambda: states(supervisor)[0] == "lost", what="lost")


def test_released_nothing_holds_the_driver_until_resumed(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        pid = child_of(supervisor)
        supervisor.release()
        wait_until(lambda: supervisor.backend().state == "released", what="released")
        assert supervisor.backend().reason == "operator"
        wait_until(lambda: not alive(pid), what="its end")
        assert states(supervisor) == {0: "stalled", 1: "stalled"}
        wait_until(lambda: pid not in children(os.getpid()), what="its being reaped")
        assert supervisor.child_pid is None
        supervisor.resume()
        up(supervisor)
        assert supervisor.backend().restarts == {}


def test_a_release_ends_by_itself(script: Script) -> None:
    waits = replace(LIMITS.waits, released_s=0.5)
    with supervised(script, limits=replace(LIMITS, waits=waits)) as supervisor:
        up(supervisor)
        supervisor.release()
        wait_until(lambda: supervisor.backend().state == "released", what="released")
        up(supervisor)


def test_a_driver_that_is_being_unbound_is_let_go_of(script: Script) -> None:
    with supervised(script) as supervisor:
        up(supervisor)
        pid = child_of(supervisor)
        script.set(fail_events="driver_unbind")
        wait_until(lambda: supervisor.backend().state == "released", what="released")
        assert supervisor.backend().reason == "driver_unbind"
        wait_until(lambda: not alive(pid), what="its end")


def test_after_a_driver_was_unbound_the_others_are_not_left_alone_for_long(script: Script) -> None:
    waits = replace(LIMITS.waits, released_s=600.0, unbound_s=0.5)
    with supervised(script, limits=replace(LIMITS, waits=waits)) as supervisor:
        up(supervisor)
        pid = child_of(supervisor)
        script.set(fail_events="driver_unbind")
        wait_until(lambda: not alive(pid), what="its end")
        script.set(fail_events=None)
        up(supervisor)


@pytest.mark.req("GX-03")
def test_a_child_that_hangs_in_listing_devices_is_replaced_once_none_is_well(
    script: Script,
) -> None:
    with supervised(script, limits=replace(LIMITS, hung_s=0.6)) as supervisor:
        up(supervisor)
        script.set(hang_discover=[True])

        def calls() -> Mapping[str, float]:
            return supervisor.backend().calls_inflight

        wait_until(lambda: max(calls().values(), default=0.0) > 1.0, what="the call")
        assert list(calls()) == ["discover"]
        assert states(supervisor) == {0: "ok", 1: "ok"}
        assert supervisor.backend().restarts == {}, "what is well goes on being read"
        lost = {"state": "lost", "code": 15}
        script.set(fail={"0": lost, "1": lost})
        wait_until(lambda: supervisor.backend().restarts == {"hung": 1}, what="its end")
        assert calls() == {}
        script.set(hang_discover=[], fail={})
        up(supervisor)


def test_an_xid_of_the_kernels_log_counts_once_however_soon_the_child_dies(
    script: Script, tmp_path: Path
) -> None:
    log = tmp_path / "kmsg"
    log.write_bytes(b"3,41,5000000,-;NVRM: Xid (PCI:0000:18:00): 48, pid=1\n")
    script.set(pci_bus_id="00000000:18:00.0", devices=1)
    rare = replace(PACE, heartbeat_s=9.0)  # none comes between the XID and the child's end
    with path_to_support():
        supervisor = Supervisor(replace(command(script, rare), kernel_log=log), limits=LIMITS)
        supervisor.start()
        try:
            wait_until(lambda: 48 in dict(*[v.xids for v in supervisor.views()]), what="the XID")
            os.kill(child_of(supervisor), signal.SIGKILL)
            wait_until(lambda: supervisor.backend().restarts != {}, what="its end")
            up(supervisor, 1)
            wait_until(lambda: supervisor.views()[0].events_heard, what="events of the next")
            assert supervisor.views()[0].xids[48].seen == 1
        finally:
            supervisor.stop()
