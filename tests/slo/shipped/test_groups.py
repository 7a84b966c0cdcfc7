"""Shipped rules as data: what they name, what they say, and that the files are fresh and load."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from inferometer.metrics.catalog import METRICS
from inferometer.metrics.ladders import FIRST, GAP, OVERHEAD, TOKEN
from inferometer.slo.names import Options
from inferometer.slo.render import Target, shipped
from inferometer.slo.rule import Alert, Group, Rule
from inferometer.slo.shipped.addon import OVERHEAD_EDGE
from inferometer.slo.shipped.facts import EDGES
from inferometer.slo.shipped.groups import gpus, serving
from inferometer.slo.shipped.strangers import STRANGERS
from support.promtool import Promtool
from support.runbooks import family, path_of, selectors
from support.tree import ROOT

PLAIN: Final = Options()
CLUSTERS: Final = Options(vantage='"}', clusters=("eu", '"} or vector(1)'))
GROUPS: Final = (*serving(PLAIN), *gpus(PLAIN))
ALERTS: Final = [
    pytest.param(alert, id=f"{alert.name}-{'-'.join(value for _, value in alert.labels)}")
    for group in GROUPS
    for alert in group.alerts
]
each = pytest.mark.parametrize("alert", ALERTS)


def rules(groups: tuple[Group, ...]) -> list[Rule | Alert]:
    return [rule for group in groups for rule in group.rules]


@pytest.mark.parametrize("options", [PLAIN, CLUSTERS], ids=["plain", "clusters"])
def test_every_expression_parses_and_names_only_what_exists(options: Options) -> None:
    found = rules((*serving(options), *gpus(options)))
    recorded = {rule.record for rule in found if isinstance(rule, Rule)}
    assert recorded <= METRICS.keys()
    for rule in found:
        for name, matchers in selectors(str(rule.expr)):
            metric = METRICS.get(name) or METRICS.get(family(name))
            assert metric or name in STRANGERS, name
            labels = metric.labels if metric else STRANGERS[name].labels
            assert matchers.keys() <= {*labels, "le"}, (name, matchers)


def test_only_values_of_closed_labels_are_asked_for() -> None:
    """A value that no label has makes a rule that can never be true."""
    for rule in rules(GROUPS):
        for name, matchers in selectors(str(rule.expr)):
            metric = METRICS.get(name) or METRICS.get(family(name))
            closed = {} if metric is None else {one.name: one for one in metric.domains}
            for label, pattern in matchers.items():
                known = closed.get(label)
                if known is not None and known.values and not known.open_max:
                    wanted = pattern.split("|") if "*" not in pattern else []
                    assert set(wanted) <= set(known.values), (name, label, pattern)


def test_each_cluster_is_looked_at_apart() -> None:
    for rule in rules((*serving(CLUSTERS), *gpus(CLUSTERS))):
        for by in re.findall(r"(?: by| on) \(([^)]+)\)", str(rule.expr)):
            assert "cluster" in by, rule


def test_a_rule_comes_after_those_that_it_reads() -> None:
    seen: set[str] = set()
    made = {rule.record for rule in rules(GROUPS) if isinstance(rule, Rule)}
    for rule in rules(GROUPS):
        needs = {name for name, _ in selectors(str(rule.expr))} & made
        assert needs <= seen
        if isinstance(rule, Rule):
            seen.add(rule.record)


def test_edges_are_edges_of_their_ladders() -> None:
    ladders = {"ttft": FIRST, "tpot": TOKEN, "gap": GAP}
    for edge in EDGES:
        assert float(edge.seconds) in ladders[edge.of].edges
        spelt = {str(edge.seconds), str(float(edge.seconds))}
        assert {text for text in spelt if re.fullmatch(edge.pattern, text)} == spelt
    assert [one for one in OVERHEAD.edges if re.fullmatch(OVERHEAD_EDGE, str(one))] == [0.005]


@each
def test_no_label_of_an_alert_changes_while_it_fires(alert: Alert) -> None:
    assert "{{" not in "".join(value for _, value in alert.labels)
    assert "value" not in dict(alert.labels)


@each
def test_an_alert_says_what_happens_and_where_to_look(alert: Alert) -> None:
    texts = dict(alert.annotations)
    assert list(texts) == ["summary", "description", "runbook_url", "dashboard_url"]
    for text in texts.values():
        assert text.count("{{") == text.count("}}")
        assert text.count("{{ with ") == text.count("{{ end }}")
    assert not texts["summary"].endswith(".")
    assert texts["description"].endswith(".")
    assert texts["runbook_url"] == f"alerts/runbooks/{alert.name}.md"
    assert re.match(r"/d/inferometer-[a-z]+\?var-", texts["dashboard_url"])
    assert alert.source


@each
def test_links_can_be_put_elsewhere(alert: Alert) -> None:
    options = replace(PLAIN, runbooks_url="https://r.test/v1/", dashboards_url="https://g.test/")
    moved = [one for one in rules((*serving(options), *gpus(options))) if isinstance(one, Alert)]
    (same,) = (one for one in moved if (one.name, one.labels, one.severity) == _identity(alert))
    texts = dict(same.annotations)
    assert texts["runbook_url"] == f"https://r.test/v1/{alert.name}.md"
    assert texts["dashboard_url"].startswith("https://g.test/d/inferometer-")


def _identity(alert: Alert) -> tuple[object, ...]:
    return alert.name, alert.labels, alert.severity


def test_rules_of_one_name_are_told_apart() -> None:
    found = [_identity(rule) for rule in rules(GROUPS) if isinstance(rule, Alert)]
    assert len(set(found)) == len(found)


@pytest.mark.checkout
def test_the_shipped_files_are_fresh_and_load(promtool: Promtool) -> None:
    files = {file.name: file.text for file in shipped("prometheus", PLAIN)}
    fresh = "inferometer slo render --shipped -o alerts"
    for name, text in files.items():
        assert (ROOT / "alerts" / name).read_text("utf-8") == text, fresh
    found = {path.relative_to(ROOT / "alerts") for path in (ROOT / "alerts").rglob("*.yaml")}
    assert {str(path) for path in found} == set(files), fresh
    assert promtool.check(*(ROOT / "alerts" / name for name in files if "/" not in name)) == ""


@pytest.mark.req("SC-02", "SC-05")
def test_rules_for_clusters_and_strange_vantages_load(promtool: Promtool, tmp_path: Path) -> None:
    paths = []
    for file in shipped("prometheus", CLUSTERS):
        if "/" not in file.name:
            paths.append(tmp_path / file.name)
            paths[-1].write_text(file.text, "utf-8")
    assert promtool.check(*paths) == ""


@pytest.mark.parametrize("target", ["prometheusrule", "mimir"])
def test_other_targets_get_the_same_files(target: Target) -> None:
    names = [file.name for file in shipped(target, PLAIN)]
    assert names == [file.name for file in shipped("prometheus", PLAIN)]


@pytest.mark.checkout
@each
def test_each_alert_has_its_runbook(alert: Alert) -> None:
    assert path_of(alert.name).exists()
