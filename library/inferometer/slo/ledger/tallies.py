"""Counts of the ledger, from the 5-minute series that the rules record.

Sums are made by Prometheus. A minute counts only where both the total and the bad part of it are
known; if one of them has holes, the samples themselves are fetched and joined by their moments.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from inferometer.prom.answer import NUMBER_MAX
from inferometer.prom.client import Client, whole
from inferometer.prom.decode import Result
from inferometer.prom.errors import PrometheusError
from inferometer.slo import names
from inferometer.slo.budget import Counts
from inferometer.slo.ledger.book import Key
from inferometer.slo.ledger.ledger import Span
from inferometer.slo.model import TICKS
from inferometer.slo.promql import Expr, Matcher, Selector, any_of, call, equal, window
from inferometer.slo.rule import EVALUATION_S
from inferometer.slo.windows import SHORTEST

AT_ONCE_MAX: Final = 100
"""SLOs of one query."""
_MS: Final = Decimal("0.001")


class Recorded:
    """The recorded series in one Prometheus: a `ledger.Source`."""

    def __init__(self, client: Client, *, cluster: str = "") -> None:
        """`cluster` is the value of that label where many clusters write to one store."""
        self._client = client
        self._where = (equal("cluster", cluster),) if cluster else ()
        self._left_open: bool | None = None

    def now_s(self) -> float:
        """Return the time on the server's clock."""
        return self._client.now_s()

    def counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
        """Return what was judged in a span, by SLO."""
        found: dict[Key, Counts] = {}
        for start in range(0, len(keys), AT_ONCE_MAX):
            found |= self._counts(span, keys[start : start + AT_ONCE_MAX])
        return found

    def _counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
        wanted = frozenset(keys)
        total, bad = (
            Selector(
                name(SHORTEST), (any_of("slo", sorted({slo for _, slo in keys})), *self._where)
            )
            for name in (names.total, names.bad)
        )
        minutes = self._asked("count_over_time", total, span, wanted)
        of_bad = self._asked("count_over_time", bad, span, wanted)
        totals = self._asked("sum_over_time", total, span, wanted)
        bads = self._asked("sum_over_time", bad, span, wanted)
        found = {}
        for key, count in minutes.items():
            if of_bad.get(key) == count and key in totals and key in bads:
                covered_s = int(count) * EVALUATION_S
                found[key] = Counts(totals[key] / TICKS, bads[key] / TICKS, covered_s)
            elif key in of_bad:
                found[key] = self._joined(span, key)
        return found

    def _asked(
        self, function: str, of: Selector, span: Span, wanted: frozenset[Key]
    ) -> Mapping[Key, Decimal]:
        at_s, range_s = self._range(span)
        expr = call(function, window(of, range_s))
        result = whole(self._client.instant(str(expr), at_s), self._client.endpoint)
        return dict(_by_key(result, wanted, self._client))

    def _range(self, span: Span) -> tuple[float, Decimal]:
        """Return the moment and the range that take in the first moment, and not the last one."""
        if self._left_open is None:
            self._left_open = self._client.left_open()
        length_s = Decimal(span.end_s - span.start_s)
        return span.end_s - float(_MS), length_s if self._left_open else length_s - _MS

    def _joined(self, span: Span, key: Key) -> Counts:
        """Return the counts of one SLO, of the minutes in which both series have a sample."""
        namespace, slo = key
        where: tuple[Matcher, ...] = (
            equal("namespace", namespace), equal("slo", slo), *self._where,
        )  # fmt: skip
        total, bad = (
            dict(self._samples(Selector(name(SHORTEST), where), span))
            for name in (names.total, names.bad)
        )
        both = total.keys() & bad.keys()
        return Counts(
            sum((total[at] for at in both), Decimal(0)) / TICKS,
            sum((bad[at] for at in both), Decimal(0)) / TICKS,
            len(both) * EVALUATION_S,
        )

    def _samples(self, of: Selector, span: Span) -> Iterator[tuple[float, Decimal]]:
        expr: Expr = window(of, span.end_s - span.start_s + 1)
        result = whole(self._client.samples(str(expr), span.end_s), self._client.endpoint)
        for series in result.series:
            for at_s, value in series.samples:
                if span.start_s <= at_s < span.end_s:
                    yield at_s, _number(value, self._client)


def _by_key(
    result: Result, wanted: frozenset[Key], client: Client
) -> Iterator[tuple[Key, Decimal]]:
    """Yield one number for each SLO. Raises PrometheusError if there are two of one."""
    seen = set()
    for labels, samples in result.series:
        key = (labels.get("namespace", ""), labels.get("slo", ""))
        if key in seen:
            message = f"{client.endpoint}: has two series of the SLO {key[1]!r}"
            hint = "name one with --cluster, or ask where replicas are made one"
            raise PrometheusError(message, reason="ambiguous", hint=hint)
        if key in wanted:
            seen.add(key)
            yield key, _number(samples[-1].value, client)


def _number(value: float, client: Client) -> Decimal:
    number = Decimal(repr(value))
    if not number.is_finite() or abs(number) > NUMBER_MAX:
        message = f"{client.endpoint}: recorded {number}, which is no count"
        raise PrometheusError(message, reason="not_a_number")
    return number
