"""What of a document other formats cannot say, in words for whoever renders it."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from inferometer.slo.document import Class, Document, Foreign, GaugeSource, HistogramSource
from inferometer.slo.formats import pyrra as pyrra_format
from inferometer.slo.formats import sloth as sloth_format
from inferometer.slo.names import Options
from inferometer.slo.openslo import writing
from inferometer.slo.windows import FAST

SIDECAR: Final = (
    "which requests belong to a class, and what makes them good, is judged by the sidecar:"
    " give it the same document"
)
_LEDGER: Final = "no ledger: the budget is what Prometheus still has samples of"
_GUARD: Final = "alerts.min_bad is lost: one failure of few requests may page"


def sloth(document: Document, options: Options) -> Iterator[str]:
    """Yield what Sloth does not get."""
    del options
    yield from _of_classes(document)
    yield from _left_out(document, sloth_format.expressible, "slices of time are unknown to Sloth")
    days = document.window.rolling_days
    if days not in sloth_format.PERIODS_DAYS:
        length = f"{days}d" if days else f"a {document.window.calendar}"
        yield (
            f"its window of {length} is lost: Sloth takes one window for all SLOs, 30d unless"
            " --default-slo-period says otherwise"
        )
    elif days != 30:  # noqa: PLR2004 (what Sloth takes by itself)
        yield f"run sloth with --default-slo-period {days}d: it is no part of the file"
    if sloth_format.service(document) != document.service:
        yield f"the service is called {sloth_format.service(document)!r}: Sloth wants a name"
    yield from _of_alerts(document)


def pyrra(document: Document, options: Options) -> Iterator[str]:
    """Yield what Pyrra does not get."""
    yield from _of_classes(document)
    yield from _left_out(document, pyrra_format.expressible, "slices of time are unknown to Pyrra")
    if document.window.calendar:
        yield "is left out: windows of a calendar are unknown to Pyrra"
        return
    said = [one for one in document.promises if pyrra_format.expressible(one)]
    uncounted = [one.id for one in said if not pyrra_format.countable(document, one, options)]
    if uncounted:
        ids = ", ".join(uncounted)
        yield f"left out, since Pyrra counts errors of a plainly named metric only: {ids}"
    edges = [one.id for one in said if _has_whole_edge(one)]
    if edges:
        yield f"le is written as Prometheus 3 stores it, such as 1.0: {', '.join(edges)}"
    if document.alerts.page != document.alerts.ticket:
        yield "alerts.page and alerts.ticket are one switch in Pyrra: burn rates alert on both"
    for name, value in (("owner", document.owner), ("service", document.service)):
        if not pyrra_format.LABEL_VALUE.fullmatch(value):
            yield f"{name} is lost: {value!r} is no value of a Kubernetes label"
    yield from _of_alerts(document)


def openslo(document: Document, options: Options) -> Iterator[str]:
    """Yield what OpenSLO does not get."""
    del options
    yield from _of_classes(document)
    yield from _left_out(document, writing.expressible, "slices of OpenSLO are whole minutes")
    histograms = [one.id for one in document.foreign if isinstance(one.source, HistogramSource)]
    if histograms:
        yield f"thresholds become selectors of a bucket: {', '.join(histograms)}"
    if not document.service:
        yield f"the service is called {document.name!r}: OpenSLO needs one"
    yield "alerts are lost: a policy of OpenSLO has one window; annotations keep who is told"


def _of_classes(document: Document) -> Iterator[str]:
    if document.classes:
        yield SIDECAR


def _left_out(
    document: Document, expressible: Callable[[Class | Foreign], bool], why: str
) -> Iterator[str]:
    ids = [one.id for one in document.promises if not expressible(one)]
    if ids:
        yield f"left out, since {why}: {', '.join(ids)}"


def _of_alerts(document: Document) -> Iterator[str]:
    yield _GUARD
    deaf = [one.id for one in document.promises if not one.slice and _is_deaf(one.objective)]
    if deaf:
        yield f"no clamp and no cliff: a total outage pages late or never for {', '.join(deaf)}"
    yield _LEDGER


def _is_deaf(objective: Decimal) -> bool:
    """Tell whether the factor of the fastest pair asks for more errors than there can be."""
    return FAST.factor * (1 - objective / 100) >= 1


def _has_whole_edge(one: Class | Foreign) -> bool:
    if isinstance(one, Class) or isinstance(one.source, GaugeSource):
        return False
    source = one.source
    return isinstance(source, HistogramSource) and source.threshold == int(source.threshold)
