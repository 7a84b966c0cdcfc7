"""Indicators of OpenSLO: which of our sources an SLI is, or why it is none.

A query is what Prometheus is asked for: a selector of a counter, of which the rules take increases
and sums themselves. What already says so (`sum(rate(...[5m]))`) is read as its selector.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from inferometer.documents import Report, Scalar, Table, nearest, shown
from inferometer.schema import Record, Value, boolean
from inferometer.slo import selector
from inferometer.slo.classes import INCOMPLETE
from inferometer.slo.document import RatioSource
from inferometer.slo.foreign import QUERY_CHARS_MAX, WRONG_SELECTOR
from inferometer.slo.openslo.objects import ignore, not_taken, short_text

PROMETHEUS: Final = "Prometheus"
_SUM: Final = re.compile(r"sum\s*\((.*)\)", re.DOTALL)
_INCREASE: Final = re.compile(r"(?:rate|increase)\s*\((.*)\[[^\[\]]{1,40}\]\s*\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Indicator:
    """A ratio of counters, or the selector of a gauge: what that must keep to says the objective.

    Exactly one is there.
    """

    ratio: RatioSource | None = None
    gauge: str | None = None


class _Form(NamedTuple):
    """What a query must be: what is taken off it, and what is told if the rest is no selector."""

    strip: Callable[[str], str]
    expected: str
    hint: str = ""


def _inside(query: str) -> str:
    """Return what stands inside of the functions that the rules add themselves."""
    query = query.strip()
    summed = _SUM.fullmatch(query)
    inside = summed[1].strip() if summed else query
    increased = _INCREASE.fullmatch(inside)
    return increased[1].strip() if increased else inside


_COUNTER: Final = _Form(_inside, "a selector, also inside of sum, rate or increase")
_GAUGE: Final = _Form(
    str.strip,
    "the selector of a gauge",
    "record the expression by a rule, and name what it records",
)


@dataclass(slots=True)
class Shelf:
    """What objects may refer to: types of data sources by name, and indicators by name.

    An indicator is None where it was read and is wrong.
    """

    sources: dict[str, str] = field(default_factory=dict)
    indicators: dict[str, Indicator | None] = field(default_factory=dict)


def refer(value: Value, shelf: Shelf) -> Indicator | None:
    """Return the indicator of that name; None after a report."""
    name = short_text(value)
    if name is None:
        return None
    if name not in shelf.indicators:
        message = f"no SLI is called {shown(name)}"
        hint = nearest(name, shelf.indicators) or "give the file that holds it, too"
        value.report.add(value.node.place, message, hint=hint)
        return None
    return shelf.indicators[name]


def read_inline(value: Value, shelf: Shelf) -> Indicator | None:
    """Read an indicator that stands in its SLO."""
    record = Record(value)
    ignore(record, "metadata")
    found = record.need("spec", lambda inner: read_indicator(inner, shelf))
    record.close()
    return found


def read_indicator(value: Value, shelf: Shelf) -> Indicator | None:
    """Read the `spec` of an SLI; None after a report."""
    record = Record(value)
    ignore(record, "description")
    ratio = record.take("ratioMetric", lambda inner: _read_ratio(inner, shelf))
    gauge = record.take("thresholdMetric", lambda inner: _read_gauge(inner, shelf))
    record.close()
    if ("ratioMetric" in record) == ("thresholdMetric" in record):
        if isinstance(value.node, Table):
            message = "an indicator is either a ratioMetric or a thresholdMetric"
            hint = "most are a ratioMetric with good or bad, and total"
            value.report.add(record.place, message, hint=hint, code=INCOMPLETE)
        return None
    return gauge if ratio is None else ratio


def _read_ratio(value: Value, shelf: Shelf) -> Indicator | None:
    record = Record(value)
    counter = record.take("counter", boolean)
    parts = {
        name: record.take(name, lambda inner: _read_metric(inner, shelf, _COUNTER))
        for name in ("good", "bad", "total")
    }
    ignore(record, "raw", "rawType")
    record.close()
    if not isinstance(value.node, Table):
        return None
    if "raw" in record:
        message = "a ratio that somebody computed before cannot be summed up"
        hint = "name the counters it was made of, as good or bad, and total"
        not_taken(value.report, record.place_of("raw"), message, hint)
        return None
    if "total" not in record or ("good" in record) == ("bad" in record):
        message = "a ratioMetric needs total and either good or bad"
        value.report.add(record.place, message, hint="name counters", code=INCOMPLETE)
        return None
    if not counter:
        message = "a ratio of gauges has no events that could be counted"
        hint = "set counter: true if good, bad and total only rise"
        not_taken(value.report, record.place_of("counter"), message, hint)
        return None
    if parts["total"] is None or (parts["good"] or parts["bad"]) is None:
        return None
    return Indicator(ratio=RatioSource(parts["good"], parts["bad"], parts["total"]))


def _read_gauge(value: Value, shelf: Shelf) -> Indicator | None:
    found = _read_metric(value, shelf, _GAUGE)
    return None if found is None else Indicator(gauge=found)


def _read_metric(value: Value, shelf: Shelf, form: _Form) -> str | None:
    record = Record(value)
    found = record.need("metricSource", lambda inner: _read_source(inner, shelf, form))
    record.close()
    return found


def _read_source(value: Value, shelf: Shelf, form: _Form) -> str | None:
    record = Record(value)
    kind = record.take("type", short_text)
    reference = record.take("metricSourceRef", short_text)
    sources = {"metricSourceRef": shelf.sources.get(reference or ""), "type": kind}
    others = [name for name, one in sources.items() if one and one.lower() != PROMETHEUS.lower()]
    for name in others:
        message = f"metrics of {shown(sources[name] or '')} cannot be asked for"
        place = record.place_of(name)
        not_taken(value.report, place, message, "only those of a Prometheus are known here")
    if others:
        return None  # whatever it asks for is in words of its own
    query = record.need("spec", lambda inner: _read_query(inner, form))
    record.close()
    if isinstance(value.node, Table) and "type" not in record:
        _check_reference(record, reference, shelf, value.report)
    return query


def _check_reference(record: Record, reference: str | None, shelf: Shelf, report: Report) -> None:
    """Report what no type is known for."""
    if "metricSourceRef" not in record:
        message = "a metricSource needs a type or a metricSourceRef"
        report.add(record.place, message, hint="add `type: Prometheus`", code=INCOMPLETE)
    elif reference is not None and reference not in shelf.sources:
        message = f"no DataSource is called {shown(reference)}"
        hint = nearest(reference, shelf.sources) or "give the file that holds it, or a type"
        report.add(record.place_of("metricSourceRef"), message, hint=hint)


def _read_query(value: Value, form: _Form) -> str | None:
    record = Record(value)
    found = record.need("query", lambda inner: _read_selector(inner, form))
    record.close()
    return found


def _read_selector(value: Value, form: _Form) -> str | None:
    word = value.node.text if isinstance(value.node, Scalar) else ""
    if not 0 < len(word) <= QUERY_CHARS_MAX:
        value.refuse(f"a query of at most {QUERY_CHARS_MAX} characters")
        return None
    chosen = form.strip(word)
    try:
        selector.parse(chosen)
    except ValueError as error:
        hint = form.hint or str(error.args[1])
        value.refuse(form.expected, hint=hint, code=WRONG_SELECTOR)
        return None
    return chosen
