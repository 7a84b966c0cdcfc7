"""What the rules of an SLO are made of, as expressions on the series that are scraped.

A document can so be tried on a Prometheus that has none of its rules: its classes by the counters
of the sidecars, foreign metrics and slices by the very expressions that `render` writes. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from inferometer.slo import constants, names
from inferometer.slo.document import Class, Document, Foreign
from inferometer.slo.ledger.book import Key
from inferometer.slo.names import Options
from inferometer.slo.promql import Expr, Matcher, Selector, aggregate, any_of, call, equal, window
from inferometer.slo.windows import SECONDS, SHORTEST

AT_ONCE_MAX: Final = 50
"""SLOs of one query: a day of minutes of each is 2 MB in all."""
_BY: Final = ("namespace", "slo")


class Group(NamedTuple):
    """SLOs that share their expressions, each the increase of 5 minutes.

    Series are told apart by `namespace` and `slo`; an expression without labels is of the only SLO.
    `requests` is the total in requests, whatever the weight.
    """

    keys: tuple[Key, ...]
    total: Expr
    bad: Expr
    bad_requests: Expr
    requests: Expr


def groups(documents: Sequence[Document], options: Options) -> Iterator[Group]:
    """Yield the SLOs of documents in groups, each SLO once."""
    counted: dict[str, list[Key]] = {"request": [], "token": []}
    for document in documents:
        for promise in document.classes:
            if promise.weight in counted:
                counted[promise.weight].append((document.namespace, promise.id))
    for weight, keys in counted.items():
        for start in range(0, len(keys), AT_ONCE_MAX):
            yield _of_counters(weight, tuple(keys[start : start + AT_ONCE_MAX]), options)
    for document in documents:
        recorded = _recorded(document, options)
        for one in document.promises:
            if not isinstance(one, Class) or one.weight not in counted:
                yield _of_rules(document, one, recorded, options)


def key_of(labels: Mapping[str, str], group: Group) -> Key | None:
    """Return which SLO of a group a series is of; None if of none."""
    if not {"namespace", "slo"} & labels.keys() and len(group.keys) == 1:
        return group.keys[0]
    key = (labels.get("namespace", ""), labels.get("slo", ""))
    return key if key in group.keys else None


def judged(options: Options, slos: Sequence[str], *, verdict: str = "") -> Selector:
    """Return the counters of requests of some SLOs: good and bad ones, or of one verdict."""
    counter = options.counter(names.REQUESTS)
    wanted = equal("verdict", verdict) if verdict else any_of("verdict", ("good", "bad"))
    return counter.where(any_of("slo", sorted(set(slos))), wanted, *_clusters(options))


def _clusters(options: Options) -> tuple[Matcher, ...]:
    return (any_of("cluster", options.clusters),) if options.clusters else ()


def _of_counters(weight: str, keys: tuple[Key, ...], options: Options) -> Group:
    slos = [slo for _, slo in keys]
    requests = _summed(judged(options, slos))
    bad_requests = _summed(judged(options, slos, verdict="bad"))
    if weight == "request":
        return Group(keys, requests, bad_requests, bad_requests, requests)
    tokens = options.counter(names.TOKENS)

    def of_tokens(like: Selector) -> Expr:
        return _summed(tokens.where(*(m for m in like.matchers if m.label != "vantage")))

    total = of_tokens(judged(options, slos))
    bad = of_tokens(judged(options, slos, verdict="bad"))
    return Group(keys, total, bad, bad_requests, requests)


def _summed(selector: Selector) -> Expr:
    increases = call("increase", window(selector, SECONDS[SHORTEST]))
    return aggregate("sum", increases, by=_BY)


def _recorded(document: Document, options: Options) -> Mapping[tuple[str, str], Expr]:
    """Return what a document's own rules record, by name and SLO."""
    found: dict[tuple[str, str], Expr] = {}
    for group in constants.groups(document, options):
        for rule in group.recorded:
            found[rule.record, dict(rule.labels).get("slo", "")] = rule.expr
    return found


def _of_rules(
    document: Document,
    one: Class | Foreign,
    recorded: Mapping[tuple[str, str], Expr],
    options: Options,
) -> Group:
    total = recorded[names.total(SHORTEST), one.id]
    bad = recorded[names.bad(SHORTEST), one.id]
    key = (document.namespace, one.id)
    if isinstance(one, Foreign):
        if one.slice is None:
            return Group((key,), total, bad, bad, total)
        cluster = options.clusters[0] if options.clusters else ""
        events = constants.requests(one, cluster)
        return Group((key,), total, bad, recorded[names.BAD_REQUESTS, one.id], events)
    where = equal("namespace", document.namespace)
    requests = judged(options, [names.counted(one)]).where(where)
    counted = aggregate("sum", call("increase", window(requests, SECONDS[SHORTEST])))
    return Group((key,), total, bad, recorded[names.BAD_REQUESTS, one.id], counted)
