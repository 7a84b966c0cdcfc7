"""Days and windows of budgets on the clock of a place: weeks, months, quarters, summer time.

A day is what a calendar calls so, 23 to 25 hours long or, where a place crossed the date line, not
there at all. Moments are Unix time in whole seconds. Pure but for the timezone files.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from inferometer.errors import Place, Problem, SpecError
from inferometer.slo.document import Window

ONE_DAY = timedelta(days=1)


class Day(NamedTuple):
    """A date in a timezone, from `start_s` to before `end_s`."""

    date: date
    start_s: int
    end_s: int

    @property
    def length_s(self) -> int:
        """Return how long it is."""
        return self.end_s - self.start_s


class Period(NamedTuple):
    """The days over which a budget counts, `first` to `last`, which is today.

    `end_s` is when a calendar's window ends; a rolling one ends now.
    """

    first: date
    last: date
    start_s: int
    end_s: int


def zone(window: Window) -> ZoneInfo:
    """Return the timezone of a window's days. Raises SpecError if this machine knows none such."""
    try:
        return ZoneInfo(window.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"timezone must be one that exists, got {window.timezone!r}"
        hint = "such as Europe/Berlin; in a container tzdata must be installed"
        place = window.place or Place("timezone")
        raise SpecError([Problem(place, message, hint, code="E08")]) from None


def day(of: date, where: ZoneInfo) -> Day:
    """Return a day. Where midnight does not exist it begins when the clocks have moved."""
    return Day(of, _midnight(of, where), _midnight(of + ONE_DAY, where))


def today(now_s: float, where: ZoneInfo) -> date:
    """Return the date of a moment."""
    return datetime.fromtimestamp(now_s, where).date()


def period(window: Window, where: ZoneInfo, now_s: float) -> Period:
    """Return the window that holds the present.

    A rolling window of N days is today and the N whole days before it: days are all that is kept,
    and one day too many is better than hours that are forgotten. Weeks begin on Monday.
    """
    last = today(now_s, where)
    if window.calendar is None:
        assert window.rolling_days is not None, window
        first = last - window.rolling_days * ONE_DAY
        return Period(first, last, _midnight(first, where), int(now_s))
    first, after = _unit(window.calendar, last)
    return Period(first, last, _midnight(first, where), _midnight(after, where))


def dates(first: date, last: date) -> Iterator[date]:
    """Yield the dates from `first` through `last`."""
    for number in range((last - first).days + 1):
        yield first + number * ONE_DAY


def _unit(calendar: str, of: date) -> tuple[date, date]:
    """Return the first date of the unit that holds a date, and that of the next one."""
    if calendar == "week":
        monday = of - of.weekday() * ONE_DAY
        return monday, monday + 7 * ONE_DAY
    months = 3 if calendar == "quarter" else 1
    month = (of.month - 1) // months * months
    first = date(of.year, month + 1, 1)
    year, index = divmod(month + months, 12)
    return first, date(of.year + year, index + 1, 1)


def _midnight(of: date, where: ZoneInfo) -> int:
    start = datetime(of.year, of.month, of.day, tzinfo=where)
    return int(start.astimezone(UTC).timestamp())
