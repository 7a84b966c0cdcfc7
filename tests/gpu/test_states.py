"""What a device, a backend and its children are, over time."""

import pytest

from inferometer.gpu.sample import DeviceState
from inferometer.gpu.states import Health, Lifecycle, Waits, stall_after_s, stalled


@pytest.fixture
def health() -> Health:
    return Health(alive_s=60, permission_s=600)


@pytest.fixture
def life() -> Lifecycle:
    return Lifecycle(Waits())


def due(life: Lifecycle, now_s: float, *, unkillable: int = 0) -> bool:
    return life.due(now_s, unkillable=unkillable, unkillable_max=2)


def test_a_device_is_probed_once_and_then_sampled(health: Health) -> None:
    assert health.task(0) == "probe"
    health.probed()
    assert health.task(0) == "sample"
    health.completed()
    assert health.task(1) == "sample"
    health.probe_again()
    assert health.task(2) == "probe"


@pytest.mark.parametrize("state", ["lost", "reset_required"])
def test_a_lost_device_gets_one_cheap_call_a_minute(health: Health, state: DeviceState) -> None:
    health.probed()
    health.failed(state, 100, code=15)
    assert (health.state, health.code, health.resting) == (state, 15, True)
    assert health.task(159) is None
    assert health.task(160) == "alive"
    health.answered(160, alive=False)
    assert health.task(219) is None
    assert health.task(220) == "alive"


def test_a_device_that_answers_again_is_probed_and_lost_until_a_tick(health: Health) -> None:
    health.probed()
    health.failed("lost", 0, code=15)
    health.answered(60, alive=True)
    assert health.state == "lost"
    assert health.task(60) == "probe"
    health.probed()
    assert health.task(60) == "sample"
    health.completed()
    assert (health.state, health.code, health.resting) == ("ok", None, False)


def test_without_permission_a_device_is_left_alone_for_ten_minutes(health: Health) -> None:
    health.probed()
    health.failed("no_permission", 0, code=4)
    assert health.state == "no_permission"
    assert health.task(599) is None
    assert health.task(600) == "probe"


def test_a_tick_that_failed_leaves_the_device_as_it_was(health: Health) -> None:
    health.probed()
    health.completed()
    health.failed("ok", 0, code=1, driver=True)
    assert (health.state, health.driver_code) == ("ok", 1)
    assert health.task(1) == "sample"
    health.completed()
    assert health.driver_code is None


def test_a_driver_that_is_gone_is_not_the_trouble_of_one_device(health: Health) -> None:
    health.failed("lost", 0, driver=True)
    assert not health.resting
    assert health.driver_code == 0


def test_a_device_stalls_after_three_ticks_but_not_before_three_seconds() -> None:
    assert stall_after_s(1.0, 3.0) == 3.0
    assert stall_after_s(0.2, 3.0) == 3.0
    assert stall_after_s(10.0, 3.0) == 30.0


@pytest.mark.parametrize(
    ("now_s", "started_s", "ticked_s", "expected"),
    [
        (10.0, None, None, True),
        (10.0, None, 9.0, False),
        (10.0, 7.0, 9.0, False),
        (10.1, 7.0, 9.0, True),
        (10.0, None, 6.0, False),
        (10.1, None, 6.0, True),
    ],
    ids=["never", "fresh", "in time", "hangs", "old", "too old"],
)
def test_a_device_is_stalled_by_its_call_or_by_its_age(
    *, now_s: float, started_s: float | None, ticked_s: float | None, expected: bool
) -> None:
    found = stalled(now_s, call_started_s=started_s, ticked_s=ticked_s, limits=(3.0, 1.0))
    assert found is expected


def test_the_first_child_is_due_at_once_and_only_one_at_a_time(life: Lifecycle) -> None:
    assert life.state == "starting"
    assert due(life, 0)
    life.spawned()
    assert not due(life, 1e6)
    life.opened(1)
    assert (life.state, life.reason, life.ever_ran) == ("running", "", True)


def test_a_backend_that_was_never_there_is_absent_and_tried_every_30_s(life: Lifecycle) -> None:
    now_s, gaps = 0.0, []
    for _ in range(8):
        assert due(life, now_s)
        life.spawned()
        life.ended("library_not_found", now_s, code=12)
        assert (life.state, life.reason) == ("absent", "library_not_found")
        assert life.spawn_at_s is not None
        gaps.append(life.spawn_at_s - now_s)
        now_s = life.spawn_at_s
    assert gaps == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_backend_that_is_lost_is_tried_every_15_s(life: Lifecycle) -> None:
    now_s, gaps = 0.0, []
    life.opened(now_s)
    for _ in range(6):
        life.spawned()
        life.ended("driver_not_loaded", now_s)
        assert life.state == "lost"
        assert life.spawn_at_s is not None
        gaps.append(life.spawn_at_s - now_s)
        now_s = life.spawn_at_s
    assert gaps == [1, 2, 4, 8, 15, 15]


def test_a_child_that_lived_for_ten_seconds_begins_the_back_off_anew(life: Lifecycle) -> None:
    for _ in range(4):
        life.ended("crashed", 0)
    life.opened(100)
    life.opened(105)  # said again after each discovery
    life.ended("crashed", 110)
    assert life.spawn_at_s == 111


def test_a_child_that_lives_shorter_does_not(life: Lifecycle) -> None:
    life.ended("crashed", 0)
    life.opened(100)
    life.ended("crashed", 109)
    assert life.spawn_at_s == 111


def test_released_until_told_otherwise(life: Lifecycle) -> None:
    life.spawned()
    life.opened(0)
    life.release("operator", 10)
    life.ended("operator", 10)
    assert (life.state, life.reason) == ("released", "operator")
    assert not due(life, 609)
    life.resume(300)
    assert life.state == "starting"
    assert due(life, 300)


def test_released_for_ten_minutes_at_most(life: Lifecycle) -> None:
    life.release("operator", 10)
    assert not due(life, 609.9)
    assert due(life, 610)
    assert life.state == "starting"


def test_resume_means_nothing_to_a_backend_that_runs(life: Lifecycle) -> None:
    life.spawned()
    life.opened(0)
    life.resume(5)
    assert life.state == "running"
    assert not due(life, 5)


def test_two_children_that_cannot_be_killed_forbid_a_third(life: Lifecycle) -> None:
    life.opened(0)
    life.ended("silent", 0)
    assert due(life, 1, unkillable=1)
    assert not due(life, 1, unkillable=2)
    assert (life.state, life.reason) == ("stuck", "unkillable")
    assert due(life, 50, unkillable=1)
    assert life.state == "lost"


def fail(life: Lifecycle, code: int | None, *moments_s: float) -> None:
    for now_s in moments_s:
        life.ended("scripted", now_s, code=code)


def test_60_s_of_another_version_than_the_kernels_end_the_process(life: Lifecycle) -> None:
    fail(life, 18, 0, 30, 59)
    assert life.exit_code is None
    fail(life, 18, 60)
    assert life.exit_code == 18


def test_60_s_of_unknown_errors_end_it_only_if_it_once_worked(life: Lifecycle) -> None:
    fail(life, 999, 0, 30, 61)
    assert life.exit_code is None
    life.worked()
    fail(life, 999, 100, 130, 160)
    assert life.exit_code == 999


@pytest.mark.parametrize("code", [1, 9, 12, 15])
def test_other_losses_wait_for_ever(life: Lifecycle, code: int) -> None:
    life.worked()
    fail(life, code, 0, 60, 600, 6000)
    assert life.exit_code is None


def test_one_call_that_works_takes_it_back(life: Lifecycle) -> None:
    fail(life, 18, 0, 59)
    life.worked()
    fail(life, 18, 61, 120)
    assert life.exit_code is None


def test_another_code_takes_it_back_but_a_crash_does_not(life: Lifecycle) -> None:
    life.worked()
    fail(life, 999, 0)
    fail(life, 9, 30)
    fail(life, 999, 61)
    assert life.exit_code is None
    fail(life, None, 100)
    fail(life, 18, 121)
    assert life.exit_code == 18


def test_a_driver_that_leaves_a_device_is_asked_again_much_sooner(life: Lifecycle) -> None:
    life.release("driver_unbind", 10, unbound=True)
    assert not due(life, 29.9)
    assert due(life, 30)
    assert life.state == "starting"
