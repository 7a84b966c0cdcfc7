"""Durations and windows of OpenSLO, against the calendar itself."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.documents import Report, parse
from inferometer.errors import Place
from inferometer.schema import Value
from inferometer.slo.document import Slice, Window
from inferometer.slo.openslo.windows import (
    SHORTHANDS,
    START,
    minutes_of,
    read_slice_minutes,
    read_window,
)


def value(text: str) -> tuple[Value, Report]:
    report = Report()
    return Value("timeWindow", parse(text.encode(), "x")[0], report), report


@pytest.mark.parametrize(
    ("duration", "days"),
    [("7d", 7), ("1w", 7), ("4w", 28), ("90d", 90), ("168h", 7), ("43200m", 30)],
)
def test_a_rolling_window_is_whole_days_however_it_is_written(duration: str, days: int) -> None:
    read, report = value(f"[{{duration: {duration}, isRolling: true}}]")
    assert read_window(read) == Window(rolling_days=days)
    assert report.problems == []


@pytest.mark.parametrize(
    ("duration", "unit", "start"),
    [
        ("1w", "week", "2024-01-08 00:00:00"),
        ("7d", "week", "2024-01-08T00:00:00Z"),
        ("1M", "month", "2023-02-01 00:00:00"),
        ("1Q", "quarter", "2023-10-01 00:00:00"),
        ("3M", "quarter", "2023-04-01 00:00:00"),
    ],
)
def test_a_calendar_is_taken_where_it_begins_as_calendars_do(
    duration: str, unit: str, start: str
) -> None:
    calendar = f"{{startTime: '{start}', timeZone: Asia/Kolkata}}"
    read, report = value(f"[{{duration: {duration}, calendar: {calendar}}}]")
    found = read_window(read)
    assert report.problems == []
    assert found
    assert (found.calendar, found.timezone) == (unit, "Asia/Kolkata")


def test_the_start_that_is_written_begins_every_unit() -> None:
    for duration in SHORTHANDS.values():
        text = (
            f"[{{duration: {duration}, calendar: {{startTime: '{START:%F %T}', timeZone: UTC}}}}]"
        )
        read, report = value(text)
        assert read_window(read) is not None
        assert report.problems == []


moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(  # noqa: DTZ001 (UTC next)
    lambda one: one.replace(tzinfo=UTC, microsecond=0)
)


@given(moments, st.sampled_from(["week", "month", "quarter"]))
def test_only_beginnings_of_a_unit_are_taken(moment: datetime, unit: str) -> None:
    def taken(start: datetime) -> bool:
        calendar = f"{{startTime: '{start:%Y-%m-%d %H:%M:%S}', timeZone: UTC}}"
        read, report = value(f"[{{duration: {SHORTHANDS[unit]}, calendar: {calendar}}}]")
        read_window(read)
        return report.problems == []

    day = moment.replace(hour=0, minute=0, second=0)
    first = {
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "quarter": day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1),
    }[unit]
    assert taken(first)
    assert taken(moment) == (moment == first)


@pytest.mark.parametrize(("text", "minutes"), [("5", 5), ("5m", 5), ("60", 60), ("1h", 60)])
def test_slices_are_minutes_or_a_duration(text: str, minutes: int) -> None:
    read, report = value(text)
    assert read_slice_minutes(read) == minutes
    assert report.problems == []


@pytest.mark.parametrize("text", ["0", "61", "61m", "2h", "1M", "5s", "x", "[5]", "007", "1d"])
def test_slices_are_an_hour_long_at_most(text: str) -> None:
    read, report = value(text)
    assert read_slice_minutes(read) is None
    assert len(report.problems) == 1


def test_a_slice_of_half_a_minute_is_no_number_of_minutes() -> None:
    assert minutes_of(Slice(90 * 10**9, Decimal(1))) == 0
    assert minutes_of(Slice(300 * 10**9, Decimal(1))) == 5


def test_a_window_knows_its_place() -> None:
    read, _ = value("[{duration: 30d, isRolling: true}]")
    found = read_window(read)
    assert found
    assert found.place == Place("x", 1, 13)
