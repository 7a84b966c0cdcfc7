"""The arithmetic of the rules in plain Python: when an alert would fire, to the minute.

It counts in whole evaluations, a minute apart, and takes each minute's requests as seen at its
end. Numbers stay exact (`int` or `Decimal`), so a share that equals a limit does not exceed it. A
real Prometheus sees scrapes instead of minutes, and is at most a minute off.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Final, NamedTuple

from inferometer.slo.document import SECOND_NS, Slice
from inferometer.slo.rule import EVALUATION_S, Severity
from inferometer.slo.windows import (
    CLIFF,
    PAIRS,
    SECONDS,
    SHORTEST,
    Pair,
    Promise,
    limits,
)

Number = int | Decimal

TICKS: Final = SECONDS[SHORTEST] // EVALUATION_S
"""Evaluations that count the same minute."""
HORIZON: Final = 2 * SECONDS["3d"] // EVALUATION_S
"""Evaluations after which the longest window holds nothing else."""
RATE_PER_MINUTE: Final = 10
"""Requests that detection times are told for, unless a user says how many there are; with fewer
the guard may need longer."""

_HALF: Final = Decimal("0.5")


class Minute(NamedTuple):
    """What was judged in one minute. `bad_requests` differ from `bad` where weights do."""

    total: Number
    bad: Number
    bad_requests: Number


@dataclass(frozen=True, slots=True)
class Series:
    """Values of a recorded series at evaluations 0, 1, ..., after it had `before` for ever."""

    before: Number
    values: Sequence[Number]
    sums: Sequence[Number]

    @classmethod
    def of(cls, values: Iterable[Number], *, before: Number) -> "Series":
        """Return the series with its running sums."""
        kept = tuple(values)
        return cls(before, kept, tuple(accumulate(kept)))

    def at(self, evaluation: int) -> Number:
        """Return the value at an evaluation."""
        return self.values[evaluation] if evaluation >= 0 else self.before

    def total(self, window: str, evaluation: int) -> Number:
        """Return what `sum_over_time` of a window gives, without its division by 5."""
        start = evaluation - SECONDS[window] // EVALUATION_S
        return self._until(evaluation) - self._until(start)

    def _until(self, evaluation: int) -> Number:
        return self.sums[evaluation] if evaluation >= 0 else self.before * (evaluation + 1)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The 5-minute series of one SLO, as rules record them."""

    total: Series
    bad: Series
    bad_requests: Series

    @property
    def evaluations(self) -> int:
        """Return how many evaluations are known."""
        return len(self.total.values)


def counted(minutes: Sequence[Minute], *, before: Minute) -> Traffic:
    """Return what rules record of requests or tokens, after a minute that went on for ever."""

    def increases(values: Sequence[Number], steady: Number) -> Series:
        padded = [steady] * (TICKS - 1) + list(values)
        sums = [0, *accumulate(padded)]
        recorded = (sums[k + TICKS] - sums[k] for k in range(len(values)))
        return Series.of(recorded, before=TICKS * steady)

    return Traffic(
        increases([minute.total for minute in minutes], before.total),
        increases([minute.bad for minute in minutes], before.bad),
        increases([minute.bad_requests for minute in minutes], before.bad_requests),
    )


def sliced(minutes: Sequence[Minute], one: Slice, *, before: Minute) -> Traffic:
    """Return what rules record of slices of time: whether the slice that ends now was bad."""
    length = max(1, round(one.length_ns / SECOND_NS / EVALUATION_S))
    allowed = 1 - one.good_share / 100
    padded = [before] * (length - 1) + list(minutes)
    total = [0, *accumulate(minute.total for minute in padded)]
    bad = [0, *accumulate(minute.bad for minute in padded)]
    spans = [(total[k + length] - total[k], bad[k + length] - bad[k]) for k in range(len(minutes))]
    had_bad = before.bad > allowed * before.total
    return Traffic(
        Series.of((int(t > 0) for t, _ in spans), before=int(before.total > 0)),
        Series.of((int(b > allowed * t) for t, b in spans), before=int(had_bad)),
        counted(minutes, before=before).bad_requests,
    )


def exceeds(traffic: Traffic, window: str, share: Decimal, evaluation: int) -> bool:
    """Tell whether the bad share of a window is above a limit; without traffic nothing is."""
    if window == SHORTEST:
        total, bad = traffic.total.at(evaluation), traffic.bad.at(evaluation)
    else:
        total = traffic.total.total(window, evaluation)
        bad = traffic.bad.total(window, evaluation)
    return total > 0 and min(bad, total) > share * total


def holds(pair: Pair, promise: Promise, traffic: Traffic, evaluation: int) -> bool:
    """Tell whether a pair's alert is active at an evaluation, its guard included."""
    limit = limits(pair, promise)
    bad_requests = traffic.bad_requests.total(pair.long, evaluation)
    return (
        bad_requests >= TICKS * (promise.min_bad - _HALF)
        and exceeds(traffic, pair.short, limit.short, evaluation)
        and exceeds(traffic, pair.long, limit.long, evaluation)
    )


def first_minute(pairs: Iterable[Pair], promise: Promise, traffic: Traffic) -> int | None:
    """Return the minute at which any pair begins to hold, counted from 1; None if none does.

    Only for traffic that turned worse at once and stays so: then what holds goes on to hold.
    """
    chosen = tuple(pairs)
    found = bisect_left(
        range(traffic.evaluations),
        1,
        key=lambda k: int(any(holds(pair, promise, traffic, k) for pair in chosen)),
    )
    return found + 1 if found < traffic.evaluations else None


def of_severity(severity: Severity) -> tuple[Pair, ...]:
    """Return the pairs that tell people in this way."""
    return tuple(pair for pair in (*PAIRS, CLIFF) if pair.severity == severity)


def outage(
    share: Decimal,
    one: Slice | None = None,
    *,
    rate: int = RATE_PER_MINUTE,
    minutes: int = HORIZON,
) -> Traffic:
    """Return `rate` requests a minute of which nothing was bad, and then for ever a share is."""
    worse, fine = Minute(rate, rate * share, rate * share), Minute(rate, 0, 0)
    after = [worse] * minutes
    return counted(after, before=fine) if one is None else sliced(after, one, before=fine)


def smallest_share(
    severity: Severity,
    promise: Promise,
    one: Slice | None = None,
    *,
    rate: int = RATE_PER_MINUTE,
) -> Decimal:
    """Return the share of bad requests above which somebody is told, if it goes on.

    At `rate` requests a minute; a share that brings too few bad requests for the guard does not
    count.
    """

    def needed(pair: Pair) -> Decimal:
        share = max(limits(pair, promise)) if one is None else 1 - one.good_share / 100
        requests = rate * (SECONDS[pair.long] // EVALUATION_S)
        return max(share, (promise.min_bad - _HALF) / requests)

    return min(needed(pair) for pair in of_severity(severity))
