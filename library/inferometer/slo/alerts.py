"""The alerts on SLOs: budgets that burn, budgets that are gone, and SLOs that say nothing.

Each rule serves every SLO and takes service and owner from its constants. A pair of windows also
needs a number of bad requests in its long window, so that one request in a quiet night wakes
nobody; what that hides is told by LLMSLOTrickle. See `windows` for the numbers.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from inferometer.slo import names, words
from inferometer.slo.names import Options, told
from inferometer.slo.promql import Expr, binary, chain, number, vector
from inferometer.slo.rule import Alert, Group
from inferometer.slo.rules import events
from inferometer.slo.silence import invalid, no_data, truncated
from inferometer.slo.thresholds import threshold
from inferometer.slo.windows import CLIFF, DAY_S, DRAIN, FAST, PAIRS, REFERENCE_S, SECONDS, Pair

GROUP: Final = "inferometer-slo-alerts"
WORKBOOK: Final = "The Site Reliability Workbook, chapter 5"

_HALF: Final = number(Decimal("0.5"))
_SUMMARIES: Final = {
    "fast": "is being broken now",
    "cliff": "is down for almost everybody",
    "medium": "has been broken for hours",
    "slow": "will not be met",
    "drain": "will just not be met",
}
_RATE: Final = ": the budget burns {{ $value | humanize }} times too fast"


def generic(options: Options, lengths_days: Sequence[int]) -> Group:
    """Return the alerts for all SLOs."""
    alerts = (
        _pair(FAST, options),
        _pair(CLIFF, options),
        *(_pair(pair, options) for pair in PAIRS if pair is not FAST),
        _exhausted(options, lengths_days),
        _trickle(options),
        no_data(options),
        *invalid(options),
        truncated(options),
    )
    return Group(GROUP, alerts)


def guard(seconds: int) -> tuple[Expr, Expr]:
    """Return bad requests in a time, and the number that an alert needs.

    Half a request less, since `increase` extrapolates: ten may look like 9.8.
    """
    return events(names.BAD_REQUESTS, seconds), binary(vector(names.MIN_BAD), "-", _HALF)


def _limits(pair: Pair) -> tuple[Expr, Expr]:
    """Return the burn rates that the long and the short window must exceed."""
    if pair is CLIFF:
        return binary(vector(names.CAP), "/", number(2)), vector(names.CAP)
    limit = number(1) if pair is DRAIN else vector(names.burn_threshold(pair.name))
    return limit, limit


def _pair(pair: Pair, options: Options) -> Alert:
    long_limit, short_limit = _limits(pair)
    on_key, always = options.on_key, pair is DRAIN
    bad, needed = guard(SECONDS[pair.long])
    conditions = [
        _above(names.burn(pair.long), long_limit, options, always=always),
        _above(names.burn(pair.short), short_limit, options, always=always),
        binary(bad, ">=", needed, on_key),
    ]
    wish = "page" if pair.severity == "critical" else "ticket"
    expr = told(chain("and", conditions, on_key), options, **{wish: "true"})
    description = (words.share_bad(pair.long, options), words.budget(options))
    return Alert(
        name=pair.alert,
        expr=expr,
        severity=pair.severity,
        source=WORKBOOK if pair is not CLIFF else "ours: the hour of the fast pair is too long",
        labels=(("pair", pair.name), ("long", pair.long), ("short", pair.short)),
        annotations=words.annotations(
            pair.alert,
            f"SLO {words.what()} {_SUMMARIES[pair.name]}{_RATE}",
            description,
            options,
        ),
        keep_firing_for_s=pair.keep_firing_for_s,
    )


def _above(record: str, limit: Expr, options: Options, *, always: bool) -> Expr:
    """Return a burn rate above a limit: a number, or a series of each SLO."""
    if always:
        return binary(vector(record), ">", limit)
    return binary(vector(record), ">", limit, options.on_key)


def _exhausted(options: Options, lengths_days: Sequence[int]) -> Alert:
    """Return the notice that a budget is gone. It wakes nobody: what burns it has been told."""
    name = "LLMSLOBudgetExhausted"
    gone = binary(vector(names.REMAINING), "<=", number(0))
    needed = binary(vector(names.MIN_BAD), "-", _HALF)
    enough = binary(_bad_in_window(options, lengths_days), ">=", needed, options.on_key)
    description = (
        "{{ $value | humanizePercentage }} of the budget is left. Until that is above zero, ship",
        " what makes it better and nothing else. ",
        words.share_bad("1d", options),
    )
    return Alert(
        name=name,
        expr=told(binary(gone, "and", enough, options.on_key), options),
        severity="info",
        source="sloth's plugin for exhausted budgets",
        annotations=words.annotations(
            name, f"SLO {words.what()} has no error budget left", description, options
        ),
        for_s=300,
    )


def _bad_in_window(options: Options, lengths_days: Sequence[int]) -> Expr:
    """Return bad requests in the window of each SLO; of those that the ledger sums up, in 30 days.

    Longer windows would cost more than a notice is worth.
    """
    shorter = [days for days in lengths_days if days * DAY_S < REFERENCE_S]
    parts = []
    for days in shorter:
        theirs = binary(vector(names.WINDOW), "==", number(days * DAY_S))
        counted = events(names.BAD_REQUESTS, days * DAY_S)
        parts.append(binary(counted, "and", theirs, options.on_key))
    return chain("or", [*parts, events(names.BAD_REQUESTS, REFERENCE_S)], options.on_key)


def _trickle(options: Options) -> Alert:
    name = "LLMSLOTrickle"
    bad, needed = guard(SECONDS["3d"])
    few = binary(bad, ">=", binary(threshold(name), "-", _HALF), names.ANYTHING)
    burning = binary(vector(names.burn("3d")), ">", number(1))
    conditions = [binary(few, "<", needed, options.on_key), burning]
    description = (
        "{{ $value | humanize }} requests were bad in 3 days: more than the promise allows, and",
        " too few for the other alerts. ",
        words.share_bad("3d", options),
    )
    return Alert(
        name=name,
        expr=told(chain("and", conditions, options.on_key), options, ticket="true"),
        severity="warning",
        source="ours: what the guard hides must be seen somewhere",
        annotations=words.annotations(
            name, f"SLO {words.what()} fails a few of its few requests", description, options
        ),
        for_s=3600,
    )
