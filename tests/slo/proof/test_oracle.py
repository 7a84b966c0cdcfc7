"""Questions to promtool: what is near becomes what is expected, and no complaint is overlooked."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
import yaml

from inferometer.slo.alerts import generic as alerts
from inferometer.slo.names import Options
from inferometer.slo.proof import oracle
from inferometer.slo.proof.oracle import (
    RUNS,
    Question,
    Run,
    about_alert,
    about_number,
    answers,
    needed,
)
from inferometer.slo.proof.scenario import Reading, Watch
from inferometer.slo.rule import Group
from inferometer.slo.rules import generic as rules
from inferometer.slo.windows import FAST

GENERIC = (rules(Options(), (30,)), alerts(Options(), (30,)))
WATCH = Watch(alert=FAST.alert, pair=FAST)


def names(groups: Sequence[Group]) -> set[str]:
    recorded = {rule.record for group in groups for rule in group.recorded}
    return recorded | {rule.name for group in groups for rule in group.alerts}


def test_a_run_has_the_rules_that_its_alerts_need_and_no_other() -> None:
    kept = names(needed(GENERIC, RUNS["slow"]))
    assert {"LLMSLOBurnSlow", "inferometer:slo_burn:rate1d", "inferometer:slo_bad:increase2h"} <= (
        kept
    )
    assert "inferometer:slo_burn:rate1h" not in kept
    assert "LLMSLOBurnFast" not in kept
    assert names(needed(GENERIC, RUNS["quiet"])) == names(GENERIC) - {"LLMSLONoData"}
    month = names(needed(GENERIC, RUNS["month"]))
    assert "inferometer:slo_budget_remaining:ratio" in month
    assert not any(name.startswith("LLM") for name in month)


def test_groups_without_any_rule_left_are_gone() -> None:
    assert needed(GENERIC, Run(frozenset({"Nobody"}))) == ()


def test_what_is_expected_stands_in_the_query_with_its_tolerance() -> None:
    question = about_alert("s0", WATCH, 381, run=RUNS["pages"], until=500)
    assert question.expected == 381
    assert question.query.count("- 381)") == 2
    assert question.query.endswith("<= bool 1)")
    labels = 'pair="fast",severity="critical",long="1h",short="5m"'
    assert f'slo="s0",alertname=~"LLMSLOBurnFast",{labels}' in question.query
    never = about_alert("s0", WATCH, None, run=RUNS["pages"], until=500)
    assert never.expected is None
    assert "bool" not in never.query


def test_the_end_of_an_alert_may_be_a_minute_later_and_must_be_an_end() -> None:
    last = Watch(alert=FAST.alert, pair=FAST, edge="last")
    question = about_alert("s0", last, 440, run=RUNS["pages"], until=500)
    assert question.query.endswith("<= bool 2)")
    assert "unless count(ALERTS" in question.query


def test_numbers_are_compared_in_millionths() -> None:
    reading = Reading(what="x", query="a{} / b{}", minute=5, value=Decimal("0.005"))
    question = about_number("s0", reading)
    assert (question.minute, question.expected) == (5, 5000)
    assert 'a{slo="s0"} / b{slo="s0"}' in question.query
    assert question.query.endswith("<= bool 5)")
    absent = Reading(what="x", query="count({__name__=~`a.+`,{}})", minute=5, value=None)
    assert about_number("s0", absent).query == 'count({__name__=~`a.+`,slo="s0"})'


def test_files_are_yaml_that_names_its_rules_and_keeps_their_order() -> None:
    question = Question("vector(1)", 3, 1)
    made = oracle.files(GENERIC, {"a": "0x3"}, [question], RUNS["slow"], rules_name="r.yaml")
    cases = yaml.safe_load(made.cases)
    kept = [group["name"] for group in yaml.safe_load(made.rules)["groups"]]
    assert cases["group_eval_order"] == kept == ["inferometer-slo", "inferometer-slo-alerts"]
    assert cases["rule_files"] == ["r.yaml"]
    (test,) = cases["tests"]
    assert test["input_series"] == [{"series": "a", "values": "0x3"}]
    assert test["promql_expr_test"] == [
        {"expr": "vector(1)", "eval_time": "3m", "exp_samples": [{"labels": "{}", "value": 1}]}
    ]


ASKED = [Question('a{b="c"}', 5, 1), Question("d", 5, None), Question("e", 5, 2)]
FAILED = """\
Unit Testing:  cases.yaml
  FAILED:
    expr: "a{b=\\"c\\"}", time: 5m,
        exp: {} 1E+00
        got: {} 3.72E+02
    expr: "e", time: 5m,
        exp: {} 2E+00
        got: nil
"""


def test_what_promtool_measured_otherwise_is_told_by_query() -> None:
    told = answers(1, FAILED, ASKED)
    assert told.others == {'a{b="c"}': "3.72E+02", "e": "nothing"}
    assert told.broken == ""
    assert answers(0, "SUCCESS", ASKED).others == {}


@pytest.mark.parametrize(
    "output",
    [
        "",
        "FAILED:\n    rule: X, time: 4h, err: query processing would load too many samples",
        FAILED.replace('"e"', '"unknown"'),
        FAILED.replace('"e"', '"\\q"'),
        f'{FAILED}    expr: "d", time: 5m, err: execution failed',
    ],
)
def test_a_complaint_that_is_not_understood_is_about_everything(output: str) -> None:
    told = answers(1, output, ASKED)
    assert told.broken
    assert told.others == {}
