"""Proofs as text, as JSON and as a badge."""

import json
from dataclasses import replace

import pytest

from inferometer.slo.proof import report
from inferometer.slo.proof.oracle import Answers
from inferometer.slo.proof.prove import Proof, cases, judged
from support.slo_rules import Documents, chat, promised


@pytest.fixture
def confirmed(documents: Documents) -> tuple[Proof, ...]:
    known = cases(documents(chat({"all": promised("99")})), 10)
    return judged(known, {one.id: Answers({}) for one in known[0].stand_ins})


def test_the_table_begins_with_what_matters(confirmed: tuple[Proof, ...]) -> None:
    lines = report.text(confirmed, witness="promtool 2.42.0", colours=False).splitlines()
    assert lines[0] == "At 10 requests a minute:"
    assert lines[3].split("  ")[0] == "llm/chat-all"
    assert "11 min (fast), 2.5 % spent" in lines[3]
    assert lines[3].endswith("confirmed")
    assert lines[-1] == "1 SLO; of its scenarios 21 confirmed, by promtool 2.42.0."
    assert "\x1b[" not in "".join(lines)
    assert "\x1b[32m" in report.text(confirmed, witness="x", colours=True)


def test_what_several_slos_share_is_told_once(documents: Documents) -> None:
    text = chat({"a": promised("99"), "b": f"{promised('99')}, match: {{tenant: b}}"})
    (case,) = cases(documents(text), 1)
    wrong = [
        replace(one, verdict="disagrees", differences=("x",))
        for one in judged([case], {})[0].outcomes
    ]
    lines = report.text((Proof(case, tuple(wrong)),), witness="x", colours=False).splitlines()
    assert lines[0] == "At 1 request a minute:"
    assert lines[-1] == (
        f"2 SLOs, 1 of them different; of their scenarios {len(wrong)} disagree, by x."
    )


def test_without_a_witness_the_model_has_spoken_alone(confirmed: tuple[Proof, ...]) -> None:
    alone = judged([one.case for one in confirmed], {})
    text = report.text(alone, witness="", colours=False)
    assert text.endswith("21 unconfirmed; without promtool the model alone has spoken.\n")
    assert json.loads(report.data(alone, witness=""))["promtool"] is None
    assert json.loads(report.badge(alone))["message"] == "unconfirmed"
    assert report.passed(alone)


def test_json_holds_every_number(confirmed: tuple[Proof, ...]) -> None:
    data = json.loads(report.data(confirmed, witness="promtool 2.42.0"))
    assert data["passed"] is True
    assert data["scenarios"] == {"confirmed": 21, "unconfirmed": 0, "disagrees": 0}
    (promise,) = data["promises"]
    assert promise["slos"] == [{"namespace": "llm", "slo": "chat-all"}]
    assert promise["outage"] == {"minutes": 11, "pair": "fast", "spent": 0.025463}
    assert promise["false_alarms"] == []
    by_name = {one["name"]: one for one in promise["scenarios"]}
    assert by_name["outage"]["expected"][0] == {"alert": "fast", "edge": "first", "minute": 381}
    assert by_name["idle-night"]["expected"][1] == {
        "number": "budget left by day",
        "minute": 105,
        "value": 0.5,
    }


def test_a_difference_is_shown_below_its_scenario(confirmed: tuple[Proof, ...]) -> None:
    first, *rest = confirmed[0].outcomes
    wrong = replace(first, verdict="disagrees", differences=("fast: not so",))
    proofs = (Proof(confirmed[0].case, (wrong, *rest)),)
    lines = report.text(proofs, witness="x", colours=False).splitlines()
    assert "    fast: not so" in lines
    assert lines[3].endswith("disagrees")
    assert not report.passed(proofs)
    badge = json.loads(report.badge(proofs))
    assert (badge["color"], badge["message"]) == ("red", "1 disagrees, 0 cannot fire")


def test_a_badge_is_what_shields_io_reads(confirmed: tuple[Proof, ...]) -> None:
    assert json.loads(report.badge(confirmed)) == {
        "schemaVersion": 1,
        "label": "SLO proof",
        "message": "21 of 21 confirmed",
        "color": "brightgreen",
    }


def test_nothing_to_prove_is_said(confirmed: tuple[Proof, ...]) -> None:
    del confirmed
    assert report.text((), witness="", colours=False).startswith("There is no SLO.")


def test_false_alarms_are_named(documents: Documents) -> None:
    document = chat({"all": promised("99")}, rest="alerts: {min_bad: 1}")
    proofs = judged(cases(documents(document), 10), {})
    assert "one-bad 3 min, three-bad 3 min" in report.text(proofs, witness="", colours=False)


def test_who_pages_nobody_is_told_so(documents: Documents) -> None:
    document = chat({"all": promised("99")}, rest="alerts: {page: false}")
    lines = report.text(judged(cases(documents(document), 10), {}), witness="", colours=False)
    assert "  never  " in lines.splitlines()[3]
    assert "  none  " in lines.splitlines()[3]
