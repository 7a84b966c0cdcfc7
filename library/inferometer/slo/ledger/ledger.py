"""The ledger of error budgets: which days must be counted, and what becomes of the counts.

A budget of 90 days or of a quarter outlives what Prometheus keeps, so each day's counts are kept in
a book. The days that may still change are counted again at each pass. What a pass finds missing of
a time that it counted before has been lost by Prometheus (retention, a new disk), and the older
counts stay; so nothing is counted twice, and a pass that runs twice changes nothing. Pure: whoever
asks Prometheus comes in as a `Source`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from inferometer.errors import WorldError
from inferometer.prom.answer import Answer
from inferometer.slo import budget
from inferometer.slo.budget import Counts
from inferometer.slo.document import Class, Document, Foreign, Window
from inferometer.slo.ledger.book import DAYS_MAX, Book, Bucket, Entry, Key, rounded
from inferometer.slo.ledger.moved import RECOUNTED_DAYS, Move, is_of, moved
from inferometer.slo.ledger.periods import ONE_DAY, Day, Period, dates, day, period, today, zone
from inferometer.slo.windows import length_s

SKEW_MAX_S: Final = 300.0
"""How far the clock of a Prometheus may be off ours: its days decide which days are forgotten."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One SLO as the ledger sees it. `definition` is a hash of what its counts depend on."""

    key: Key
    objective: Decimal
    window: Window
    zone: ZoneInfo
    definition: str

    def period(self, now_s: float) -> Period:
        """Return the days over which its budget counts now."""
        return period(self.window, self.zone, now_s)


class Span(NamedTuple):
    """A time, from `start_s` to before `end_s`."""

    start_s: int
    end_s: int


class Source(Protocol):
    """Whoever has counted: a Prometheus with the recorded 5-minute series."""

    def now_s(self) -> float:
        """Return the time on the clock that stamps the samples. Raises PrometheusError."""

    def counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
        """Return what was judged in a span, without SLOs of which nothing is known.

        Raises PrometheusError where it cannot be told, or not as a whole.
        """


def subjects(documents: Iterable[Document]) -> tuple[Subject, ...]:
    """Return the SLOs of documents. Raises SpecError for a timezone that does not exist."""
    return tuple(
        Subject(
            key=(document.namespace, one.id),
            objective=one.objective / 100,
            window=document.window,
            zone=zone(document.window),
            definition=definition(one),
        )
        for document in documents
        for one in document.promises
    )


def definition(one: Class | Foreign) -> str:
    """Return a short hash of what decides which requests are good.

    Not of the objective, which is applied to all counts whenever they were made.
    """
    parts = dataclasses.asdict(one)  # numbers that are equal are one, however they are written
    for name in ("name", "id", "objective"):
        parts.pop(name)
    text = json.dumps(_plain(parts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:  # noqa: ANN401 (records of any kind, as JSON)
    """Return parts as JSON takes them, without places: a comment added above changes nothing."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if not str(k).endswith("place")}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def run(book: Book, wanted: Sequence[Subject], source: Source, *, clock_s: float) -> Iterator[Book]:
    """Yield the book after each step of a pass, so that nothing is lost if a later one fails.

    `clock_s` is our own time. Raises PrometheusError, and WorldError where the clocks disagree.
    """
    now_s = source.now_s()
    if abs(now_s - clock_s) > SKEW_MAX_S:
        message = f"the clock of Prometheus is {now_s - clock_s:+.0f} s off ours"
        raise WorldError(message, "the ledger forgets old days by the clock: set both right")
    now = int(now_s)
    book = _pruned(book, wanted, now)
    for where, group in _by_zone(wanted).items():
        book = {**book, **_moved(book, group, (now, source))}
        for of, due in _agenda(book, group, now):
            book = {**book, **_counted(book, due, day(of, where), (now, source))}
            yield book


def _by_zone(wanted: Sequence[Subject]) -> Mapping[ZoneInfo, list[Subject]]:
    found: dict[ZoneInfo, list[Subject]] = {}
    for one in wanted:
        found.setdefault(one.zone, []).append(one)
    return found


def _moved(book: Book, group: Sequence[Subject], asked: tuple[int, Source]) -> Mapping[Key, Entry]:
    """Return the entries of SLOs with days of the timezone that their document names now."""
    (now, source), where, found = asked, group[0].zone, {}
    for one in group:
        entry = book.get(one.key)
        if entry is None or entry.zone == where.key:
            continue
        if is_of(entry, where):
            found[one.key] = dataclasses.replace(entry, zone=where.key)
            continue

        def ask(start_s: int, end_s: int, key: Key = one.key) -> Counts:
            return _ask({key: Span(start_s, end_s)}, source)[key]

        found[one.key] = moved(entry, Move(where, today(now, where)), ask)
    return found


def _agenda(
    book: Book, group: Sequence[Subject], now: int
) -> Iterator[tuple[date, Sequence[Subject]]]:
    """Yield the days to be counted, and for whom, in an order that leaves no hole if it ends early.

    First those since the last pass and the young ones, forwards; then those of the window that
    nobody has asked for, backwards.
    """
    last = today(now, group[0].zone)
    young: dict[date, list[Subject]] = {}
    old: dict[date, list[Subject]] = {}
    for one in group:
        entry, first = book.get(one.key), last - RECOUNTED_DAYS * ONE_DAY
        if entry is not None:
            first = min(first, entry.through)
        for of in dates(first, last):
            young.setdefault(of, []).append(one)
        since = first if entry is None else min(first, entry.since)
        for of in dates(one.period(now).first, since - ONE_DAY):
            old.setdefault(of, []).append(one)
    yield from sorted(young.items(), key=itemgetter(0))
    yield from sorted(old.items(), key=itemgetter(0), reverse=True)


def _counted(
    book: Book, due: Sequence[Subject], on: Day, asked: tuple[int, Source]
) -> Mapping[Key, Entry]:
    """Return the entries of SLOs with this day counted until now."""
    now, source = asked
    end_s = min(on.end_s, now)
    before = {one.key: _bucket(book, one.key, on) for one in due}
    again = _ask({key: Span(b.from_s, b.until_s) for key, b in before.items()}, source)
    more = _ask({key: Span(b.until_s, end_s) for key, b in before.items()}, source)
    found = {}
    for one in due:
        old = before[one.key]
        bucket = _merged(old, again[one.key], more[one.key], max(end_s, old.until_s))
        if on.start_s <= now < on.end_s:
            bucket = bucket._replace(definition=one.definition)
        entry = book.get(one.key) or Entry(on.date, on.date, zone=one.zone.key)
        found[one.key] = entry.with_day(on.date, bucket if bucket.counts != Counts() else None)
    return found


def _bucket(book: Book, key: Key, on: Day) -> Bucket:
    """Return what is known of a day; nothing yet is a bucket that ends where it begins."""
    entry = book.get(key)
    known = entry.days.get(on.date) if entry else None
    return known or Bucket("", Counts(), Counts(), on.start_s, on.start_s)


def _ask(spans: Mapping[Key, Span], source: Source) -> Mapping[Key, Counts]:
    """Ask for spans, together where they are equal; what is not known is nothing covered."""
    groups: dict[Span, list[Key]] = {}
    for key, span in spans.items():
        groups.setdefault(span, []).append(key)
    found: dict[Key, Counts] = {}
    for span, keys in groups.items():
        if span.start_s < span.end_s:
            found |= source.counts(span, keys)
    return {key: found.get(key, Counts()) for key in spans}


def _merged(old: Bucket, again: Counts, more: Counts, until_s: int) -> Bucket:
    """Return a day after it was counted again (`again`) and further (`more`).

    Less covered than before means that samples are gone: then the older counts stay as they are,
    and only what came since is counted from now on.
    """
    if again.covered_s >= old.fresh.covered_s:
        return old._replace(fresh=_as_stored(again + more), until_s=until_s)
    return Bucket(old.definition, old.kept + old.fresh, _as_stored(more), old.until_s, until_s)


def _as_stored(counts: Counts) -> Counts:
    """Return counts as a file gives them back, so that what did not change is equal to it."""
    return Counts(rounded(counts.total), rounded(counts.bad), counts.covered_s)


def _pruned(book: Book, wanted: Sequence[Subject], now: int) -> Book:
    """Return the book without days that no window needs, and SLOs that have no other.

    That an SLO has no data at all is remembered for a day: then all of its window is asked for
    again, since somebody may have added recorded series of the past.
    """
    first = today(now, ZoneInfo("UTC")) - (DAYS_MAX - 2) * ONE_DAY
    young = {key: entry.after(first) for key, entry in book.items()}
    asked = {
        one.key
        for one in wanted
        if one.key in young and young[one.key].through >= today(now, one.zone)
    }
    return {key: entry for key, entry in young.items() if entry.days or key in asked}


def ahead(book: Book, wanted: Sequence[Subject], source: Source, *, now_s: float) -> Book:
    """Return the book with what came since its last pass: for looking at it, never to be kept.

    As a pass it counts the young days again, but asks for all of them at once, and so for all the
    time since: two questions for all SLOs whose counts end at one moment. All of it stands at the
    present day. SLOs that the book does not know stay unknown to it. Raises PrometheusError.
    """
    known = {one.key: _Tail.of(one, book[one.key], int(now_s)) for one in wanted if one.key in book}
    again = _ask({key: Span(tail.start_s, tail.end_s) for key, tail in known.items()}, source)
    more = _ask({key: Span(tail.end_s, int(now_s)) for key, tail in known.items()}, source)
    return {**book, **{key: tail.with_counts(again[key], more[key]) for key, tail in known.items()}}


class _Tail(NamedTuple):
    """The young days of an entry, from `start_s` to before `end_s`, where its counts end."""

    entry: Entry
    young: Mapping[date, Bucket]
    today: date
    start_s: int
    end_s: int

    @classmethod
    def of(cls, one: Subject, entry: Entry, now: int) -> "_Tail":
        """Return those of an SLO; none where a pass would have to move its days first."""
        last, over = today(now, one.zone), one.period(now)
        ends = [bucket.until_s for bucket in entry.days.values()]
        end_s = max(ends, default=day(entry.through, one.zone).start_s)
        if entry.zone != one.zone.key:
            return cls(entry, {}, last, end_s, max(end_s, over.start_s))
        first = max(last - RECOUNTED_DAYS * ONE_DAY, over.first)
        young = {of: bucket for of, bucket in entry.days.items() if of >= first}
        old = [bucket.until_s for of, bucket in entry.days.items() if of not in young]
        start_s = max([day(first, one.zone).start_s, *old])  # a moved day may reach beyond its end
        return cls(entry, young, last, start_s, max(end_s, over.start_s))

    def with_counts(self, again: Counts, more: Counts) -> Entry:
        """Return the entry with its young days as they are now, unless samples of them are gone."""
        had = budget.together(bucket.counts for bucket in self.young.values())
        days = dict(self.entry.days)
        if again.covered_s >= had.covered_s:
            had = again
        if had + more == Counts():
            return self.entry
        days |= {of: one._replace(kept=Counts(), fresh=Counts()) for of, one in self.young.items()}
        here = days.get(self.today) or Bucket("", Counts(), Counts(), self.end_s, self.end_s)
        days[self.today] = here._replace(kept=here.kept + had + more)
        return dataclasses.replace(self.entry, days=days)


class Standing(NamedTuple):
    """How an SLO stands by the ledger, over the period that holds the present."""

    subject: Subject
    period: Period
    counts: Counts
    attainment: Answer
    remaining: Answer
    definition_since: date | None

    elapsed_s: int

    @property
    def covered_s(self) -> int:
        """Return the seconds that are known, at most those that the window has had."""
        return min(self.counts.covered_s, self.elapsed_s)


def standing(book: Book, subject: Subject, now_s: float) -> Standing:
    """Return how an SLO stands; a Hold stands where nothing is known or nothing came."""
    over = subject.period(now_s)
    entry = book.get(subject.key)
    days = entry.days if entry else {}
    counts = budget.together(one.counts for of, one in days.items() if over.first <= of)
    return Standing(
        subject=subject,
        period=over,
        counts=counts,
        attainment=budget.attainment(counts, at_s=now_s),
        remaining=budget.remaining(counts, objective=subject.objective, at_s=now_s),
        definition_since=entry.definition_since() if entry else None,
        elapsed_s=elapsed_s(subject, now_s),
    )


def elapsed_s(subject: Subject, now_s: float) -> int:
    """Return how much of a window has passed: all of a rolling one, a calendar's since its begin.

    At most its length, which is nominal for a calendar.
    """
    if subject.window.calendar is None:
        return length_s(subject.window)
    return min(int(now_s) - subject.period(now_s).start_s, length_s(subject.window))
