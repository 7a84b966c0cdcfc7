"""The figures of a proof, its faults and false alarms, and how they are said."""

from dataclasses import replace
from decimal import Decimal

import pytest

from inferometer.slo.model import RATE_PER_MINUTE
from inferometer.slo.proof.figures import FalseAlarm, figures, percent, said, span
from inferometer.slo.proof.prove import Proof, cases, judged
from support.slo_rules import Documents, chat, promised

SLICES = "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"


def proof(documents: Documents, what: str, *, rest: str = "window: {rolling: 30d}") -> Proof:
    known = cases(documents(chat({"all": what}, rest=rest)), RATE_PER_MINUTE)
    return judged(known, {})[0]


@pytest.mark.parametrize(
    ("objective", "minutes", "pair", "spent"),
    [
        ("90", 15, "cliff", "0.00347"),
        ("95", 15, "cliff", "0.00694"),
        ("99", 11, "fast", "0.0255"),
        ("99.9", 3, "fast", "0.0694"),
    ],
)
def test_an_outage_pages_soon_and_before_much_is_spent(
    documents: Documents, objective: str, minutes: int, pair: str, spent: str
) -> None:
    known = figures(proof(documents, promised(objective)))
    assert known.outage is not None
    assert (known.outage.minutes, known.outage.pair) == (minutes, pair)
    assert known.outage.spent == pytest.approx(Decimal(spent), rel=Decimal("0.01"))
    assert known.faults == ()
    assert known.false_alarms == ()
    assert minutes <= (4 if objective == "99.9" else 16)


def test_half_an_outage_spends_half_as_much_a_minute(documents: Documents) -> None:
    known = figures(proof(documents, promised("99")))
    assert known.half is not None
    assert known.half.minutes == 20
    assert known.half.spent == Decimal(10) / Decimal(432)
    assert (known.smallest_page, known.smallest_ticket) == (Decimal("0.06"), Decimal("0.01"))


def test_a_slice_is_bad_or_not(documents: Documents) -> None:
    known = figures(proof(documents, SLICES))
    assert known.half is None
    assert known.outage is not None
    assert known.smallest_page == Decimal("0.5")


def test_who_wants_nothing_has_no_figures_and_no_fault(documents: Documents) -> None:
    known = figures(proof(documents, promised("99"), rest="alerts: {page: false, ticket: false}"))
    assert (known.outage, known.half, known.smallest_page, known.smallest_ticket) == (None,) * 4
    assert known.faults == ()


def test_a_guard_of_one_request_wakes_people_for_one_request(documents: Documents) -> None:
    known = figures(proof(documents, promised("99"), rest="alerts: {min_bad: 1}"))
    assert known.false_alarms == (FalseAlarm("one-bad", 3), FalseAlarm("three-bad", 3))


def test_a_pair_that_stays_silent_or_never_ends_is_a_fault(documents: Documents) -> None:
    whole = proof(documents, promised("99"))
    outcomes = []
    for outcome in whole.outcomes:
        looks = outcome.looks
        if outcome.scenario.name == "partial-slow":
            looks = tuple(replace(look, minute=None) for look in looks)
        if outcome.scenario.name == "outage":
            looks = (*looks[:3], *(replace(look, minute=500) for look in looks[3:]))
        outcomes.append(replace(outcome, looks=looks))
    assert figures(Proof(whole.case, tuple(outcomes))).faults == (
        "outage: fast does not end in time",
        "outage: cliff does not end in time",
        "outage: medium does not end in time",
        "partial-slow: slow cannot fire",
    )
    silent = tuple(
        replace(one, looks=tuple(replace(look, minute=None) for look in one.looks))
        for one in whole.outcomes
        if one.scenario.name in {"outage", "half"}
    )
    assert figures(Proof(whole.case, silent)).faults == ("outage: nobody is paged",)


def test_a_scenario_is_said_in_a_line(documents: Documents) -> None:
    lines = {one.scenario.name: said(one) for one in proof(documents, promised("99")).outcomes}
    assert lines["outage"] == (
        "fast after 11 min, cliff after 15 min, medium after 24 min, all over 40 min later"
    )
    assert lines["half"] == "fast after 20 min, cliff silent, medium after 46 min"
    assert lines["partial-drain"] == "drain after about 36 h 5 min"
    assert lines["idle-night"] == "any alert silent, budget left 50.0 %"
    assert lines["unused"] == "any alert silent"


def test_numbers_are_said_as_people_say_them() -> None:
    assert [span(n) for n in (0, 59, 60, 61, 2165)] == [
        "0 min",
        "59 min",
        "1 h",
        "1 h 1 min",
        "36 h 5 min",
    ]
    shares = [Decimal(text) for text in ("0.00694", "0.0251", "0.3", "29.97")]
    assert [percent(share) for share in shares] == ["0.69 %", "2.5 %", "30 %", "2997 %"]
