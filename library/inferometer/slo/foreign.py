"""Readers of `metrics`: promises about histograms and counters that somebody else exports.

Names and label values are checked for their form only. Whether the metric exists, is a counter,
and has the threshold as a bucket edge is found out where its pages or a Prometheus are at hand.
"""

import re
from decimal import Decimal
from typing import Final

from inferometer.documents import Report, Scalar
from inferometer.schema import DECIMAL, Record, Value, duration_ns, text
from inferometer.slo.classes import INCOMPLETE, identifier, objective, promise_id
from inferometer.slo.document import SECOND_NS, Foreign, HistogramSource, RatioSource

FILTERS_MAX: Final = 20
"""Labels of one `where`."""
QUERY_CHARS_MAX: Final = 2000
"""Characters of a metric name, a label value or a selector."""

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_duration: Final = duration_ns(minimum="1ms", maximum="1d")


def read_foreign(value: Value, document: str) -> Foreign | None:
    """Read one entry of `metrics`; None after a report where nothing can be made of it."""
    record = Record(value)
    name = record.need("name", identifier)
    promise = record.need("objective", objective)
    histogram = record.take("histogram", _read_histogram)
    ratio = record.take("ratio", _read_ratio)
    if ("histogram" in record) == ("ratio" in record):
        message = "a metric needs either histogram or ratio"
        hint = "such as {histogram: {metric: NAME, threshold: 2.5s}}"
        value.report.add(record.place, message, hint=hint, code=INCOMPLETE)
    record.close()
    source = histogram or ratio
    if name is None or promise is None or source is None:
        return None
    return Foreign(name, promise_id(document, name), record.place, promise, source)


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
        word = _query(Value(key.text, node, value.report))
        if word is not None:
            found.append((key.text, word))
    return tuple(found)


def _read_ratio(value: Value) -> RatioSource | None:
    record = Record(value)
    good, bad = record.take("good", _query), record.take("bad", _query)
    total = record.need("total", _query)
    record.close()
    if ("good" in record) == ("bad" in record):
        message = "a ratio needs total and either good or bad"
        hint = "such as {bad: SELECTOR, total: SELECTOR}"
        value.report.add(record.place, message, hint=hint, code=INCOMPLETE)
    return None if total is None else RatioSource(good, bad, total)


def _query(value: Value) -> str | None:
    word = text(value)
    if word is not None and len(word) > QUERY_CHARS_MAX:
        value.refuse(f"at most {QUERY_CHARS_MAX} characters long")
        return None
    return word
