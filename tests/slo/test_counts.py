"""What an SLO counts, as the formats of others are told."""

from decimal import Decimal

from inferometer.slo.counts import counts
from inferometer.slo.names import Options
from support.slo_rules import Documents, chat, promised

METRICS = """
metrics:
  - {name: ratio, objective: 99, ratio: {good: 'm{a="b"}', total: m}}
  - {name: bad, objective: 99, ratio: {bad: n, total: m}}
  - {name: slow, objective: 99, histogram: {metric: h, threshold: 2.5s, where: {x: '"}'}}}
  - {name: full, objective: 99, gauge: {metric: g, below: 1}, slice: {length: 5m, good_share: 9}}
"""
TOKENS = "objective: 99, weight: token, match: {tenant: t}, good: {e2e: 1s}"
SLICES = "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"


def test_each_kind_of_promise_counts_its_own(documents: Documents) -> None:
    text = chat({"all": promised("99", tenant="x"), "tokens": TOKENS, "slices": SLICES}) + METRICS
    (document,) = documents(text)
    told = {one.name: counts(document, one, Options()) for one in document.promises}
    ours = 'vantage="sidecar",namespace="llm",slo="chat-'
    assert told["all"]
    assert str(told["all"].bad) == f'inferometer_slo_requests_total{{{ours}all",verdict="bad"}}'
    assert str(told["all"].total).endswith('verdict=~"good|bad"}')
    assert told["tokens"]
    assert str(told["tokens"].bad).startswith("inferometer_slo_tokens_total{")
    assert told["slices"]
    assert 'slo="chat-slices--requests"' in str(told["slices"].total)
    assert told["ratio"]
    assert (str(told["ratio"].good), told["ratio"].bad) == ('m{a="b"}', None)
    assert told["bad"]
    assert (str(told["bad"].bad), told["bad"].good) == ("n", None)
    assert told["slow"]
    assert str(told["slow"].good) == r'h_bucket{x="\"}",le=~"2\\.5"}'
    assert told["slow"].edge == Decimal("2.5")
    assert told["full"] is None


def test_clusters_are_counted_together(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}) + METRICS)
    for one in document.promises:
        counted = counts(document, one, Options(clusters=("eu", "u.s")))
        for chosen in (counted.total, counted.bad, counted.good) if counted else ():
            assert chosen is None or r'cluster=~"eu|u\\.s"' in str(chosen)
