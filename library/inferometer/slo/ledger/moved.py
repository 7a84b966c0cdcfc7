"""What becomes of an SLO's days when its document names another timezone: nothing counts twice.

Days of two timezones overlap, so those of the old one end at one moment, the cut, and those of the
new one begin there. Days that may still change are forgotten and counted again, if all of them can
be. Older days stay as they were counted, under the date that holds their noon: at the beginning of
a window they may be some hours early or late. Pure.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from inferometer.slo.budget import Counts
from inferometer.slo.ledger.book import Bucket, Entry
from inferometer.slo.ledger.periods import ONE_DAY, dates, day, today

RECOUNTED_DAYS: Final = 3
"""Closed days that are counted again: samples may come late, from a remote writer that was down."""

Ask = Callable[[int, int], Counts]
"""Returns what is known now of the time from a moment to before another."""


class Move(NamedTuple):
    """Into which timezone, and on which of its dates."""

    where: ZoneInfo
    last: date


def is_of(entry: Entry, where: ZoneInfo) -> bool:
    """Tell whether an entry's days are those of a timezone; if it does not say so, by its days."""
    if entry.zone:
        return entry.zone == where.key
    return all(_fits(bucket, of, where) for of, bucket in entry.days.items())


def moved(entry: Entry, move: Move, ask: Ask) -> Entry:
    """Return an entry whose days are those of another timezone from its last ones on."""
    course = _Course(entry, move, _zone(entry.zone))
    young = {of: one for of, one in entry.days.items() if course.there(of) >= course.first}
    old = {of: one for of, one in entry.days.items() if of not in young}
    again_s = course.again_s()
    if again_s is not None:  # a day that was cut before may reach into the next one
        again_s = max([again_s, *(one.until_s for one in old.values())])
    if again_s is not None and _is_whole(young, again_s, ask):
        young = {}
    if not young and not old:
        return Entry(course.first, course.first, {}, move.where.key)
    if young or again_s is None:
        again_s = max(one.until_s for one in entry.days.values())
    days = _merged((course.there(of), one) for of, one in sorted(old.items()))
    kept = _merged((course.there(of), _closed(one)) for of, one in sorted(young.items()))
    since = min(course.since(), course.first)
    begun = _begun(course, kept, cut_s=again_s)
    return Entry(since, course.first, {**days, **begun}, move.where.key)


@dataclass(frozen=True, slots=True)
class _Course:
    """An entry on its way into another timezone. `old` is None where its own is not known."""

    entry: Entry
    move: Move
    old: ZoneInfo | None

    @property
    def first(self) -> date:
        """Return the first date that is counted anew: a young one, or where counting had ended."""
        return min(self.move.last - RECOUNTED_DAYS * ONE_DAY, self.there(self.entry.through))

    def there(self, of: date) -> date:
        """Return the date of a day there, by its noon; none is later than the present."""
        if self.old is None:
            return min(of, self.move.last)
        was = day(of, self.old)
        return min(today((was.start_s + was.end_s) // 2, self.move.where), self.move.last)

    def again_s(self) -> int | None:
        """Return when the first day begins that is counted again, None if that is not known."""
        if self.old is None:
            return None
        around = dates(self.first - ONE_DAY, self.first + ONE_DAY)
        of = next(of for of in around if self.there(of) >= self.first)
        return day(of, self.old).start_s

    def since(self) -> date:
        """Return the first date of which anything was asked, so that no hour is asked for twice."""
        if self.old is None:
            return self.entry.since - ONE_DAY
        return today(day(self.entry.since, self.old).start_s, self.move.where)


def _is_whole(young: Mapping[date, Bucket], since_s: int, ask: Ask) -> bool:
    """Tell whether everything of the last days can be counted again."""
    if not young:
        return True
    covered_s = sum(one.counts.covered_s for one in young.values())
    return ask(since_s, max(one.until_s for one in young.values())).covered_s >= covered_s


def _begun(course: _Course, kept: Mapping[date, Bucket], *, cut_s: int) -> Mapping[date, Bucket]:
    """Return the last days with what is kept of them, each to be counted from where it must be.

    The first one takes in the time between the cut and its own begin.
    """
    found = {}
    for of in dates(course.first, course.move.last):
        one = day(of, course.move.where)
        begin_s = cut_s if of == course.first else max(one.start_s, cut_s)
        had = kept.get(of)
        if had is not None or begin_s != one.start_s:
            counts, definition = (had.kept, had.definition) if had else (Counts(), "")
            found[of] = Bucket(definition, counts, Counts(), begin_s, begin_s)
    return found


def _merged(days: Iterator[tuple[date, Bucket]]) -> Mapping[date, Bucket]:
    """Return days by date; two of one date are one that is never counted again."""
    found: dict[date, Bucket] = {}
    for of, one in days:
        before = found.get(of)
        if before is not None:
            counts = before.counts + one.counts
            one = _closed(one)._replace(kept=counts)  # noqa: PLW2901 (the day of both)
        found[of] = one
    return found


def _closed(one: Bucket) -> Bucket:
    return Bucket(one.definition, one.counts, Counts(), one.until_s, one.until_s)


def _fits(bucket: Bucket, of: date, where: ZoneInfo) -> bool:
    one = day(of, where)
    begins = bucket.from_s == one.start_s or bucket.kept != Counts()
    return begins and one.start_s <= bucket.from_s <= bucket.until_s <= one.end_s


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
