"""The recording rules that serve every SLO, however many there are.

Numerators and denominators are recorded apart and divided last: a mean of ratios weighs a quiet
night like a busy day, and one quiet hour makes it NaN. Long windows sum up the 5-minute increases,
which overlap at one evaluation a minute, so that 5 of them count everything once; that costs the
same whatever the number of pods. What differs between SLOs are the constants of `constants`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from inferometer.slo import names
from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Selector,
    aggregate,
    aggregate_without,
    any_of,
    binary,
    call,
    chain,
    equal,
    number,
    vector,
    window,
)
from inferometer.slo.rule import Group, Rule
from inferometer.slo.windows import (
    DAY_S,
    FAST,
    MEDIUM,
    OUTAGE,
    REFERENCE_S,
    SECONDS,
    SHORTEST,
    SLOW,
)

GROUP: Final = "inferometer-slo"
OVERLAP: Final = number(SECONDS[SHORTEST] // 60)
"""How many of the recorded 5-minute increases count the same event."""

_BURNED: Final = tuple(name for name in SECONDS if name != SHORTEST)


def generic(options: Options, lengths_days: Sequence[int]) -> Group:
    """Return the rules for all SLOs: 32 for one length of window, two more for each further one."""
    lengths = tuple(f"{days}d" for days in lengths_days)
    rules = (
        *_sources(options),
        *_sums(),
        *_budget_windows(options, lengths_days),
        *_burns(options),
        *_thresholds(options),
        *_budgets(options, lengths),
    )
    return Group(GROUP, rules)


def events(metric: Selector | str, seconds: int, *, offset_s: int = 0) -> Expr:
    """Return how many events a recorded 5-minute increase counts over a longer time."""
    counted = call("sum_over_time", window(metric, seconds, offset_s=offset_s))
    return binary(counted, "/", OVERLAP)


def _sources(options: Options) -> Iterator[Rule]:
    judged, is_bad = any_of("verdict", ("good", "bad")), equal("verdict", "bad")
    requests, tokens = options.counter(names.REQUESTS), options.counter(names.TOKENS)

    def weight(matcher_of: Selector, by: Sequence[str]) -> Expr:
        return aggregate("sum", call("increase", window(matcher_of, SECONDS[SHORTEST])), by=by)

    for record, matcher, by in (
        (names.total(SHORTEST), judged, options.key),
        (names.bad(SHORTEST), is_bad, options.key),
        (names.BAD_REQUESTS, is_bad, options.key),
        (names.BAD_REASON, is_bad, (*options.key, "reason")),
    ):
        counted = weight(requests.where(matcher), by)
        if record != names.BAD_REQUESTS:  # the guard counts requests, whatever they weigh
            counted = binary(weight(tokens.where(matcher), by), "or", counted)
        yield Rule(record, counted)


def _sums() -> Iterator[Rule]:
    for of in (names.total, names.bad):
        for name in _BURNED:
            yield Rule(of(name), events(of(SHORTEST), SECONDS[name]))


def _budget_windows(options: Options, lengths_days: Sequence[int]) -> Iterator[Rule]:
    """Yield the sums over whole windows, for the SLOs whose window is that long."""
    rolling = Selector(names.WINDOW, (equal("calendar", ""),))
    for days in lengths_days:
        is_theirs = binary(vector(rolling), "==", number(days * DAY_S))
        for of in (names.total, names.bad):
            counted = events(of(SHORTEST), days * DAY_S)
            expr = binary(counted, "and", is_theirs, options.on_key)
            yield Rule(of(f"{days}d"), expr, (("window", f"{days}d"),))


def error_ratio(window_name: str) -> Expr:
    """Return the bad share of a window; absent without traffic, so never NaN."""
    traffic = binary(vector(names.total(window_name)), ">", number(0))
    share = binary(vector(names.bad(window_name)), "/", traffic)
    return call("clamp_max", share, number(1))


def _allowed() -> Expr:
    return binary(number(1), "-", vector(names.OBJECTIVE))


def _burns(options: Options) -> Iterator[Rule]:
    for name in (SHORTEST, *_BURNED):
        expr = binary(error_ratio(name), "/", _allowed(), options.on_key)
        yield Rule(names.burn(name), expr)


def _thresholds(options: Options) -> Iterator[Rule]:
    cap = vector(names.CAP)
    yield Rule(names.CAP, binary(number(OUTAGE), "/", _allowed()))
    length_s = call("clamp_max", names.length(options), number(REFERENCE_S))
    for pair in (FAST, MEDIUM, SLOW):
        share = binary(number(pair.factor), "/", number(REFERENCE_S))
        reachable = binary(binary(share, "*", length_s), "<", cap, options.on_key)
        clamped = binary(reachable, "or", cap, options.on_key)
        yield Rule(names.burn_threshold(pair.name), call("clamp_min", clamped, number(1)))


def _budgets(options: Options, lengths: Sequence[str]) -> Iterator[Rule]:
    yield Rule(names.ERROR, chain("or", [error_ratio(name) for name in lengths]))
    error = aggregate_without("sum", vector(names.ERROR), ["window"])
    spent = binary(error, "/", _allowed(), options.on_key)
    left = binary(number(1), "-", spent)
    ledger = aggregate("max", vector(names.LEDGER), by=options.key)
    yield Rule(names.REMAINING, binary(ledger, "or", left))
    positive = binary(vector(names.REMAINING), ">", number(0))
    in_time = binary(positive, "*", names.length(options), options.on_key)
    burning = binary(vector(names.burn("6h")), ">", number(0))
    yield Rule(names.EXHAUSTION, binary(in_time, "/", burning, options.on_key))
