"""Deadlines that a request brings along in its headers, and how far its class lets them go.

A class opts in by naming the headers. They change when this one request is late, never its class,
its labels or its bytes: whoever sends them can make nothing better than `clamp` times what the
class promises. Values are milliseconds (`250`, `62.5`). What cannot be read (no plain number, zero,
13 digits or more, a field that is there twice) is as if it were not there; `rejected` counts it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from math import ceil, floor
from typing import Final, NamedTuple

TTFT: Final = "x-llm-d-slo-ttft-ms"
TPOT: Final = "x-llm-d-slo-tpot-ms"
ALIASES: Final[Mapping[str, str]] = {
    TTFT: "x-slo-ttft-ms",
    TPOT: "x-slo-tpot-ms",
    "x-slo-ttft-ms": TTFT,
    "x-slo-tpot-ms": TPOT,
}
"""Headers with two spellings: the one that is not named is read where the other is absent."""

Values = Callable[[bytes], Sequence[bytes]]
"""Gives the values of all fields of a request with that name (lower case), in order."""

_MILLISECONDS: Final = re.compile(rb"([0-9]{1,12})(?:\.([0-9]{1,6})[0-9]{0,12})?")
_FRACTION_DIGITS: Final = 6


class Asked(NamedTuple):
    """What a request asks for in its headers, in nanoseconds; None where it says nothing."""

    ttft_ns: int | None = None
    tpot_ns: int | None = None


NOTHING: Final = Asked()


def read(ttft: str | None, tpot: str | None, values: Values) -> Asked:
    """Return the deadlines in the headers of these names (lower case); None reads none."""
    return Asked(_read(ttft, values), _read(tpot, values))


def rejected(names: Iterable[str], values: Values) -> int:
    """Return how many of the headers of these names (lower case) are there and cannot be read."""
    found = (values(name.encode()) for name in set(names))
    return sum(len(several) > 1 or not _nanoseconds(several[0]) for several in found if several)


def within(asked_ns: int, own_ns: int, clamp: tuple[Decimal, Decimal]) -> int:
    """Return the deadline that was asked for, or the bound of the class's own one next to it."""
    low, high = clamp
    return min(max(asked_ns, ceil(low * own_ns)), floor(high * own_ns))


def _read(name: str | None, values: Values) -> int | None:
    if name is None:
        return None
    found = values(name.encode())
    if not found and name in ALIASES:
        found = values(ALIASES[name].encode())
    return _nanoseconds(found[0]) if len(found) == 1 else None


def _nanoseconds(value: bytes) -> int | None:
    match = _MILLISECONDS.fullmatch(value)
    if match is None:
        return None
    whole, fraction = match.groups(b"")
    return int(whole + fraction.ljust(_FRACTION_DIGITS, b"0")) or None
