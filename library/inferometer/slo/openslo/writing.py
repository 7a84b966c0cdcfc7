"""Our documents become OpenSLO's: an SLO for each promise, or one with an objective for each.

Indicators stand inside of their SLO. What OpenSLO has no field for goes into annotations of ours,
so that it can be read back.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from inferometer.slo.classes import promise_id
from inferometer.slo.counts import counts
from inferometer.slo.document import Class, Document, Foreign, GaugeSource, RatioSource, Window
from inferometer.slo.names import Options
from inferometer.slo.openslo.goals import OPERATORS
from inferometer.slo.openslo.indicators import PROMETHEUS
from inferometer.slo.openslo.objects import PREFIX, VERSION
from inferometer.slo.openslo.windows import SHORTHANDS, START, minutes_of
from inferometer.slo.yaml_text import Data

_WORDS: Final = {sign: word for word, sign in OPERATORS.items()}


def objects(document: Document, options: Options) -> Iterator[dict[str, Data]]:
    """Yield the SLOs of a document that OpenSLO can say, in its order."""
    if _is_one_slo(document):
        yield _slo(document, document.name, document.promises, options)
        return
    for one in document.promises:
        if expressible(one):
            yield _slo(document, one.id, (one,), options)


def expressible(one: Class | Foreign) -> bool:
    """Tell whether OpenSLO can say it: its slices are whole minutes."""
    return one.slice is None or minutes_of(one.slice) > 0


def _is_one_slo(document: Document) -> bool:
    """Tell whether the promises of a document are objectives about the same ratio."""
    sources = {one.source for one in document.foreign if isinstance(one.source, RatioSource)}
    weights = {one.weight for one in document.foreign}
    return (
        not document.classes
        and len(document.foreign) > 1
        and len(sources) == len(weights) == 1
        and all(isinstance(one.source, RatioSource) for one in document.foreign)
        and all(one.id == promise_id(document.name, one.name) for one in document.foreign)
        and all(expressible(one) for one in document.foreign)
    )


def _slo(
    document: Document, name: str, promises: Sequence[Class | Foreign], options: Options
) -> dict[str, Data]:
    first = promises[0]
    implied = name if len(promises) == 1 else ""
    notes: dict[str, Data] = dict(_notes(document))
    return {
        "apiVersion": VERSION,
        "kind": "SLO",
        "metadata": {"name": name, **({"annotations": notes} if notes else {})},
        "spec": {
            "service": document.service or document.name,
            "indicator": {
                "metadata": {"name": name},
                "spec": _indicator(document, first, options),
            },
            "timeWindow": [_window(document.window)],
            "budgetingMethod": "Timeslices" if first.slice else "Occurrences",
            "objectives": [dict(_objective(one, implied)) for one in promises],
        },
    }


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    """Yield what OpenSLO has no field for, where it is not what is meant without it."""
    alerts = document.alerts
    if document.namespace:
        yield f"{PREFIX}namespace", document.namespace
    if document.owner:
        yield f"{PREFIX}owner", document.owner
    if alerts.min_bad != type(alerts)().min_bad:
        yield f"{PREFIX}min-bad", str(alerts.min_bad)
    for word, wanted in (("page", alerts.page), ("ticket", alerts.ticket)):
        if not wanted:
            yield f"{PREFIX}{word}", "false"


def _window(window: Window) -> Data:
    if window.calendar is None:
        return {"duration": f"{window.rolling_days}d", "isRolling": True}
    calendar: Data = {"startTime": START, "timeZone": window.timezone}
    return {"duration": SHORTHANDS[window.calendar], "calendar": calendar, "isRolling": False}


def _indicator(document: Document, one: Class | Foreign, options: Options) -> Data:
    if isinstance(one, Foreign):
        if isinstance(one.source, GaugeSource):
            return {"thresholdMetric": _metric(one.source.selector)}
        if isinstance(one.source, RatioSource):
            part, query = ("bad", one.source.bad) if one.source.bad else ("good", one.source.good)
            return _ratio(part, query or "", one.source.total)
    counted = counts(document, one, options)
    assert counted is not None, one
    if counted.bad is not None:
        return _ratio("bad", str(counted.bad), str(counted.total))
    return _ratio("good", str(counted.good), str(counted.total))


def _ratio(part: str, query: str, total: str) -> Data:
    return {"ratioMetric": {"counter": True, part: _metric(query), "total": _metric(total)}}


def _metric(query: str) -> Data:
    return {"metricSource": {"type": PROMETHEUS, "spec": {"query": query}}}


def _objective(one: Class | Foreign, implied: str) -> Iterator[tuple[str, Data]]:
    """Yield the fields; a name that is implied is not written."""
    if one.name != implied:
        yield "displayName", one.name
    if isinstance(one, Foreign) and isinstance(one.source, GaugeSource):
        yield "op", _WORDS[one.source.operator]
        yield "value", one.source.bound
    yield "target", one.objective / 100
    if one.slice is not None:
        yield "timeSliceTarget", one.slice.good_share / 100
        yield "timeSliceWindow", f"{minutes_of(one.slice)}m"
