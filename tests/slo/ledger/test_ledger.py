"""The ledger against a source that forgets, comes late, fails and begins anew."""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.errors import WorldError
from inferometer.prom.answer import Hold, Value
from inferometer.prom.errors import PrometheusError
from inferometer.slo.budget import Counts
from inferometer.slo.document import Window
from inferometer.slo.ledger.book import DAYS_MAX, Book, Key, assembled, decode_head, encode
from inferometer.slo.ledger.ledger import Span, Subject, definition, run, standing, subjects
from support.slo_rules import Documents, chat, promised

MONTHLY = Window(30)
KEY: Key = ("llm", "chat-all")
NOW_S = int(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp())
DAY_S = 86400
Minutes = dict[int, tuple[int, int]]


@dataclass
class Memory:
    """A Prometheus: total and bad of each minute, by moment; it may be emptied at any time."""

    minutes: Minutes
    now: int = NOW_S
    asked: list[Span] = field(default_factory=list)
    fails_after: int | None = None

    def now_s(self) -> float:
        return float(self.now)

    def counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
        self.asked.append(span)
        if self.fails_after is not None and len(self.asked) > self.fails_after:
            message = "gone"
            raise PrometheusError(message, reason="unreachable")
        known = [
            pair
            for at, pair in self.minutes.items()
            if span.start_s <= at < span.end_s and at <= self.now
        ]
        if not known:
            return {}
        total, bad = (Decimal(sum(pair[n] for pair in known)) for n in (0, 1))
        return dict.fromkeys(keys, Counts(total, bad, 60 * len(known)))

    def forget(self, before_s: float) -> None:
        """Lose all samples before a moment."""
        self.minutes = {at: pair for at, pair in self.minutes.items() if at >= before_s}


def traffic(days: float, *, now: int = NOW_S, seed: int = 1, step_s: int = 600) -> Minutes:
    draw = random.Random(seed)
    start = now - int(days * DAY_S)
    return {at + 7: (draw.randrange(100), draw.randrange(5)) for at in range(start, now, step_s)}


def subject(window: Window = MONTHLY, zone: str = "UTC", *, made_of: str = "abc") -> Subject:
    return Subject(KEY, Decimal("0.99"), window, ZoneInfo(zone), made_of)


def passed(book: Book, source: Memory, one: Subject | None = None) -> Book:
    for later in run(book, [one or subject()], source, clock_s=source.now_s()):
        book = later
    return book


def counted(book: Book) -> Counts:
    entry = book.get(KEY)
    return sum((b.counts for b in entry.days.values()), Counts()) if entry else Counts()


def truth(minutes: Minutes, since_s: float = 0) -> Counts:
    known = [pair for at, pair in minutes.items() if at >= since_s]
    total, bad = (Decimal(sum(pair[n] for pair in known)) for n in (0, 1))
    return Counts(total, bad, 60 * len(known))


def midnight(days_ago: int) -> int:
    return NOW_S // DAY_S * DAY_S - days_ago * DAY_S


def test_the_first_pass_takes_in_the_whole_window() -> None:
    source = Memory(traffic(40))
    book = passed({}, source)
    assert counted(book) == truth(source.minutes, midnight(30))
    entry = book[KEY]
    assert (entry.since, entry.through) == (date(2026, 10, 26), date(2026, 11, 25))


def test_a_second_pass_changes_nothing_and_asks_for_young_days_only() -> None:
    source = Memory(traffic(40))
    book = passed({}, source)
    source.asked.clear()
    assert passed(book, source) == book
    assert {span.start_s for span in source.asked} == {midnight(n) for n in range(4)}


def test_fractions_are_kept_to_a_millionth_and_stay_as_they_are() -> None:
    class Thirds(Memory):
        def counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
            found = super().counts(span, keys)
            return {k: Counts(c.total / 3, c.bad / 3, c.covered_s) for k, c in found.items()}

    source = Thirds(traffic(5))
    book = passed({}, source)
    text = encode(book, generation=1)
    assert assembled(decode_head(text.head).slos) == book == passed(book, source)
    assert abs(counted(book).total * 3 - truth(source.minutes).total) < Decimal("0.0001")


def test_counts_outlive_the_retention() -> None:
    source = Memory(traffic(100, now=NOW_S))
    whole = truth(source.minutes, midnight(90))
    one = subject(Window(90))
    book: Book = {}
    for days_ago in range(90, -1, -3):
        source.now = NOW_S - days_ago * DAY_S
        held = dict(source.minutes)
        source.forget(source.now - 10 * DAY_S)
        book = passed(book, source, one)
        source.minutes = held
    assert standing(book, one, NOW_S).counts == whole


def test_late_samples_are_taken_in_while_a_day_is_young() -> None:
    late = {midnight(2) + 600 * n: (1000, 10) for n in range(3)}
    source = Memory(traffic(5))
    before = dict(source.minutes)
    book = passed({}, source)
    source.minutes |= late
    assert counted(passed(book, source)) == truth(before | late)


@pytest.mark.parametrize("gap_s", [0, 60, 3 * 3600])
def test_a_new_prometheus_adds_to_what_the_old_one_had(gap_s: int) -> None:
    source = Memory(traffic(10))
    book = passed({}, source)
    old = truth(source.minutes)
    source.minutes = {}
    source.now = NOW_S + gap_s
    book = passed(book, source)
    assert counted(book) == old
    fresh = traffic(5 / 24, now=NOW_S + gap_s + 5 * 3600, seed=2)
    source.minutes = {at: pair for at, pair in fresh.items() if at >= NOW_S + gap_s}
    source.now = NOW_S + gap_s + 5 * 3600
    book = passed(book, source)
    assert counted(book) == old + truth(source.minutes)
    assert passed(book, source) == book


def test_a_new_prometheus_is_seen_even_if_it_has_more_samples_by_now() -> None:
    """A pass each day, and the disk is lost just after midnight: the new day is fuller."""
    source = Memory(traffic(3, now=midnight(0) + 60))
    source.now = midnight(0) + 60
    book = passed({}, source)
    old = truth(source.minutes)
    source.minutes = {at: p for at, p in traffic(0.4).items() if at > midnight(0) + 120}
    source.now = NOW_S
    assert counted(passed(book, source)) == old + truth(source.minutes)


def test_nothing_is_counted_twice_when_lost_samples_come_back() -> None:
    source = Memory(traffic(10))
    everything = truth(source.minutes)
    book = passed({}, source)
    held = dict(source.minutes)
    source.minutes = {}
    book = passed(book, source)
    source.minutes = held
    assert counted(passed(book, source)) == everything


def test_days_while_nobody_looked_are_made_up_for() -> None:
    source = Memory(traffic(40))
    source.now = NOW_S - 12 * DAY_S
    book = passed({}, source)
    source.now = NOW_S
    book = passed(book, source)
    since = NOW_S - 12 * DAY_S
    assert counted(book) == truth(source.minutes, since // DAY_S * DAY_S - 30 * DAY_S)
    assert book[KEY].through == date(2026, 11, 25)


def test_a_pass_that_fails_halfway_leaves_no_hole() -> None:
    source = Memory(traffic(40))
    expected = counted(passed({}, source))
    for fails_after in range(0, 31, 3):
        source.asked.clear()
        source.fails_after = fails_after
        books: list[Book] = [{}]
        with pytest.raises(PrometheusError):
            books.extend(run({}, [subject()], source, clock_s=source.now_s()))
        source.fails_after = None
        assert counted(passed(books[-1], source)) == expected


def test_time_without_samples_stays_unknown() -> None:
    source = Memory(traffic(40))
    source.minutes = {at: p for at, p in source.minutes.items() if not 5 < (NOW_S - at) / DAY_S < 8}
    found = standing(passed({}, source), subject(), NOW_S)
    assert found.counts.covered_s == truth(source.minutes, midnight(30)).covered_s
    assert found.covered_s < found.elapsed_s == 30 * DAY_S


@pytest.mark.req("SC-03")
def test_without_traffic_or_samples_there_is_no_number() -> None:
    idle = Memory(dict.fromkeys(traffic(40), (0, 0)))
    for source, reason in ((idle, "no_traffic"), (Memory({}), "no_data")):
        found = standing(passed({}, source), subject(), NOW_S)
        for answer in (found.attainment, found.remaining):
            assert isinstance(answer, Hold)
            assert answer.reason == reason


@pytest.mark.req("SC-04")
def test_a_calendar_month_counts_the_days_of_its_place() -> None:
    one = subject(Window(None, "month", "Europe/Berlin"), "Europe/Berlin")
    source = Memory(traffic(90, step_s=900))
    begin_s = datetime(2026, 10, 31, 23, tzinfo=UTC).timestamp()
    found = standing(passed({}, source, one), one, NOW_S)
    assert found.counts == truth(source.minutes, begin_s)
    assert found.elapsed_s == NOW_S - begin_s
    assert isinstance(found.remaining, Value)


@pytest.mark.req("SC-04")
def test_a_quarter_over_summer_time_counts_every_hour_once() -> None:
    now_s = int(datetime(2026, 12, 31, 20, tzinfo=UTC).timestamp())
    one = subject(Window(None, "quarter", "Europe/Berlin"), "Europe/Berlin")
    source = Memory(traffic(100, now=now_s, step_s=900), now=now_s)
    begin_s = datetime(2026, 9, 30, 22, tzinfo=UTC).timestamp()
    assert standing(passed({}, source, one), one, now_s).counts == truth(source.minutes, begin_s)


def test_the_objective_is_applied_to_all_counts_whenever_they_were_made() -> None:
    source = Memory(dict.fromkeys(traffic(40), (100, 1)))
    book = passed({}, source)
    for objective, expected in (("0.99", 0), ("0.98", "0.5"), ("0.995", -1)):
        one = Subject(KEY, Decimal(objective), Window(30), ZoneInfo("UTC"), "abc")
        found = standing(book, one, NOW_S)
        assert isinstance(found.remaining, Value)
        assert found.remaining.number == Decimal(expected)


def test_a_changed_definition_is_dated() -> None:
    source = Memory(traffic(40))
    source.now = NOW_S - 2 * DAY_S
    book = passed({}, source, subject(made_of="abc"))
    assert standing(book, subject(), NOW_S).definition_since is None
    source.now = NOW_S
    book = passed(book, source, subject(made_of="def"))
    assert standing(book, subject(), NOW_S).definition_since == date(2026, 11, 25)


def test_a_second_slo_is_filled_from_the_beginning() -> None:
    source = Memory(traffic(40))
    book = passed({}, source)
    other = Subject(("llm", "new"), Decimal("0.9"), Window(7), ZoneInfo("UTC"), "x")
    for later in run(book, [subject(), other], source, clock_s=NOW_S):
        book = later
    assert sorted(book[other.key].days) == [
        date(2026, 11, 25) - timedelta(days=n) for n in range(7, -1, -1)
    ]


def test_old_days_and_slos_are_forgotten() -> None:
    source = Memory(traffic(40))
    book = passed({}, source)
    source.now = NOW_S + 75 * DAY_S
    later = passed(book, source)
    assert min(later[KEY].days) >= date(2026, 10, 26)
    assert len(later[KEY].days) < len(book[KEY].days)
    source.now = NOW_S + 200 * DAY_S
    assert passed(book, source)[KEY].days == {}
    gone = {("llm", "gone"): book[KEY]}
    assert ("llm", "gone") not in passed(gone, source)


def test_an_slo_without_data_is_asked_for_as_a_whole_once_a_day() -> None:
    source, one = Memory({}), subject(Window(90))
    book = passed({}, source, one)
    whole = len(source.asked)
    source.asked.clear()
    source.now += 3600
    again = passed(book, source, one)
    assert len(source.asked) <= 4 < whole
    source.minutes = traffic(40)  # somebody has made the series of the past
    source.now += DAY_S
    assert counted(passed(again, source, one)) == truth(source.minutes)
    other = dataclasses.replace(one, key=("llm", "other"))
    assert passed(book, source, other).keys() == {other.key}


def test_no_entry_ever_has_more_days_than_are_kept() -> None:
    source = Memory(traffic(1))
    book: Book = {}
    one = subject(Window(90))
    for days in range(0, 250, 7):
        source.now = NOW_S + days * DAY_S
        source.minutes = dict.fromkeys(traffic(12, now=source.now, step_s=7200), (1, 0))
        book = passed(book, source, one)
        assert len(book[KEY].days) <= DAYS_MAX


@pytest.mark.parametrize("skew_s", [-301, 301])
def test_clocks_that_disagree_forget_nothing(skew_s: int) -> None:
    source = Memory(traffic(5))
    with pytest.raises(WorldError, match="clock"):
        next(run({}, [subject()], source, clock_s=NOW_S - skew_s))
    assert next(run({}, [subject()], source, clock_s=NOW_S - 300))


def test_a_clock_that_goes_back_a_little_changes_nothing() -> None:
    source = Memory(traffic(5))
    book = passed({}, source)
    source.now = NOW_S - 120
    assert counted(passed(book, source)) == counted(book)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.booleans(), st.integers(0, 30)), min_size=1, max_size=12
    )
)
def test_whatever_is_lost_between_passes_what_was_seen_is_counted_once(
    steps: list[tuple[int, bool, int]],
) -> None:
    """Each step: hours that pass, whether the disk is lost after the pass, days of retention."""
    source, now = Memory({}), NOW_S
    book: Book = {}
    seen: Minutes = {}
    everything = traffic(400 / 24 * 2, now=NOW_S + 24 * 3600 * 40, step_s=1200)
    since = now
    for hours, lost, retention_d in steps:
        now += hours * 3600
        source.now = now
        source.minutes = {
            at: pair
            for at, pair in everything.items()
            if max(since, now - retention_d * DAY_S) <= at < now
        }
        book = passed(book, source, subject(Window(90)))
        seen |= source.minutes
        if lost:
            since = now
    assert counted(book) == truth(seen)


def test_subjects_come_from_documents(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}))
    (one,) = subjects([document])
    assert (one.key, one.objective, one.zone.key) == (("llm", "chat-all"), Decimal("0.99"), "UTC")


def test_a_definition_is_of_what_counts_as_good_and_nothing_else(documents: Documents) -> None:
    def made_of(text: str) -> str:
        (document,) = documents(chat({"all": text}))
        return definition(document.promises[0])

    plain = made_of("objective: 99, good: {ttft: 1s}")
    assert plain == made_of("objective: 90, good: {ttft: 1000ms}")
    others = {
        made_of("objective: 99, good: {ttft: 2s}"),
        made_of("objective: 99, good: {ttft: 1s, tpot: 50ms}"),
        made_of("objective: 99, good: {ttft: 1s}, match: {tenant: a}"),
        made_of("objective: 99, good: {ttft: 1s}, weight: token"),
    }
    assert len(others | {plain}) == 5
    slices = "objective: 99, good: {ttft: 1s}, weight: slice, slice: {length: 5m, good_share: 90}"
    assert made_of(slices) == made_of(slices.replace("90", "90.0"))
    assert made_of(slices) != made_of(slices.replace("90", "9"))


def test_a_place_is_no_part_of_a_definition(documents: Documents) -> None:
    first = "metadata: {name: chat}\n"
    good = "{fluidity: {first: 1s, each: 60ms, min: 0.9}}"
    text = f"classes:\n  - {{name: all, objective: 99, good: {good}}}\n"
    (one,) = documents(first + text)
    (other,) = documents(first + "# a remark\n\n" + text)
    assert definition(one.promises[0]) == definition(other.promises[0])
