"""A timezone that changes: what was counted in days of the old one counts once, and stays."""

from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.slo.budget import Counts
from inferometer.slo.document import Window
from inferometer.slo.ledger.book import DAYS_MAX, Book, Bucket, Entry, Key
from inferometer.slo.ledger.ledger import Subject, run, standing
from inferometer.slo.ledger.moved import is_of
from inferometer.slo.ledger.periods import day
from support.held import NOW_S, STEP_S, Held

KEY: Key = ("llm", "chat-all")
DAY_S = 86400
ZONES = (
    "UTC", "America/Los_Angeles", "Europe/Berlin", "Asia/Tokyo", "Pacific/Kiritimati",
    "Etc/GMT+12", "Asia/Kathmandu",
)  # fmt: skip
LA = "America/Los_Angeles"


def subject(zone: str, window: Window | None = None) -> Subject:
    return Subject(KEY, Decimal("0.99"), window or Window(90), ZoneInfo(zone), "abc")


def passed(book: Book, source: Held, one: Subject) -> Book:
    for later in run(book, [one], source, clock_s=source.now_s()):
        book = later
    return book


def counted(book: Book) -> Counts:
    return sum((one.counts for one in book[KEY].days.values()), Counts())


@pytest.mark.parametrize("zone", ZONES)
def test_an_outage_before_the_timezone_changed_is_counted_once(zone: str) -> None:
    bad_s = range(NOW_S - 34 * 3600, NOW_S - 33 * 3600)
    source = Held(NOW_S - 20 * DAY_S, bad_s=bad_s)
    book = passed({}, source, subject("UTC"))
    moved = passed(book, source, subject(zone))
    assert counted(moved) == source.truth(source.since_s, NOW_S)
    fresh = passed({}, source, subject(zone))
    for of in sorted(fresh[KEY].days)[-2:]:
        assert moved[KEY].days[of] == fresh[KEY].days[of]


def test_a_budget_of_a_month_is_that_of_a_ledger_that_never_had_another_timezone() -> None:
    month = Window(None, "month", LA)
    source = Held(NOW_S - 33 * DAY_S, bad_s=range(NOW_S - DAY_S, NOW_S - DAY_S + 3600))
    book = passed({}, source, subject("UTC", Window(None, "month", "UTC")))
    one = subject(LA, month)
    moved, fresh = passed(book, source, one), passed({}, source, one)
    had, has = (standing(book, one, NOW_S) for book in (fresh, moved))
    assert has.counts.bad == had.counts.bad == 6
    # The first day stays as it was counted: it began 7 hours earlier.
    assert has.counts.total - had.counts.total == 7 * 6


@pytest.mark.parametrize("zone", ZONES[1:])
def test_a_window_that_grows_does_not_count_the_hours_before_the_first_day_twice(zone: str) -> None:
    """Where the days of both meet a part of one is lacking, which is told as not known."""
    source = Held(NOW_S - 80 * DAY_S)
    book = passed({}, source, subject("UTC", Window(7)))
    moved = passed(book, source, subject(zone, Window(30)))
    first_s = day(min(moved[KEY].days), ZoneInfo(zone)).start_s
    lacking = source.truth(first_s, NOW_S).covered_s - counted(moved).covered_s
    assert 0 <= lacking < DAY_S * 60 / STEP_S


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 130), st.sampled_from(ZONES), st.booleans()),
        min_size=2,
        max_size=8,
    )
)
def test_whatever_timezones_come_and_whatever_is_lost_all_that_was_seen_counts_once(
    steps: list[tuple[int, str, bool]],
) -> None:
    """Each step: hours that pass, the timezone, and whether the disk is lost after the pass."""
    source = Held(NOW_S - 5 * DAY_S)
    book: Book = {}
    for hours, zone, lost in steps:
        source.now += hours * 3600
        book = passed(book, source, subject(zone))
        assert len(book[KEY].days) <= DAYS_MAX
        assert standing(book, subject(zone), source.now).counts == counted(book)
        assert counted(book) == source.truth(NOW_S - 5 * DAY_S, source.now)
        if lost:
            source.since_s = source.now
    assert counted(passed(book, source, subject(zone))) == counted(book)


def test_an_slo_without_data_is_asked_for_anew() -> None:
    source = Held(NOW_S)
    book = passed({}, source, subject("UTC"))
    moved = passed(book, source, subject(LA))
    assert moved[KEY].days == {}
    assert moved[KEY].zone == LA
    assert moved[KEY].since == date(2026, 11, 25) - timedelta(days=90)


def entry(zone: str, *, of_zone: str) -> Entry:
    """Return an entry of two days and a part of a third that say that they are of a timezone."""
    days = {}
    for back in (2, 1, 0):
        one = day(date(2026, 11, 25) - timedelta(days=back), ZoneInfo(of_zone))
        until_s = min(one.end_s, NOW_S)
        held = Held(0).truth(one.start_s, until_s)
        days[one.date] = Bucket("abc", Counts(), held, one.start_s, until_s)
    return Entry(min(days), max(days), days, zone)


def test_a_file_that_does_not_say_so_is_believed_if_its_days_fit() -> None:
    source = Held(NOW_S - 20 * DAY_S)
    ours = entry("", of_zone=LA)
    assert is_of(ours, ZoneInfo(LA))
    assert not is_of(ours, ZoneInfo("UTC"))
    book = passed({KEY: ours}, source, subject(LA))
    assert book[KEY].zone == LA
    since_s = min(one.from_s for one in book[KEY].days.values())
    assert counted(book) == source.truth(max(since_s, source.since_s), NOW_S)


@pytest.mark.parametrize("zone", ["", "Gone/Away"])
def test_days_of_a_timezone_that_nobody_knows_stay_as_they_are(zone: str) -> None:
    source = Held(NOW_S - 2 * DAY_S)
    ours = entry(zone, of_zone="Asia/Tokyo")
    had = sum((one.counts for one in ours.days.values()), Counts())
    source.now += 7200
    book = passed({KEY: ours}, source, subject("UTC"))
    assert counted(book) == had + source.truth(NOW_S, source.now)
    assert passed(book, source, subject("UTC")) == book


def test_a_pass_that_fails_in_a_new_timezone_is_made_up_for() -> None:
    source = Held(NOW_S - 20 * DAY_S)
    book = passed({}, source, subject("UTC"))
    steps = run(book, [subject("Asia/Tokyo")], source, clock_s=NOW_S)
    half = next(steps)
    source.now += 6 * DAY_S
    assert counted(passed(half, source, subject("Asia/Tokyo"))) == source.truth(
        source.since_s, source.now
    )
