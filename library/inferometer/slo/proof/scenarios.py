"""What an SLO must live through before anybody relies on it, as data: incidents and false alarms.

Each scenario is what some pods count, minute by minute, and what is looked at then: alerts, whose
moments `expected` computes and `oracle` lets promtool confirm, and recorded numbers. Scenarios that
share a run are evaluated by the same rules for the same time. Nothing here knows what will come
out; `must` says only what would be a fault.
"""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Final, Literal, NamedTuple

from inferometer.slo.proof.counters import Flow, Pod
from inferometer.slo.proof.scenario import BURNS, Must, Reading, RunName, Scenario, Subject, Watch
from inferometer.slo.windows import (
    CLIFF,
    DAY_S,
    DRAIN,
    FAST,
    MEDIUM,
    MINUTE_S,
    SECONDS,
    SLOW,
    limits,
)

STEADY_MIN: Final = SECONDS[MEDIUM.long] // MINUTE_S + 10
"""Minutes without errors before an outage: longer than what any page looks back to."""
OUTAGE_MIN: Final = 60
RECOVERY_MIN: Final = 60
HALF_MIN: Final = SECONDS[MEDIUM.long] // MINUTE_S + 5
PEAK_MIN: Final = 25 * 60
"""Minutes of traffic before silence: it is told only where there was traffic a day ago."""
NIGHT_MIN: Final = 240
QUIET_MIN: Final = 300
MONTH_DAYS: Final = 30
HEAVY_TOKENS: Final = 8000
BELOW: Final = Fraction(9, 10)
ABOVE: Final = Fraction(11, 10)
_REQUESTS_MIN: Final = 1000
_EDGE_MIN: Final = 120
_TRICKLE: Final = "LLMSLOTrickle"


class Traffic(NamedTuple):
    """Requests a minute."""

    rate: int

    def fine(self, minutes: int) -> Flow:
        """Return minutes in which all is good."""
        return Flow(minutes, self.rate, 0)

    def broken(self, minutes: int) -> Flow:
        """Return minutes in which nothing is good."""
        return Flow(minutes, 0, self.rate)


def shares(*wanted: Fraction) -> Iterator[tuple[int, int]]:
    """Yield good and bad requests a minute for each share that is bad, exactly."""
    whole = lcm(*(share.denominator for share in wanted))
    whole *= -(-_REQUESTS_MIN // whole)
    for share in wanted:
        bad = int(whole * share)
        yield whole - bad, bad


def table(subject: Subject, rate: int) -> tuple[Scenario, ...]:
    """Return the scenarios of an SLO at a number of requests a minute, in a fixed order."""
    traffic = Traffic(rate)
    return (
        _outage(traffic),
        _half(traffic),
        *_partial(subject),
        *_few(subject),
        *_nights(subject),
        *_restarts(subject),
        *_silences(traffic),
        *_retention(traffic),
        *_month(subject),
    )


def _pages(edge: Literal["first", "last"], must: Must) -> tuple[Watch, ...]:
    return tuple(
        Watch(alert=pair.alert, pair=pair, edge=edge, must=must) for pair in (FAST, CLIFF, MEDIUM)
    )


def _outage(traffic: Traffic) -> Scenario:
    flows = (traffic.fine(STEADY_MIN), traffic.broken(OUTAGE_MIN), traffic.fine(RECOVERY_MIN))
    return Scenario(
        name="outage",
        title="100 % bad for an hour, then recovery",
        run="pages",
        pods=(Pod(name="a", flows=flows),),
        watches=(*_pages("first", ""), *_pages("last", "end")),
        start=STEADY_MIN,
        over=STEADY_MIN + OUTAGE_MIN,
    )


def _half(traffic: Traffic) -> Scenario:
    # Of an odd number the larger half is bad every second minute.
    bad = [(k + 1) * traffic.rate // 2 - k * traffic.rate // 2 for k in (1, 2)]
    pair = tuple(Flow(1, traffic.rate - number, number) for number in bad)
    return Scenario(
        name="half",
        title="50 % bad for six hours",
        run="pages",
        pods=(Pod(name="a", flows=(traffic.fine(STEADY_MIN), *pair * (HALF_MIN // 2 + 1))),),
        watches=_pages("first", ""),
        start=STEADY_MIN,
    )


_RUN_OF: Final[dict[str, RunName]] = {SLOW.name: "slow", DRAIN.name: "drain"}


def _partial(subject: Subject) -> Iterator[Scenario]:
    """Yield for each pair a share below its limit for its long window, then one above."""
    if subject.slice is not None:
        return  # a share of slices is no share of requests: see `half`
    for pair in (FAST, CLIFF, MEDIUM, SLOW, DRAIN):
        limit = Fraction(limits(pair, subject.promise).short)
        below, above = shares(limit * BELOW, limit * ABOVE)
        long_min = SECONDS[pair.long] // MINUTE_S
        yield Scenario(
            name=f"partial-{pair.name}",
            title=f"0.9 times the limit of the {pair.name} pair for {pair.long}, then 1.1 times",
            run=_RUN_OF.get(pair.name, "pages"),
            pods=(
                Pod(
                    name="a",
                    flows=(Flow(long_min, *below), Flow(long_min // 2 + 15, *above)),
                ),
            ),
            watches=(Watch(alert=pair.alert, pair=pair, must="fire"),),
            start=long_min,
        )


def _few(subject: Subject) -> Iterator[Scenario]:
    silent = Watch(alert=BURNS, must="silent")
    trickle = Watch(alert=_TRICKLE)
    gap = Flow(49, 0, 0)
    one = Flow(1, 0, 1)
    yield Scenario(
        name="one-bad",
        title="one bad request of one",
        run="quiet",
        pods=(Pod(name="a", flows=(Flow(10, 0, 0), one, Flow(QUIET_MIN - 11, 0, 0))),),
        watches=(silent, trickle),
        start=10,
    )
    yield Scenario(
        name="three-bad",
        title="three bad requests of three, an hour apart",
        run="quiet",
        pods=(
            Pod(name="a", flows=(Flow(10, 0, 0), one, gap, one, gap, one, Flow(QUIET_MIN, 0, 0))),
        ),
        watches=(silent, trickle),
        start=10,
    )
    if subject.weight == "token":
        heavy = Flow(1, 0, 1, HEAVY_TOKENS)
        yield Scenario(
            name="one-heavy",
            title=f"one bad request of {HEAVY_TOKENS} tokens among 20 good ones",
            run="quiet",
            pods=(Pod(name="a", flows=(Flow(15, 1, 0), heavy, Flow(5, 1, 0), Flow(280, 0, 0))),),
            watches=(silent,),
        )


_ANY: Final = Watch(alert=".+", must="silent")
_NAN: Final = "inferometer:slo_burn:rate5m{} != inferometer:slo_burn:rate5m{}"
_LEFT: Final = "inferometer:slo_budget_remaining:ratio{}"
_RATIO: Final = "inferometer:slo_bad:increase1h{} / inferometer:slo_total:increase1h{}"
_COUNTED: Final = "inferometer:slo_total:increase6h{}"
_ANYTHING: Final = "count({__name__=~`inferometer:slo_(burn:|error|budget_(rem|exh)).+`,{}})"


def _harmless(subject: Subject) -> tuple[int, int]:
    """Return good and bad requests a minute that spend half of the budget; none with slices."""
    if subject.slice is not None:
        return _REQUESTS_MIN, 0
    return next(shares((1 - Fraction(subject.promise.objective)) / 2))


def _nights(subject: Subject) -> Iterator[Scenario]:
    day = Flow(100, *_harmless(subject))
    spent = Decimal(0) if subject.slice else Decimal("0.5")
    left = 1 - spent if subject.summed else None
    yield Scenario(
        name="idle-night",
        title="half of the budget spent by day, then an idle night",
        run="quiet",
        pods=(Pod(name="a", flows=(day, Flow(NIGHT_MIN, 0, 0))),),
        watches=(_ANY,),
        readings=(
            Reading(what="budget left by day", query=_LEFT, minute=105, value=left),
            Reading(what="budget left at night", query=_LEFT, minute=100 + NIGHT_MIN, value=left),
            Reading(what="NaN at night", query=_NAN, minute=106, value=None),
        ),
    )
    yield Scenario(
        name="unused",
        title="a class that nobody uses",
        run="quiet",
        pods=(Pod(name="a", flows=(Flow(QUIET_MIN, 0, 0),)),),
        watches=(_ANY,),
        readings=(Reading(what="rates of nothing", query=_ANYTHING, minute=QUIET_MIN, value=None),),
    )


def _restarts(subject: Subject) -> Iterator[Scenario]:
    """Yield what happens to pods every day; it must not look like an incident."""
    flow = _harmless(subject)
    whole = Flow(QUIET_MIN, *flow)
    steady = Pod(name="steady", flows=(whole,))
    restarted = Pod(name="b", flows=(whole,), restarts=frozenset({100, 101, 180}))
    yield _everyday("reset", "counters reset, twice in a row", (steady, restarted), subject)
    lost = frozenset({120, 121, 122})
    pods = tuple(Pod(name=name, flows=(whole,), lost=lost) for name in ("a", "b"))
    yield _everyday("lost-scrapes", "three lost scrapes of all pods", pods, subject)
    yield _everyday("rolling-deploy", "pods replaced one after the other", _rolled(flow), subject)
    old = Pod(name="old", flows=(Flow(150, *flow),), vanishes=True)
    new = Pod(name="new", flows=(Flow(QUIET_MIN - 153, *flow),), born=153)
    yield _everyday("deploy-gap", "three minutes without any pod", (old, new), subject)
    churn = tuple(
        Pod(name=f"p{k}", flows=(Flow(30, *flow),), born=30 * k, vanishes=True)
        for k in range(QUIET_MIN // 30)
    )
    yield _everyday("churn", "a new pod every half hour", (steady, *churn), subject)


def _rolled(flow: tuple[int, int]) -> tuple[Pod, ...]:
    starts = [100 + 5 * k for k in range(4)]
    old = [Pod(name=f"old{at}", flows=(Flow(at + 2, *flow),), vanishes=True) for at in starts]
    new = [Pod(name=f"new{at}", flows=(Flow(QUIET_MIN - at, *flow),), born=at) for at in starts]
    return (*old, *new)


def _everyday(name: str, title: str, pods: tuple[Pod, ...], subject: Subject) -> Scenario:
    share = Decimal(0) if subject.slice else (1 - subject.promise.objective) / 2
    readings = [
        Reading(what=f"ratio at {minute} min", query=_RATIO, minute=minute, value=share)
        for minute in (125, 185, QUIET_MIN)
    ]
    return Scenario(
        name=name, title=title, run="quiet", pods=pods, watches=(_ANY,), readings=tuple(readings)
    )


def _silences(traffic: Traffic) -> Iterator[Scenario]:
    watch = (Watch(alert="LLMSLONoData"), Watch(alert=BURNS, must="silent"))
    peak = traffic.fine(PEAK_MIN)
    yield Scenario(
        name="gone-at-peak",
        title="all series vanish at the peak",
        run="silence",
        pods=(Pod(name="a", flows=(peak,), vanishes=True),),
        watches=watch,
        start=PEAK_MIN,
    )
    yield Scenario(
        name="zero-at-peak",
        title="counters stand still at the peak",
        run="silence",
        pods=(Pod(name="a", flows=(peak, Flow(1, 0, 0))),),
        watches=watch,
        start=PEAK_MIN,
    )


def _retention(traffic: Traffic) -> Iterator[Scenario]:
    watch = Watch(alert="LLMSLOWindowTruncated")
    pods = (Pod(name="a", flows=(traffic.fine(120),)),)
    yield Scenario(
        name="retention",
        title="Prometheus keeps 10 days",
        run="pages",
        pods=pods,
        watches=(watch,),
    )
    yield Scenario(
        name="retention-ledger",
        title="Prometheus keeps 10 days, a ledger the rest",
        run="pages",
        pods=pods,
        watches=(watch,),
        covered=True,
    )


def _month(subject: Subject) -> Iterator[Scenario]:
    """Yield a month of which a day spends a third of the budget, and what is left of it."""
    if not subject.summed or subject.slice is not None:
        return
    days = subject.promise.window_s // DAY_S
    allowed = 1 - Fraction(subject.promise.objective)
    share = min(allowed * days / 3, Fraction(1, 2))
    (bad_day, good_day) = shares(share, Fraction(0))
    day_min = DAY_S // MINUTE_S
    before = MONTH_DAYS - days
    flows = (
        # What is older than the window must be forgotten, however bad it was. It ends before the
        # window begins, as that of 2.42 holds its first moment.
        *([Flow(before * day_min - _EDGE_MIN, 0, sum(good_day))] if before else []),
        Flow(2 * day_min + (_EDGE_MIN if before else 0), *good_day),
        Flow(day_min, *bad_day),
        Flow((days - 3) * day_min, *good_day),
    )
    left = 1 - share / days / allowed
    yield Scenario(
        name="month",
        title=f"{days} days, one of them bad",
        run="month",
        pods=(Pod(name="a", flows=flows),),
        readings=(
            Reading(
                what="budget left",
                query=_LEFT,
                minute=MONTH_DAYS * day_min,
                value=Decimal(left.numerator) / Decimal(left.denominator),
                tolerance=Decimal("0.01"),
            ),
        ),
    )
