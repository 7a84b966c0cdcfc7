"""Names of timezones as documents write them; whether one exists is known where its rules are."""

import re
from collections.abc import Collection
from typing import Final

from inferometer.documents import Report, Scalar, closest
from inferometer.schema import Value
from inferometer.slo.document import Document

WRONG_WINDOW: Final = "E08"
"""A window that is none, or whose timezone is none."""
ZONE_CHARS_MAX: Final = 63

_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,2}")


def read_zone(value: Value) -> str | None:
    """Read the name of a timezone."""
    word = value.node.text if isinstance(value.node, Scalar) else ""
    if len(word) <= ZONE_CHARS_MAX and _ZONE.fullmatch(word):
        return word
    value.refuse("a timezone", hint="such as Europe/Berlin or UTC", code=WRONG_WINDOW)
    return None


def check_zone(document: Document, zones: Collection[str], report: Report) -> None:
    """Report a timezone that does not exist. `zones` are those that do, empty if unknown."""
    window = document.window
    if window.calendar and zones and window.timezone not in zones:
        message = f"timezone must be one that exists, got {window.timezone!r}"
        close = closest(window.timezone, zones)
        hint = f"did you mean {close!r}?" if close else "such as Europe/Berlin or UTC"
        report.add(window.place or document.place, message, hint=hint, code=WRONG_WINDOW)
