"""SLOs that stand in for those of a user: their rules are the user's, their counters their own."""

from dataclasses import replace
from decimal import Decimal

import pytest

from inferometer.slo import constants
from inferometer.slo.document import Document, Foreign, GaugeSource, RatioSource, Slice
from inferometer.slo.names import Options
from inferometer.slo.proof.prove import Case, cases
from inferometer.slo.proof.standins import StandIn, kind
from support.slo_rules import Documents, chat, promised

SLICES = "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"
METRICS = """\
metrics:
  - name: histogram
    objective: 95
    histogram: {metric: 'v:t_seconds', threshold: 2.50s, where: {m: 'a"b\\c{{', bad: "\ufffd"}}
  - {name: in, objective: 99, ratio: {bad: 'r_total{code=~"5.."}', total: r_total}}
  - {name: beside, objective: 98, ratio: {good: ok_total, total: 'all_total{a="b"}'}}
"""


def of(case: Case, name: str) -> StandIn:
    return next(one for one in case.stand_ins if one.scenario.name == name)


def rules_of(document: Document, slo: str, as_id: str) -> list[str]:
    (group,) = constants.groups(document, Options())
    return [rule.expr.text for rule in group.recorded if dict(rule.labels)["slo"] in {slo, as_id}]


def test_the_constants_are_those_of_the_user(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99.5"), "s": SLICES}))
    for case, slo in zip(cases([document], 10), ("chat-all", "chat-s"), strict=True):
        one = of(case, "outage")
        ours = rules_of(document, slo, slo)
        theirs = rules_of(one.renamed(), slo, one.id)
        renamed = [text.replace(slo, one.id).replace('"llm"', '"prove"') for text in ours]
        assert theirs == renamed


def test_each_kind_of_metric_has_the_series_that_its_rules_ask_for(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99", more=", weight: token")}) + METRICS)
    tokens, histogram, inside, beside = cases([document], 10)
    series = dict(of(tokens, "outage").series(500))
    assert {name.partition("{")[0] for name in series} == {
        "inferometer_slo_requests_total",
        "inferometer_slo_tokens_total",
    }
    one = of(histogram, "outage")
    where = 'm="a\\"b\\\\c{{",inferometer_prove="s1-outage"'
    assert list(dict(one.series(500))) == [
        f'v:t_seconds_count{{{where},pod="a"}}',
        f'v:t_seconds_bucket{{{where},le="2.5",pod="a"}}',
        f'v:t_seconds_bucket{{{where},le="+Inf",pod="a"}}',
    ]
    assert list(dict(of(inside, "half").series(500))) == [
        'r_total{inferometer_prove="s2-half",inferometer_part="bad",pod="a"}',
        'r_total{inferometer_prove="s2-half",inferometer_part="good",pod="a"}',
    ]
    assert list(dict(of(beside, "half").series(500))) == [
        'ok_total{inferometer_prove="s3-half",inferometer_part="good",pod="a"}',
        'all_total{inferometer_prove="s3-half",pod="a"}',
    ]
    kinds = ["", "histogram", "ratio of bad in total", "ratio of good beside total"]
    assert [case.subject.kind for case in (tokens, histogram, inside, beside)] == kinds


def test_a_ledger_covers_the_whole_window(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}))
    (case,) = cases([document], 10)
    covered = dict(of(case, "retention-ledger").series(60))
    name = 'inferometer_slo_ledger_covered_seconds{namespace="prove",slo="s0-retention-ledger"}'
    assert covered[name] == "2592000x60"
    assert name not in dict(of(case, "retention").series(60))


@pytest.mark.req("SC-03")
def test_a_ledger_covers_of_a_month_what_has_passed_of_it(documents: Documents) -> None:
    """No ledger of a calendar's window can cover all of it before its end."""
    (document,) = documents(chat({"all": promised("99")}, rest="window: {calendar: month}"))
    (case,) = cases([document], 10)
    series = dict(of(case, "retention-ledger").series(60))
    key = '{namespace="prove",slo="s0-retention-ledger"}'
    covered, elapsed = (
        int(series[f"inferometer_slo_ledger_{what}_seconds{key}"].removesuffix("x60"))
        for what in ("covered", "elapsed")
    )
    assert covered == elapsed < 0.5 * case.subject.promise.window_s


def gauge(document: Document, operator: str) -> Foreign:
    assert operator in {"<", ">="}
    source = GaugeSource('t{a="b"}', "<" if operator == "<" else ">=", Decimal("0.5"))
    return replace(document.foreign[0], source=source, slice=Slice(300 * 10**9, Decimal(50)))


@pytest.mark.parametrize(("operator", "fine", "bad"), [("<", "-0.5", "1.5"), (">=", "1.5", "-0.5")])
def test_a_gauge_is_off_its_bound_while_most_is_bad(
    documents: Documents, operator: str, fine: str, bad: str
) -> None:
    (document,) = documents(chat({"all": promised("99")}) + METRICS)
    metric = gauge(document, operator)
    assert kind(metric) == "gauge"
    (case,) = cases([replace(document, classes=(), foreign=(metric,))], 10)
    assert dict(of(case, "outage").series(500)) == {
        't{inferometer_prove="s0-outage",pod="a"}': f"stale {fine}x369 {bad}x59 {fine}x59 stale"
    }
    (values,) = dict(of(case, "one-bad").series(310)).values()
    assert values == f"stale _x10 {bad} stale _x288 stale"
    one = of(case, "half")
    rules = rules_of(one.renamed(), one.id, one.id)
    assert any('t{inferometer_prove="s0-half"}' in text for text in rules)


def test_a_gauge_is_unseen_where_nobody_scrapes_and_before_it_is_born(
    documents: Documents,
) -> None:
    (document,) = documents(chat({"all": promised("99")}) + METRICS)
    (case,) = cases([replace(document, classes=(), foreign=(gauge(document, "<"),))], 10)
    lost = dict(of(case, "lost-scrapes").series(310))
    assert set(lost.values()) == {"stale -0.5x118 _x3 -0.5x177 stale"}
    gap = dict(of(case, "deploy-gap").series(310))
    assert "_x153 stale -0.5x146 stale" in gap.values()


def test_rules_of_foreign_metrics_ask_for_the_series_that_there_are(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}) + METRICS)
    for case in cases([document], 10)[1:]:
        one = of(case, "half")
        rules = " ".join(rules_of(one.renamed(), one.id, one.id))
        assert f'inferometer_prove="{one.id}"' in rules
        for metric in {name.partition("{")[0] for name in dict(one.series(10))}:
            assert f"{metric}{{" in rules


def test_a_threshold_is_written_as_its_bucket_is(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}) + METRICS.replace("2.50s", "10s"))
    histogram = cases([document], 10)[1]
    assert any('le="10"' in name for name in dict(of(histogram, "half").series(10)))


def test_a_name_that_must_be_quoted_stands_among_the_labels(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}) + METRICS)
    source = RatioSource(good=None, bad='{__name__="and"}', total='{__name__="and"}')
    metric = replace(document.foreign[1], source=source)
    (case,) = cases([replace(document, classes=(), foreign=(metric,))], 10)
    name = next(iter(dict(of(case, "half").series(500))))
    assert name.startswith('{__name__="and",inferometer_prove="s0-half"')
