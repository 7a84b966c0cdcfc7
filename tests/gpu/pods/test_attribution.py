from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.gpu.pods import attribution
from inferometer.gpu.pods.attribution import Attribution
from inferometer.gpu.pods.holders import Holder
from inferometer.gpu.pods.methods import HELD_NS_MAX
from inferometer.gpu.pods.shares import MEMORY_UNKNOWN, InstanceUse, ProcessUse
from inferometer.gpu.pods.tick import ShareTotal, Tick
from support.shared_device import GIB, SECOND, A, B, C, Device


def test_before_the_first_tick_there_is_nothing() -> None:
    device = Device()
    assert device.shares.totals() == ()
    assert device.shares.error_ratio() == 0


def test_the_one_holder_of_a_device_has_all_its_work() -> None:
    device = Device()
    device.tick(holders=(A,))
    assert device.verdict == ("exclusive", "")
    assert device.shares.totals() == (
        ShareTotal("pod", A, SECOND // 2, 300_000, GIB),
        ShareTotal("other", None, 0, 0, 0),
        ShareTotal("idle", None, SECOND // 2, 0, None),
    )


def test_the_idle_floor_is_learnt_while_idle_and_goes_to_idle() -> None:
    device = Device()
    device.idle(15, holders=(A,))
    before = device.total("idle")
    device.tick(holders=(A,))
    after = device.total("idle")
    assert before is not None
    assert after is not None
    assert (before.energy_mj, after.energy_mj) == (15 * 50_000, 16 * 50_000)
    assert device.total("pod", A) == ShareTotal("pod", A, SECOND // 2, 250_000, GIB)


def test_the_idle_floor_may_go_to_the_holders() -> None:
    device = Device(floor="holders")
    device.idle(15, holders=(A, B))
    device.idle(1, holders=(A, B))
    total = device.total("pod", A)
    assert total is not None
    assert total.energy_mj == 2 * 25_000  # known from the 15th tick on


def test_a_start_under_load_sets_no_floor() -> None:
    device = Device()
    for _ in range(100):
        device.tick(busy_ns=SECOND, holders=(A,))
    assert device.total("idle") == ShareTotal("idle", None, 0, 0, None)


@pytest.mark.parametrize(
    ("holders", "processes", "expected"),
    [
        (None, False, ("none", "no_map")),
        ((), False, ("none", "no_holder")),
        ((A, B), False, ("none", "no_processes")),
        (None, True, ("none", "no_map")),
    ],
)
def test_where_nobody_can_tell_it_is_other(
    *,
    holders: tuple[Holder, ...] | None,
    processes: bool,
    expected: tuple[str, str],
) -> None:
    device = Device(processes=processes)
    device.tick(holders=holders)
    assert device.verdict == expected
    assert device.shares.totals() == (
        ShareTotal("other", None, SECOND // 2, 300_000, GIB),
        ShareTotal("idle", None, SECOND // 2, 0, None),
    )


def test_without_busy_time_there_are_no_busy_shares_and_energy_is_other() -> None:
    device = Device()
    device.tick(holders=(A,), busy_ns=None)
    assert device.verdict == ("exclusive", "no_busy")
    assert device.shares.totals() == (
        ShareTotal("pod", A, None, None, GIB),
        ShareTotal("other", None, None, 300_000, 0),
    )


def test_without_energy_there_are_no_energy_shares() -> None:
    device = Device()
    device.tick(holders=(A,), energy_mj=None, used_bytes=None)
    assert device.shares.totals() == (
        ShareTotal("pod", A, SECOND // 2, None, None),
        ShareTotal("other", None, 0, None, None),
        ShareTotal("idle", None, SECOND // 2, None, None),
    )


def test_a_tick_of_which_nothing_is_known_changes_nothing() -> None:
    device = Device()
    device.tick(holders=(A,), busy_ns=None, energy_mj=None, used_bytes=None)
    assert device.shares.totals() == ()


def test_ticks_wait_for_the_process_data_of_their_time() -> None:
    device = Device(processes=True)
    for _ in range(4):
        device.tick(holders=(A, B))
    assert device.shares.totals() == ()
    device.tick(holders=(A, B), processes=(ProcessUse(B, 2 * SECOND, None),))
    assert device.busy("pod", A) == 0
    assert device.busy("pod", B) == 2 * SECOND
    assert device.busy("other") == SECOND // 2
    assert device.busy("idle") == 5 * SECOND // 2


def test_process_data_that_do_not_come_are_not_waited_for_for_ever() -> None:
    device = Device(processes=True)
    for _ in range(HELD_NS_MAX // SECOND - 1):
        device.tick(holders=(A, B))
    assert device.busy("other") is None
    device.tick(holders=(A, B))
    assert device.verdict == ("process", "process_data_late")
    assert device.busy("other") == HELD_NS_MAX // 2
    assert device.busy("pod", A) is None


def test_an_idle_device_misses_no_process_data() -> None:
    device = Device(processes=True)
    device.idle(30, holders=(A, B))
    assert device.verdict == ("process", "")
    assert device.busy("idle") == 30 * SECOND


def test_what_waited_is_other_once_processes_do_not_matter() -> None:
    device = Device(processes=True)
    device.tick(holders=(A, B))
    device.tick(holders=(A,))
    assert device.verdict == ("exclusive", "")
    assert device.busy("other") == SECOND // 2
    assert device.busy("pod", A) == SECOND // 2
    assert device.busy("pod", B) is None


def test_memory_of_a_sole_holder_tells_nothing_once_there_are_two() -> None:
    device = Device(processes=True)
    device.tick(holders=(A,))
    device.tick(holders=(A, B))
    total = device.total("pod", A)
    assert total is not None
    assert total.used_bytes is None


def instance(holders: tuple[Holder, ...] | None, slices: int, **values: Any) -> InstanceUse:
    known = {"busy_ns": SECOND, "used_bytes": GIB // 4}
    return InstanceUse(holders, slices, **(known | values))


def test_instances_weigh_by_their_slices() -> None:
    device = Device()
    device.tick(dt_ns=7 * SECOND, slices=7, instances=(instance((A,), 3), instance((), 4)))
    assert device.verdict == ("mig", "")
    assert device.shares.totals() == (
        ShareTotal("pod", A, SECOND * 3 // 7, 128_571, GIB // 4),
        ShareTotal("other", None, SECOND - SECOND * 3 // 7 - 1, 171_429, GIB * 3 // 4),
        ShareTotal("idle", None, 6 * SECOND + 1, 0, None),
    )


def test_instances_without_counters_leave_energy_to_other() -> None:
    device = Device()
    device.tick(busy_ns=None, slices=7, instances=(instance((A,), 3, busy_ns=None),))
    assert device.verdict == ("mig", "no_gi_counters")
    assert device.shares.totals() == (
        ShareTotal("pod", A, None, None, GIB // 4),
        ShareTotal("other", None, None, 300_000, GIB * 3 // 4),
    )


@pytest.mark.parametrize(
    ("holders", "reason"), [((A, B), "shared_instance"), (None, "no_map"), ((), "")]
)
def test_an_instance_that_is_not_one_containers_is_other(
    holders: tuple[Holder, ...] | None, reason: str
) -> None:
    device = Device()
    device.tick(instances=(instance(holders, 7),))
    assert device.verdict == ("mig", reason)
    assert device.busy("other") == SECOND
    assert device.busy("pod", A) is None


def test_a_device_without_instances_yet_is_idle() -> None:
    device = Device(processes=True)
    device.tick(holders=(A, B))
    device.tick(instances=(), slices=7)
    assert device.verdict == ("mig", "")
    assert device.busy("other") == SECOND // 2  # of the tick before
    assert device.busy("idle") == SECOND // 2 + SECOND


def test_busy_time_beyond_the_tick_is_left_for_the_next() -> None:
    device = Device()
    device.tick(busy_ns=SECOND * 3 // 2, holders=(A,))
    device.tick(busy_ns=0, holders=(A,))
    assert device.busy("pod", A) == SECOND * 3 // 2
    assert device.shares.implausible == 0


def test_busy_time_that_cannot_be_is_cut_and_counted() -> None:
    device = Device()
    device.tick(busy_ns=1000 * SECOND, holders=(A,))
    for _ in range(10):
        device.tick(busy_ns=0, holders=(A,))
    assert device.busy("pod", A) == SECOND + attribution.CARRIED_NS_MAX
    assert device.shares.implausible == 1


@pytest.mark.parametrize("name", ["busy_ns", "energy_mj", "used_bytes", "dt_ns"])
def test_negative_values_are_refused_and_counted(name: str) -> None:
    device = Device()
    device.tick(**{"holders": (A,), name: -1})
    assert device.shares.implausible == 1
    for total in device.shares.totals():
        assert min(value or 0 for value in total[2:]) >= 0


holders = st.sampled_from([A, B, C])
nanoseconds = st.none() | st.integers(-1, 3 * SECOND)
uses = st.builds(
    ProcessUse,
    st.none() | holders,
    nanoseconds,
    st.none() | st.integers(0, GIB) | st.just(MEMORY_UNKNOWN),
    st.sampled_from(["", "client", "server"]),
)
sets = st.none() | st.sets(holders).map(lambda found: tuple(sorted(found)))
instances = st.builds(InstanceUse, sets, st.integers(-1, 7), nanoseconds, nanoseconds)
ticks = st.builds(
    Tick,
    dt_ns=st.integers(-1, 40 * SECOND) | st.just(SECOND),
    busy_ns=nanoseconds,
    energy_mj=st.none() | st.integers(-1, 10**6),
    used_bytes=st.none() | st.integers(-1, GIB),
    holders=sets,
    processes=st.none() | st.lists(uses, max_size=4).map(tuple),
    instances=st.none() | st.none() | st.lists(instances, max_size=4).map(tuple),
    slices=st.none() | st.integers(0, 7),
)


@given(
    found=st.lists(ticks, max_size=25),
    processes=st.booleans(),
    floor=st.sampled_from(["idle", "holders"]),
    holders_max=st.integers(0, 3),
)
@settings(deadline=None)
def test_whatever_comes_shares_add_up_and_totals_never_fall(
    *,
    found: list[Tick],
    processes: bool,
    floor: Any,
    holders_max: int,
) -> None:
    shares = Attribution(processes=processes, floor=floor, holders_max=holders_max)
    now_ns = 0
    before: dict[tuple[str, Holder | None], ShareTotal] = {}
    after: dict[tuple[str, Holder | None], ShareTotal]
    for tick in found:
        now_ns += 20 * SECOND
        shares.take(tick, now_ns)
        assert shares.error_ratio() == 0
        after = {(total.share, total.holder): total for total in shares.totals()}
        assert len(after) <= holders_max + 2
        for key in before.keys() & after.keys():
            assert (after[key].busy_ns or 0) >= (before[key].busy_ns or 0)
            assert (after[key].energy_mj or 0) >= (before[key].energy_mj or 0)
        for total in after.values():
            assert min(value or 0 for value in total[2:]) >= 0
        before = after


@given(st.lists(st.tuples(st.integers(0, SECOND), sets, st.integers(0, 10**6)), max_size=30))
def test_time_and_energy_of_the_device_are_all_in_the_shares(
    found: list[tuple[int, tuple[Holder, ...] | None, int]],
) -> None:
    device = Device()
    for busy_ns, held, energy_mj in found:
        device.tick(busy_ns=busy_ns, holders=held, energy_mj=energy_mj)
    totals = device.shares.totals()
    assert sum(total.busy_ns or 0 for total in totals) == SECOND * len(found)
    assert sum(total.energy_mj or 0 for total in totals) == sum(energy for _, _, energy in found)
    idle = device.busy("idle") or 0
    assert idle == sum(SECOND - busy_ns for busy_ns, _, _ in found)
