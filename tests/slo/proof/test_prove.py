"""Proofs: what is proved once, and that promtool and the model agree.

The last tests break the rules on purpose: a proof that lets a wrong rule pass proves nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from inferometer.slo.commands import promtool as tools
from inferometer.slo.commands.prove import exit_code
from inferometer.slo.document import Document
from inferometer.slo.promql import Expr
from inferometer.slo.proof.oracle import RUNS, Answers
from inferometer.slo.proof.prove import (
    Case,
    Job,
    Proof,
    cases,
    generic,
    jobs,
    judged,
    looks,
    minutes_of,
)
from inferometer.slo.rule import Group
from support.promtool import Promtool
from support.slo_rules import Documents, chat, promised

SLICES = "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"


def test_slos_that_promise_the_same_are_proved_once(documents: Documents) -> None:
    same = {"a": promised("99", tenant="a"), "b": promised("99", tenant="b")}
    other = {"c": promised("99.9", tenant="c"), "t": promised("99", more=", weight: token")}
    first = chat(same | other)
    second = chat({"x": promised("99.0")}).replace("name: chat", "name: other")
    known = cases(documents(first, second), 10)
    assert [[str(slo) for slo in case.slos] for case in known] == [
        ["llm/chat-a", "llm/chat-b", "llm/other-x"],
        ["llm/chat-c"],
        ["llm/chat-t"],
    ]
    ids = [one.id for case in known for one in case.stand_ins]
    assert len(ids) == len(set(ids))
    assert all(
        one.id in {o.id for job in jobs(known, ()) for o in job.stand_ins}
        for one in known[0].stand_ins
    )


def test_windows_wishes_and_guards_are_promises_of_their_own(documents: Documents) -> None:
    texts = [
        chat({"all": promised("99")}, rest=rest).replace("name: chat", f"name: {name}")
        for name, rest in {
            "a": "window: {rolling: 7d}",
            "b": "window: {calendar: month}",
            "c": "alerts: {min_bad: 20}",
            "d": "alerts: {page: false}",
        }.items()
    ]
    assert len(cases(documents(*texts), 10)) == 4


def test_without_answers_all_is_unconfirmed_and_a_broken_run_disagrees(
    documents: Documents,
) -> None:
    known = cases(documents(chat({"all": promised("99")})), 10)
    (alone,) = judged(known, {})
    assert {one.verdict for one in alone.outcomes} == {"unconfirmed"}
    assert alone.agrees
    told = {one.id: Answers({}, "no such file") for one in known[0].stand_ins}
    (broken,) = judged(known, told)
    assert {one.differences for one in broken.outcomes} == {("no such file",)}
    assert not broken.agrees


def test_a_difference_says_who_when_and_in_which_scenario(documents: Documents) -> None:
    known = cases(documents(chat({"all": promised("99")})), 10)
    outage, month = (
        next(one for one in known[0].stand_ins if one.scenario.name == name)
        for name in ("outage", "month")
    )
    fast, budget = looks(outage)[0].question.query, looks(month)[0].question.query
    told = {
        outage.id: Answers({fast: "nothing"}),
        month.id: Answers({budget: "5E+05"}),
    }
    (proof,) = judged(known, told)
    said = {one.scenario.name: one.differences for one in proof.outcomes if one.differences}
    assert said == {
        "outage": ("fast: first fires at 381 min by the model, by promtool never (outage)",),
        "month": ("budget left: must be 0.666667, promtool has 0.5",),
    }


def answered(
    tool: Promtool, known: Sequence[Case], rules: tuple[Group, ...], **only: Sequence[str]
) -> tuple[Proof, ...]:
    """Confirm some runs, and of them some scenarios: all would take a minute."""
    chosen = []
    for job in jobs(known, rules):
        if job.run in only:
            names = only[job.run]
            kept = [one for one in job.stand_ins if not names or one.scenario.name in names]
            chosen.append(replace(job, stand_ins=tuple(kept), minutes=max(map(minutes_of, kept))))
    found = tools.found(tool.path)
    assert found is not None
    return judged(known, tools.confirm(found, chosen, lambda _done, _of: None))


def verdicts(proofs: Sequence[Proof]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for proof in proofs:
        for one in proof.outcomes:
            found.setdefault(one.verdict, set()).add(one.scenario.name)
    return found


def several(documents: Documents) -> tuple[Document, ...]:
    month = {f"o{o.replace('.', '')}": promised(o, tenant=f"t{o}") for o in ("90", "95", "99.9")}
    weights = {"token": promised("99", tenant="tok", more=", weight: token"), "slice": SLICES}
    weeks = {"w90": promised("90", tenant="w"), "w999": promised("99.9")}
    week = chat(weeks, rest="window: {rolling: 7d}").replace("name: chat", "name: week")
    return documents(chat(month | weights), week)


@pytest.mark.req("SC-05")
def test_promtool_agrees_on_pages_tickets_and_budgets_of_many_promises(
    promtool: Promtool, documents: Documents
) -> None:
    found = several(documents)
    some = ["outage", "half", "partial-medium", "partial-drain", "month"]
    only = dict.fromkeys(("pages", "drain", "month"), some)
    proofs = answered(promtool, cases(found, 10)[::2], generic(found), **only)
    assert "disagrees" not in verdicts(proofs)
    assert verdicts(proofs)["confirmed"] == set(some)


@pytest.mark.e2e
@pytest.mark.req("SC-03")
@pytest.mark.req("SC-05")
def test_promtool_agrees_on_everything(promtool: Promtool, documents: Documents) -> None:
    found = several(documents)
    proofs = answered(promtool, cases(found, 10), generic(found), **dict.fromkeys(RUNS, ()))
    assert set(verdicts(proofs)) == {"confirmed"}


@pytest.mark.req("SC-02")
@pytest.mark.req("SC-03")
def test_hostile_names_stay_data_and_quiet_days_stay_quiet(
    promtool: Promtool, documents: Documents
) -> None:
    hostile = """'"} or vector(1) # {{ $labels.slo }} \\ é <svg>'"""
    text = chat({"all": promised("99", tenant=hostile)}).replace(
        "service: llama", f"service: {hostile}"
    )
    metric = (
        "metrics: [{name: m, objective: 99, histogram: {metric: 'v:t', threshold: 1s, "
        f"where: {{x: {hostile}}}}}}}]\n"
    )
    found = documents(text + metric)
    quiet = ["one-bad", "idle-night", "lost-scrapes", "deploy-gap"]
    proofs = answered(promtool, cases(found, 10), generic(found), quiet=quiet)
    assert verdicts(proofs)["confirmed"] == set(quiet)


BROKEN = {
    "a wrong factor": ("14.4 / 2592000", "28.8 / 2592000", "pages", "partial-fast"),
    "a missing guard": (
        "inferometer:slo_min_bad:count - 0.5", "0 * inferometer:slo_min_bad:count", "quiet",
        "one-bad",
    ),
    "a wrong window": ("increase5m[1d]", "increase5m[6h]", "slow", "partial-slow"),
    "a wrong sum": ("increase5m[30d]", "increase5m[1d]", "month", "month"),
    "no cliff": (
        "inferometer:slo_burn_cap:ratio / 2", "inferometer:slo_burn_cap:ratio * 2", "pages",
        "partial-cliff",
    ),
    "a pair without its short window": (
        "inferometer:slo_burn:rate5m > on (namespace, slo) inferometer:slo_burn_threshold:fast",
        "inferometer:slo_burn:rate5m >= 0", "pages", "outage",
    ),
}  # fmt: skip


def broken(rules: Sequence[Group], old: str, new: str) -> tuple[Group, ...]:
    texts = [rule.expr.text for group in rules for rule in group.rules]
    assert any(old in text for text in texts), old
    return tuple(
        replace(
            group,
            rules=tuple(
                replace(rule, expr=Expr(rule.expr.text.replace(old, new))) for rule in group.rules
            ),
        )
        for group in rules
    )


def test_a_ticket_where_a_page_should_be_is_caught(
    promtool: Promtool, documents: Documents
) -> None:
    found = documents(chat({"all": promised("99")}))
    recorded, alerting = generic(found)
    mild = tuple(
        replace(alert, severity="warning") if alert.name == "LLMSLOBurnFast" else alert
        for alert in alerting.alerts
    )
    rules = (recorded, replace(alerting, rules=mild))
    proofs = answered(promtool, cases(found, 10), rules, pages=["partial-fast"])
    assert verdicts(proofs)["disagrees"] == {"partial-fast"}


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_wrong_rule_is_caught_in_the_scenario_that_is_about_it(
    promtool: Promtool, documents: Documents, wrong: str
) -> None:
    old, new, run, scenario = BROKEN[wrong]
    found = documents(chat({"all": promised("99")}))
    rules = broken(generic(found), old, new)
    proofs = answered(promtool, cases(found, 10), rules, **{run: [scenario]})
    assert verdicts(proofs)["disagrees"] == {scenario}
    assert exit_code(proofs) == 1


def test_the_same_documents_make_the_same_questions(documents: Documents) -> None:
    found = documents(chat({"all": promised("99"), "s": SLICES}))
    made = [
        [job.files("rules.yaml") for job in jobs(cases(found, 10), generic(found))]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert Decimal(10) * len(made[0]) == 60


def test_slices_have_no_run_of_partial_errors(documents: Documents) -> None:
    found = documents(chat({"s": SLICES}))
    runs = [job.run for job in jobs(cases(found, 10), generic(found))]
    assert runs == ["quiet", "silence", "pages"]


def test_many_promises_are_split_into_runs_that_promtool_can_load(documents: Documents) -> None:
    objectives = {f"o{n}": promised(f"99.{n:02}", tenant=f"t{n}") for n in range(9)}
    found = documents(chat(objectives))
    made = jobs(cases(found, 10), generic(found))
    assert sum(job.run == "silence" for job in made) == 3
    assert all(len(job.stand_ins) <= 13 for job in made if job.run == "silence")
    assert isinstance(made[0], Job)
