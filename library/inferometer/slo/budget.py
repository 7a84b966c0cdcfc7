"""The arithmetic of error budgets, exact: counts in, answers out.

Time that was not seen is not good time, and no traffic is no attainment of 100 %: both stay
unknown. Objectives are ratios in (0, 1): `Decimal("0.999")`, never 99.9. Pure.
Source: The Site Reliability Workbook, chapters 2 and 5.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from inferometer.prom.answer import Answer, Hold, Value, answer

_NOTHING: Final = Decimal(0)
_ALL: Final = Decimal(1)
NO_TRAFFIC: Final = Hold("no_traffic", "nothing was judged")


@dataclass(frozen=True, slots=True)
class Counts:
    """What was judged, in the unit of the SLO, and for how many seconds anybody counted.

    `bad` may be a hair outside of 0 to `total`, since Prometheus extrapolates; shares are not.
    """

    total: Decimal = _NOTHING
    bad: Decimal = _NOTHING
    covered_s: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return both together; they must not overlap in time."""
        return Counts(
            self.total + other.total, self.bad + other.bad, self.covered_s + other.covered_s
        )

    @property
    def bad_share(self) -> Decimal | None:
        """Return the share that was bad; None without traffic."""
        if self.total <= 0:
            return None
        return min(max(self.bad, _NOTHING), self.total) / self.total


def together(counts: Iterable[Counts]) -> Counts:
    """Return the sum of counts of different times."""
    return sum(counts, Counts())


def attainment(counts: Counts, *, at_s: float) -> Answer:
    """Return the share that was good; a Hold if nothing is known or nothing came."""
    share = counts.bad_share
    return _unknown(counts) if share is None else Value(_ALL - share, at_s)


def remaining(counts: Counts, *, objective: Decimal, at_s: float) -> Answer:
    """Return the share of the budget that is left: 1 is all of it, below 0 it is overspent."""
    burned = burn_rate(counts, objective=objective, at_s=at_s)
    return Value(_ALL - burned.number, at_s) if isinstance(burned, Value) else burned


def burn_rate(counts: Counts, *, objective: Decimal, at_s: float) -> Answer:
    """Return how many times faster than allowed the budget was spent over the time counted."""
    assert 0 < objective < 1, objective
    share = counts.bad_share
    return _unknown(counts) if share is None else Value(share / (_ALL - objective), at_s)


def events_left(counts: Counts, *, objective: Decimal) -> Decimal:
    """Return how many more may be bad if nothing else came; negative if it is too late."""
    return (_ALL - objective) * counts.total - counts.bad


def exhaustion_s(left: Answer, burn: Answer, *, window_s: int) -> Answer:
    """Return how long the budget lasts at a burn rate, in seconds: 0 if it is gone.

    A budget that does not burn lasts for ever, which is no number: a Hold `not_burning`. At a rate
    of 1 a whole budget lasts for its window.
    """
    if not isinstance(left, Value):
        return left
    if left.number <= 0:
        return Value(_NOTHING, left.at_s)
    if not isinstance(burn, Value):
        return burn
    if burn.number <= 0:
        return Hold("not_burning", "nothing was bad lately")
    return answer(left.number * window_s / burn.number, burn.at_s)


def coverage(counts: Counts, *, period_s: float) -> Decimal | None:
    """Return the share of a period in which anybody counted, at most 1; None for no period."""
    if period_s <= 0:
        return None
    return min(Decimal(counts.covered_s) / Decimal(repr(period_s)), _ALL)


def _unknown(counts: Counts) -> Hold:
    return NO_TRAFFIC if counts.covered_s > 0 else Hold("no_data", "nobody counted")
