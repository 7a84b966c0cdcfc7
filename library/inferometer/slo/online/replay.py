"""When the alerts of documents would have fired, had they been there: the past, minute by minute.

The inputs of the alerts are fetched as the rules would have recorded them, day by day, and `model`
reckons with them. Time without samples is no traffic to an alert, too. Replayed are the alerts on
burning budgets, on a trickle of errors and on silence; what looks at the whole window is not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from inferometer.prom.client import Client, whole
from inferometer.slo.constants import promise
from inferometer.slo.document import Document
from inferometer.slo.inputs import Group, groups, key_of
from inferometer.slo.ledger.book import Key
from inferometer.slo.model import TICKS, Series, Traffic, exceeds, holds
from inferometer.slo.names import Options
from inferometer.slo.promql import Expr
from inferometer.slo.rule import EVALUATION_S, Severity
from inferometer.slo.silence import STEADY_S
from inferometer.slo.thresholds import THRESHOLDS
from inferometer.slo.windows import (
    CLIFF,
    DAY_S,
    HOUR_S,
    NODATA_MAX_S,
    PAIRS,
    Pair,
    Promise,
    nodata_delay_s,
)

BEFORE_S: Final = 7 * DAY_S + HOUR_S
"""Looked at before the replay begins: silence is held against the same hour a week ago."""
REPLAY_MAX_S: Final = 31 * DAY_S
TRICKLE: Final = "LLMSLOTrickle"
TRICKLE_FOR_S: Final = 3600
SILENCE: Final = "LLMSLONoData"
NOT_REPLAYED: Final = ("LLMSLOBudgetExhausted", "LLMSLOInvalid", "LLMSLOWindowTruncated")
"""Alerts that look at the whole window, or at what no series tells."""

_HALF: Final = Decimal("0.5")
_HOUR: Final = HOUR_S // EVALUATION_S
_DAY: Final = DAY_S // EVALUATION_S


class Alarm(NamedTuple):
    """An alert as it is replayed: it must hold for `for_s`, and goes on for `keep_s` after."""

    alert: str
    detail: str
    severity: Severity
    for_s: int = 0
    keep_s: int = 0


class Firing(NamedTuple):
    """One time at which an alert would have fired, from `start_s` to before `end_s`."""

    start_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the alerts of one SLO would have done. `known_s` of the time had samples."""

    key: Key
    known_s: int
    firings: Mapping[Alarm, tuple[Firing, ...]]


@dataclass(frozen=True, slots=True)
class Past:
    """What rules would have recorded, each minute from `start_s` on; None is no sample."""

    start_s: int
    total: Sequence[Decimal | None]
    bad: Sequence[Decimal | None]
    bad_requests: Sequence[Decimal | None]
    requests: Sequence[Decimal | None]


class Stretch(NamedTuple):
    """The time of a replay: whole minutes, from `start_s` through `end_s`."""

    start_s: int
    end_s: int


def replay(
    documents: Sequence[Document], client: Client, options: Options, *, length_s: int
) -> tuple[Replayed, ...]:
    """Return what the alerts would have done in the last `length_s`. Raises PrometheusError."""
    assert 0 < length_s <= REPLAY_MAX_S, length_s
    end_s = int(client.now_s()) // EVALUATION_S * EVALUATION_S
    stretch = Stretch(end_s - length_s, end_s)
    pasts: dict[Key, Past] = {}
    for group in groups(documents, options):
        pasts |= _fetched(group, client, stretch)
    return tuple(
        Replayed(
            key=(document.namespace, one.id),
            known_s=_known_s(past, stretch),
            firings=firings(past, promise(document, one), document, stretch),
        )
        for document in documents
        for one in document.promises
        for past in (pasts[document.namespace, one.id],)
    )


def firings(
    past: Past, known: Promise, document: Document, stretch: Stretch
) -> Mapping[Alarm, tuple[Firing, ...]]:
    """Return when each alert that the document wants would have fired, also if never."""
    first = (stretch.start_s - past.start_s) // EVALUATION_S
    found = {}
    for alarm, holds_at in _conditions(past, known, document):
        active = [holds_at(k) for k in range(first, len(past.total))]
        found[alarm] = tuple(_fired(active, alarm, stretch.start_s))
    return found


Condition = tuple[Alarm, Callable[[int], bool]]


def _conditions(past: Past, known: Promise, document: Document) -> Iterator[Condition]:
    traffic = Traffic(*(_series(v) for v in (past.total, past.bad, past.bad_requests)))
    wishes = {"critical": document.alerts.page, "warning": document.alerts.ticket}
    for pair in (PAIRS[0], CLIFF, *PAIRS[1:]):
        if wishes[pair.severity]:
            alarm = Alarm(pair.alert, pair.name, pair.severity, keep_s=pair.keep_firing_for_s)
            yield alarm, _of_pair(pair, known, traffic)
    if document.alerts.ticket:
        alarm = Alarm(TRICKLE, "3d", "warning", for_s=TRICKLE_FOR_S)
        yield alarm, _trickling(known, traffic)
        yield Alarm(SILENCE, "", "warning", for_s=STEADY_S), _silent(past, known)


def _of_pair(pair: Pair, known: Promise, traffic: Traffic) -> Callable[[int], bool]:
    if traffic.bad_requests.sums[-1] < (known.min_bad - _HALF) * TICKS:
        return lambda _: False  # most SLOs, most of the time: too little was bad in all of it
    return lambda evaluation: holds(pair, known, traffic, evaluation)


def _trickling(known: Promise, traffic: Traffic) -> Callable[[int], bool]:
    few = THRESHOLDS[TRICKLE].default - _HALF
    enough = known.min_bad - _HALF

    def trickles(evaluation: int) -> bool:
        bad = traffic.bad_requests.total("3d", evaluation)
        return few * TICKS <= bad < enough * TICKS and exceeds(
            traffic, "3d", 1 - known.objective, evaluation
        )

    return trickles


def _silent(past: Past, known: Promise) -> Callable[[int], bool]:
    """Return whether an SLO is silent although the same hours before had traffic."""
    requests = _series(past.requests)
    expected = THRESHOLDS[SILENCE].default * TICKS
    allowed = (nodata_delay_s(known) - STEADY_S) // EVALUATION_S
    horizon = NODATA_MAX_S // EVALUATION_S
    last: list[int | None] = []
    newest: int | None = None
    for k, value in enumerate(past.total):
        newest = k if value is not None and value > 0 else newest
        last.append(newest)
    before = [value is not None for value in past.requests]

    def hour(evaluation: int) -> Decimal | int:
        return requests.total("1h", evaluation) if evaluation >= _HOUR else 0

    def is_silent(evaluation: int) -> bool:
        yesterday, week = evaluation - _DAY, evaluation - 7 * _DAY
        if yesterday < _HOUR or min(hour(yesterday), hour(yesterday + _HOUR)) < expected:
            return False
        for end in (week, week + _HOUR):
            if end >= _HOUR and any(before[end - _HOUR + 1 : end + 1]) and hour(end) < expected:
                return False
        seen = last[evaluation]
        return seen is None or evaluation - seen >= min(allowed, horizon)

    return is_silent


def _series(values: Sequence[Decimal | None]) -> Series:
    return Series.of((Decimal(0) if value is None else value for value in values), before=0)


def _fired(active: Sequence[bool], alarm: Alarm, start_s: int) -> Iterator[Firing]:
    """Yield the times at which an alert fires, given the minutes at which it holds."""
    wait, keep = alarm.for_s // EVALUATION_S, alarm.keep_s // EVALUATION_S
    pending: int | None = None
    began: int | None = None
    held = -1
    for k, is_active in enumerate(active):
        if is_active:
            pending = k if pending is None else pending
            held = k
            if began is None and k - pending >= wait:
                began = k
        elif began is None or k - held > keep:
            if began is not None:
                yield _firing(began, held + keep + 1, start_s)
            pending = began = None
    if began is not None:
        yield _firing(began, min(held + keep + 1, len(active)), start_s)


def _firing(first: int, end: int, start_s: int) -> Firing:
    return Firing(start_s + first * EVALUATION_S, start_s + end * EVALUATION_S)


def _known_s(past: Past, stretch: Stretch) -> int:
    first = (stretch.start_s - past.start_s) // EVALUATION_S
    return EVALUATION_S * sum(value is not None for value in past.total[first:])


def _fetched(group: Group, client: Client, stretch: Stretch) -> Mapping[Key, Past]:
    """Return the inputs of a group, from `BEFORE_S` before the replay on."""
    start_s = stretch.start_s - BEFORE_S
    found = {
        expr.text: _minutes(expr, group, client, Stretch(start_s, stretch.end_s))
        for expr in {group.total, group.bad, group.bad_requests, group.requests}
    }
    return {
        key: Past(
            start_s,
            found[group.total.text][key],
            found[group.bad.text][key],
            found[group.bad_requests.text][key],
            found[group.requests.text][key],
        )
        for key in group.keys
    }


def _minutes(
    expr: Expr, group: Group, client: Client, stretch: Stretch
) -> Mapping[Key, list[Decimal | None]]:
    """Return the values of an expression at each minute, asked for a day at a time."""
    count = (stretch.end_s - stretch.start_s) // EVALUATION_S + 1
    found: dict[Key, list[Decimal | None]] = {key: [None] * count for key in group.keys}
    for first_s in range(stretch.start_s, stretch.end_s + 1, DAY_S):
        last_s = min(first_s + DAY_S - EVALUATION_S, stretch.end_s)
        asked = client.range(str(expr), first_s, last_s, step_s=EVALUATION_S)
        for series in whole(asked, client.endpoint).series:
            key = key_of(series.labels, group)
            if key is None:
                continue
            for at_s, value in series.samples:
                exact = Decimal(repr(value))
                index = round(at_s - stretch.start_s) // EVALUATION_S
                found[key][index] = exact if exact.is_finite() else None
    return found
