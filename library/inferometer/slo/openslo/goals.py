"""Objectives of OpenSLO: each becomes a metric of the document that its SLO becomes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from inferometer.documents import Report
from inferometer.schema import Record, Value, decimal, one_of
from inferometer.slo.classes import INCOMPLETE, OUT_OF_RANGE, promise_id, sanitised
from inferometer.slo.classes import objective as read_percent
from inferometer.slo.document import SECOND_NS, Foreign, GaugeSource, RatioSource, Slice
from inferometer.slo.foreign import read_bound
from inferometer.slo.openslo.indicators import Indicator
from inferometer.slo.openslo.objects import not_taken, short_text
from inferometer.slo.openslo.windows import read_slice_minutes

METHODS: Final = ("Occurrences", "Timeslices", "RatioTimeslices")
Operator = Literal["<", "<=", ">", ">="]
OPERATORS: Final[Mapping[str, Operator]] = {
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
}
_COMPOSITE: Final = ("indicator", "indicatorRef", "compositeWeight")
_ratio: Final = decimal(minimum="0.5", maximum="0.99999", code=OUT_OF_RANGE)
_share: Final = decimal(minimum="0.00001", maximum="1")


class Setting(NamedTuple):
    """What an objective hangs on: its SLO's name, indicator and method, and if it is the only one.

    `indicator` and `method` are None where they are wrong, which has been reported.
    """

    name: str
    indicator: Indicator | None
    method: str | None
    several: bool


def read_goal(value: Value, setting: Setting) -> Foreign | None:
    """Read one objective; None after a report."""
    record = Record(value)
    name = _read_name(record, setting, value.report)
    promise = _read_promise(record, value.report)
    length = _read_slice(record, setting, value.report)
    bound = _read_bound(record)
    for field in _COMPOSITE:
        if record.node(field) is not None:
            message = "an objective with an indicator of its own makes a composite"
            hint = "make it an SLO of its own: how much two of them are bad together is not known"
            not_taken(value.report, record.place_of(field), message, hint)
    record.close()
    if setting.indicator is not None and setting.indicator.gauge is not None:
        _check_gauge(record, setting, value.report)
    source = _source(setting, bound)
    if promise is None or source is None:
        return None
    slo = promise_id(setting.name, name) if setting.several else setting.name
    return Foreign(name or setting.name, slo, record.place, promise, source, length)


def _source(
    setting: Setting, bound: tuple[Operator, Decimal] | None
) -> RatioSource | GaugeSource | None:
    if setting.indicator is None or setting.indicator.gauge is None:
        return setting.indicator.ratio if setting.indicator else None
    return None if bound is None else GaugeSource(setting.indicator.gauge, *bound)


def _read_bound(record: Record) -> tuple[Operator, Decimal] | None:
    """Read what a gauge is compared with; it means nothing to a ratio, and many state it there."""
    word, number = record.take("op", one_of(*OPERATORS)), record.take("value", read_bound)
    return None if word is None or number is None else (OPERATORS[word], number)


def _read_name(record: Record, setting: Setting, report: Report) -> str:
    """Return what the objective is called; of several each needs a name for its SLO id."""
    name = sanitised(record.take("displayName", short_text) or "")
    if setting.several and not name:
        message = "of several objectives each needs a displayName: it is part of the SLO id"
        report.add(record.place, message, hint="use letters and digits", code=INCOMPLETE)
    return name


def _read_promise(record: Record, report: Report) -> Decimal | None:
    """Return the objective in percent."""
    ratio = record.take("target", _ratio)
    percent = record.take("targetPercent", read_percent)
    if ("target" in record) == ("targetPercent" in record):
        message = "an objective needs either target or targetPercent"
        report.add(record.place, message, hint="such as target: 0.99", code=INCOMPLETE)
        return None
    return percent if ratio is None else 100 * ratio


def _read_slice(record: Record, setting: Setting, report: Report) -> Slice | None:
    fields = ("timeSliceTarget", "timeSliceWindow")
    share = record.take(fields[0], _share)
    minutes = record.take(fields[1], read_slice_minutes)
    missing = [name for name in fields if name not in record]
    if setting.method == "Timeslices" and missing:
        message = f"Timeslices need {' and '.join(missing)}"
        hint = "such as timeSliceTarget: 0.95, timeSliceWindow: 5m"
        report.add(record.place, message, hint=hint, code=INCOMPLETE)
    if setting.method == "Occurrences" and len(missing) < len(fields):
        message = "slices of time need budgetingMethod: Timeslices"
        report.add(record.place, message, hint="or leave them out", code=INCOMPLETE)
    if setting.method != "Timeslices" or share is None or minutes is None:
        return None
    return Slice(minutes * 60 * SECOND_NS, 100 * share)


def _check_gauge(record: Record, setting: Setting, report: Report) -> None:
    if setting.method == "Occurrences":
        message = "a thresholdMetric has no events that could be counted, only times"
        not_taken(report, record.place, message, "set budgetingMethod: Timeslices")
    if not ("op" in record and "value" in record):
        message = "a thresholdMetric is compared: the objective needs op and value"
        report.add(record.place, message, hint="such as op: lte, value: 0.5", code=INCOMPLETE)
    if setting.several:
        message = "a thresholdMetric takes one objective"
        report.add(record.place, message, hint="make it an SLO of its own", code=INCOMPLETE)
