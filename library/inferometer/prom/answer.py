"""What a question about a number can end in: a value, a proven zero, or nothing that is known.

Unknown is a type of its own, so that nothing can take it for 0. A `Value` is always a finite
number: whoever has a NaN has no value and gets a `Hold` from `answer`. Pure.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

Reason = Literal[
    "no_data",
    "no_traffic",
    "not_a_number",
    "unreachable",
    "bad_answer",
    "query_error",
    "partial",
    "ambiguous",
    "stale",
    "warming",
    "not_burning",
]
"""Why there is no number: a closed set, so that it may be a label."""

NUMBER_MAX: Final = Decimal(10) ** 12
"""A count, a ratio or a time that is larger than this is a fault of its source."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number that is known: exact, or with `bound="lower"` at least this much.

    `at_s` is the Unix time it is true of, not that of the question. `window_s` is the time it was
    taken over, 0 for a moment. Raises ValueError for what is no finite number.
    """

    number: Decimal
    at_s: float
    window_s: float = 0.0
    bound: Literal["exact", "lower"] = "exact"

    def __post_init__(self) -> None:
        """Refuse NaN and the infinities, which are no numbers to reckon with."""
        if not self.number.is_finite():
            message = f"a value is a finite number, got {self.number}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Zero:
    """Nothing, and it is known that it is nothing: `proof` says how."""

    proof: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Not known. `since_s` is the Unix time since when, None if that is not known either."""

    reason: Reason
    detail: str = ""
    since_s: float | None = None


Answer = Value | Zero | Hold


def fresh(found: Value, *, now_s: float, age_max_s: float) -> Value | Hold:
    """Return a Value that is young enough, else a Hold that says since when nothing is known.

    `now_s` is the time on the clock that stamped it. A moment in the future is as little known.
    """
    age_s = now_s - found.at_s
    if abs(age_s) > age_max_s:
        return Hold("stale", f"it is {age_s:.0f} s old", found.at_s)
    return found


def answer(number: float | Decimal, at_s: float, *, window_s: float = 0.0) -> Value | Hold:
    """Return the number as a Value, or why it is none: NaN, infinite, or beyond all reason."""
    exact = number if isinstance(number, Decimal) else Decimal(repr(number))
    if not exact.is_finite():
        return Hold("not_a_number", f"it is {exact}")
    if abs(exact) > NUMBER_MAX:
        return Hold("not_a_number", f"it is larger than {NUMBER_MAX:.0e}")
    return Value(exact, at_s, window_s)
