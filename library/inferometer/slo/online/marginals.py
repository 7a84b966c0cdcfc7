"""Promises that nobody counts yet, held against the histograms that sidecars already show.

A histogram knows one condition at a time, so it can only say that a promise would have been broken:
if fewer requests met one condition than must meet all of them. Classes of tenants, routes or
headers are left out, since no histogram knows those.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from inferometer.errors import Problem
from inferometer.metrics.ladders import FIRST, LENGTH, TOKEN
from inferometer.metrics.metric import SAME_EDGE
from inferometer.prom.client import Client
from inferometer.slo.constants import le_regex
from inferometer.slo.document import SECOND_NS, Class, Document, Foreign
from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Matcher,
    Selector,
    aggregate,
    binary,
    call,
    equal,
    number,
    regex,
    window,
)
from inferometer.slo.shown import percent
from inferometer.slo.windows import DAY_S

NOT_KEPT: Final = "W04"
LOOKED_S: Final = 7 * DAY_S
_HISTOGRAMS: Final = {
    "ttft": ("gen_ai_server_time_to_first_token_seconds", FIRST),
    "tpot": ("gen_ai_server_time_per_output_token_seconds", TOKEN),
    "e2e": ("gen_ai_server_request_duration_seconds", LENGTH),
}


def unkept(
    slos: Sequence[tuple[Document, Class | Foreign]], client: Client, options: Options
) -> Iterator[Problem]:
    """Yield classes that the last week would have broken. Raises PrometheusError."""
    for document, one in slos:
        if not isinstance(one, Class) or one.match.tenant or one.match.route or one.match.header:
            continue
        for name, limit_s in _limits(one):
            share = _share(name, limit_s, (document, one), (client, options))
            if share is not None and share < one.objective / 100:
                message = f"{one.id!r} would not have kept its promise: {name} within"
                message = f"{message} {limit_s.normalize():f} s held for {percent(share)}"
                hint = f"in the last 7 d, promised are {percent(one.objective / 100)}"
                yield Problem(one.place, message, hint, NOT_KEPT)


def _limits(one: Class) -> Iterator[tuple[str, Decimal]]:
    """Yield the limits that stand on a bucket edge and do not grow with the prompt."""
    good = one.good
    stated = {
        "ttft": good.ttft.base_ns
        if good.ttft and not good.ttft.per_1k_prompt_tokens_ns and not good.ttft.from_body
        else None,
        "tpot": good.tpot_ns,
        "e2e": good.e2e.limit_ns if good.e2e and not good.e2e.from_body else None,
    }
    for name, limit_ns in stated.items():
        edges = _HISTOGRAMS[name][1].edges
        if limit_ns and any(abs(edge - limit_ns / SECOND_NS) <= SAME_EDGE for edge in edges):
            yield name, Decimal(limit_ns) / SECOND_NS


def _share(
    name: str,
    limit_s: Decimal,
    of: tuple[Document, Class],
    ask: tuple[Client, Options],
) -> Decimal | None:
    """Return the share of requests within a limit; None where there is nothing to go by."""
    metric, (client, options) = _HISTOGRAMS[name][0], ask
    where = tuple(_where(*of, options))
    edge = Matcher("le", "=~", le_regex(limit_s))
    within, every = (
        aggregate("sum", call("increase", window(one, LOOKED_S)))
        for one in (
            Selector(f"{metric}_bucket", (*where, edge)),
            Selector(f"{metric}_count", where),
        )
    )
    result = client.instant(str(binary(within, "/", binary(every, ">", number(0)))))
    shares = [Decimal(repr(series.last.value)) for series in result.series]
    return shares[0] if shares and shares[0].is_finite() else None


def _where(document: Document, one: Class, options: Options) -> Iterator[Matcher]:
    yield equal("vantage", options.vantage)
    if document.namespace:
        yield equal("namespace", document.namespace)
    if one.match.model:
        patterns = (".*".join(map(regex, text.split("*"))) for text in one.match.model)
        yield Matcher("model", "=~", "|".join(patterns))
    if one.match.stream is not None:
        yield equal("stream", str(one.match.stream).lower())
