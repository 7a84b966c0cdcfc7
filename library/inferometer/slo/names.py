"""Names of recorded series, and the labels by which everything about an SLO is joined."""

from dataclasses import dataclass
from typing import Final

from inferometer.slo.document import Class, Foreign
from inferometer.slo.promql import (
    Expr,
    Matching,
    Selector,
    aggregate,
    binary,
    equal,
    one_each,
    vector,
)

REQUESTS: Final = "inferometer_slo_requests_total"
TOKENS: Final = "inferometer_slo_tokens_total"
OBJECTIVE_SEEN: Final = "inferometer_slo_objective_ratio"
LEDGER: Final = "inferometer_slo_budget_remaining_ratio"
COVERED: Final = "inferometer_slo_ledger_covered_seconds"
ELAPSED: Final = "inferometer_slo_ledger_elapsed_seconds"

INFO: Final = "inferometer:slo_info"
OBJECTIVE: Final = "inferometer:slo_objective:ratio"
WINDOW: Final = "inferometer:slo_window:seconds"
MIN_BAD: Final = "inferometer:slo_min_bad:count"
NODATA_DELAY: Final = "inferometer:slo_nodata_delay:seconds"
BAD_REQUESTS: Final = "inferometer:slo_bad_requests:increase5m"
BAD_REASON: Final = "inferometer:slo_bad_reason:increase5m"
CAP: Final = "inferometer:slo_burn_cap:ratio"
ERROR: Final = "inferometer:slo_error:ratio_window"
REMAINING: Final = "inferometer:slo_budget_remaining:ratio"
EXHAUSTION: Final = "inferometer:slo_budget_exhaustion:seconds"
ALERT_THRESHOLD: Final = "inferometer:alert_threshold:value"

SLICED: Final = "--requests"
"""Ending of the id under which the requests of a class with `weight: slice` are counted."""


def counted(one: Class | Foreign, slo: str = "") -> str:
    """Return the id under which the requests of a promise are counted: its own, but for slices.

    `slo` is the id of one that stands in for it.
    """
    return f"{slo or one.id}{SLICED}" if one.weight == "slice" else slo or one.id


def total(window: str) -> str:
    """Return the name of judged weight in a window."""
    return f"inferometer:slo_total:increase{window}"


def bad(window: str) -> str:
    """Return the name of bad weight in a window."""
    return f"inferometer:slo_bad:increase{window}"


def burn(window: str) -> str:
    """Return the name of the burn rate in a window."""
    return f"inferometer:slo_burn:rate{window}"


def burn_threshold(pair: str) -> str:
    """Return the name of the burn rate above which a pair alerts."""
    return f"inferometer:slo_burn_threshold:{pair}"


@dataclass(frozen=True, slots=True)
class Options:
    """What an installation chooses for its rules.

    `vantage` is where verdicts were counted. `clusters` are values of the label `cluster`, for a
    Prometheus that many clusters write to; with none there is no such label. URLs are prefixes.
    """

    vantage: str = "sidecar"
    clusters: tuple[str, ...] = ()
    runbooks_url: str = "alerts/runbooks"
    dashboards_url: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Return the labels that name one SLO; an absent one equals an empty one."""
        return ("cluster", "namespace", "slo") if self.clusters else ("namespace", "slo")

    @property
    def on_key(self) -> Matching:
        """Return the matching by these labels."""
        return Matching(on=self.key)

    @property
    def with_people(self) -> Matching:
        """Return the matching that takes over who owns the SLO."""
        return Matching(on=self.key, left=("service", "owner"))

    def counter(self, name: str) -> Selector:
        """Return a counter of verdicts as it was seen from the chosen vantage."""
        return Selector(name, (equal("vantage", self.vantage),))


ANYTHING: Final = Matching(on=(), left=())
"""The matching of many series with one value without labels."""


def told(expr: Expr, options: Options, **wishes: str) -> Expr:
    """Return the values of `expr` of the SLOs with such wishes, and add service and owner."""
    return binary(expr, "*", people(options, **wishes), options.with_people)


def people(options: Options, **wishes: str) -> Expr:
    """Return who owns each SLO with such wishes: one of them where several files promise it.

    Teams load files apart, so an id may be promised twice; a join with both of them would fail,
    and with it the alert of everybody.
    """
    found = vector(Selector(INFO, tuple(equal(name, value) for name, value in wishes.items())))
    return one_each(found, by=options.key)


def length(options: Options) -> Expr:
    """Return the length of each SLO's window, of a calendar's as well: once, as with `people`."""
    return aggregate("max", vector(WINDOW), by=options.key)
