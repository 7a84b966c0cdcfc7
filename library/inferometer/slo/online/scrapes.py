"""How often the series of SLOs are scraped: too rarely, and increases of 5 minutes are guesses."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from inferometer.errors import Problem
from inferometer.prom.client import Client
from inferometer.slo import inputs, names, selector
from inferometer.slo.document import Document, GaugeSource, HistogramSource
from inferometer.slo.names import Options
from inferometer.slo.promql import Selector, aggregate, call, equal, vector, window
from inferometer.slo.shown import span

RARE: Final = "W08"
INTERVAL_MAX_S: Final = 30.0
"""Counts of a month are right to 0.1 % up to here, and to 1 % at a minute."""
LOOKED_S: Final = 1800
_GRAIN_S: Final = 5
_SLACK: Final = 1.1
"""Scrapes that were lost make an interval look longer than it is."""


def rare(documents: Sequence[Document], client: Client, options: Options) -> Iterator[Problem]:
    """Yield documents some of whose series are scraped too rarely. Raises PrometheusError."""
    declared = {
        (one.labels.get("job", ""), one.labels.get("instance", "")): one.interval_s
        for one in client.targets()
    }
    for document in documents:
        slowest = max(_intervals(document, client, options, declared), default=0.0)
        if slowest > INTERVAL_MAX_S * _SLACK:
            about = span(round(slowest / _GRAIN_S) * _GRAIN_S)
            message = f"series of {document.name!r} are scraped about every {about} only"
            hint = f"scrape every {INTERVAL_MAX_S / 2:.0f} s: counts are then right to 0.1 %"
            yield Problem(document.place, message, hint, RARE)


def _intervals(
    document: Document,
    client: Client,
    options: Options,
    declared: Mapping[tuple[str, str], float | None],
) -> Iterator[float]:
    """Yield the intervals of the targets that show a document's series.

    As declared where this server scrapes them itself, else by how many samples there are.
    """
    for chosen in _selectors(document, options):
        found = client.instant(str(aggregate("count", vector(chosen), by=("job", "instance"))))
        asked = [
            declared.get((one.labels.get("job", ""), one.labels.get("instance", "")))
            for one in found.series
        ]
        if asked and None not in asked:
            yield from (interval for interval in asked if interval is not None)
        elif asked:
            samples = aggregate("max", call("count_over_time", window(chosen, LOOKED_S)))
            counted = client.instant(str(samples)).series
            yield from (LOOKED_S / one.last.value for one in counted if one.last.value > 1)


def _selectors(document: Document, options: Options) -> Iterator[Selector]:
    where = equal("namespace", document.namespace)
    ids = [names.counted(one) for one in document.classes]
    if ids:
        yield inputs.judged(options, ids[: inputs.AT_ONCE_MAX]).where(where)
    for metric in document.foreign:
        if isinstance(metric.source, HistogramSource):
            labels = (equal(name, value) for name, value in metric.source.where)
            yield Selector(f"{metric.source.metric}_count", tuple(labels))
        elif isinstance(metric.source, GaugeSource):
            yield selector.parse(metric.source.selector)
        else:
            yield selector.parse(metric.source.total)
