"""The table of scenarios: what is in it for whom, and that its shares are exact."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.document import Slice
from inferometer.slo.proof.scenario import Scenario, Subject
from inferometer.slo.proof.scenarios import shares, table
from inferometer.slo.windows import CLIFF, DAY_S, PAIRS, Pair, Promise, limits

MONTH = Promise(Decimal("0.99"), 30 * DAY_S)
SLICES = Slice(300 * 10**9, Decimal(50))
EVERYWHERE = {
    "outage", "half", "one-bad", "three-bad", "idle-night", "unused", "reset", "lost-scrapes",
    "rolling-deploy", "deploy-gap", "churn", "gone-at-peak", "zero-at-peak", "retention",
    "retention-ledger",
}  # fmt: skip
PARTIAL = {f"partial-{pair.name}" for pair in (*PAIRS, CLIFF)}


@pytest.mark.parametrize(
    ("subject", "more"),
    [
        (Subject(promise=MONTH), PARTIAL | {"month"}),
        (Subject(promise=MONTH, weight="token"), PARTIAL | {"month", "one-heavy"}),
        (Subject(promise=MONTH, weight="slice", slice=SLICES), set()),
        (Subject(promise=MONTH, summed=False), PARTIAL),
    ],
)
def test_everybody_lives_through_what_can_happen_to_them(subject: Subject, more: set[str]) -> None:
    names = [one.name for one in table(subject, 10)]
    assert len(names) == len(set(names))
    assert set(names) == EVERYWHERE | more


@given(st.fractions(0, 1, max_denominator=10**6), st.fractions(0, 1, max_denominator=1000))
def test_shares_are_exact_and_of_as_many_requests(one: Fraction, other: Fraction) -> None:
    (good, bad), (good_too, bad_too) = shares(one, other)
    assert Fraction(bad, good + bad) == one
    assert Fraction(bad_too, good_too + bad_too) == other
    assert good + bad == good_too + bad_too >= 1000


def partial(subject: Subject) -> Iterator[tuple[Pair, Scenario]]:
    for one in table(subject, 10):
        if one.name.startswith("partial-") and (pair := one.watches[0].pair):
            yield pair, one


@given(st.sampled_from(["50", "90", "95", "99", "99.9", "99.95", "99.999"]), st.integers(7, 90))
def test_partial_errors_are_just_below_and_just_above_the_limit(objective: str, days: int) -> None:
    promise = Promise(Decimal(objective) / 100, days * DAY_S)
    for pair, scenario in partial(Subject(promise=promise)):
        limit = Fraction(limits(pair, promise).short)
        below, above = scenario.pods[0].flows
        assert Fraction(below.bad, below.good + below.bad) == limit * Fraction(9, 10)
        assert Fraction(above.bad, above.good + above.bad) == limit * Fraction(11, 10)


def test_harmless_days_spend_half_of_the_budget() -> None:
    for one in table(Subject(promise=MONTH), 10):
        if one.name in {"reset", "lost-scrapes", "rolling-deploy", "deploy-gap", "churn"}:
            for pod in one.pods:
                assert all(Fraction(f.bad, f.good + f.bad) == Fraction(1, 200) for f in pod.flows)


def test_what_happens_in_a_scenario_is_what_its_name_says() -> None:
    by_name = {one.name: one for one in table(Subject(promise=MONTH, weight="token"), 10)}
    assert any(pod.restarts for pod in by_name["reset"].pods)
    assert all(len(pod.lost) == 3 for pod in by_name["lost-scrapes"].pods)
    old, new = by_name["deploy-gap"].pods
    assert old.vanishes
    assert new.born == old.minutes + 3
    assert by_name["gone-at-peak"].pods[0].vanishes
    assert not by_name["zero-at-peak"].pods[0].vanishes
    assert sum(flow.bad for flow in by_name["three-bad"].pods[0].flows) == 3
    assert sum(flow.good for flow in by_name["three-bad"].pods[0].flows) == 0
    (heavy,) = [flow for flow in by_name["one-heavy"].pods[0].flows if flow.bad]
    assert (heavy.bad, heavy.tokens) == (1, 8000)


@given(st.integers(1, 1001))
def test_half_is_half_of_any_number(rate: int) -> None:
    half = next(one for one in table(Subject(promise=MONTH), rate) if one.name == "half")
    flows = half.pods[0].flows[1:]
    assert {flow.good + flow.bad for flow in flows} == {rate}
    assert sum(flow.bad for flow in flows[:2]) == rate
