from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inferometer.prom.answer import Answer, Hold, Value
from inferometer.slo import budget
from inferometer.slo.budget import Counts

COUNTS = st.builds(
    Counts,
    total=st.integers(0, 10**9).map(Decimal),
    bad=st.integers(0, 10**9).map(Decimal),
    covered_s=st.integers(60, 10**7),
)
OBJECTIVES = st.integers(50_000, 99_999).map(lambda n: Decimal(n) / 100_000)


def value(answer: Answer) -> Decimal:
    assert isinstance(answer, Value), answer
    return answer.number


def test_a_budget_is_reckoned_as_in_the_book() -> None:
    counts = Counts(Decimal(1_000_000), Decimal(400), 86400)
    objective = Decimal("0.999")
    assert value(budget.attainment(counts, at_s=1)) == Decimal("0.9996")
    assert value(budget.remaining(counts, objective=objective, at_s=1)) == Decimal("0.6")
    assert value(budget.burn_rate(counts, objective=objective, at_s=1)) == Decimal("0.4")
    assert budget.events_left(counts, objective=objective) == 600


@pytest.mark.req("SC-03")
def test_no_traffic_is_neither_good_nor_bad() -> None:
    idle, unseen = Counts(covered_s=60), Counts()
    for counts, reason in ((idle, "no_traffic"), (unseen, "no_data")):
        for answer in (
            budget.attainment(counts, at_s=1),
            budget.remaining(counts, objective=Decimal("0.9"), at_s=1),
            budget.burn_rate(counts, objective=Decimal("0.9"), at_s=1),
        ):
            assert isinstance(answer, Hold)
            assert answer.reason == reason


@given(COUNTS, OBJECTIVES)
def test_shares_stay_shares_whatever_extrapolation_makes_of_counts(
    counts: Counts, objective: Decimal
) -> None:
    assume(counts.total > 0)
    assert 0 <= value(budget.attainment(counts, at_s=1)) <= 1
    left = value(budget.remaining(counts, objective=objective, at_s=1))
    assert 1 - 1 / (1 - objective) - Decimal("1e-20") <= left <= 1


@given(COUNTS, OBJECTIVES)
def test_twice_the_traffic_leaves_the_same_share(counts: Counts, objective: Decimal) -> None:
    assume(counts.total > 0)
    both = counts + counts
    one, two = (budget.remaining(c, objective=objective, at_s=1) for c in (counts, both))
    assert value(one) == value(two)
    assert both.covered_s == 2 * counts.covered_s


@given(st.lists(COUNTS, max_size=20))
def test_counts_add_up_in_any_order(parts: list[Counts]) -> None:
    whole = budget.together(parts)
    assert whole == budget.together(reversed(parts))
    assert whole.total == sum(part.total for part in parts)


@given(COUNTS, OBJECTIVES)
def test_nothing_is_left_exactly_when_the_events_are_used_up(
    counts: Counts, objective: Decimal
) -> None:
    assume(0 < counts.total >= counts.bad)
    left = value(budget.remaining(counts, objective=objective, at_s=1))
    events = budget.events_left(counts, objective=objective)
    assert abs(left * (1 - objective) * counts.total - events) < Decimal("1e-9")


def test_a_whole_budget_lasts_for_its_window_at_a_rate_of_one() -> None:
    left, burn = Value(Decimal(1), 1), Value(Decimal(1), 1)
    assert value(budget.exhaustion_s(left, burn, window_s=3600)) == 3600
    half = Value(Decimal("0.5"), 1)
    assert value(budget.exhaustion_s(half, Value(Decimal(2), 1), window_s=3600)) == 900


def test_a_budget_that_is_gone_lasts_no_longer() -> None:
    assert value(budget.exhaustion_s(Value(Decimal(-1), 1), Hold("no_data"), window_s=60)) == 0


def test_a_budget_that_does_not_burn_lasts_for_no_number() -> None:
    left = Value(Decimal(1), 1)
    still = budget.exhaustion_s(left, Value(Decimal(0), 1), window_s=60)
    assert isinstance(still, Hold)
    assert still.reason == "not_burning"
    slow = budget.exhaustion_s(left, Value(Decimal("1e-30"), 1), window_s=10**7)
    assert isinstance(slow, Hold)


def test_what_is_unknown_stays_unknown() -> None:
    unknown, known = Hold("stale"), Value(Decimal(1), 1)
    assert budget.exhaustion_s(unknown, known, window_s=60) is unknown
    assert budget.exhaustion_s(known, unknown, window_s=60) is unknown


def test_coverage_is_the_share_that_anybody_counted() -> None:
    counts = Counts(covered_s=90)
    assert budget.coverage(counts, period_s=180) == Decimal("0.5")
    assert budget.coverage(counts, period_s=60) == 1
    assert budget.coverage(counts, period_s=0) is None
