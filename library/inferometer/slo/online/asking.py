"""Instant questions about SLOs: one query for all of them, one number for each.

What belongs to no SLO that was asked about is left out. Two numbers for one SLO are an error: then
nobody knows which one is right.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from inferometer.prom.answer import Answer, Hold, Value, answer
from inferometer.prom.client import Client, whole
from inferometer.prom.errors import PrometheusError
from inferometer.slo.ledger.book import Key
from inferometer.slo.promql import Expr, Matcher, Selector, any_of, equal

AT_ONCE_MAX = 100
"""SLOs of one query: their ids make it some KiB long."""


@dataclass(frozen=True, slots=True)
class Asking:
    """SLOs in one Prometheus, as of one moment. `cluster` empty is the only one."""

    client: Client
    keys: tuple[Key, ...]
    at_s: float
    cluster: str = ""

    def where(self) -> tuple[Matcher, ...]:
        """Return what keeps other clusters out."""
        return (equal("cluster", self.cluster),) if self.cluster else ()

    def selectors(self, metric: str, *more: Matcher) -> Iterator[Selector]:
        """Yield selectors of a metric that together take in all the SLOs."""
        ids = sorted({slo for _, slo in self.keys})
        for start in range(0, len(ids), AT_ONCE_MAX):
            some = any_of("slo", ids[start : start + AT_ONCE_MAX])
            yield Selector(metric, (some, *self.where(), *more))

    def numbers(self, exprs: Iterator[Expr] | Sequence[Expr]) -> Mapping[Key, Answer]:
        """Return the number of each SLO, a Hold for one without. Raises PrometheusError."""
        found: dict[Key, Answer] = {}
        wanted = frozenset(self.keys)
        for labels, value, at_s in self.samples(exprs):
            key = (labels.get("namespace", ""), labels.get("slo", ""))
            if key in found:
                message = f"{self.client.endpoint}: has two series of the SLO {key[1]!r}"
                hint = "name one with --cluster, or ask where replicas are made one"
                raise PrometheusError(message, reason="ambiguous", hint=hint)
            if key in wanted:
                found[key] = answer(value, at_s)
        return {key: found.get(key, Hold("no_data")) for key in self.keys}

    def samples(
        self, exprs: Iterator[Expr] | Sequence[Expr]
    ) -> Iterator[tuple[Mapping[str, str], float, float]]:
        """Yield labels, value and moment of whatever some expressions give."""
        for expr in exprs:
            result = whole(self.client.instant(str(expr), self.at_s), self.client.endpoint)
            for series in result.series:
                yield series.labels, series.last.value, series.last.at_s


def number(known: Answer) -> Decimal | None:
    """Return the number of a Value, None for anything else."""
    return known.number if isinstance(known, Value) else None
