"""Burn-rate windows: the numbers of the workbook, and clamps that keep every pair able to fire."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.metrics.recorded import WINDOWS
from inferometer.slo.document import Window
from inferometer.slo.windows import (
    CLIFF,
    DAY_S,
    FAST,
    NODATA_MAX_S,
    NODATA_MIN_S,
    PAIRS,
    SECONDS,
    Limits,
    Promise,
    length_s,
    limits,
    nodata_delay_s,
    summed_by_rules,
    threshold,
)

objectives = st.decimals(50, Decimal("99.999"), places=3).map(lambda percent: percent / 100)
lengths_s = st.integers(7, 90).map(lambda days: days * DAY_S)
promises = st.builds(Promise, objectives, lengths_s)


def test_factors_are_those_of_the_workbook() -> None:
    assert [pair.factor for pair in PAIRS] == [Decimal("14.4"), 6, 3, 1]


def test_a_week_is_told_sooner() -> None:
    promise = Promise(Decimal("0.99"), 7 * DAY_S)
    assert [threshold(pair, promise) for pair in PAIRS] == [Decimal("3.36"), Decimal("1.4"), 1, 1]


def test_a_longer_window_counts_as_thirty_days() -> None:
    month, quarter = (Promise(Decimal("0.99"), days * DAY_S) for days in (30, 90))
    assert [threshold(p, quarter) for p in PAIRS] == [threshold(p, month) for p in PAIRS]


@pytest.mark.req("SC-04")
@given(promises)
def test_no_pair_ever_needs_more_than_an_outage_brings(promise: Promise) -> None:
    for pair in (*PAIRS, CLIFF):
        long, short = limits(pair, promise)
        assert 0 < long <= Decimal("0.8")
        assert 0 < short <= Decimal("0.8")


@given(promises)
def test_a_threshold_and_its_share_of_errors_say_the_same(promise: Promise) -> None:
    budget = 1 - promise.objective
    for pair in PAIRS:
        long, short = limits(pair, promise)
        assert long == short
        assert abs(long / budget - threshold(pair, promise)) < Decimal("1e-20")


def test_the_cliff_is_the_same_at_every_objective() -> None:
    for objective in ("0.5", "0.99999"):
        known = limits(CLIFF, Promise(Decimal(objective), 30 * DAY_S))
        assert known == Limits(Decimal("0.4"), Decimal("0.8"))
    assert CLIFF.alert == FAST.alert


@pytest.mark.req("SC-03")
@given(promises)
def test_silence_is_told_after_whole_minutes_within_bounds(promise: Promise) -> None:
    delay_s = nodata_delay_s(promise)
    assert delay_s % 60 == 0
    assert NODATA_MIN_S <= delay_s <= NODATA_MAX_S


@pytest.mark.parametrize(("objective", "minutes"), [("0.999", 30), ("0.95", 108), ("0.5", 360)])
def test_silence_may_last_longer_where_less_is_promised(objective: str, minutes: int) -> None:
    assert nodata_delay_s(Promise(Decimal(objective), 30 * DAY_S)) == minutes * 60


def test_windows_are_those_of_the_catalogue() -> None:
    assert tuple(SECONDS)[1:] == WINDOWS


@pytest.mark.parametrize(
    ("window", "days"),
    [
        (Window(31), 31),
        (Window(None, "week"), 7),
        (Window(None, "month"), 30),
        (Window(None, "quarter"), 90),
    ],
)
def test_calendars_and_long_windows_are_left_to_the_ledger(window: Window, days: int) -> None:
    assert length_s(window) == days * DAY_S
    assert not summed_by_rules(window)


@pytest.mark.parametrize("days", [7, 30])
def test_rolling_windows_of_up_to_thirty_days_are_summed_by_rules(days: int) -> None:
    assert length_s(Window(days)) == days * DAY_S
    assert summed_by_rules(Window(days))
