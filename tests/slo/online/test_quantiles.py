"""Alerts on quantiles are found among the rules of a real Prometheus, and of odd ones."""

from pathlib import Path

import pytest

from inferometer.errors import Problem
from inferometer.prom.client import Client
from inferometer.prom.endpoint import parse
from inferometer.slo.online.quantiles import problems
from support.prometheus import Prometheus
from support.promtool import VERSIONS, tool
from support.scripted_prometheus import ScriptedPrometheus, reply

EXPR = "histogram_quantile(0.95, sum by (le) (rate({}_bucket[5m]))) > 2.5"
TTFT = "vllm:time_to_first_token_seconds"
RULES = f"""\
groups:
  - name: latency
    rules:
      - {{record: "a:p95", expr: "{EXPR.format(TTFT)}"}}
      - {{alert: Slow, expr: "{EXPR.format(TTFT)}", for: 10m}}
      - {{alert: Down, expr: "up == 0"}}
"""


def found(server: ScriptedPrometheus) -> list[Problem]:
    with server, Client(parse(server.url)) as client:
        return list(problems(client))


def group(*rules: object, **more: object) -> object:
    return {"name": "g", "file": "f.yaml", "rules": list(rules), **more}


def alert(metric: str, *, expr: str = EXPR, name: str = "Slow") -> dict[str, object]:
    return {"name": name, "query": expr.format(metric), "type": "alerting", "health": "ok"}


@pytest.mark.oracle
@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_prometheus_names_rule_group_and_file(version: str, tmp_path: Path) -> None:
    rules = tmp_path / "mine.yaml"
    rules.write_text(RULES, "utf-8")
    configuration = f'rule_files: ["{rules}"]\n'
    data = tmp_path / "data"
    with (
        Prometheus(tool(version, "prometheus"), data, configuration=configuration) as server,
        Client(parse(server.url)) as client,
    ):
        (told,) = problems(client)
    assert (told.code, told.place.source) == ("W06", str(rules))
    assert told.message == (
        f"the alert 'Slow' in the group 'latency' compares histogram_quantile of {TTFT} with 2.5:"
        " it has no budget, and is undefined at low traffic"
    )
    assert told.hint == (
        "make it an SLO with that threshold:"
        f' objective: 95, histogram: {{metric: "{TTFT}", threshold: 2.5s}}'
    )


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("gen_ai_server_time_to_first_token_seconds", "objective: 95, good: {ttft: 2.5s}"),
        ("gen_ai_server_time_per_output_token_seconds", "objective: 95, good: {tpot: 2.5s}"),
        ("gen_ai_server_request_duration_seconds", "objective: 95, good: {e2e: 2.5s}"),
        (
            "nv_inference_first_response_histogram_ms",
            (
                "objective: 95, histogram:"
                ' {metric: "nv_inference_first_response_histogram_ms", threshold: 2.5}'
            ),
        ),
    ],
)
def test_the_hint_is_the_slo_that_stands_for_it(metric: str, hint: str) -> None:
    server = ScriptedPrometheus(lambda _: reply({"groups": [group(alert(metric))]}))
    (told,) = found(server)
    assert told.hint == f"make it an SLO with that threshold: {hint}"


@pytest.mark.parametrize("quantile", ["0.4", "1", "q"])
def test_a_quantile_that_is_no_objective_is_left_out(quantile: str) -> None:
    expr = f"histogram_quantile({quantile}, rate({{}}_bucket[5m])) > 2.5"
    rule = alert("gen_ai_server_request_duration_seconds", expr=expr)
    server = ScriptedPrometheus(lambda _: reply({"groups": [group(rule)]}))
    (told,) = found(server)
    assert told.hint == "make it an SLO with that threshold: good: {e2e: 2.5s}"


@pytest.mark.req("SC-04")
@pytest.mark.parametrize(
    "data",
    [
        {},
        {"groups": None},
        {"groups": []},
        {"groups": [None, 1, {}, group(), {"rules": None}, {"rules": {"a": 1}}]},
        {"groups": [group(None, {}, {"type": "alerting"}, {"type": "alerting", "query": 5})]},
        {"groups": [group({**alert(TTFT), "type": "recording"})]},
        {"groups": [group(alert(TTFT, expr="sum( {} > 2"), alert("x"))]},
    ],
)
def test_odd_rules_are_passed_over(data: object) -> None:
    assert found(ScriptedPrometheus(lambda _: reply(data))) == []


def test_a_server_without_rules_is_no_problem() -> None:
    server = ScriptedPrometheus(lambda _: reply(None, status=404))
    assert found(server) == []
    assert server.asked[0].form == {"type": "alert", "exclude_alerts": "true"}


def test_names_of_strangers_cannot_write_on_the_screen() -> None:
    rules = group(alert(TTFT, name="a\x1b[2J"), name="g\n", file="f\x1b]0;")
    server = ScriptedPrometheus(lambda _: reply({"groups": [rules]}))
    (told,) = found(server)
    assert "\x1b" not in str(told)
    assert told.place.source == r"f\x1b]0;"
    assert r"the alert 'a\x1b[2J' in the group 'g\n'" in told.message


def test_a_rule_without_a_file_is_told_by_its_server() -> None:
    server = ScriptedPrometheus(lambda _: reply({"groups": [group(alert(TTFT), file="")]}))
    (told,) = found(server)
    assert told.place.source == server.url
