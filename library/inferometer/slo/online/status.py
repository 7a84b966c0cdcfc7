"""How SLOs stand: attainment, budget, burn, how long it lasts, and whether that can be believed.

Everything that is asked for is in the recorded series; the ledger's own book wins where it is at
hand, since it reaches further back. What is not known stays a Hold until it is shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from inferometer.prom.answer import Answer, Hold, Value, fresh
from inferometer.prom.client import Client
from inferometer.slo import budget, names
from inferometer.slo.document import Class, Document, Foreign
from inferometer.slo.ledger.book import Key
from inferometer.slo.ledger.ledger import Standing, Subject, elapsed_s, subjects
from inferometer.slo.online.asking import Asking, number
from inferometer.slo.promql import (
    Expr,
    aggregate,
    binary,
    call,
    vector,
    window,
)
from inferometer.slo.promql import number as literal
from inferometer.slo.rule import EVALUATION_S
from inferometer.slo.silence import COVERED_ENOUGH, EMPTY_S, SAME_OBJECTIVE
from inferometer.slo.windows import SECONDS, SHORTEST, length_s, summed_by_rules

State = Literal[
    "ok",
    "idle",
    "partial",
    "no ledger",
    "no budget",
    "no traffic",
    "no data",
    "stale",
    "no rules",
    "other objective",
]
REASON_WINDOW: Final = "3d"
"""How far back the worst reason is looked for: as far as any alert looks."""
AGE_MAX_S: Final = 150.0
"""Rules are evaluated each minute; Prometheus shows their last value for five."""
BROKEN: Final[frozenset[State]] = frozenset(
    {"no budget", "no data", "stale", "no rules", "other objective"}
)
"""States in which an alert or a budget could not be believed, or would never come."""
WORKS: Final[frozenset[State]] = frozenset({"ok", "idle", "partial"})


class History(NamedTuple):
    """How far back a Prometheus reaches; None where it does not tell."""

    retention_s: float | None
    oldest_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How one SLO stands.

    Of its window `elapsed_s` have passed, and `known_s` of them were counted. `reason` is "" for
    none.
    """

    key: Key
    objective: Decimal
    window_s: int
    elapsed_s: int
    attainment: Answer
    remaining: Answer
    burn_1h: Answer
    burn_6h: Answer
    exhaustion_s: Answer
    reason: str
    known_s: int
    state: State
    rendered: Decimal | None
    by_ledger: bool
    definition_since: date | None

    @property
    def fails(self) -> bool:
        """Tell whether somebody has to act: the budget is gone, or nobody would know if it was."""
        left = number(self.remaining)
        return self.state in BROKEN or (left is not None and left <= 0)


def history(client: Client) -> History:
    """Return how far back a Prometheus reaches. Raises PrometheusError."""
    lowest = binary(vector("prometheus_tsdb_lowest_timestamp_seconds"), "<", literal(EMPTY_S))
    found = client.instant(str(aggregate("max", lowest))).series
    return History(client.runtime().retention_s, found[0].last.value if found else None)


def statuses(
    documents: Sequence[Document],
    client: Client,
    *,
    ledger: Mapping[Key, Standing] | None = None,
    cluster: str = "",
) -> tuple[Status, ...]:
    """Return how each SLO stands, in the order of the documents. Raises PrometheusError."""
    keys = tuple((one.namespace, slo.id) for one in documents for slo in one.promises)
    asking = Asking(client, keys, client.now_s(), cluster)
    seen = _look(asking, documents)
    promises = [(document, one) for document in documents for one in document.promises]
    return tuple(
        _status(document, one, seen, (subject, (ledger or {}).get(subject.key)))
        for (document, one), subject in zip(promises, subjects(documents), strict=True)
    )


class _Seen(NamedTuple):
    """What Prometheus knows, by SLO."""

    at_s: float
    objective: Mapping[Key, Answer]
    now: Mapping[Key, Answer]
    recorded_at: Mapping[Key, Answer]
    lately: Mapping[Key, Answer]
    error: Mapping[Key, Answer]
    remaining: Mapping[Key, Answer]
    burn_1h: Mapping[Key, Answer]
    burn_6h: Mapping[Key, Answer]
    minutes: Mapping[Key, Answer]
    covered: Mapping[Key, Answer]
    reasons: Mapping[Key, str]


def _look(asking: Asking, documents: Sequence[Document]) -> _Seen:
    def present(metric: str) -> Mapping[Key, Answer]:
        return asking.numbers([vector(one) for one in asking.selectors(metric)])

    minutes: dict[Key, Answer] = {}
    for days, some in _by_length(documents).items():
        theirs = Asking(asking.client, some, asking.at_s, asking.cluster)
        minutes |= theirs.numbers(
            [
                call("count_over_time", window(one, days))
                for one in theirs.selectors(names.total(SHORTEST))
            ]
        )
    return _Seen(
        at_s=asking.at_s,
        objective=present(names.OBJECTIVE),
        now=present(names.total(SHORTEST)),
        recorded_at=asking.numbers(
            [call("timestamp", vector(one)) for one in asking.selectors(names.total(SHORTEST))]
        ),
        lately=present(names.total(REASON_WINDOW)),
        error=present(names.ERROR),
        remaining=present(names.REMAINING),
        burn_1h=present(names.burn("1h")),
        burn_6h=present(names.burn("6h")),
        minutes=minutes,
        covered=present(names.COVERED),
        reasons=_reasons(asking),
    )


def _by_length(documents: Sequence[Document]) -> Mapping[int, tuple[Key, ...]]:
    """Return the SLOs by the length of their window in seconds."""
    found: dict[int, tuple[Key, ...]] = {}
    for one in documents:
        keys = tuple((one.namespace, slo.id) for slo in one.promises)
        length = length_s(one.window)
        found[length] = found.get(length, ()) + keys
    return found


def _reasons(asking: Asking) -> Mapping[Key, str]:
    """Return what was worst lately, of SLOs that tell reasons and had something bad."""
    found: dict[Key, tuple[float, str]] = {}
    for labels, value, _ in asking.samples(_reason_exprs(asking)):
        key = (labels.get("namespace", ""), labels.get("slo", ""))
        if value > found.get(key, (0.0, ""))[0]:
            found[key] = value, labels.get("reason", "")
    return {key: reason for key, (_, reason) in found.items()}


def _reason_exprs(asking: Asking) -> Iterator[Expr]:
    for one in asking.selectors(names.BAD_REASON):
        counted = call("sum_over_time", window(one, SECONDS[REASON_WINDOW]))
        by_reason = aggregate("sum", counted, by=("namespace", "slo", "reason"))
        yield binary(by_reason, ">", literal(0))


def _status(
    document: Document,
    one: Class | Foreign,
    seen: _Seen,
    kept: tuple[Subject, Standing | None],
) -> Status:
    (subject, by_ledger), key, objective = kept, (document.namespace, one.id), one.objective / 100
    window_s, over_s = length_s(document.window), elapsed_s(subject, seen.at_s)
    attained, left, known_s = _budget(document, key, objective, seen)
    if by_ledger is not None:
        attained, left, known_s = by_ledger.attainment, by_ledger.remaining, by_ledger.covered_s
    burn_6h = _of_traffic(seen.burn_6h[key], seen.now[key])
    has_ledger = by_ledger is not None or isinstance(seen.covered[key], Value)
    state = _state(key, objective, seen, is_short=known_s < COVERED_ENOUGH * over_s)
    if state in WORKS and not (has_ledger or summed_by_rules(document.window)):
        state = "no ledger"
    elif state in WORKS and summed_by_rules(document.window) and _is_lost(left, seen.now[key]):
        state = "no budget"
    return Status(
        key=key,
        objective=objective,
        window_s=window_s,
        elapsed_s=over_s,
        attainment=attained,
        remaining=left,
        burn_1h=_of_traffic(seen.burn_1h[key], seen.now[key]),
        burn_6h=burn_6h,
        exhaustion_s=budget.exhaustion_s(left, burn_6h, window_s=window_s),
        reason=seen.reasons.get(key, ""),
        known_s=min(known_s, over_s),
        state=state,
        rendered=number(seen.objective[key]),
        by_ledger=has_ledger,
        definition_since=by_ledger.definition_since if by_ledger else None,
    )


def _budget(
    document: Document, key: Key, objective: Decimal, seen: _Seen
) -> tuple[Answer, Answer, int]:
    """Return attainment, budget left and seconds that are known, from the recorded series.

    Where an exported ledger wins over the rules, attainment follows from its budget.
    """
    minutes, covered = number(seen.minutes[key]), number(seen.covered[key])
    known_s = int(minutes or 0) * EVALUATION_S
    left, error = _of_traffic(seen.remaining[key], seen.now[key]), number(seen.error[key])
    if covered is not None and isinstance(left, Value):
        share = 1 - (1 - left.number) * (1 - objective)
        return Value(min(max(share, Decimal(0)), Decimal(1)), left.at_s), left, int(covered)
    if error is not None and summed_by_rules(document.window):
        return Value(1 - error, seen.at_s), left, known_s
    lacking = Hold("no_data", "its window needs the ledger")
    unknown = left if isinstance(left, Hold) and summed_by_rules(document.window) else lacking
    return unknown, unknown, known_s


def _of_traffic(found: Answer, now: Answer) -> Answer:
    """Return `no_traffic` for what is absent while zeros are counted: nothing is divided by 0."""
    if isinstance(found, Hold) and number(now) == 0:
        return Hold("no_traffic")
    return found


def _is_lost(left: Answer, now: Answer) -> bool:
    """Tell whether there is traffic and no budget: no rule sums up the window."""
    lacking = isinstance(left, Hold) and left.reason != "no_traffic"
    return lacking and (number(now) or 0) > 0


def _state(key: Key, objective: Decimal, seen: _Seen, *, is_short: bool) -> State:
    fault, now = _fault(key, objective, seen), number(seen.now[key]) or 0
    if fault is not None:
        return fault
    if now <= 0 and not number(seen.lately[key]):
        return "no traffic"
    if is_short:
        return "partial"
    return "ok" if now > 0 else "idle"


def _fault(key: Key, objective: Decimal, seen: _Seen) -> State | None:
    """Return why nothing that is told of an SLO could be believed; None if it can."""
    rendered = number(seen.objective[key])
    if rendered is None:
        return "no rules"
    if abs(rendered - objective) > SAME_OBJECTIVE:
        return "other objective"
    if number(seen.now[key]) is None:
        return "no data"
    return None if _is_fresh(seen.recorded_at[key], seen.at_s) else "stale"


def _is_fresh(recorded_at: Answer, now_s: float) -> bool:
    moment = number(recorded_at)
    if moment is None:
        return False
    known = Value(moment, float(moment))
    return isinstance(fresh(known, now_s=now_s, age_max_s=AGE_MAX_S), Value)
