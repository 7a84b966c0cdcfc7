"""Names of timezones as documents write them; whether one exists is known where its rules are."""

import re
from typing import Final

from inferometer.documents import Scalar
from inferometer.schema import Value

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
