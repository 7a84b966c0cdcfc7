"""What only a Prometheus knows about documents: their traffic, their history, their series.

E09 an alert that cannot come, E14 a namespace that nobody has; W02 a budget of a few events, W03 a
window that nobody sums up, W04 a promise that would not have been kept, W07 requests that no class
takes, W08 a scrape that is too rare, W11 a sidecar that judges by another objective. What foreign
metrics lack is found by `strangers`, alerts that should be an SLO by `quantiles`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from inferometer.errors import Place, Problem
from inferometer.prom.client import Client, Runtime
from inferometer.slo import inputs, known, names
from inferometer.slo.check import NEEDS_LEDGER
from inferometer.slo.document import Class, Document, Foreign
from inferometer.slo.guard import CANNOT_FIRE
from inferometer.slo.ledger.book import Key
from inferometer.slo.names import Options
from inferometer.slo.online import quantiles, strangers
from inferometer.slo.online.asking import Asking, number
from inferometer.slo.online.marginals import unkept
from inferometer.slo.online.scrapes import rare
from inferometer.slo.online.traffic import Traffic, traffic
from inferometer.slo.promql import Selector, aggregate, any_of, binary, call, vector, window
from inferometer.slo.promql import number as literal
from inferometer.slo.shown import many, percent, span
from inferometer.slo.silence import SAME_OBJECTIVE
from inferometer.slo.windows import DAY_S, PAIRS, SECONDS, length_s, summed_by_rules

OTHER_NAMESPACE: Final = "E14"
FEW_EVENTS: Final = "W02"
NOT_KEPT: Final = "W04"
UNMATCHED: Final = "W07"
OTHER_OBJECTIVE: Final = "W11"

EVENTS_MIN: Final = 10
"""A budget of fewer events is a matter of chance."""
UNMATCHED_MAX: Final = Decimal("0.05")
WEEK_S: Final = 7 * DAY_S


class Found(NamedTuple):
    """What was found. `unknown` are SLOs of which there is too little to say anything.

    `ledgers` are the places of windows that need a ledger and have one, `busy` those of SLOs whose
    traffic is known.
    """

    problems: tuple[Problem, ...]
    unknown: tuple[Key, ...]
    ledgers: frozenset[Place]
    busy: frozenset[Place] = frozenset()


@dataclass(frozen=True, slots=True)
class _One:
    """One SLO, its document, and what it has seen."""

    document: Document
    slo: Class | Foreign
    seen: Traffic

    @property
    def key(self) -> Key:
        """Return namespace and id."""
        return self.document.namespace, self.slo.id


def look(documents: Sequence[Document], client: Client, options: Options) -> Found:
    """Return what a Prometheus tells about documents. Raises PrometheusError."""
    at_s, runtime = client.now_s(), client.runtime()
    seen = traffic(client, tuple(inputs.groups(documents, options)), at_s)
    every = [
        _One(document, slo, seen[document.namespace, slo.id])
        for document in documents
        for slo in document.promises
    ]
    asking = Asking(client, tuple(one.key for one in every), at_s, "".join(options.clusters[:1]))
    covered = asking.numbers([vector(one) for one in asking.selectors(names.COVERED)])
    ledger = {key for key, known in covered.items() if number(known) is not None}
    found = [
        *_of_traffic(every),
        *_of_history(every, runtime, ledger),
        *_of_objectives(every, asking),
        *_of_namespaces(every, asking, options),
        *_of_unmatched(documents, asking, options),
        *strangers.problems(documents, client),
        *quantiles.problems(client),
        *rare(documents, client, options),
        *unkept([(o.document, o.slo) for o in every if not o.seen.known_s], client, options),
    ]
    places = {one.document.window.place or one.document.place for one in every if one.key in ledger}
    unknown = tuple(one.key for one in every if not one.seen.is_known)
    busy = {one.slo.place for one in every if one.seen.is_known and one.seen.total > 0}
    return Found(tuple(sorted(found)), unknown, frozenset(places), frozenset(busy))


def _of_traffic(every: Sequence[_One]) -> Iterator[Problem]:
    for one in every:
        if one.seen.is_known:
            yield from _few(one)
            yield from _kept(one)


def _few(one: _One) -> Iterator[Problem]:
    """Yield what too little traffic keeps from working."""
    place, window_s = one.slo.place, length_s(one.document.window)
    if one.seen.total <= 0:
        message = f"{one.slo.id!r} had no traffic in {span(one.seen.known_s)}"
        yield Problem(place, message, "does it match what clients send?", FEW_EVENTS)
        return
    budget = one.seen.expected(window_s) * (1 - one.slo.objective / 100)
    if budget < EVENTS_MIN:
        message = f"{one.slo.id!r} may have {budget:.1f} bad events in {span(window_s)}"
        hint = "at present traffic; a lower objective or a longer window makes it less a game"
        yield Problem(place, message, hint, FEW_EVENTS)
    wishes = {"critical": one.document.alerts.page, "warning": one.document.alerts.ticket}
    wanted, min_bad = [pair for pair in PAIRS if wishes[pair.severity]], one.document.alerts.min_bad
    deaf = [pair for pair in wanted if one.seen.expected_requests(SECONDS[pair.long]) < min_bad]
    if deaf:
        told = ", ".join(f"{pair.name} ({pair.long})" for pair in deaf)
        message = f"{one.slo.id!r} has too little traffic for alerts: {told}"
        most = int(one.seen.expected_requests(SECONDS[deaf[0].long]))
        hint = f"they need {many(min_bad, 'bad request')}, at present traffic the first sees {most}"
        yield Problem(place, message, f"{hint}: lower alerts.min_bad", CANNOT_FIRE)


def _kept(one: _One) -> Iterator[Problem]:
    """Yield a promise that the last week did not keep."""
    seen, objective = one.seen, one.slo.objective / 100
    if seen.total <= 0 or seen.bad is None:
        return
    attained = 1 - min(max(seen.bad, Decimal(0)), seen.total) / seen.total
    if attained < objective:
        message = f"{one.slo.id!r} would not have kept its promise: {percent(attained)} were good"
        hint = f"in the last {span(seen.known_s)}, promised are {percent(objective)}"
        yield Problem(one.slo.place, message, hint, NOT_KEPT)


def _of_history(every: Sequence[_One], runtime: Runtime, ledger: set[Key]) -> Iterator[Problem]:
    """Yield windows that are longer than what Prometheus keeps, once for each document."""
    told = set()
    for one in every:
        document, kept_s = one.document, runtime.retention_s
        if kept_s is None or one.key in ledger or document.place in told:
            continue
        if summed_by_rules(document.window) and length_s(document.window) > kept_s:
            told.add(document.place)
            length = span(length_s(document.window))
            message = f"the window of {length} is longer than Prometheus keeps: {span(kept_s)}"
            hint = "raise the retention, or run `inferometer slo ledger`"
            place = document.window.place or document.place
            yield Problem(place, message, hint, NEEDS_LEDGER)


def _of_objectives(every: Sequence[_One], asking: Asking) -> Iterator[Problem]:
    """Yield classes that a sidecar judges by another objective."""
    by_key = {one.key: one for one in every if isinstance(one.slo, Class)}
    seen: dict[Key, set[Decimal]] = {}
    for labels, value, _ in asking.samples(
        [vector(one) for one in asking.selectors(names.OBJECTIVE_SEEN)]
    ):
        key = (labels.get("namespace", ""), labels.get("slo", ""))
        seen.setdefault(key, set()).add(Decimal(repr(value)))
    for key, one in by_key.items():
        promised = one.slo.objective / 100
        others = {n for n in seen.get(key, set()) if abs(n - promised) > SAME_OBJECTIVE}
        if others:
            words = ", ".join(percent(n) for n in sorted(others))
            message = f"sidecars judge {one.slo.id!r} by {words}, promised are {percent(promised)}"
            yield Problem(one.slo.place, message, "give them this document", OTHER_OBJECTIVE)


def _of_namespaces(every: Sequence[_One], asking: Asking, options: Options) -> Iterator[Problem]:
    """Yield documents whose namespace no series of their SLOs has: no rule would find them."""
    classes = [one for one in every if isinstance(one.slo, Class)]
    homes: dict[str, set[str]] = {}
    ids = [names.counted(one.slo) for one in classes]
    for start in range(0, len(ids), inputs.AT_ONCE_MAX):
        some = inputs.judged(options, ids[start : start + inputs.AT_ONCE_MAX])
        counted = aggregate("count", vector(some), by=("namespace", "slo"))
        for labels, _, _ in asking.samples([counted]):
            homes.setdefault(labels.get("slo", ""), set()).add(labels.get("namespace", ""))
    for one, slo in zip(classes, ids, strict=True):
        found = homes.get(slo, set())
        if found and one.document.namespace not in found:
            told = ", ".join(repr(name) if name else "none" for name in sorted(found))
            ours = repr(one.document.namespace) if one.document.namespace else "none"
            message = f"the namespace of {one.slo.id!r} is {ours}, its series have {told}"
            hint = "metadata.namespace must be the label that the scraped pods have"
            yield Problem(one.document.place, message, hint, OTHER_NAMESPACE)


def _of_unmatched(
    documents: Sequence[Document], asking: Asking, options: Options
) -> Iterator[Problem]:
    """Yield documents that leave many requests without a class."""
    named = [one for one in documents if one.classes]
    lost = _by_document(named, asking, options)
    for document in named:
        left = lost.get((document.namespace, document.name), Decimal(0))
        if left <= 0:
            continue
        taken = _taken(document, asking, options)
        share = left / (left + taken)
        if share > UNMATCHED_MAX:
            message = f"no class of {document.name!r} takes {percent(share, 1)} of the requests"
            hint = "in the last week: they count nowhere; add a class that takes the rest"
            yield Problem(document.place, message, hint, UNMATCHED)


def _by_document(
    documents: Sequence[Document], asking: Asking, options: Options
) -> Mapping[Key, Decimal]:
    found: dict[Key, Decimal] = {}
    for start in range(0, len(documents), inputs.AT_ONCE_MAX):
        some = any_of("document", [d.name for d in documents[start : start + inputs.AT_ONCE_MAX]])
        counter = options.counter("inferometer_slo_unmatched_total")
        chosen = Selector(counter.metric, (*counter.matchers, some, *asking.where()))
        increase = call("increase", window(chosen, WEEK_S))
        summed = aggregate("sum", increase, by=("namespace", "document"))
        for labels, value, _ in asking.samples([binary(summed, ">", literal(0))]):
            key = (labels.get("namespace", ""), labels.get("document", ""))
            found[key] = Decimal(repr(value))
    return found


def _taken(document: Document, asking: Asking, options: Options) -> Decimal:
    """Return the requests that the classes of a document took in the last week, of any verdict."""
    ids = [names.counted(one) for one in document.classes]
    counter = options.counter(names.REQUESTS)
    chosen = counter.where(any_of("slo", ids), *asking.where())
    summed = aggregate("sum", call("increase", window(chosen, WEEK_S)), by=("namespace",))
    return sum(
        (
            Decimal(repr(value))
            for labels, value, _ in asking.samples([summed])
            if labels.get("namespace", "") == document.namespace
        ),
        Decimal(0),
    )


def settled(offline: Sequence[Problem], found: Found) -> tuple[Problem, ...]:
    """Return all problems together, without those that the Prometheus knows better.

    That a window needs a ledger is no news where there is one; requests were counted, and metrics
    looked up there.
    """
    kept = [
        one
        for one in offline
        if not (one.code == NEEDS_LEDGER and one.place in found.ledgers)
        and not (one.code == CANNOT_FIRE and one.place in found.busy)
        and one.code not in known.CODES
    ]
    return tuple(sorted((*kept, *found.problems)))
