from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.errors import SpecError
from inferometer.slo.document import Window
from inferometer.slo.ledger.periods import dates, day, period, today, zone

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.req("SC-04")
@pytest.mark.parametrize(
    ("place", "of", "hours"),
    [
        ("UTC", date(2026, 3, 29), 24.0),
        ("Europe/Berlin", date(2026, 3, 28), 24.0),
        ("Europe/Berlin", date(2026, 3, 29), 23.0),
        ("Europe/Berlin", date(2026, 10, 25), 25.0),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Asia/Beirut", date(2026, 3, 29), 23.0),  # midnight does not exist
        ("America/Havana", date(2026, 11, 1), 25.0),  # midnight comes twice
        ("Pacific/Apia", date(2011, 12, 30), 0.0),  # the whole day does not exist
        ("Asia/Kathmandu", date(2026, 6, 1), 24.0),
    ],
)
def test_a_day_is_as_long_as_it_is_there(place: str, of: date, hours: float) -> None:
    assert day(of, ZoneInfo(place)).length_s == hours * 3600


def test_a_day_begins_when_its_place_says_so() -> None:
    assert day(date(2026, 1, 1), BERLIN).start_s == at("2025-12-31T23:00")
    assert day(date(2026, 7, 1), BERLIN).start_s == at("2026-06-30T22:00")
    assert today(at("2026-07-01T22:30"), BERLIN) == date(2026, 7, 2)


@given(
    st.sampled_from(sorted(available_timezones())),
    st.dates(min_value=date(2000, 1, 1), max_value=date(2040, 1, 1)),
)
def test_days_follow_each_other_without_gap_or_overlap(place: str, of: date) -> None:
    where = ZoneInfo(place)
    first = day(of, where)
    following = day(date.fromordinal(of.toordinal() + 1), where)
    assert first.end_s == following.start_s
    assert 0 <= first.length_s <= 49 * 3600
    if first.length_s:
        assert today(first.start_s, where) == of
        assert today(first.end_s - 1, where) == of


@pytest.mark.parametrize(
    ("unit", "moment", "first", "start", "end"),
    [
        ("week", "2026-11-25T12:00", date(2026, 11, 23), "2026-11-22T23:00", "2026-11-29T23:00"),
        ("week", "2026-11-22T22:59", date(2026, 11, 16), "2026-11-15T23:00", "2026-11-22T23:00"),
        ("month", "2026-10-31T23:30", date(2026, 11, 1), "2026-10-31T23:00", "2026-11-30T23:00"),
        ("month", "2026-12-15T00:00", date(2026, 12, 1), "2026-11-30T23:00", "2026-12-31T23:00"),
        ("month", "2028-02-29T12:00", date(2028, 2, 1), "2028-01-31T23:00", "2028-02-29T23:00"),
        ("quarter", "2026-05-05T00:00", date(2026, 4, 1), "2026-03-31T22:00", "2026-06-30T22:00"),
        ("quarter", "2026-12-31T22:00", date(2026, 10, 1), "2026-09-30T22:00", "2026-12-31T23:00"),
    ],
)
@pytest.mark.req("SC-04")
def test_a_calendar_window_is_the_unit_that_holds_the_present(
    unit: Literal["week", "month", "quarter"], moment: str, first: date, start: str, end: str
) -> None:
    window = Window(None, unit, "Europe/Berlin")
    found = period(window, zone(window), at(moment))
    assert found.first == first
    assert (found.start_s, found.end_s) == (at(start), at(end))
    assert found.last == today(at(moment), BERLIN)


def test_a_rolling_window_is_today_and_as_many_whole_days_before() -> None:
    now_s = at("2026-11-25T12:00")
    found = period(Window(7), zone(Window(7)), now_s)
    assert (found.first, found.last) == (date(2026, 11, 18), date(2026, 11, 25))
    assert (found.start_s, found.end_s) == (at("2026-11-18"), now_s)


def test_dates_are_counted_from_first_through_last() -> None:
    found = list(dates(date(2026, 2, 27), date(2026, 3, 1)))
    assert found == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
    assert list(dates(date(2026, 3, 2), date(2026, 3, 1))) == []


@pytest.mark.req("SC-04")
@pytest.mark.parametrize("name", ["Europe/Atlantis", "../../etc/passwd", ""])
def test_a_timezone_that_does_not_exist_is_told(name: str) -> None:
    with pytest.raises(SpecError, match="timezone must be one that exists"):
        zone(Window(None, "month", name))
