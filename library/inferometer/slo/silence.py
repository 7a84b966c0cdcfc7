"""The alerts on SLOs that cannot be trusted: no data, contradictory data, history that is cut.

Nothing here means that users are hurt; it means that nobody would see it.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from inferometer.slo import names, words
from inferometer.slo.names import ANYTHING, SLICED, Options, told
from inferometer.slo.promql import (
    Expr,
    Matcher,
    Selector,
    aggregate,
    any_of,
    binary,
    call,
    chain,
    equal,
    number,
    subquery,
    vector,
    window,
)
from inferometer.slo.rule import EVALUATION_S, Alert
from inferometer.slo.rules import events
from inferometer.slo.thresholds import threshold
from inferometer.slo.windows import DAY_S, HOUR_S, NODATA_MAX_S, SHORTEST

STEADY_S: Final = 300
"""Silence is told when it held for that long: a Prometheus that was down, and has not scraped
since it is back, has no data either. It is part of the delay."""
INVALID_S: Final = 600
TOLERANCE: Final = Decimal("1.01")
"""More bad than all, or less than none, beyond what extrapolation and rounding do."""
SAME_OBJECTIVE: Final = Decimal("0.000000001")
EMPTY_S: Final = 10**12
"""The lowest timestamp of a Prometheus that holds nothing is later than this."""
COVERED_ENOUGH: Final = Decimal("0.95")

_INSIDE: Final = Matcher("slo", "=~", f".+{SLICED}")
_UNDECLARED: Final = Matcher("slo", "!~", f"request_header|.+{SLICED}")
"""What is counted but promised nowhere: deadlines from headers, and requests inside of slices."""


def no_data(options: Options) -> Alert:
    """Return the alert that an SLO which had traffic at this time yesterday has none.

    It must have had traffic in the hour before this time and in the hour after it, so that a
    service which ends its day at six is quiet at half past six. If last week is still there the
    same holds for it, so weekends are quiet.
    """
    name = "LLMSLONoData"
    enough, on_key = threshold(name), options.on_key
    hours = [
        binary(_expected(options, ago_s), ">=", enough, ANYTHING)
        for ago_s in (DAY_S, DAY_S - HOUR_S)
    ]
    quiet = [
        binary(_expected(options, ago_s), "<", enough, ANYTHING)
        for ago_s in (7 * DAY_S, 7 * DAY_S - HOUR_S)
    ]
    expected = binary(chain("and", hours, on_key), "unless", chain("or", quiet, on_key), on_key)
    known = binary(expected, "and", vector(names.OBJECTIVE), options.on_key)
    expr = binary(known, "unless", _recent(options), options.on_key)
    description = (
        "At this time yesterday there were {{ $value | humanize }} requests in an hour. Now there",
        " is none, or nothing that counts them: no other alert of this SLO can fire.",
    )
    return Alert(
        name=name,
        expr=told(expr, options, ticket="true"),
        severity="warning",
        source="ours: expected traffic, since absence alone fires on every idle service",
        annotations=words.annotations(
            name, f"SLO {words.what()} has had no data for a while", description, options
        ),
        for_s=STEADY_S,
    )


def _expected(options: Options, ago_s: int) -> Expr:
    """Return the requests in the hour that ended so long ago; recorded totals of foreign SLOs.

    Slices are too few to tell anything: what is counted inside of them stands for them.
    """
    judged = options.counter(names.REQUESTS).where(any_of("verdict", ("good", "bad")))
    requests = _counted(judged, options, ago_s=ago_s)
    sliced = _of_slo(events(Selector(names.total(SHORTEST), (_INSIDE,)), HOUR_S, offset_s=ago_s))
    foreign = events(names.total(SHORTEST), HOUR_S, offset_s=ago_s)
    return chain("or", (requests, sliced, foreign), options.on_key)


def _counted(of: Selector, options: Options, *, ago_s: int = 0) -> Expr:
    """Return what counters of requests rose by in an hour, those inside of slices as their SLO's.

    The two are renamed apart: in the hour in which a class begins to count slices both are there,
    and would be one series twice.
    """

    def rose(counter: Selector) -> Expr:
        increase = call("increase", window(counter, HOUR_S, offset_s=ago_s))
        return aggregate("sum", increase, by=options.key)

    return binary(_of_slo(rose(of.where(_INSIDE))), "or", rose(of), options.on_key)


def _of_slo(inside: Expr) -> Expr:
    return call("label_replace", inside, "slo", "$1", "slo", f"(.+){SLICED}")


def _recent(options: Options) -> Expr:
    """Return the SLOs whose last traffic is not longer ago than they may be silent."""
    traffic = binary(vector(names.total(SHORTEST)), ">", number(0))
    moments = subquery(call("timestamp", traffic), NODATA_MAX_S, step_s=EVALUATION_S)
    silent = binary(call("time"), "-", call("max_over_time", moments))
    allowed = binary(vector(names.NODATA_DELAY), "-", number(STEADY_S))
    return binary(allowed, ">", silent, options.on_key)


def invalid(options: Options) -> Iterator[Alert]:
    """Yield an alert for each way in which the numbers of an SLO contradict each other."""
    yield _invalid("bad_above_total", "counts more bad than there is", _too_bad(options), options)
    yield _invalid("no_bad", "counts a total and nothing of it as bad or good", _lost(), options)
    drift = _drift(options)
    yield _invalid("objective_differs", "is judged by another objective", drift, options)
    share = _unmeasured(options)
    yield _invalid("unmeasured", "could not measure a part of its requests", share, options)
    undeclared = Selector(names.total(SHORTEST), (_UNDECLARED,))
    traffic = binary(vector(undeclared), ">", number(0))
    unknown = binary(traffic, "unless", vector(names.OBJECTIVE), options.on_key)
    yield _invalid("no_objective", "is measured but has no rules", unknown, options, known=False)
    promised = aggregate("count", vector(names.INFO), by=options.key)
    twice = binary(promised, ">", number(1))
    yield _invalid("declared_twice", "is promised by several documents", twice, options)


_ADVICE: Final = {
    "bad_above_total": "Bad and total do not count the same things: look at the selectors.",
    "no_bad": "The bad part is absent although there is traffic: a metric or a bucket edge does"
    " not exist, and the SLO can never alert.",
    "objective_differs": "The sidecars state another objective than these rules: roll out the same"
    " document to both.",
    "unmeasured": "{{ $value | humanizePercentage }} of the requests could not be judged: unknown"
    " format, compressed beyond limits, or token counts missing.",
    "no_objective": "Sidecars judge requests by an SLO that was never rendered into rules: nobody"
    " would be told if it broke.",
    "declared_twice": "{{ $value }} loaded files promise an SLO of this name, to other people or"
    " with other wishes: their numbers overwrite each other, and only one owner is told. Rename one"
    " of them.",
}


def _invalid(
    problem: str, summary: str, expr: Expr, options: Options, *, known: bool = True
) -> Alert:
    name = "LLMSLOInvalid"
    return Alert(
        name=name,
        expr=told(expr, options, ticket="true") if known else expr,
        severity="warning",
        source="ours: each was met in practice",
        labels=(("problem", problem),),
        annotations=words.annotations(
            name, f"SLO {words.what()} {summary}", (_ADVICE[problem],), options
        ),
        for_s=INVALID_S,
    )


def _too_bad(options: Options) -> Expr:
    del options
    most = binary(number(TOLERANCE), "*", vector(names.total("1h")))
    least = binary(number(1 - TOLERANCE), "*", vector(names.total(SHORTEST)))
    negative = binary(vector(names.bad(SHORTEST)), "<", least)
    return binary(binary(vector(names.bad("1h")), ">", most), "or", negative)


def _lost() -> Expr:
    traffic = binary(vector(names.total(SHORTEST)), ">", number(0))
    return binary(traffic, "unless", vector(names.bad(SHORTEST)))


def _drift(options: Options) -> Expr:
    """Return the objective of any sidecar that is not the rendered one; pods may differ."""
    sides = []
    for of in ("max", "min"):
        seen = aggregate(of, vector(names.OBJECTIVE_SEEN), by=options.key)
        distance = call("abs", binary(seen, "-", vector(names.OBJECTIVE), options.on_key))
        sides.append(binary(distance, ">", number(SAME_OBJECTIVE)))
    return chain("or", sides)


def _unmeasured(options: Options) -> Expr:
    """Return the share that could not be measured, where it is more than a few requests."""
    requests = options.counter(names.REQUESTS)
    lost = requests.where(equal("verdict", "excluded"), equal("reason", "unmeasured"))
    counted, every = _counted(lost, options), _counted(requests, options)
    share = binary(counted, "/", binary(every, ">", number(0)))
    large = binary(share, ">", threshold("LLMSLOInvalid"), ANYTHING)
    many = binary(counted, ">=", vector(names.MIN_BAD), options.on_key)
    return binary(large, "and", many, options.on_key)


def truncated(options: Options) -> Alert:
    """Return the notice that Prometheus does not reach back as far as the window of an SLO.

    With several in sight the one with the least history counts: rules cannot know which of them
    evaluates them, and too good a budget is worse than a notice too many.
    """
    name = "LLMSLOWindowTruncated"
    stored = binary(vector("prometheus_tsdb_lowest_timestamp_seconds"), "<", number(EMPTY_S))
    history_s = binary(call("time"), "-", aggregate("max", stored))
    short = binary(names.length(options), ">", history_s, ANYTHING)
    covered, elapsed = (
        aggregate("max", vector(of), by=options.key) for of in (names.COVERED, names.ELAPSED)
    )
    # A calendar's window has only begun; an older ledger does not say how long ago.
    so_far = binary(elapsed, "or", names.length(options), options.on_key)
    enough = binary(number(COVERED_ENOUGH), "*", so_far)
    by_ledger = binary(covered, ">=", enough, options.on_key)
    description = (
        "Prometheus holds less than the {{ $value | humanizeDuration }} of its window, and no",
        " ledger covers the rest: what was bad before is forgotten, and the budget looks too good.",
        " Raise the retention, or run `inferometer slo ledger`.",
    )
    return Alert(
        name=name,
        expr=told(binary(short, "unless", by_ledger, options.on_key), options),
        severity="info",
        source="ours: asked for since a 30-day budget met a retention of 15 days",
        annotations=words.annotations(
            name, f"SLO {words.what()} is summed up over less than its window", description, options
        ),
        for_s=HOUR_S,
    )
