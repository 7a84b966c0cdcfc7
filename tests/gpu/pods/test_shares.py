import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.pods import shares
from inferometer.gpu.pods.holders import Holder
from inferometer.gpu.pods.shares import (
    MEMORY_UNKNOWN,
    InstanceUse,
    MemorySplit,
    ProcessUse,
    Split,
    largest_remainder,
    split_busy,
    split_energy,
    split_memory,
)

A, B, C = (Holder("serving", pod, "vllm") for pod in "abc")
SECOND = 1_000_000_000

amounts = st.integers(0, 10**18)
uses = st.dictionaries(st.sampled_from([A, B, C]), amounts)


@given(amounts, st.dictionaries(st.integers(), st.integers(0, 10**18), min_size=1))
def test_parts_add_up_and_none_is_a_whole_unit_off(amount: int, weights: dict[int, int]) -> None:
    total = sum(weights.values())
    if total == 0:
        amount = 0
    parts = largest_remainder(amount, weights)
    assert parts.keys() == weights.keys()
    assert sum(parts.values()) == amount
    for key, part in parts.items():
        assert part >= 0
        assert abs(part * total - amount * weights[key]) < max(1, total)


def test_what_is_left_goes_to_the_largest_remainders() -> None:
    assert largest_remainder(10, {A: 1, B: 1, C: 1}) == {A: 4, B: 3, C: 3}
    assert largest_remainder(10, {A: 1, B: 5, C: 1}) == {A: 2, B: 7, C: 1}
    assert largest_remainder(0, {}) == {}


@given(amounts, amounts, uses)
def test_time_adds_up_exactly(one: int, other: int, raw: dict[Holder, int]) -> None:
    busy_ns, dt_ns = sorted((one, other))
    split = split_busy(dt_ns, busy_ns, raw)
    assert sum(split.pods.values()) + split.other + split.idle == dt_ns
    assert min([split.other, split.idle, *split.pods.values()]) >= 0
    assert split.pods.keys() == raw.keys()
    assert split.idle == dt_ns - busy_ns


def test_uses_below_the_device_are_kept_and_the_rest_is_other() -> None:
    assert split_busy(100, 80, {A: 30, B: 20}) == Split({A: 30, B: 20}, 30, 20)


def test_uses_above_the_device_are_scaled_down_to_it() -> None:
    assert split_busy(100, 80, {A: 90, B: 30}) == Split({A: 60, B: 20}, 0, 20)


@given(amounts, amounts, amounts, amounts, uses, st.sets(st.sampled_from([A, B, C])))
def test_energy_adds_up_exactly(  # noqa: PLR0913, PLR0917 - each a dimension of its own
    energy_mj: int,
    one: int,
    other: int,
    floor_mj: int,
    raw: dict[Holder, int],
    payers: set[Holder],
) -> None:
    busy_ns, dt_ns = sorted((one, other))
    busy = split_busy(dt_ns, busy_ns, raw)
    split = split_energy(energy_mj, busy, floor_mj=floor_mj, payers=sorted(payers))
    assert sum(split.pods.values()) + split.other + split.idle == energy_mj
    assert min([split.other, split.idle, *split.pods.values()]) >= 0


def test_energy_above_the_floor_follows_busy_time_others_included() -> None:
    busy = Split({A: 60, B: 20}, 20, 100)
    assert split_energy(1100, busy, floor_mj=100, payers=()) == Split({A: 600, B: 200}, 200, 100)


def test_the_floor_may_be_paid_by_those_who_hold_the_device() -> None:
    busy = Split({A: 60, B: 20}, 20, 100)
    split = split_energy(1101, busy, floor_mj=101, payers=(A, C))
    assert split == Split({A: 651, B: 200, C: 50}, 200, 0)


def test_energy_of_an_idle_device_is_nobodys() -> None:
    assert split_energy(500, Split({A: 0}, 0, 9), floor_mj=100, payers=()) == Split({A: 0}, 0, 500)
    assert split_energy(500, Split({A: 0}, 0, 9), floor_mj=100, payers=(A,)) == Split(
        {A: 100}, 0, 400
    )


def test_a_floor_above_the_energy_takes_all_of_it_and_no_more() -> None:
    assert split_energy(5, Split({A: 9}, 0, 0), floor_mj=100, payers=()) == Split({A: 0}, 0, 5)


@given(amounts, st.dictionaries(st.sampled_from([A, B, C]), amounts))
def test_memory_adds_up_exactly(used_bytes: int, pods: dict[Holder, int]) -> None:
    split = split_memory(used_bytes, pods)
    assert split.other is not None
    known = [part for part in split.pods.values() if part is not None]
    assert sum(known) + split.other == used_bytes
    assert min([split.other, *known]) >= 0


def test_memory_that_is_unknown_is_not_zero() -> None:
    assert split_memory(None, {A: 5}) == MemorySplit({A: 5}, None)
    assert split_memory(100, {A: 5, B: None}) == MemorySplit({A: 5, B: None}, None)
    assert split_memory(100, {A: 5}) == MemorySplit({A: 5}, 95)


def test_processes_are_summed_by_holder() -> None:
    processes = [
        ProcessUse(A, 10, 100),
        ProcessUse(A, None, 50),
        ProcessUse(A, -5, 1),
        ProcessUse(None, 30, 7),
        ProcessUse(B, 1, 0),
    ]
    assert shares.busy_of_processes(processes) == {A: 10, B: 1}
    assert shares.memory_of_processes(processes) == {A: 151, B: 0}


@pytest.mark.parametrize("unknown", [None, MEMORY_UNKNOWN, -1])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_process_of_unknown_memory_makes_its_pods_unknown(
    unknown: int | None, order: tuple[int, int]
) -> None:
    processes = [ProcessUse(A, 0, unknown), ProcessUse(A, 0, 100)]
    assert shares.memory_of_processes([processes[n] for n in order]) == {A: None}


def test_instances_count_by_their_slices() -> None:
    instances = [
        InstanceUse((A,), 3, SECOND, 30),
        InstanceUse((A,), 1, SECOND // 2, 10),
        InstanceUse((B, C), 2, SECOND, 20),
        InstanceUse(None, 1, SECOND, 1),
        InstanceUse((), 0, SECOND, 1),
    ]
    found = shares.busy_of_instances(instances, dt_ns=SECOND, slices=7)
    assert found is not None
    raw, total = found
    seventh = SECOND // 7
    assert raw == {A: SECOND * 3 // 7 + SECOND // 2 // 7}
    assert abs(total - (6 * seventh + seventh // 2)) < 5
    assert shares.memory_of_instances(instances) == {A: 40}


def test_one_instance_that_is_unknown_makes_the_device_unknown() -> None:
    instances = [InstanceUse((A,), 3, SECOND, 30), InstanceUse((B,), 3, None, None)]
    assert shares.busy_of_instances(instances, dt_ns=SECOND, slices=7) is None
    assert shares.memory_of_instances(instances) == {A: 30, B: None}
    assert shares.busy_of_instances(instances[:1], dt_ns=SECOND, slices=0) is None


def test_instances_that_claim_more_than_the_device_are_held_to_it() -> None:
    found = shares.busy_of_instances([InstanceUse((A,), 9, SECOND, 0)], dt_ns=SECOND, slices=7)
    assert found is not None
    assert found[1] == SECOND
