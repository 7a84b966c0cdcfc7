"""Sums of a rate over time, kept as integers: what a backend adds up where nothing counts.

Pure. A value speaks for the time since the one before it, as means over the last interval do.
After a gap nobody knows what happened in between, so a gap is left out of the sum and out of the
time that was watched, never filled in.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import Reason

MICRO: Final = 1_000_000
RATIO_TO_NS: Final = MICRO
"""Divisor for a ratio from 0 to 1: the sum is nanoseconds."""
WATTS_TO_MICROJOULES: Final = MICRO * 1_000
"""Divisor for watts: the sum is microjoules."""
PER_SECOND: Final = MICRO * 1_000_000_000
"""Divisor for anything per second: the sum is the thing itself."""
INTERVAL_MIN_NS: Final = 1_000_000_000
INTERVAL_FIRST_MAX_NS: Final = 61_000_000_000
"""The first interval has none to compare with; a tick is at most 60 s."""
GAP: Final = 3
"""An interval more than this many times the one before it is a gap."""


class Source(NamedTuple):
    """What a total is made of: the gauge times `factor`, over time, by `divisor`."""

    total: Total
    gauge: Gauge
    factor: float = 1
    divisor: int = RATIO_TO_NS


class Integral:
    """The sum of a value over time, with the time over which it was known."""

    def __init__(self, divisor: int = RATIO_TO_NS) -> None:
        """Start at nothing; `divisor` is one of this module's."""
        self.total = 0
        self.observed_ns = 0
        self._divisor = divisor
        self._remainder = 0
        self._moment_ns: int | None = None
        self._interval_ns: int | None = None

    @property
    def started(self) -> bool:
        """Whether any time has been watched yet: before, the sum is unknown, not 0."""
        return self.observed_ns > 0

    @property
    def known(self) -> bool:
        """Whether the value was known when last it was looked at: else the sum stands still."""
        return self._moment_ns is not None

    def add(self, moment_ns: int, value: float | None) -> None:
        """Take a value (>= 0, finite; None if unknown) of this moment; equal moments add nothing.

        An unknown value leaves a gap: the next one has nothing to be measured from.
        """
        if value is None:
            self._moment_ns = None
            return
        before, self._moment_ns = self._moment_ns, moment_ns
        if before is None or moment_ns == before:
            return
        interval_ns = moment_ns - before
        if self._continuous(interval_ns):
            self._interval_ns = interval_ns
            self.observed_ns += interval_ns
            whole = round(value * MICRO) * interval_ns + self._remainder
            added, self._remainder = divmod(whole, self._divisor)
            self.total += added
        else:
            self._interval_ns = None

    def _continuous(self, interval_ns: int) -> bool:
        """Tell an interval from a gap, and from a clock that was set."""
        if interval_ns < 0:
            return False
        if self._interval_ns is None:
            return interval_ns <= INTERVAL_FIRST_MAX_NS
        return interval_ns <= GAP * max(self._interval_ns, INTERVAL_MIN_NS)


class Totals:
    """All totals of a device or an instance."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Take at most one source for each total."""
        self._integrals = {source: Integral(source.divisor) for source in sources}

    def add(self, gauges: Mapping[Gauge, float], moments_ns: Mapping[Gauge, int]) -> None:
        """Take a reading; a gauge that is not there is unknown at this moment."""
        for source, integral in self._integrals.items():
            value = gauges.get(source.gauge)
            if value is None:
                integral.add(0, None)
            else:
                integral.add(moments_ns[source.gauge], value * source.factor)

    def read(self) -> dict[Total, int]:
        """Return the sums that the last reading has added to.

        Those that have not begun are unknown, and so are those whose gauge is: a sum that stands
        still says that nothing has happened.
        """
        totals: dict[Total, int] = {}
        for source, integral in self._integrals.items():
            if not integral.started or not integral.known:
                continue
            totals[source.total] = integral.total
            if source.total is Total.BUSY_NS:
                totals[Total.OBSERVED_NS] = integral.observed_ns
        return totals


def lacking(had: Iterable[Gauge | Counter], sources: Iterable[Source]) -> dict[str, Reason]:
    """Return all quantities that a backend never has, each with reason "backend".

    `had` are those that it may have. A total may have the name of a counter: one is enough.
    """
    names = {str(quantity) for quantity in had}
    for source in sources:
        names.add(source.total)
        if source.total is Total.BUSY_NS:
            names.add(Total.OBSERVED_NS)
    return {
        str(quantity): "backend"
        for quantity in (*Gauge, *Counter, *Total)
        if str(quantity) not in names
    }
