"""Foreign metrics against what is known without a Prometheus: pages of engines, and the catalogue.

E10 a threshold that is no bucket edge, E11 a kind that cannot be counted so, E12 a name that is a
slip of the pen; W13 what holds in some versions of the engine only, W14 a name in no table. A live
Prometheus knows better: where one is asked, `online` decides instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from inferometer.documents import closest
from inferometer.errors import Problem
from inferometer.metrics.catalog import METRICS
from inferometer.metrics.metric import SAME_EDGE
from inferometer.slo import selector
from inferometer.slo.document import Document, Foreign, GaugeSource, HistogramSource
from inferometer.slo.engines import table
from inferometer.slo.engines.page import Kind, Page
from inferometer.slo.yaml_text import number

NO_EDGE: Final = "E10"
NOT_COUNTED: Final = "E11"
NO_METRIC: Final = "E12"
SOME_VERSIONS: Final = "W13"
NOT_KNOWN: Final = "W14"
CODES: Final = frozenset({NO_EDGE, NOT_COUNTED, NO_METRIC, SOME_VERSIONS, NOT_KNOWN})
"""What a live Prometheus knows better."""
OURS: Final = ("inferometer_", "inferometer:")

_HINTS: Final[Mapping[Kind, str]] = {
    "counter": "only what never falls can be counted by its increase",
    "gauge": "a counter only rises: use ratio, or record its rate by a rule",
    "histogram": "only a histogram has buckets: use ratio for counters",
}
_COUNTED: Final[frozenset[Kind]] = frozenset({"counter", "histogram", "summary"})


def problems(documents: Sequence[Document]) -> Iterator[Problem]:
    """Yield what is wrong or doubtful with the foreign metrics of documents."""
    stated = frozenset(
        limit for one in documents for cls in one.classes for limit in cls.thresholds_s().values()
    )
    for document in documents:
        for metric in document.foreign:
            for series, wanted in _series(metric):
                yield from dict.fromkeys(_problems(metric, series, wanted))
            source = metric.source
            if isinstance(source, HistogramSource):
                yield from _edge(metric, source, stated)


def _series(metric: Foreign) -> Iterator[tuple[str, frozenset[Kind]]]:
    """Yield the series that a promise names, and of which kind they must be."""
    source = metric.source
    if isinstance(source, HistogramSource):
        yield source.metric, frozenset({"histogram"})
    elif isinstance(source, GaugeSource):
        yield selector.parse(source.selector).metric, frozenset({"gauge"})
    else:
        for text in filter(None, (source.total, source.bad or source.good)):
            yield selector.parse(text).metric, _COUNTED


def _problems(metric: Foreign, series: str, wanted: frozenset[Kind]) -> Iterator[Problem]:
    name = table.base(series)
    engine = table.engine_of(name)
    if series.startswith(OURS):
        yield from _ours(metric, series)
    elif not engine:
        return
    elif pages := table.pages_with(name):
        yield from _kind(metric, name, table.kinds(name), wanted)
        yield from _gone(metric, name, pages)
    else:
        yield from _unknown(metric, name, engine)


def _unknown(metric: Foreign, name: str, engine: str) -> Iterator[Problem]:
    alias = table.alias(name)
    near = table.near(name, engine)
    if alias is not None:
        message = f"{name} is called {alias.new} since {engine} {alias.since}"
        yield Problem(metric.place, message, f"the old name is gone from {alias.gone}", NO_METRIC)
    elif near:
        message = f"{engine} does not show {name}"
        yield Problem(metric.place, message, f"did you mean {near!r}?", NO_METRIC)
    else:
        versions = ", ".join(page.version for page in table.PAGES if page.engine == engine)
        message = f"{name} is on no page of {engine} that is known here"
        hint = f"known are {versions}; with --prometheus it is looked up"
        yield Problem(metric.place, message, hint, NOT_KNOWN)


def _kind(
    metric: Foreign, name: str, kinds: frozenset[Kind], wanted: frozenset[Kind]
) -> Iterator[Problem]:
    if not kinds & wanted:
        message = f"{name} is a {', '.join(sorted(kinds))}, not a {' or '.join(sorted(wanted))}"
        hint = _HINTS[min(wanted)]
        yield Problem(metric.place, message, hint, NOT_COUNTED)


def _gone(metric: Foreign, name: str, pages: Sequence[Page]) -> Iterator[Problem]:
    """Yield that newer versions do not show a metric any more."""
    last = pages[-1]
    if last is table.newest(last.engine):
        return
    alias = table.alias(name)
    if alias is None:
        message = f"{name} is shown up to {last.engine} {last.version} only"
        yield Problem(metric.place, message, "newer versions have no such metric", SOME_VERSIONS)
    else:
        message = f"{name} is called {alias.new} since {last.engine} {alias.since}"
        hint = f"the old name is gone from {alias.gone}"
        yield Problem(metric.place, message, hint, SOME_VERSIONS)


def _ours(metric: Foreign, series: str) -> Iterator[Problem]:
    """Yield a metric of ours that the catalogue does not declare."""
    known = {series, *(series.removesuffix(part) for part in ("_bucket", "_count", "_sum"))}
    if known.isdisjoint(METRICS):
        near = closest(series, METRICS)
        hint = f"did you mean {near!r}?" if near else "docs/reference/metrics.md has them all"
        yield Problem(metric.place, f"{series} is no metric of inferometer", hint, NO_METRIC)


def _edge(metric: Foreign, source: HistogramSource, stated: frozenset[float]) -> Iterator[Problem]:
    """Yield a threshold that is no bucket edge, in every version or in some."""
    ladder = METRICS[source.metric].ladder if source.metric in METRICS else None
    if ladder is not None:
        if not any(abs(limit - float(source.threshold)) <= SAME_EDGE for limit in stated):
            ours = tuple(Decimal(repr(edge)) for edge in ladder.edges)
            if source.threshold not in ours:
                yield _no_edge(metric, source, ours)
        return
    pages = [page for page in table.pages_with(source.metric) if page.metrics[source.metric].edges]
    wrong = [page for page in pages if source.threshold not in page.metrics[source.metric].edges]
    if not wrong or wrong[-1] is not pages[-1]:
        return  # the newest version is what most have, and older ones may be told by Prometheus
    page = wrong[-1]
    found = page.metrics[source.metric].edges
    if len(wrong) == len(pages) and not page.tuned:
        yield _no_edge(metric, source, found)
        return
    words = _words(found, source.threshold)
    threshold = number(source.threshold)
    message = f"threshold {threshold} is no bucket edge of {source.metric} in {page.engine}"
    hint = f"nearest in {page.version} are {words}"
    hint += f", unless {page.tuned} says otherwise" if page.tuned else ""
    yield Problem(metric.place, f"{message} {page.version}", hint, SOME_VERSIONS)


def _no_edge(metric: Foreign, source: HistogramSource, known: tuple[Decimal, ...]) -> Problem:
    threshold = number(source.threshold)
    message = f"threshold {threshold} is no bucket edge of {source.metric}"
    return Problem(metric.place, message, f"nearest are {_words(known, source.threshold)}", NO_EDGE)


def _words(known: tuple[Decimal, ...], threshold: Decimal) -> str:
    return ", ".join(number(edge) for edge in table.neighbours(known, threshold))
