"""What pages say of alerts: the rendered rule, its defaults, and nothing that breaks a page."""

import re
from pathlib import Path

import pytest
import yaml

from inferometer.slo.names import Options
from inferometer.slo.promql import number
from inferometer.slo.render import shipped
from inferometer.slo.shipped.index import WAITING, Entry, entries
from inferometer.slo.shipped.pages import meaning, shipped_table, summary, waiting_table
from support.promtool import Case, Promtool
from support.scenes_requests import ERRORS, LATE
from support.shipped import rules
from support.tree import ROOT

ENTRIES = entries()
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def rendered() -> dict[str, list[str]]:
    """Return the expressions of all alerts as Prometheus would read them."""
    found: dict[str, list[str]] = {}
    for file in shipped("prometheus", Options()):
        for group in yaml.safe_load(file.text).get("groups", []):
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], []).append(rule["expr"])
    return found


@each
def test_a_runbook_shows_the_rules_that_are_rendered(entry: Entry) -> None:
    blocks = re.findall(r"```promql\n(.*?)\n```", meaning(entry), re.DOTALL)
    assert blocks == rendered()[entry.name]


@each
def test_a_runbook_shows_defaults_that_the_rules_have(entry: Entry) -> None:
    text = meaning(entry)
    for limit in entry.limits:
        assert f"| {number(limit.default)}" in text
        assert f"vector({number(limit.default)})" in text
    assert summary(entry).startswith(f"**{entry.means}** It is a ")


def test_a_table_has_a_row_for_each_alert_and_as_many_cells_in_each() -> None:
    table = shipped_table(ENTRIES, {entry.name: "[x](y)" for entry in ENTRIES})
    rows = table.splitlines()
    assert len(rows) == 2 + len(ENTRIES)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    for entry, row in zip(ENTRIES, rows[2:], strict=True):
        assert row.startswith(f"| [{entry.name}](../alerts/runbooks/{entry.name}.md) | ")


def test_what_waits_says_for_what() -> None:
    rows = waiting_table(WAITING).splitlines()[2:]
    for one, row in zip(WAITING, rows, strict=True):
        assert f"`{one.name}`" in row
        assert one.waits_for in row


@pytest.mark.checkout
def test_the_example_of_limits_on_the_page_changes_the_alerts_that_it_names(
    promtool: Promtool, tmp_path: Path
) -> None:
    """With the limit of the example 6 % of errors, which page by default, page no more."""
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(groups:\n.*?)```", page, re.DOTALL)
    ours = tmp_path / "ours.yaml"
    ours.write_text(example, "utf-8")
    wanted = {
        (rule["labels"]["alert"], rule["labels"].get("part", ""))
        for group in yaml.safe_load(example)["groups"]
        for rule in group["rules"]
    }
    assert wanted <= {(one.alert, one.part) for entry in ENTRIES for one in entry.limits}
    (seen,) = (scene.series for scene in ERRORS.scenes if scene.about == "it is not told at once")
    page_fires = 'ALERTS{alertname="LLMErrorRatioHigh",severity="critical"}'
    case = Case(seen, [(page_fires, LATE, {})])
    assert promtool.test(tmp_path, [*rules(tmp_path, "serving.yaml"), ours], case) == ""
