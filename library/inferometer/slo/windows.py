"""Burn-rate windows as data: what is looked at together, how bad it must be, and why.

A pair of windows holds if the budget burns faster than `factor` in the long one (it matters) and
in the short one (it goes on). All numbers are exact. Source, unless another is named: The Site
Reliability Workbook, chapter 5, "Alerting on SLOs", table 5-8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from inferometer.slo.document import Document, Window
from inferometer.slo.rule import Severity

MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S
SHORTEST: Final = "5m"
"""Everything is summed from increases over this time. A shorter one would hold too few scrapes."""

SECONDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        SHORTEST: 300,
        "30m": 1800,
        "1h": HOUR_S,
        "2h": 2 * HOUR_S,
        "6h": 6 * HOUR_S,
        "1d": DAY_S,
        "3d": 3 * DAY_S,
    }
)
"""The windows of burn rates, by name."""

REFERENCE_S: Final = 30 * DAY_S
"""The window that factors are made for. A longer one counts as this, so that people are told
within days; nor can Prometheus be asked for more samples at once in reasonable time."""

OUTAGE: Final = Decimal("0.8")
"""A total outage is never quite total: no rule may need a larger share of errors than this."""
FLOOR: Final = Decimal(1)
"""A budget that burns slower than this lasts, so no rule may be more nervous."""

SpendName = Literal["fast", "medium", "slow", "drain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A long and a short window, and the share of the budget that may be gone before it alerts."""

    name: str
    alert: str
    severity: Severity
    long: str
    short: str
    spend: Decimal
    keep_firing_for_s: int

    @property
    def factor(self) -> Decimal:
        """Return the burn rate at which `spend` of a 30-day budget is gone in the long window."""
        return self.spend * REFERENCE_S / SECONDS[self.long]


FAST: Final = Pair(
    name="fast",
    alert="LLMSLOBurnFast",
    severity="critical",
    long="1h",
    short="5m",
    spend=Decimal("0.02"),
    keep_firing_for_s=300,
)
MEDIUM: Final = Pair(
    name="medium",
    alert="LLMSLOBurnMedium",
    severity="critical",
    long="6h",
    short="30m",
    spend=Decimal("0.05"),
    keep_firing_for_s=600,
)
SLOW: Final = Pair(
    name="slow",
    alert="LLMSLOBurnSlow",
    severity="warning",
    long="1d",
    short="2h",
    spend=Decimal("0.1"),
    keep_firing_for_s=1800,
)
DRAIN: Final = Pair(
    name="drain",
    alert="LLMSLOBudgetDrain",
    severity="warning",
    long="3d",
    short="6h",
    spend=Decimal("0.1"),
    keep_firing_for_s=3600,
)
PAIRS: Final = (FAST, MEDIUM, SLOW, DRAIN)

CLIFF: Final = Pair(
    name="cliff",
    alert=FAST.alert,
    severity="critical",
    long="30m",
    short="5m",
    spend=Decimal(0),
    keep_firing_for_s=300,
)
"""A total outage at a low objective: an hour at the clamped factor would take 51 minutes to page.

It needs OUTAGE in the short window and half of it in the long one, whatever the objective.
"""

NODATA_SPEND: Final = Decimal("0.05")
"""Silence may hide an outage: it is told before that could have spent as much as MEDIUM allows."""
NODATA_MIN_S: Final = 30 * MINUTE_S
"""A rollout that loads large models is silent for that long."""
NODATA_MAX_S: Final = 6 * HOUR_S

CALENDAR_DAYS: Final[Mapping[str, int]] = MappingProxyType({"week": 7, "month": 30, "quarter": 90})
"""Nominal lengths, for times only: what is left of a calendar's budget is known by the ledger."""


class Promise(NamedTuple):
    """What alerting depends on: `objective` as a ratio, and the length of the budget's window."""

    objective: Decimal
    window_s: int
    min_bad: int = 10


class Limits(NamedTuple):
    """Shares of errors that must be exceeded, both."""

    long: Decimal
    short: Decimal


def length_s(window: Window) -> int:
    """Return the length of a budget's window, nominal for a calendar's."""
    days = CALENDAR_DAYS[window.calendar] if window.calendar else window.rolling_days
    assert days is not None, window
    return days * DAY_S


def summed_by_rules(window: Window) -> bool:
    """Tell whether rules can sum the window up; calendars and longer ones need the ledger."""
    return window.calendar is None and length_s(window) <= REFERENCE_S


def lengths_in_use(documents: tuple[Document, ...]) -> tuple[int, ...]:
    """Return the lengths in days that rules must sum up, ascending; 30 days if there is none."""
    windows = [document.window for document in documents]
    days = {length_s(window) // DAY_S for window in windows if summed_by_rules(window)}
    return tuple(sorted(days)) or (REFERENCE_S // DAY_S,)


def threshold(pair: Pair, promise: Promise) -> Decimal:
    """Return the burn rate above which a pair alerts: its factor, scaled and clamped.

    Scaled down for windows below 30 days, so that the same share of the budget is gone. Clamped
    below what an outage reaches, since at 90 % even a total one burns at a rate of 10 only.
    """
    scaled = pair.factor * min(promise.window_s, REFERENCE_S) / REFERENCE_S
    return max(FLOOR, min(scaled, OUTAGE / (1 - promise.objective)))


def limits(pair: Pair, promise: Promise) -> Limits:
    """Return the shares of errors above which a pair alerts, exactly."""
    if pair is CLIFF:
        return Limits(OUTAGE / 2, OUTAGE)
    budget = 1 - promise.objective
    scaled = pair.factor * min(promise.window_s, REFERENCE_S) / REFERENCE_S
    share = max(FLOOR * budget, min(scaled * budget, OUTAGE))
    return Limits(share, share)


def nodata_delay_s(promise: Promise) -> int:
    """Return how long an SLO may be without data, in whole minutes."""
    spent_s = int(NODATA_SPEND * (1 - promise.objective) * promise.window_s)
    return min(max(spent_s, NODATA_MIN_S), NODATA_MAX_S) // MINUTE_S * MINUTE_S
