import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.binding.integrals import (
    PER_SECOND,
    RATIO_TO_NS,
    WATTS_TO_MICROJOULES,
    Integral,
    Source,
    Totals,
    lacking,
)
from inferometer.gpu.quantities import Counter, Gauge, Total

SECOND = 1_000_000_000
DRAM = Gauge.DRAM_RATIO


def test_a_value_speaks_for_the_time_since_the_one_before() -> None:
    busy = Integral()
    busy.add(0, 0.9)
    assert not busy.started
    busy.add(SECOND, 0.25)
    assert busy.total == SECOND // 4
    assert busy.observed_ns == SECOND


def test_the_same_moment_again_adds_nothing() -> None:
    busy = Integral()
    for moment in (0, SECOND, SECOND, SECOND):
        busy.add(moment, 1.0)
    assert busy.total == SECOND


def test_an_unknown_value_leaves_a_gap_that_is_not_watched() -> None:
    busy = Integral()
    busy.add(0, 1.0)
    busy.add(SECOND, None)
    busy.add(2 * SECOND, 1.0)
    assert not busy.started
    busy.add(3 * SECOND, 1.0)
    assert (busy.total, busy.observed_ns) == (SECOND, SECOND)


@pytest.mark.parametrize("moment", [5 * SECOND + 1, -1])
def test_a_pause_or_a_clock_that_was_set_is_no_interval(moment: int) -> None:
    busy = Integral()
    busy.add(0, 1.0)
    busy.add(SECOND, 1.0)
    busy.add(moment, 1.0)
    assert busy.observed_ns == SECOND
    busy.add(moment + SECOND, 1.0)
    assert busy.observed_ns == 2 * SECOND


def test_the_first_interval_is_at_most_the_longest_tick() -> None:
    for interval, watched in ((61 * SECOND, True), (61 * SECOND + 1, False)):
        busy = Integral()
        busy.add(0, 1.0)
        busy.add(interval, 1.0)
        assert busy.started is watched


@pytest.mark.parametrize(
    ("divisor", "value", "total"),
    [
        (RATIO_TO_NS, 0.5, SECOND // 2),
        (WATTS_TO_MICROJOULES, 300.0, 300_000_000),
        (PER_SECOND, 1e9, 1_000_000_000),
    ],
)
def test_a_second_of_a_value_is_its_amount(divisor: int, value: float, total: int) -> None:
    integral = Integral(divisor)
    integral.add(0, value)
    integral.add(SECOND, value)
    assert integral.total == total


@given(
    st.lists(
        st.tuples(st.integers(1, 3 * SECOND), st.floats(0, 1) | st.none()), min_size=1, max_size=50
    )
)
def test_a_sum_never_falls_and_is_never_more_than_the_time(
    steps: list[tuple[int, float | None]],
) -> None:
    busy, moment, before = Integral(), 0, 0
    for step, value in steps:
        moment += step
        busy.add(moment, value)
        assert before <= busy.total <= busy.observed_ns <= moment
        before = busy.total


@given(st.lists(st.integers(1, SECOND), min_size=1, max_size=100))
def test_nothing_is_lost_however_the_time_is_cut(steps: list[int]) -> None:
    parts = Integral()
    parts.add(0, 1 / 3)
    moment = 0
    for step in steps:
        moment += step
        parts.add(moment, 1 / 3)
    assert parts.total == round(1e6 / 3) * moment // 1_000_000


def test_totals_are_there_once_they_have_begun() -> None:
    totals = Totals(
        [
            Source(Total.BUSY_NS, Gauge.UTILIZATION_PERCENT, 0.01),
            Source(Total.SM_ACTIVE_NS, Gauge.SM_RATIO),
        ]
    )
    for moment in (0, SECOND):
        totals.add({Gauge.UTILIZATION_PERCENT: 50}, {Gauge.UTILIZATION_PERCENT: moment})
    assert totals.read() == {Total.BUSY_NS: SECOND // 2, Total.OBSERVED_NS: SECOND}


def test_all_that_a_backend_never_has_is_named() -> None:
    sources = [Source(Total.BUSY_NS, Gauge.UTILIZATION_PERCENT, 0.01)]
    reasons = lacking([Gauge.UTILIZATION_PERCENT, Counter.ENERGY_MILLIJOULES], sources)
    assert set(reasons.values()) == {"backend"}
    everything = {str(quantity) for quantity in (*Gauge, *Counter, *Total)}
    assert everything - set(reasons) == {
        "utilization_percent",
        "energy_millijoules",
        "busy_ns",
        "observed_ns",
    }


@pytest.mark.req("GX-04")
def test_a_sum_whose_gauge_is_unknown_is_unknown_until_it_is_back() -> None:
    totals = Totals([Source(Total.BUSY_NS, Gauge.SM_RATIO), Source(Total.DRAM_ACTIVE_NS, DRAM)])

    def read(second: int, gauges: dict[Gauge, float]) -> dict[Total, int]:
        totals.add(gauges, dict.fromkeys(gauges, second * SECOND))
        return totals.read()

    both = {Gauge.SM_RATIO: 1.0, DRAM: 1.0}
    read(0, both)
    assert read(1, both)[Total.BUSY_NS] == SECOND
    assert read(2, {DRAM: 1.0}) == {Total.DRAM_ACTIVE_NS: 2 * SECOND}
    back = read(3, both)
    assert (back[Total.BUSY_NS], back[Total.OBSERVED_NS]) == (SECOND, SECOND)
    assert read(4, both)[Total.BUSY_NS] == 2 * SECOND
