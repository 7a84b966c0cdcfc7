"""Readers of `metrics`: promises about histograms, counters and gauges of somebody else.

Names, label values and selectors are checked for their form only. Whether the metric exists, is a
counter, and has the threshold as a bucket edge is found out where its pages or a Prometheus are at
hand.
"""

import re
from decimal import Decimal
from typing import Final, Literal

from inferometer.documents import Report, Scalar, Table
from inferometer.schema import DECIMAL, Record, Value, duration_ns, text
from inferometer.slo import selector
from inferometer.slo.classes import INCOMPLETE, identifier, objective, promise_id, read_slice
from inferometer.slo.document import (
    SECOND_NS,
    Foreign,
    GaugeSource,
    HistogramSource,
    RatioSource,
)

WRONG_SELECTOR: Final = "E11"
FILTERS_MAX: Final = 20
"""Labels of one `where`."""
QUERY_CHARS_MAX: Final = 2000
"""Characters of a metric name, a label value or a selector."""

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TAKEN: Final = {
    "__name__": "name the metric in metric",
    "le": "state the bucket edge as threshold",
}
"""Labels of a histogram that `where` cannot ask for."""
_duration: Final = duration_ns(minimum="1ms", maximum="1d")


def read_foreign(value: Value, document: str) -> Foreign | None:
    """Read one entry of `metrics`; None after a report where nothing can be made of it."""
    record = Record(value)
    name = record.need("name", identifier)
    promise = record.need("objective", objective)
    source = _read_source(record, value.report)
    length = record.take("slice", read_slice)
    if isinstance(source, GaugeSource) and "slice" not in record:
        message = "a gauge says something about time only: it needs slice"
        hint = "add `slice: {length: 5m, good_share: 90}`"
        value.report.add(record.place, message, hint=hint, code=INCOMPLETE)
    if "good" in record:
        record.node("good")  # it is told here, not as an unknown field
        message = "conditions on one request cannot be told from metrics"
        hint = "make it a class: the sidecar sees each request"
        value.report.add(record.place_of("good"), message, hint=hint, code=INCOMPLETE)
    record.close()
    if name is None or promise is None or source is None:
        return None
    return Foreign(name, promise_id(document, name), record.place, promise, source, length)


def _read_source(
    record: Record, report: Report
) -> HistogramSource | RatioSource | GaugeSource | None:
    """Read the one source that a metric has."""
    histogram = record.take("histogram", _read_histogram)
    ratio = record.take("ratio", _read_ratio)
    gauge = record.take("gauge", _read_gauge)
    if sum(name in record for name in ("histogram", "ratio", "gauge")) != 1:
        message = "a metric needs either histogram, ratio or gauge"
        hint = "such as {histogram: {metric: NAME, threshold: 2.5s}}"
        report.add(record.place, message, hint=hint, code=INCOMPLETE)
    return histogram or ratio or gauge


def _read_histogram(value: Value) -> HistogramSource | None:
    record = Record(value)
    metric = record.need("metric", _metric_name)
    threshold = record.need("threshold", _threshold)
    where = record.take("where", _read_where) or ()
    record.close()
    return (
        None if metric is None or threshold is None else HistogramSource(metric, threshold, where)
    )


def _metric_name(value: Value) -> str | None:
    word = _query(value)
    if word is not None and not _METRIC.fullmatch(word):
        value.refuse("the name of a metric", hint="without labels; they go into where")
        return None
    return word


def _threshold(value: Value) -> Decimal | None:
    """Read a duration (as seconds) or, for metrics that are no times, a number."""
    word = value.node.text if isinstance(value.node, Scalar) else ""
    if DECIMAL.fullmatch(word) and Decimal(word) > 0:
        return Decimal(word)
    report = Report()
    length_ns = _duration(Value(value.name, value.node, report))
    if length_ns is None:
        value.refuse("a duration from 1ms to 1d, or a number above 0", hint="such as 2.5s")
        return None
    return Decimal(length_ns) / SECOND_NS


def _read_where(value: Value) -> tuple[tuple[str, str], ...] | None:
    record = Record(value)
    found = []
    for number, (key, node) in enumerate(record.pairs()):
        if number == FILTERS_MAX:
            value.refuse(f"at most {FILTERS_MAX} labels")
            return None
        if not _LABEL.fullmatch(key.text):
            Value("where", key, value.report).refuse("label names with their values")
        elif key.text in _TAKEN:
            message = f"{key.text!r} is chosen by the rules"
            value.report.add(key.place, message, hint=_TAKEN[key.text], code=WRONG_SELECTOR)
        word = _query(Value(key.text, node, value.report))
        if word is not None:
            found.append((key.text, word))
    return tuple(found)


def _read_ratio(value: Value) -> RatioSource | None:
    record = Record(value)
    good, bad = record.take("good", read_selector), record.take("bad", read_selector)
    total = record.need("total", read_selector)
    record.close()
    if ("good" in record) == ("bad" in record):
        message = "a ratio needs total and either good or bad"
        hint = "such as {bad: SELECTOR, total: SELECTOR}"
        value.report.add(record.place, message, hint=hint, code=INCOMPLETE)
    return None if total is None else RatioSource(good, bad, total)


_BOUNDS: Final[tuple[tuple[str, Literal["<", "<=", ">", ">="]], ...]] = (
    ("below", "<"),
    ("at_most", "<="),
    ("above", ">"),
    ("at_least", ">="),
)


def _read_gauge(value: Value) -> GaugeSource | None:
    record = Record(value)
    chosen = record.need("metric", read_selector)
    bounds = [(operator, record.take(name, read_bound)) for name, operator in _BOUNDS]
    given = [name for name, _ in _BOUNDS if name in record]
    if len(given) != 1 and isinstance(value.node, Table):
        message = "a gauge needs one bound: at_most, below, at_least or above"
        value.report.add(record.place, message, hint="such as at_most: 0.9", code=INCOMPLETE)
    record.close()
    found = [(operator, bound) for operator, bound in bounds if bound is not None]
    return None if chosen is None or len(found) != 1 else GaugeSource(chosen, *found[0])


def read_bound(value: Value) -> Decimal | None:
    """Read a number that a gauge is compared with, in the unit of the metric."""
    word = value.node.text if isinstance(value.node, Scalar) else ""
    if DECIMAL.fullmatch(word):
        return Decimal(word)
    value.refuse("a number", hint="in the unit of the metric, such as 0.9")
    return None


def read_selector(value: Value) -> str | None:
    """Read a PromQL selector; it is parsed again where rules are made of it."""
    word = _query(value)
    if word is None:
        return None
    try:
        selector.parse(word)
    except ValueError as error:
        expected, hint = map(str, error.args)
        value.refuse(expected, hint=hint, code=WRONG_SELECTOR)
        return None
    return word


def _query(value: Value) -> str | None:
    word = text(value)
    if word is not None and len(word) > QUERY_CHARS_MAX:
        value.refuse(f"at most {QUERY_CHARS_MAX} characters long")
        return None
    return word
