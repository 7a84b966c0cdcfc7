"""What SLOs have seen in the last week, by the series that are scraped, rules or no rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from inferometer.prom.client import Client, whole
from inferometer.slo.inputs import Group, key_of
from inferometer.slo.ledger.book import Key
from inferometer.slo.promql import Expr, call, subquery
from inferometer.slo.windows import DAY_S, SECONDS, SHORTEST

LOOKED_S: Final = 7 * DAY_S
STEP_S: Final = SECONDS[SHORTEST]
"""Increases of 5 minutes, one every 5 minutes, count everything once."""
KNOWN_ENOUGH_S: Final = DAY_S
"""Less than a day says little about a week: no night, or nothing but one."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one SLO has seen; `known_s` is for how long anybody counted, 0 for never."""

    total: Decimal = Decimal(0)
    bad: Decimal | None = None
    requests: Decimal = Decimal(0)
    known_s: int = 0

    def expected(self, seconds: int) -> Decimal:
        """Return how much weight may be expected in a time."""
        return self.total * seconds / self.known_s

    def expected_requests(self, seconds: int) -> Decimal:
        """Return how many requests may be expected in a time."""
        return self.requests * seconds / self.known_s

    @property
    def is_known(self) -> bool:
        """Tell whether it was seen for long enough to expect the same again."""
        return self.known_s >= KNOWN_ENOUGH_S


def traffic(client: Client, groups: Sequence[Group], at_s: float) -> Mapping[Key, Traffic]:
    """Return what each SLO has seen until a moment. Raises PrometheusError."""
    found: dict[Key, Traffic] = {}
    for group in groups:
        minutes = _asked(client, "count_over_time", group.total, group, at_s)
        totals = _asked(client, "sum_over_time", group.total, group, at_s)
        bads = _asked(client, "sum_over_time", group.bad, group, at_s)
        requests = totals
        if group.requests != group.total:
            requests = _asked(client, "sum_over_time", group.requests, group, at_s)
        for key in group.keys:
            found[key] = Traffic(
                total=totals.get(key, Decimal(0)),
                bad=bads.get(key),
                requests=requests.get(key, Decimal(0)),
                known_s=int(minutes.get(key, 0)) * STEP_S,
            )
    return found


def _asked(
    client: Client, function: str, of: Expr, group: Group, at_s: float
) -> Mapping[Key, Decimal]:
    expr = call(function, subquery(of, LOOKED_S, step_s=STEP_S))
    result = whole(client.instant(str(expr), at_s), client.endpoint)
    found = {}
    for series in result.series:
        key, value = key_of(series.labels, group), Decimal(repr(series.last.value))
        if key is not None and value.is_finite():
            found[key] = value
    return found
