"""Runbooks: one for each alert, whole, with queries that run and silences that match."""

import re
import shlex
from collections.abc import Iterator
from itertools import product
from math import lcm
from pathlib import Path
from typing import Final

import pytest

from inferometer.metrics.catalog import METRICS
from inferometer.metrics.metric import Label, Metric
from inferometer.slo.shipped.index import entries
from inferometer.slo.shipped.strangers import STRANGERS
from support.alertmanager import Alertmanager
from support.prometheus import Prometheus, load
from support.promtool import VERSIONS, tool
from support.runbooks import Runbook, family, path_of, runbooks, selectors
from support.scenes_gpu import FAULT_TABLES
from support.scenes_gpu_load import LOAD_TABLES
from support.scenes_requests import REQUEST_TABLES
from support.scenes_servers import SERVER_TABLES
from support.scenes_slo import SILENT_TABLES, SLO_TABLES

pytestmark = pytest.mark.checkout

SECTIONS: Final = [
    "Meaning",
    "Impact",
    "Diagnosis",
    "Mitigation",
    "False positives",
    "Silence",
    "Sources",
]
ALL: Final = [pytest.param(one, id=one.name) for one in runbooks()]
each = pytest.mark.parametrize("runbook", ALL)
TABLES: Final = {
    table.alert: table
    for tables in (
        FAULT_TABLES,
        LOAD_TABLES,
        REQUEST_TABLES,
        SERVER_TABLES,
        SLO_TABLES,
        SILENT_TABLES,
    )
    for table in tables
}
BEGIN_S: Final = 1_700_000_000
MINUTES: Final = 130
FIXED: Final = {"vantage": "sidecar", "resource": "nvidia_com_gpu", "phase": "Pending"}


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert {one.name for one in runbooks()} == {entry.name for entry in entries()}


@each
def test_a_runbook_has_its_sections_in_their_order(runbook: Runbook) -> None:
    title, _, rest = runbook.text.partition("\n\n")
    assert title == f"# {runbook.name}"
    assert rest.startswith("<!-- generated: means -->\n**")
    assert list(runbook.sections) == SECTIONS
    for section, text in runbook.sections.items():
        assert len(text.split()) >= 6, section


@each
def test_there_are_three_queries_and_a_table_that_leads_on(runbook: Runbook) -> None:
    assert len(runbook.blocks("Diagnosis", "promql")) == 3
    rows = re.findall(r"^\| .* \|$", runbook.sections["Diagnosis"], re.MULTILINE)
    assert rows[0] == "| what you see | where it is | what to do next |"
    assert len(rows) >= 2 + 4
    assert "Board: `/d/inferometer-" in runbook.sections["Diagnosis"]


@each
def test_the_board_is_the_one_of_the_alert(runbook: Runbook) -> None:
    (entry,) = (entry for entry in entries() if entry.name == runbook.name)
    (board,) = re.findall(r"Board: `(/d/[a-z-]+)`", runbook.text)
    for rule in entry.rules:
        assert dict(rule.annotations)["dashboard_url"].startswith(board)
        assert dict(rule.annotations)["runbook_url"].endswith(path_of(entry.name).name)


@each
def test_what_can_be_undone_comes_before_what_breaks_streams(runbook: Runbook) -> None:
    """Draining a node and deleting a pod cut answers off; resets and restarts cut everything."""
    harm = {"delete pod": 1, "kubectl drain": 1, "--gpu-reset": 2, "systemctl reboot": 3}
    seen = [
        (runbook.sections["Mitigation"].index(words), grade)
        for words, grade in harm.items()
        if words in runbook.sections["Mitigation"]
    ]
    assert [grade for _, grade in sorted(seen)] == sorted(grade for _, grade in seen)


@each
def test_a_silence_names_the_alert_and_labels_that_it_has(runbook: Runbook) -> None:
    (command,) = runbook.blocks("Silence", "sh")
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:3] == ["amtool", "silence", "add"]
    matchers = [word for word in words[3:] if not word.startswith("--")]
    assert matchers[0] == f'alertname="{runbook.name}"'
    fired = [labels for scene in TABLES[runbook.name].scenes for labels in scene.fires]
    for matcher in matchers[1:]:
        label, _, value = matcher.partition("=")
        assert value == f'"{label.upper()}"'
        assert any(label in labels for labels in fired), label


@each
def test_queries_name_only_series_that_exist(runbook: Runbook) -> None:
    for query in runbook.blocks("Diagnosis", "promql"):
        for name, matchers in selectors(query):
            if not name:
                assert any(re.fullmatch(matchers["__name__"], known) for known in METRICS)
                continue
            metric = METRICS.get(name) or METRICS.get(family(name))
            assert metric or name in STRANGERS, name
            labels = metric.labels if metric else STRANGERS[name].labels
            target = {"namespace", "pod", "instance", "le"}
            assert matchers.keys() <= {*labels, *target}, (name, matchers)


def test_amtool_takes_every_silence_as_it_stands(tmp_path: Path) -> None:
    config = tmp_path / "alertmanager.yaml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", "utf-8")
    with Alertmanager(config, tmp_path / "data") as alertmanager:
        for one in runbooks():
            (command,) = one.blocks("Silence", "sh")
            words = shlex.split(command.replace("\\\n", " "))
            alertmanager.amtool(*words[1:])
        silences = alertmanager.silences()
    names = [dict(matchers)["alertname"] for matchers in silences]
    assert sorted(names) == [one.name for one in runbooks()]


def _labels(domains: tuple[Label, ...], number: int, server: int) -> dict[str, str]:
    """Return values of labels: of closed ones each in turn, of open ones those that join."""
    return {
        one.name: one.values[number % len(one.values)]
        if one.values and one.values != ("",)
        else f"{one.name}{server}"
        for one in domains
    }


def _series(name: str, metric: Metric | None) -> Iterator[str]:
    """Yield some series of a metric, as if two servers told it."""
    domains = metric.domains if metric else tuple(map(Label, STRANGERS[name].labels))
    several = min(lcm(*(len(one.values) or 1 for one in domains)), 60)
    for number, server in product(range(several), range(2)):
        labels = {**_labels(domains, number, server), **_place(server)}
        labels |= {label: value for label, value in FIXED.items() if label in labels}
        if metric and metric.ladder:
            for edge in ("0.005", "1.0", "+Inf"):
                yield _text(f"{name}_bucket", {**labels, "le": edge})
            yield _text(f"{name}_sum", labels)
            yield _text(f"{name}_count", labels)
        else:
            yield _text(name, labels)


def _place(server: int) -> dict[str, str]:
    pod = f"chat-7d9f8b6c5d-abcd{server}"
    return {"namespace": "llm", "pod": pod, "instance": f"i{server}"}


def _text(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(f'{k}={v!r}' for k, v in labels.items())}}}".replace("'", '"')


def _samples(names: set[str]) -> Iterator[str]:
    """Yield OpenMetrics in which every series rises, so that rates are not 0."""
    known = {name if {name} & {*METRICS, *STRANGERS} else family(name) for name in names}
    for name in sorted(known - {"up"}):
        yield f"# TYPE {name} unknown"
        for series in dict.fromkeys(_series(name, METRICS.get(name))):
            for minute in range(MINUTES):
                yield f"{series} {minute + 1} {BEGIN_S + 60 * minute}"
    yield "# TYPE up unknown"
    for number in range(2):
        series = _text("up", {"job": "sidecar", **_place(number)})
        for minute in range(MINUTES):
            yield f"{series} 1 {BEGIN_S + 60 * minute}"
    yield "# EOF"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_query_runs_on_a_real_prometheus(version: str, tmp_path: Path) -> None:
    queries = {
        (one.name, query): [name for name, _ in selectors(query)]
        for one in runbooks()
        for query in one.blocks("Diagnosis", "promql")
    }
    names = {name for found in queries.values() for name in found if name}
    data = load(tool(version, "promtool"), _samples(names), tmp_path)
    empty = []
    with Prometheus(tool(version, "prometheus"), data) as prometheus:
        for alert, query in queries:
            if not prometheus.ask(query, BEGIN_S + 60 * (MINUTES - 1)):
                empty.append((alert, query))
    # What compares may find nothing wrong; what only shows must show something.
    assert [one for one in empty if not re.search(r"[<>]|==|unless", one[1])] == []
