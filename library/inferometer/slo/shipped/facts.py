"""What alerts look at, recorded once: counts of requests, how slow they are, where servers are.

Counts are increases over 5 minutes, summed up for longer times as those of SLOs are. A place is
remembered for a day, since a server that is down tells nothing about itself.

A share above a bucket edge is exact, a quantile is a guess. So slow requests are counted above
edges, which stand here since each must be one.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from inferometer.slo import names
from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Matcher,
    Matching,
    Selector,
    aggregate,
    binary,
    call,
    chain,
    equal,
    number,
    vector,
    window,
)
from inferometer.slo.rule import Group, Rule
from inferometer.slo.rules import OVERLAP
from inferometer.slo.shipped.places import (
    DEPLOYMENTS,
    GPU_HOSTS,
    POD_OF_DEPLOYMENT,
    SERVERS,
    deployment_key,
    device_key,
    model_key,
    named_by,
    server_key,
)
from inferometer.slo.windows import DAY_S, SECONDS, SHORTEST

SERVING: Final = "inferometer-serving"
DEVICES: Final = "inferometer-gpu"

REQUESTS: Final = "inferometer:requests:increase5m"
UNANSWERED: Final = "inferometer:no_first_token:increase5m"
FINISHES: Final = "inferometer:finish_reasons:increase5m"
ABORTS: Final = "inferometer:aborts:increase5m"
SLOW: Final = "inferometer:slow_requests:increase10m"
TIMED: Final = "inferometer:timed_requests:increase10m"
MEAN: Final = "inferometer:replica_mean:seconds"

TTFT: Final = "gen_ai_server_time_to_first_token_seconds"
CENSORED: Final = "inferometer_time_to_first_token_censored_seconds"
TPOT: Final = "gen_ai_server_time_per_output_token_seconds"
GAP: Final = "inferometer_longest_gap_seconds"


class Edge(NamedTuple):
    """What is slow: a histogram, the upper edge of one of its buckets, and that as a pattern."""

    of: str
    metric: str
    seconds: Decimal
    pattern: str


EDGES: Final = (
    Edge("ttft", TTFT, Decimal("2.5"), r"2\.5"),
    Edge("tpot", TPOT, Decimal("0.2"), r"0\.2"),
    Edge("gap", GAP, Decimal(1), r"1(\.0)?"),  # Prometheus 3 writes 1 as 1.0
)
_WINDOW_S: Final = 600
_MANY: Final = number(10)
"""Requests that the mean of a replica is made of."""

_PEOPLE: Final = ("service", "owner")


def serving(options: Options) -> Group:
    """Return what is recorded for the alerts on requests and servers."""
    key = model_key(options)
    rules = (
        _increase(REQUESTS, "inferometer_requests_total", (*key, "stream", "outcome"), options),
        _increase(UNANSWERED, "inferometer_no_first_token_total", (*key, "reason"), options),
        _increase(FINISHES, "inferometer_finish_reasons_total", (*key, "finish"), options),
        *_aborts(options),
        *_slow(options),
        *_means(options),
        *_places(options),
    )
    return Group(SERVING, rules)


def devices(options: Options) -> Group:
    """Return what is recorded for the alerts on devices."""
    hosts = aggregate(
        "group", vector("inferometer_gpu_info"), by=(*device_key(options), "hostname")
    )
    return Group(DEVICES, (Rule(GPU_HOSTS, hosts),))


def counted(of: Selector, seconds: int, by: Sequence[str]) -> Expr:
    """Return how many there were in a time, of a recorded increase, by some labels."""
    if seconds == SECONDS[SHORTEST]:
        return aggregate("sum", vector(of), by=by)
    summed = call("sum_over_time", window(of, seconds))
    return binary(aggregate("sum", summed, by=by), "/", OVERLAP)


def _increase(record: str, metric: str, by: Sequence[str], options: Options) -> Rule:
    counter = window(options.counter(metric), SECONDS[SHORTEST])
    return Rule(record, aggregate("sum", call("increase", counter), by=by))


def _aborts(options: Options) -> Iterator[Rule]:
    """Yield the streams that clients closed, by whether they had had a token."""
    waited = vector(Selector(UNANSWERED, (equal("reason", "client_cancel"),)))
    streams = (equal("stream", "true"), equal("outcome", "client_cancel"))
    by = model_key(options)
    before = aggregate("sum", waited, by=by)
    left = aggregate("sum", vector(Selector(REQUESTS, streams)), by=by)
    after = binary(binary(left, "-", before), "or", left)
    yield Rule(ABORTS, before, (("when", "before"),))
    yield Rule(ABORTS, after, (("when", "after"),))


def _slow(options: Options) -> Iterator[Rule]:
    """Yield the requests above each edge, and all that were timed.

    Who left before a first token, and had waited longer than the edge, waited too long as well.
    """
    for edge in EDGES:
        above, every = _above(edge.metric, edge.pattern, options)
        if edge.metric == TTFT:
            given_up, _ = _above(CENSORED, edge.pattern, options)
            above, every = (
                chain("or", [binary(part, "+", given_up), part, given_up])
                for part in (above, every)
            )
        yield Rule(SLOW, above, (("of", edge.of),))
        yield Rule(TIMED, every, (("of", edge.of),))


def _above(metric: str, pattern: str, options: Options) -> tuple[Expr, Expr]:
    by = model_key(options)
    every = _rose(f"{metric}_count", by, options)
    below = _rose(f"{metric}_bucket", by, options, Matcher("le", "=~", pattern))
    return binary(every, "-", below), every


def _means(options: Options) -> Iterator[Rule]:
    """Yield the mean times of each replica that had enough requests to have one."""
    by = (*server_key(options), "model")
    for edge in EDGES:
        if edge.metric != GAP:
            many = binary(_rose(f"{edge.metric}_count", by, options), ">=", _MANY)
            mean = binary(_rose(f"{edge.metric}_sum", by, options), "/", many)
            yield Rule(MEAN, mean, (("of", edge.of),))


def _rose(metric: str, by: Sequence[str], options: Options, *matchers: Matcher) -> Expr:
    counter = window(options.counter(metric).where(*matchers), _WINDOW_S)
    return aggregate("sum", call("increase", counter), by=by)


def _places(options: Options) -> Iterator[Rule]:
    key = server_key(options)
    seen = call("last_over_time", window("inferometer_sidecar_info", DAY_S))
    promised = call("last_over_time", window(names.OBJECTIVE_SEEN, DAY_S))
    by_slo = aggregate("group", promised, by=(*key, "slo"))
    people = Matching(on=options.key, left=_PEOPLE)
    owned = binary(by_slo, "*", names.people(options), people)
    known = aggregate("group", owned, by=(*key, *_PEOPLE))
    unknown = aggregate("group", seen, by=key)
    yield Rule(SERVERS, binary(known, "or", unknown, Matching(on=key)))
    # Pods of nothing that is a Deployment get no such label, and match none below.
    named = named_by(vector(SERVERS), "deployment", "pod", POD_OF_DEPLOYMENT)
    by = (*deployment_key(options), *_PEOPLE)
    yield Rule(DEPLOYMENTS, aggregate("group", named, by=by))
