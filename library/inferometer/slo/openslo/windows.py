"""Times of OpenSLO: the shorthand of durations, and the windows that rules or the ledger can hold.

A month, a quarter and a week are taken where they begin as a calendar begins them. A year is longer
than any budget here, and a rolling month has no length that everybody agrees on.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from inferometer.documents import Items, Scalar
from inferometer.errors import Place
from inferometer.schema import Record, Value, boolean
from inferometer.slo.document import SECOND_NS, Slice, Window
from inferometer.slo.openslo.objects import not_taken
from inferometer.slo.zones import WRONG_WINDOW, read_zone

DAYS_MIN: Final = 7
DAYS_MAX: Final = 90
SLICE_MAX_MIN: Final = 60
_SHORTHAND: Final = re.compile(r"([1-9][0-9]{0,5})([mhdwMQY])")
_MINUTES: Final = re.compile(r"[1-9][0-9]{0,5}")
_MINUTES_OF: Final = {"m": 1, "h": 60, "d": 1440, "w": 7 * 1440}
_CALENDARS: Final[Mapping[str, Literal["week", "month", "quarter"]]] = {
    "7d": "week",
    "1w": "week",
    "1M": "month",
    "3M": "quarter",
    "1Q": "quarter",
}
SHORTHANDS: Final[Mapping[str, str]] = {"week": "1w", "month": "1M", "quarter": "1Q"}
START: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday on which a month and a quarter begin; OpenSLO states its timezone beside it."""
_FORM: Final = "%Y-%m-%d %H:%M:%S"
_FORMS: Final = (_FORM, "%Y-%m-%dT%H:%M:%SZ")
"""As the specification writes a moment, and as tools do that took it for a timestamp of YAML."""


class Shorthand(NamedTuple):
    """A number and its unit: `m h d w M Q Y`."""

    number: int
    unit: str

    @property
    def minutes(self) -> int | None:
        """Return its length; None for units of a calendar."""
        unit = _MINUTES_OF.get(self.unit)
        return None if unit is None else self.number * unit


def read_shorthand(value: Value) -> Shorthand | None:
    """Read a duration as OpenSLO writes it: `28d`, `1M`."""
    word = value.node.text if isinstance(value.node, Scalar) else ""
    match = _SHORTHAND.fullmatch(word)
    if match is None:
        value.refuse("a number and one of m h d w M Q Y", hint="such as 28d or 1M")
        return None
    return Shorthand(int(match[1]), match[2])


def read_window(value: Value) -> Window | None:
    """Read `timeWindow`: a list of exactly one."""
    if not isinstance(value.node, Items) or len(value.node.items) != 1:
        value.refuse("a list of one window", hint="such as [{duration: 30d, isRolling: true}]")
        return None
    record = Record(Value("timeWindow", value.node.items[0], value.report))
    duration = record.need("duration", read_shorthand)
    rolling = record.take("isRolling", boolean)
    zone = record.take("calendar", lambda inner: _read_calendar(inner, duration))
    record.close()
    if duration is None:
        return None
    if bool(rolling) == ("calendar" in record):
        hint = "such as {duration: 30d, isRolling: true} or {duration: 1M, calendar: {...}}"
        message = "a window is either rolling or has a calendar"
        value.report.add(record.place, message, hint=hint, code=WRONG_WINDOW)
        return None
    place = record.place_of("duration")
    if rolling:
        return _rolling(value, duration, place)
    return _calendar(value, duration, zone, record.place)


def _rolling(value: Value, duration: Shorthand, place: Place) -> Window | None:
    minutes = duration.minutes
    if minutes is None:
        message = f"a rolling window of {duration.number}{duration.unit} has no fixed length"
        not_taken(value.report, place, message, "write it in days, such as 30d")
        return None
    if minutes % 1440 or not DAYS_MIN <= minutes // 1440 <= DAYS_MAX:
        expected = f"a rolling window must be whole days from {DAYS_MIN} to {DAYS_MAX}"
        message = f"{expected}, got '{duration.number}{duration.unit}'"
        value.report.add(place, message, hint="such as 28d or 4w", code=WRONG_WINDOW)
        return None
    return Window(rolling_days=minutes // 1440, place=place)


def _calendar(value: Value, duration: Shorthand, zone: str | None, place: Place) -> Window | None:
    unit = _CALENDARS.get(f"{duration.number}{duration.unit}")
    if unit is None:
        message = f"a calendar's window of {duration.number}{duration.unit} cannot be kept"
        not_taken(value.report, place, message, "take 1w, 1M or 1Q: a budget holds 90 days")
        return None
    return Window(None, unit, zone or "UTC", place)


def _read_calendar(value: Value, duration: Shorthand | None) -> str | None:
    record = Record(value)
    start = record.need("startTime", _read_start)
    zone = record.need("timeZone", read_zone)
    record.close()
    unit = _CALENDARS.get(f"{duration.number}{duration.unit}") if duration else None
    if start is not None and unit is not None and not _begins(unit, start):
        message = f"a {unit} that begins at {start:{_FORM}} cannot be counted"
        hint = "begin at midnight: a week on a Monday, a month or a quarter on its first day"
        not_taken(value.report, record.place_of("startTime"), message, hint)
    return zone


def _read_start(value: Value) -> datetime | None:
    word = value.node.text if isinstance(value.node, Scalar) else ""
    for form in _FORMS:
        try:
            return datetime.strptime(word[:32], form).replace(tzinfo=UTC)
        except ValueError:
            continue
    value.refuse("a moment without timezone", hint=f"such as {START:{_FORM}}")
    return None


def _begins(unit: str, start: datetime) -> bool:
    """Tell whether a calendar begins such a unit at that moment."""
    midnight = start - datetime.combine(start.date(), datetime.min.time(), UTC) == timedelta(0)
    if unit == "week":
        return midnight and start.weekday() == 0
    return midnight and start.day == 1 and (unit == "month" or start.month % 3 == 1)


def read_slice_minutes(value: Value) -> int | None:
    """Read `timeSliceWindow`: minutes, or a duration; 1 to 60 minutes."""
    word = value.node.text if isinstance(value.node, Scalar) else ""
    if _MINUTES.fullmatch(word):
        minutes: int | None = int(word)
    else:
        match = _SHORTHAND.fullmatch(word)
        minutes = Shorthand(int(match[1]), match[2]).minutes if match else None
    if minutes is not None and minutes <= SLICE_MAX_MIN:
        return minutes
    value.refuse(f"1 to {SLICE_MAX_MIN} minutes", hint="such as 5 or 5m")
    return None


def minutes_of(one: Slice) -> int:
    """Return the length of a slice in minutes; 0 where it is no whole number of them."""
    minutes, rest = divmod(one.length_ns, 60 * SECOND_NS)
    return 0 if rest else minutes
