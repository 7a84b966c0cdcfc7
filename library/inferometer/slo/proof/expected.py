"""What the rules must make of a scenario, to the minute, by the plain arithmetic of `model`.

Promtool begins with an empty database, so before minute 1 there is no traffic. Minutes are those
of promtool: evaluation 0 of the model is at minute 1.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from inferometer.slo.document import SECOND_NS
from inferometer.slo.model import TICKS, Minute, Traffic, counted, exceeds, holds, sliced
from inferometer.slo.proof.counters import Counted, minute_by_minute
from inferometer.slo.proof.scenario import BURNS, RETENTION_S, Scenario, Subject, Watch
from inferometer.slo.proof.standins import GAUGE, is_bad
from inferometer.slo.thresholds import THRESHOLDS
from inferometer.slo.windows import CLIFF, MINUTE_S, PAIRS, Pair, nodata_delay_s

NOTHING: Final = Minute(0, 0, 0)
HOUR_MIN: Final = 60
"""How long few bad requests, and too short a history, must be there before they are told."""

_HALF: Final = Decimal("0.5")


def moment(
    subject: Subject, scenario: Scenario, watch: Watch, *, until: int, step: int = 1
) -> int | None:
    """Return the minute at which an alert fires first or last, of those through `until`.

    None if it does not fire, or goes on to fire. `step` is the time between evaluations.
    """
    if watch.alert == "LLMSLOTrickle":
        found = _trickle(subject, traffic(subject, scenario, until))
    elif watch.alert == "LLMSLONoData":
        found = _silence(subject, scenario)
    elif watch.alert == "LLMSLOWindowTruncated":
        found = _truncated(subject, scenario)
    elif watch.pair is not None:
        found = _pair(watch.pair, subject, traffic(subject, scenario, until), watch)
    else:
        found = _earliest(subject, traffic(subject, scenario, until), watch)
    if found is None or found > until:
        return None
    return -(-found // step) * step


def traffic(subject: Subject, scenario: Scenario, minutes: int) -> Traffic:
    """Return what the rules record in the first minutes of a scenario."""
    seen = [_weighed(subject, one) for one in minute_by_minute(scenario.pods, minutes)]
    if subject.slice is not None:
        return sliced(seen, subject.slice, before=NOTHING)
    return counted(seen, before=NOTHING)


def _weighed(subject: Subject, one: Counted) -> Minute:
    if subject.weight == "token":
        return Minute(one.good_tokens + one.bad_tokens, one.bad_tokens, one.bad)
    if subject.kind == GAUGE:
        return Minute(int(one.good + one.bad > 0), int(is_bad(one)), int(is_bad(one)))
    return Minute(one.good + one.bad, one.bad, one.bad)


def firing(held: Iterable[bool], *, for_min: int = 0, keep_min: int = 0) -> Iterator[bool]:
    """Yield whether an alert fires at each evaluation, by whether its expression holds there.

    It must hold for `for_min`, and goes on for `keep_min` after it ended, as Prometheus does it.
    """
    since: int | None = None
    fires, ended = False, 0
    for now, holds_now in enumerate(held):
        if holds_now:
            since = now if since is None else since
            fires = fires or now - since >= for_min
            ended = now + 1
        elif not fires or now - ended >= keep_min:
            since, fires = None, False
        yield fires


def _edge(fires: Sequence[bool], edge: str) -> int | None:
    """Return the minute of the first or last True; None where it fires on at the end."""
    if True not in fires:
        return None
    if edge == "first":
        return fires.index(True) + 1
    return None if fires[-1] else len(fires) - fires[::-1].index(True)


def _pair(pair: Pair, subject: Subject, seen: Traffic, watch: Watch) -> int | None:
    if not subject.wants(pair):
        return None
    held = (holds(pair, subject.promise, seen, k) for k in range(seen.evaluations))
    return _edge(list(firing(held, keep_min=pair.keep_firing_for_s // MINUTE_S)), watch.edge)


def _earliest(subject: Subject, seen: Traffic, watch: Watch) -> int | None:
    """Return when any burn rate is told, or with other alerts few bad requests."""
    found = [_pair(pair, subject, seen, watch) for pair in (*PAIRS, CLIFF)]
    if watch.alert != BURNS:
        found.append(_trickle(subject, seen))
    return min((minute for minute in found if minute is not None), default=None)


def _trickle(subject: Subject, seen: Traffic) -> int | None:
    if not subject.ticket:
        return None
    fewest = THRESHOLDS["LLMSLOTrickle"].default - _HALF
    most = subject.promise.min_bad - _HALF
    held = (
        TICKS * fewest <= seen.bad_requests.total("3d", k) < TICKS * most
        and exceeds(seen, "3d", 1 - subject.promise.objective, k)
        for k in range(seen.evaluations)
    )
    return _edge(list(firing(held, for_min=HOUR_MIN)), "first")


def _silence(subject: Subject, scenario: Scenario) -> int | None:
    """Return when it is told that there is no data: so long after the last traffic in a window."""
    if not subject.ticket:
        return None
    last = max(_last_traffic(scenario))
    if subject.slice is None:
        window_min = TICKS
    else:
        window_min = round(subject.slice.length_ns / SECOND_NS / MINUTE_S)
    return last + window_min - 1 + nodata_delay_s(subject.promise) // MINUTE_S


def _last_traffic(scenario: Scenario) -> Iterator[int]:
    for pod in scenario.pods:
        end = pod.born
        for flow in pod.flows:
            end += flow.minutes
            if flow.good + flow.bad:
                yield end


def _truncated(subject: Subject, scenario: Scenario) -> int | None:
    short = subject.promise.window_s > RETENTION_S + HOUR_MIN * MINUTE_S
    return HOUR_MIN if short and not scenario.covered else None
