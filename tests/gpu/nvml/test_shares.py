import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.nvml.shares import (
    PIDS_MAX,
    READS_KEPT,
    ROWS_MAX,
    Ledger,
    Slice,
    Utilization,
)
from inferometer.gpu.nvml.structs import Handle

T0 = 1_700_000_000_000_000
SECOND = 1_000_000


def at(second: float, percent: int, pid: int = 7) -> Slice:
    return Slice(pid, T0 + round(second * SECOND), percent)


def started() -> Ledger:
    ledger = Ledger()
    ledger.take([at(0, 50)], interval_us=0)
    return ledger


def test_the_first_samples_only_say_where_time_starts() -> None:
    assert started().busy_ns(7) == 0


def test_a_sample_speaks_for_the_time_since_the_last_read() -> None:
    ledger = started()
    ledger.take([at(5, 40)], interval_us=5 * SECOND)
    assert ledger.busy_ns(7) == 2 * 10**9


def test_several_samples_of_a_process_share_the_time() -> None:
    ledger = started()
    ledger.take([at(4, 100), at(1, 20)], interval_us=5 * SECOND)
    assert ledger.busy_ns(7) == round((0.2 + 3) * 10**9)


def test_a_process_that_was_idle_for_long_is_not_billed_for_it() -> None:
    ledger = started()
    ledger.take([], interval_us=600 * SECOND)
    ledger.take([at(605, 40)], interval_us=5 * SECOND)
    assert ledger.busy_ns(7) == 2 * 10**9


def test_a_new_process_is_billed_since_the_last_read_only() -> None:
    ledger = started()
    ledger.take([at(5, 40), at(5, 10, pid=8)], interval_us=5 * SECOND)
    assert ledger.busy_ns(8) == 5 * 10**8


@pytest.mark.req("GX-04")
def test_more_than_everything_is_dropped_and_counted_not_clamped() -> None:
    ledger = started()
    ledger.take([at(5, 101), at(5, 100, pid=8)], interval_us=5 * SECOND)
    assert (ledger.busy_ns(7), ledger.busy_ns(8)) == (0, 5 * 10**9)
    assert ledger.refused == 1


def test_a_process_that_has_ended_is_forgotten() -> None:
    ledger = started()
    ledger.take([at(5, 40)], interval_us=5 * SECOND)
    for _ in range(READS_KEPT - 1):
        ledger.take([], interval_us=5 * SECOND)
        ledger.prune([])
    assert ledger.busy_ns(7) > 0
    ledger.take([], interval_us=5 * SECOND)
    ledger.prune([])
    assert ledger.busy_ns(7) == 0


def test_a_process_that_is_listed_is_kept_however_idle() -> None:
    ledger = started()
    ledger.take([at(5, 40)], interval_us=5 * SECOND)
    for _ in range(3 * READS_KEPT):
        ledger.take([], interval_us=5 * SECOND)
        ledger.prune([7, 99])
    assert ledger.busy_ns(7) == 2 * 10**9


def test_processes_that_are_kept_are_bounded() -> None:
    ledger = started()
    ledger.take([at(1, 50, pid) for pid in range(1, 101)], interval_us=SECOND)
    ledger.take([at(2, 50, pid) for pid in range(1000, 1000 + PIDS_MAX)], interval_us=SECOND)
    ledger.prune([])
    assert ledger.busy_ns(50) == 0  # the oldest went
    assert ledger.busy_ns(1500) > 0


@given(
    st.lists(
        st.lists(st.builds(at, st.floats(0, 100), st.integers(0, 110), st.integers(1, 4))),
        max_size=10,
    )
)
def test_sums_never_fall_and_never_exceed_the_time(reads: list[list[Slice]]) -> None:
    ledger = started()
    before = dict.fromkeys(range(1, 5), 0)
    for read, slices in enumerate(reads, start=1):
        ledger.take(slices, interval_us=SECOND)
        for pid, busy_ns in before.items():
            assert busy_ns <= ledger.busy_ns(pid)
            before[pid] = ledger.busy_ns(pid)
            assert before[pid] <= read * 10**9


def test_after_the_clock_was_set_samples_are_a_start_again() -> None:
    ledger = started()
    ledger.restart()
    ledger.take([at(-3600, 40)], interval_us=5 * SECOND)
    assert ledger.busy_ns(7) == 0


def asking(rows: int) -> tuple[Utilization, list[int]]:
    rooms: list[int] = []

    def function(_: object, __: object, counted: object, ___: object) -> int:
        number = counted._obj  # type: ignore[attr-defined]  # what ctypes calls it
        rooms.append(number.value)
        fits = number.value >= rows
        number.value = rows
        return 0 if fits else 7

    return Utilization(function, Handle(1), clock=lambda: 0), rooms


@pytest.mark.parametrize(
    ("rows", "code", "asked"),
    [(128, 0, [128]), (129, 0, [128, 257]), (ROWS_MAX + 1, 7, [128, ROWS_MAX])],
)
def test_more_samples_than_room_are_asked_for_once_more_within_a_bound(
    rows: int, code: int, asked: list[int]
) -> None:
    utilization, rooms = asking(rows)
    assert utilization.call() == code
    assert rooms == asked
    assert utilization.slices() == []  # rows of nothing are none
