"""Metrics of others as a live Prometheus has them: do they exist, are they counters, which edges.

E10 a threshold is no bucket edge, E11 no counter or a wrong selector, E12 no such metric; each
names the nearest right thing.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from inferometer.documents import closest, shown
from inferometer.errors import Problem
from inferometer.metrics.metric import SAME_EDGE
from inferometer.prom.client import Client
from inferometer.prom.errors import PrometheusError
from inferometer.slo import selector
from inferometer.slo.constants import le_regex
from inferometer.slo.document import Document, Foreign, GaugeSource, HistogramSource, RatioSource
from inferometer.slo.promql import Matcher, Selector, aggregate, call, equal, regex, window
from inferometer.slo.windows import DAY_S, SECONDS, SHORTEST

NO_EDGE: Final = "E10"
NO_COUNTER: Final = "E11"
NO_METRIC: Final = "E12"
LOOKED_S: Final = DAY_S
"""Series of the last day count as there: a pool that is scaled to zero at night is no mistake."""
ALIKE_CHARS: Final = 3
NAMES_MAX: Final = 5000
"""Names that are compared for the nearest one."""
EDGES_SHOWN: Final = 2


def problems(documents: Sequence[Document], client: Client) -> Iterator[Problem]:
    """Yield what is wrong with foreign metrics, each once. Raises PrometheusError."""
    for document in documents:
        for metric in document.foreign:
            if isinstance(metric.source, HistogramSource):
                yield from _histogram(metric, metric.source, client)
            elif isinstance(metric.source, GaugeSource):
                yield from _gauge(metric, selector.parse(metric.source.selector), client)
            else:
                yield from dict.fromkeys(_ratio(metric, metric.source, client))


def _histogram(metric: Foreign, source: HistogramSource, client: Client) -> Iterator[Problem]:
    where = tuple(equal(name, value) for name, value in source.where)
    buckets = Selector(f"{source.metric}_bucket", where)
    found = client.label_values("le", [str(buckets)], ago_s=LOOKED_S)
    edges = sorted(filter(None, map(_edge, found)))
    if not edges:
        yield _absent(metric, buckets, client)
    elif not any(abs(edge - source.threshold) <= Decimal(SAME_EDGE) for edge in edges):
        nearest = sorted(edges, key=lambda edge: abs(edge - source.threshold))[:EDGES_SHOWN]
        words = ", ".join(f"{edge:f}" for edge in sorted(nearest))
        message = f"threshold {source.threshold.normalize():f} is no bucket edge of {source.metric}"
        yield Problem(metric.place, message, f"nearest are {words}", NO_EDGE)
    else:
        within = buckets.where(Matcher("le", "=~", le_regex(source.threshold)))
        if not client.label_values("le", [str(within)], ago_s=LOOKED_S):
            message = f"the edge {source.threshold:f} of {source.metric} is spelled unusually"
            hint = f"it is one of {', '.join(sorted(found))}"
            yield Problem(metric.place, message, hint, NO_EDGE)


def _edge(text: str) -> Decimal | None:
    """Read a value of `le`; None for +Inf and for what is no number."""
    try:
        edge = Decimal(text)
    except InvalidOperation:
        return None
    return edge if edge.is_finite() else None


def _ratio(metric: Foreign, source: RatioSource, client: Client) -> Iterator[Problem]:
    for text in filter(None, (source.total, source.bad, source.good)):
        chosen = selector.parse(text)
        try:
            summed = aggregate("sum", call("increase", window(chosen, SECONDS[SHORTEST])))
            client.instant(str(summed))
        except PrometheusError as error:
            if error.reason != "query_error":
                raise
            hint = str(error).partition("refuses the query: ")[2]
            yield Problem(metric.place, f"{shown(text)} is no query", hint, NO_COUNTER)
            continue
        if not client.label_values("__name__", [str(chosen)], ago_s=LOOKED_S):
            # The bad part may never have happened: only its metric must be there, in any form.
            whole = chosen if text == source.total else Selector(chosen.metric)
            if text == source.total or not client.label_values("__name__", [str(whole)]):
                yield _absent(metric, whole, client)
            continue
        kinds = client.kinds(chosen.metric) - {"unknown"}
        if kinds and not kinds & {"counter", "histogram", "summary"}:
            message = f"{chosen.metric} is a {', '.join(sorted(kinds))}, not a counter"
            hint = "only what never falls can be counted by its increase"
            yield Problem(metric.place, message, hint, NO_COUNTER)


def _gauge(metric: Foreign, chosen: Selector, client: Client) -> Iterator[Problem]:
    if not client.label_values("__name__", [str(chosen)], ago_s=LOOKED_S):
        yield _absent(metric, chosen, client)
        return
    if "counter" in client.kinds(chosen.metric):
        message = f"{chosen.metric} is a counter, not a gauge"
        hint = "a counter only rises: use ratio, or record its rate by a rule and name that"
        yield Problem(metric.place, message, hint, NO_COUNTER)


def _absent(metric: Foreign, wanted: Selector, client: Client) -> Problem:
    """Return the problem of a selector without series: which part of it is wrong."""
    if wanted.matchers and client.label_values("__name__", [wanted.metric], ago_s=LOOKED_S):
        for one in wanted.matchers:
            alone = Selector(wanted.metric, (one,))
            if not client.label_values("__name__", [str(alone)], ago_s=LOOKED_S):
                values = client.label_values(one.label, [wanted.metric], ago_s=LOOKED_S)
                message = f"no series of {wanted.metric} has {one}"
                return Problem(metric.place, message, _nearest(one.value, values), NO_METRIC)
        message = f"no series of {wanted.metric} has all of {shown(str(wanted))[1:-1]}"
        return Problem(metric.place, message, "leave out a condition", NO_METRIC)
    # Only names that begin alike: all those of a large Prometheus are more than a hint is worth.
    alike = Matcher("__name__", "=~", f"{regex(wanted.metric[:ALIKE_CHARS])}.*")
    known = client.label_values("__name__", [f"{{{alike}}}"], ago_s=LOOKED_S)
    message = f"nothing shows {wanted.metric}"
    hint = _nearest(wanted.metric, known) or "is it scraped, and is its name right?"
    return Problem(metric.place, message, hint, NO_METRIC)


def _nearest(word: str, known: Sequence[str]) -> str:
    """Return a hint that names what is near, empty if nothing is."""
    near = closest(word, known[:NAMES_MAX])
    return f"did you mean {near!r}?" if near else ""
