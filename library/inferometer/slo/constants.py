"""The rules of one document: its promises as constants, and what must be counted its own way.

Constants are recorded by Prometheus itself, so they survive the loss of every sidecar. Metrics of
others and slices of time are recorded under the same names as our own counters, so that every
rule, alert and board for all SLOs applies to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from inferometer.slo import names, selector
from inferometer.slo.document import (
    SECOND_NS,
    Class,
    Document,
    Foreign,
    GaugeSource,
    HistogramSource,
    RatioSource,
    Slice,
)
from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Matcher,
    Selector,
    aggregate,
    any_of,
    binary,
    call,
    equal,
    number,
    regex,
    subquery,
    vector,
    window,
)
from inferometer.slo.rule import Group, Pairs, Rule
from inferometer.slo.windows import (
    MINUTE_S,
    SECONDS,
    SHORTEST,
    Promise,
    length_s,
    nodata_delay_s,
)

_TICK_S: Final = SECONDS[SHORTEST]
_MOMENT_S: Final = Decimal("0.001")
_HAIR: Final = Decimal("0.000001")
"""Added to a share that is compared: `increase` extrapolates, so equal may look like more."""
_EXPONENT_DIGITS: Final = 7
"""Digits from which Go writes a number with an exponent: 1e+06."""


def groups(document: Document, options: Options) -> tuple[Group, ...]:
    """Return the rules of a document, once for each cluster."""
    name = "-".join(filter(None, ("inferometer-slo", document.namespace, document.name)))
    if not options.clusters:
        return (Group(name, tuple(_Scope(document, options).rules())),)
    return tuple(
        Group(f"{name}-{cluster}", tuple(_Scope(document, options, cluster).rules()))
        for cluster in options.clusters
    )


def promise(document: Document, one: Class | Foreign) -> Promise:
    """Return what alerting on one SLO depends on."""
    return Promise(one.objective / 100, length_s(document.window), document.alerts.min_bad)


@dataclass(frozen=True, slots=True)
class _Scope:
    """A document in one cluster, or in the only one."""

    document: Document
    options: Options
    cluster: str = ""

    def rules(self) -> Iterator[Rule]:
        """Yield all rules: constants first, since the others need them."""
        for one in self.document.promises:
            yield from self._constants(one)
        for one in self.document.classes:
            if one.weight == "slice":
                yield from self._slices(one)
        for metric in self.document.foreign:
            yield from self._foreign(metric)

    def _labels(self, slo: str, **more: str) -> Pairs:
        labels = {"cluster": self.cluster, "namespace": self.document.namespace, "slo": slo, **more}
        return tuple((name, value) for name, value in labels.items() if value)

    def _matchers(self, slo: str) -> tuple[Matcher, ...]:
        found = tuple(equal(name, value) for name, value in self._labels(slo))
        return found if self.document.namespace else (equal("namespace", ""), *found)

    def _constants(self, one: Class | Foreign) -> Iterator[Rule]:
        document, known = self.document, promise(self.document, one)
        wishes = {"page": document.alerts.page, "ticket": document.alerts.ticket}
        people = {"service": document.service, "owner": document.owner}
        wanted = {name: str(wish).lower() for name, wish in wishes.items()}
        calendar = {"calendar": document.window.calendar or ""}
        for record, value, more in (
            (names.INFO, Decimal(1), {**people, **wanted}),
            (names.OBJECTIVE, known.objective, {}),
            (names.WINDOW, Decimal(known.window_s), calendar),
            (names.MIN_BAD, Decimal(known.min_bad), {}),
            (names.NODATA_DELAY, Decimal(nodata_delay_s(known)), {}),
        ):
            yield Rule(record, call("vector", number(value)), self._labels(one.id, **more))

    def _slices(self, one: Class) -> Iterator[Rule]:
        """Yield 1 for each slice with traffic, and 1 for each bad one.

        Every minute looks at the slice that ends then. Sums over time divide by 5, so the value
        is 5 for a slice of a minute, and less for a longer one, which as many minutes see again.
        """
        assert one.slice is not None, one
        slice_s = Decimal(one.slice.length_ns) / SECOND_NS
        source = self.options.counter(names.REQUESTS)
        source = source.where(*self._matchers(names.counted(one)))
        bad, judged = equal("verdict", "bad"), any_of("verdict", ("good", "bad"))
        requests = _sum(source.where(judged), slice_s)
        allowed = number(1 - one.slice.good_share / 100 + _HAIR)
        most = binary(allowed, "*", requests)
        has_traffic = binary(requests, ">", number(0), as_bool=True)
        is_bad = binary(_sum(source.where(bad), slice_s), ">", most, as_bool=True)
        weight = _weight(slice_s)
        labels = self._labels(one.id)
        yield Rule(names.total(SHORTEST), binary(weight, "*", has_traffic), labels)
        yield Rule(names.bad(SHORTEST), binary(weight, "*", is_bad), labels)
        yield Rule(names.BAD_REQUESTS, _sum(source.where(bad), Decimal(_TICK_S)), labels)

    def _foreign(self, metric: Foreign) -> Iterator[Rule]:
        cluster = (equal("cluster", self.cluster),) if self.cluster else ()
        labels = self._labels(metric.id)
        if metric.slice is None:
            assert not isinstance(metric.source, GaugeSource), metric
            total, bad = _events(metric.source, cluster, Decimal(_TICK_S))
            just_recorded = Selector(names.bad(SHORTEST), self._matchers(metric.id))
            bad_requests = vector(just_recorded)
        else:
            total, bad, bad_requests = _sliced(metric.source, metric.slice, cluster)
        yield Rule(names.total(SHORTEST), total, labels)
        yield Rule(names.bad(SHORTEST), bad, labels)
        yield Rule(names.BAD_REQUESTS, bad_requests, labels)
        if metric.slice is not None:  # as with classes: by it silence is told
            counted = self._labels(names.counted(metric))
            yield Rule(names.total(SHORTEST), requests(metric, self.cluster), counted)


def requests(metric: Foreign, cluster: str = "") -> Expr:
    """Return what a foreign metric counts in 5 minutes, whatever the weight; minutes of a gauge."""
    where = (equal("cluster", cluster),) if cluster else ()
    if isinstance(metric.source, GaugeSource):
        return call("count_over_time", _each_minute(_worst(metric.source, where), _TICK_S))
    return _events(metric.source, where, Decimal(_TICK_S))[0]


class _Counted(NamedTuple):
    """What is recorded of slices of a foreign metric."""

    total: Expr
    bad: Expr
    bad_requests: Expr


def _sliced(
    source: HistogramSource | RatioSource | GaugeSource, one: Slice, cluster: tuple[Matcher, ...]
) -> _Counted:
    """Return slices with data, bad ones, and bad events, all of the last 5 minutes."""
    slice_s = Decimal(one.length_ns) / SECOND_NS
    if isinstance(source, GaugeSource):
        worst = _worst(source, cluster)
        fine = binary(worst, source.operator, number(source.bound), as_bool=True)
        share = call("avg_over_time", _each_minute(fine, int(slice_s)))
        seen = call("count_over_time", _each_minute(worst, int(slice_s)))
        has_data = binary(seen, ">", number(0), as_bool=True)
        needed = number(one.good_share / 100 - _HAIR)
        is_bad = binary(share, "<", needed, as_bool=True)
        minutes = call("count_over_time", _each_minute(worst, _TICK_S))
        good_minutes = call("sum_over_time", _each_minute(fine, _TICK_S))
        bad_requests = binary(minutes, "-", good_minutes)
    else:
        total, bad = _events(source, cluster, slice_s)
        has_data = binary(total, ">", number(0), as_bool=True)
        most = binary(number(1 - one.good_share / 100 + _HAIR), "*", total)
        is_bad = binary(bad, ">", most, as_bool=True)
        bad_requests = _events(source, cluster, Decimal(_TICK_S))[1]
    weight = _weight(slice_s)
    return _Counted(binary(weight, "*", has_data), binary(weight, "*", is_bad), bad_requests)


def _each_minute(expr: Expr, seconds: int) -> Expr:
    """Return the values at the minutes of a time, as many in each version of Prometheus.

    Version 2 also takes the moment at which a range begins, so it begins a little later.
    """
    return subquery(expr, Decimal(seconds) - _MOMENT_S, step_s=MINUTE_S)


def _worst(source: GaugeSource, cluster: tuple[Matcher, ...]) -> Expr:
    """Return the one value that is compared: of many series the worst."""
    worst = "min" if source.operator in (">", ">=") else "max"
    return aggregate(worst, vector(selector.parse(source.selector).where(*cluster)))


def _weight(slice_s: Decimal) -> Expr:
    """Return what a slice counts at each minute that sees it, for sums that are divided by 5."""
    return binary(number(_TICK_S // MINUTE_S), "/", number(slice_s / MINUTE_S))


def _events(
    source: HistogramSource | RatioSource, cluster: tuple[Matcher, ...], seconds: Decimal
) -> tuple[Expr, Expr]:
    """Return the events of a time, and the bad ones of them."""
    if isinstance(source, HistogramSource):
        return _histogram(source, cluster, seconds)
    return _ratio(source, cluster, seconds)


def _sum(source: Selector, seconds: Decimal) -> Expr:
    return aggregate("sum", call("increase", window(source, seconds)))


def _histogram(
    source: HistogramSource, cluster: tuple[Matcher, ...], seconds: Decimal
) -> tuple[Expr, Expr]:
    """Return observations, and those above the threshold."""
    where = (*cluster, *(equal(name, value) for name, value in source.where))
    count = Selector(f"{source.metric}_count", where)
    edge = Matcher("le", "=~", le_regex(source.threshold))
    within = Selector(f"{source.metric}_bucket", (*where, edge))
    total = _sum(count, seconds)
    return total, binary(total, "-", _sum(within, seconds))


def le_regex(edge: Decimal) -> str:
    """Return what matches a bucket edge however its exporter writes it.

    Prometheus 3 turns `1` into `1.0`; Go writes large and tiny numbers with an exponent.
    """
    plain = f"{edge:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    spellings = [regex(plain) if "." in plain else f"{plain}(\\.0)?"]
    if edge >= 10 ** (_EXPONENT_DIGITS - 1) or edge < Decimal("0.0001"):
        digits, _, exponent = f"{edge.normalize():e}".partition("e")
        spellings.append(regex(f"{digits}e{exponent[0]}{exponent[1:]:0>2}"))
    return "|".join(spellings)


def _ratio(
    source: RatioSource, cluster: tuple[Matcher, ...], seconds: Decimal
) -> tuple[Expr, Expr]:
    """Return the total, and the bad part of it."""
    whole = selector.parse(source.total).where(*cluster)
    part = selector.parse(source.bad or source.good or "").where(*cluster)
    total, counted = _sum(whole, seconds), _sum(part, seconds)
    if part.metric == whole.metric:
        # A value of a label that never occurred has no series: a true zero while others of the
        # same metric exist. Another metric that is absent is unknown, and stays absent.
        counted = binary(counted, "or", binary(number(0), "*", total))
    return total, counted if source.bad else binary(total, "-", counted)
