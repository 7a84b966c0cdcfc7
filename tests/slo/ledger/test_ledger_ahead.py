"""What came since the last pass of a ledger, added for a look: by one question, and never kept."""

import dataclasses
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from inferometer.slo.budget import Counts
from inferometer.slo.document import Window
from inferometer.slo.ledger.book import Book
from inferometer.slo.ledger.ledger import Subject, ahead, run, standing
from support.held import NOW_S, Held

KEY = ("llm", "chat-all")
DAY_S = 86400


def subject(window: Window, zone: str = "UTC") -> Subject:
    return Subject(KEY, Decimal("0.99"), window, ZoneInfo(zone), "abc")


def passed(book: Book, source: Held, one: Subject) -> Book:
    for later in run(book, [one], source, clock_s=source.now_s()):
        book = later
    return book


@pytest.mark.parametrize("window", [Window(30), Window(None, "month"), Window(2)])
@pytest.mark.parametrize("days", [0.1, 4, 8])
def test_it_stands_as_after_another_pass(window: Window, days: float) -> None:
    source, one = Held(NOW_S - 60 * DAY_S), subject(window)
    book = passed({}, source, one)
    source.queries = 0
    source.now += int(days * DAY_S)
    source.bad_s = range(source.now - 3600, source.now)
    found = standing(ahead(book, [one], source, now_s=source.now), one, source.now)
    assert source.queries == (2 if days < 4 else 1)
    assert found.counts == standing(passed(book, source, one), one, source.now).counts
    assert found.counts.bad == 6


def test_late_samples_of_young_days_are_taken_in() -> None:
    source, one = Held(NOW_S - 9 * DAY_S), subject(Window(30))
    source.until_s = NOW_S - DAY_S  # a remote writer was down when the ledger passed
    book = passed({}, source, one)
    source.until_s = None
    source.bad_s = range(NOW_S - 7200, NOW_S - 3600)
    found = standing(ahead(book, [one], source, now_s=NOW_S + 60), one, NOW_S + 60)
    assert found.counts == source.truth(NOW_S - 9 * DAY_S, NOW_S)
    assert found.counts.bad == 6


def test_what_a_prometheus_has_lost_since_stays() -> None:
    source, one = Held(NOW_S - 9 * DAY_S), subject(Window(30))
    book = passed({}, source, one)
    source.since_s = NOW_S
    source.now += 30 * 3600
    found = ahead(book, [one], source, now_s=source.now)
    assert standing(found, one, source.now).counts == source.truth(NOW_S - 9 * DAY_S, source.now)


def test_when_the_definition_was_changed_is_still_known() -> None:
    source, one = Held(NOW_S - 9 * DAY_S), subject(Window(30))
    book = passed({}, source, one)
    source.now += DAY_S
    book = passed(book, source, dataclasses.replace(one, definition="def"))
    source.now += 3600
    found = standing(ahead(book, [one], source, now_s=source.now), one, source.now)
    assert found.definition_since == date(2026, 11, 26)


@pytest.mark.parametrize("days", [0, 1, 3])
def test_days_that_were_moved_to_another_timezone_count_once(days: int) -> None:
    source, one = Held(NOW_S - 9 * DAY_S), subject(Window(30))
    book = passed({}, source, subject(Window(30), "America/Los_Angeles"))
    book = passed(book, source, one)
    source.now += days * DAY_S + 600
    found = standing(ahead(book, [one], source, now_s=source.now), one, source.now)
    assert found.counts == source.truth(NOW_S - 9 * DAY_S, source.now)


def test_nothing_is_added_twice_after_a_change_of_timezone() -> None:
    source, one = Held(NOW_S - 5 * DAY_S), subject(Window(30), "America/Los_Angeles")
    book = passed({}, source, subject(Window(30), "Pacific/Kiritimati"))
    source.now += DAY_S
    found = standing(ahead(book, [one], source, now_s=source.now), one, source.now)
    assert found.counts == source.truth(NOW_S - 5 * DAY_S, source.now)


def test_a_moment_before_the_last_pass_adds_nothing() -> None:
    source, one = Held(NOW_S - 5 * DAY_S), subject(Window(30))
    book = passed({}, source, one)
    found = ahead(book, [one], source, now_s=NOW_S - 60)
    assert standing(found, one, NOW_S).counts == standing(book, one, NOW_S).counts


def test_what_the_ledger_does_not_know_is_not_asked_for() -> None:
    source, one = Held(NOW_S - 5 * DAY_S), subject(Window(30))
    assert ahead({}, [one], source, now_s=NOW_S) == {}
    assert source.queries == 0


def test_an_slo_that_had_no_data_has_that_of_the_young_days() -> None:
    empty, one = Held(NOW_S), subject(Window(30))
    book = passed({}, empty, one)
    assert book[KEY].days == {}
    assert ahead(book, [one], empty, now_s=NOW_S) == book
    found = ahead(book, [one], Held(NOW_S - 5 * DAY_S), now_s=NOW_S)
    counts = sum((bucket.counts for bucket in found[KEY].days.values()), Counts())
    assert counts == Held(0).truth(NOW_S - DAY_S // 2 - 3 * DAY_S, NOW_S)
