from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.nvml.cursor import SILENCE_NS, SLACK_US, Cursor

T0 = 1_700_000_000_000_000
SECOND = 1_000_000


class Reading:
    """A cursor, and a driver with samples by a clock of its own."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.cursor = Cursor(lambda: self.now_ns)
        self.ring: list[int] = []

    def read(self) -> list[int] | None:
        self.cursor.begin()
        since_us = self.cursor.since.value
        return self.take([moment for moment in self.ring if moment > since_us])

    def take(self, rows: Sequence[int]) -> list[int] | None:
        return self.cursor.take(rows, lambda row: row)

    def later(self, seconds: int, *moments_us: int) -> list[int] | None:
        self.now_ns += seconds * 10**9
        self.ring += moments_us
        return self.read()


def started() -> Reading:
    reading = Reading()
    assert reading.later(1, T0) == [T0]
    return reading


def test_each_sample_is_read_once() -> None:
    reading = started()
    assert reading.later(1, T0 + SECOND) == [T0 + SECOND]
    assert reading.later(1) == []


def test_a_device_that_is_idle_for_long_starts_nothing_anew() -> None:
    reading = started()
    for _ in range(5 * SILENCE_NS // 10**9):
        assert reading.later(1) == []
    busy_again_us = T0 + 5 * SILENCE_NS // 1000
    assert reading.later(1, busy_again_us) == [busy_again_us]


def test_a_clock_that_was_set_back_is_found_out_after_a_while() -> None:
    reading = started()
    reading.ring = [T0 - 3600 * SECOND]
    assert [reading.later(1) for _ in range(59)] == [[]] * 59
    assert reading.later(1) is None
    new_us = T0 - 3599 * SECOND
    assert reading.later(1, new_us) == [new_us]


def test_a_clock_that_was_set_forward_is_found_out_by_the_next_call() -> None:
    reading = started()
    assert reading.later(1, T0 + 3600 * SECOND) == []
    assert reading.cursor.refused == 1
    assert reading.later(1) is None
    new_us = T0 + 3601 * SECOND
    assert reading.later(1, new_us) == [new_us]


def test_a_sample_from_the_future_is_refused_and_the_others_are_read() -> None:
    reading = started()
    assert reading.later(1, T0 + SECOND, 1 << 62) == [T0 + SECOND]
    reading.ring.remove(1 << 62)
    assert reading.later(1, T0 + 2 * SECOND) == [T0 + 2 * SECOND]
    assert reading.cursor.refused == 1


def test_clocks_may_drift_apart_a_little() -> None:
    reading = started()
    late_us = T0 + SECOND + SLACK_US
    assert reading.later(1, late_us) == [late_us]


@given(st.lists(st.lists(st.integers(0, (1 << 64) - 1), max_size=5), max_size=30))
def test_whatever_the_moments_are_no_cursor_gets_stuck(reads: list[list[int]]) -> None:
    reading = started()
    for moments in reads:
        reading.ring = moments
        reading.later(1)
    reading.ring = []
    newest_us = T0
    for second in range(3 * SILENCE_NS // 10**9):
        newest_us = T0 + second * SECOND
        reading.later(1, newest_us)
    assert reading.later(1, newest_us + SECOND) == [newest_us + SECOND]
