"""The alerts of SLOs as data: labels, severities, links, and who is told."""

import re

import pytest

from inferometer.slo.alerts import generic
from inferometer.slo.names import Options
from inferometer.slo.rule import Alert
from inferometer.slo.thresholds import THRESHOLDS

ALERTS = tuple(generic(Options(), (30,)).alerts)
NAMES = {
    "LLMSLOBurnFast": "critical",
    "LLMSLOBurnMedium": "critical",
    "LLMSLOBurnSlow": "warning",
    "LLMSLOBudgetDrain": "warning",
    "LLMSLOBudgetExhausted": "info",
    "LLMSLOTrickle": "warning",
    "LLMSLONoData": "warning",
    "LLMSLOInvalid": "warning",
    "LLMSLOWindowTruncated": "info",
}
by_name = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def test_these_are_all_and_each_has_one_severity() -> None:
    assert {alert.name: alert.severity for alert in ALERTS} == NAMES


def test_rules_of_the_same_name_are_told_apart_by_a_label() -> None:
    identities = [(alert.name, alert.labels) for alert in ALERTS]
    assert len(set(identities)) == len(identities)


def test_both_fast_rules_stand_beside_each_other() -> None:
    pairs = [dict(alert.labels).get("pair") for alert in ALERTS if alert.name == "LLMSLOBurnFast"]
    assert pairs == ["fast", "cliff"]


@by_name
def test_links_lead_to_the_runbook_and_to_the_board_of_the_slo(alert: Alert) -> None:
    texts = dict(alert.annotations)
    assert texts["runbook_url"] == f"alerts/runbooks/{alert.name}.md"
    assert texts["dashboard_url"].startswith(
        "/d/inferometer-slo?var-namespace={{ $labels.namespace"
    )
    assert list(texts) == ["summary", "description", "runbook_url", "dashboard_url"]


@by_name
def test_no_label_changes_while_an_alert_fires(alert: Alert) -> None:
    assert {"value", "reason"}.isdisjoint(dict(alert.labels))
    assert "{{" not in "".join(value for _, value in alert.labels)


@by_name
def test_templates_are_balanced_and_ask_only_for_the_slo_of_the_alert(alert: Alert) -> None:
    for _, text in alert.annotations:
        assert text.count("{{") == text.count("}}")
        opened = len(re.findall(r"\{\{ with ", text))
        assert opened == text.count("{{ end }}")
        for query, values in re.findall(r"printf `([^`]*)` ([^|]*)\|", text):
            assert query.count("%q") == len(values.split())


@by_name
def test_every_number_has_a_source(alert: Alert) -> None:
    assert alert.source


def test_thresholds_are_series_with_a_default() -> None:
    for name, threshold in THRESHOLDS.items():
        rules = [str(alert.expr) for alert in ALERTS if alert.name == name]
        series = f'max(inferometer:alert_threshold:value{{alert="{name}"}})'
        default = f"or vector({threshold.default})"
        assert any(series in expr and default in expr for expr in rules), name
        assert threshold.unit
        assert threshold.meaning
        assert threshold.source


def test_pages_wake_only_who_wants_them_and_need_enough_bad_requests() -> None:
    for alert in ALERTS:
        if alert.severity == "critical":
            assert 'inferometer:slo_info{page="true"}' in str(alert.expr)
            assert "inferometer:slo_min_bad:count - 0.5" in str(alert.expr)
            assert alert.keep_firing_for_s >= 300
        elif "slo_burn" in str(alert.expr):
            assert 'inferometer:slo_info{ticket="true"}' in str(alert.expr)
