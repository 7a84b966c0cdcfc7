"""The model of the rules: known answers, exactness, and what must hold for any traffic."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.document import Slice
from inferometer.slo.model import (
    HORIZON,
    TICKS,
    Minute,
    Series,
    counted,
    exceeds,
    first_minute,
    holds,
    of_severity,
    outage,
    sliced,
    smallest_share,
)
from inferometer.slo.windows import CLIFF, DAY_S, DRAIN, FAST, MEDIUM, PAIRS, SLOW, Promise

PAGES = of_severity("critical")
FINE = Minute(10, 0, 0)


def month(objective: str, *, min_bad: int = 10) -> Promise:
    return Promise(Decimal(objective) / 100, 30 * DAY_S, min_bad)


@pytest.mark.parametrize(
    ("objective", "minute"),
    [("50", 15), ("90", 15), ("95", 15), ("99", 11), ("99.5", 7), ("99.9", 3), ("99.999", 3)],
)
def test_a_total_outage_pages_after(objective: str, minute: int) -> None:
    assert first_minute(PAGES, month(objective), outage(Decimal(1))) == minute


@pytest.mark.parametrize(("objective", "minute"), [("90", 51), ("95", 46), ("99", 11)])
def test_without_the_cliff_low_objectives_would_wait(objective: str, minute: int) -> None:
    assert first_minute([FAST], month(objective), outage(Decimal(1))) == minute


def test_what_is_not_above_a_limit_never_pages() -> None:
    assert first_minute(PAGES, month("50"), outage(Decimal("0.8"))) is None
    assert first_minute(PAGES, month("50"), outage(Decimal("0.801"))) is not None
    assert first_minute([MEDIUM], month("99"), outage(Decimal("0.06"))) is None
    assert first_minute([MEDIUM], month("99"), outage(Decimal("0.0601"))) == 363


def test_the_guard_waits_for_enough_bad_requests() -> None:
    assert first_minute(PAGES, month("99.99", min_bad=1), outage(Decimal(1))) == 1
    assert first_minute(PAGES, month("99.99", min_bad=100), outage(Decimal(1))) == 12
    assert first_minute(PAGES, month("99.9", min_bad=10**6), outage(Decimal(1))) is None


def test_one_heavy_request_does_not_page() -> None:
    traffic = counted([Minute(8000, 8000, 1), *[Minute(100, 0, 0)] * 60], before=Minute(100, 0, 0))
    assert not any(holds(pair, month("99"), traffic, k) for pair in PAIRS for k in range(61))
    assert exceeds(traffic, "5m", Decimal("0.9"), 0)


@pytest.mark.req("SC-03")
def test_no_traffic_exceeds_nothing() -> None:
    traffic = counted([Minute(0, 0, 0)] * 10, before=Minute(0, 0, 0))
    assert not any(exceeds(traffic, w, Decimal(0), k) for w in ("5m", "1h") for k in range(10))


@pytest.mark.parametrize(
    ("objective", "page", "ticket"),
    [("99", "0.06", "0.01"), ("90", "0.6", "0.1"), ("50", "0.8", "0.5")],
)
def test_the_smallest_error_is_that_of_the_most_patient_pair(
    objective: str, page: str, ticket: str
) -> None:
    assert smallest_share("critical", month(objective)) == Decimal(page)
    assert smallest_share("warning", month(objective)) == Decimal(ticket)


def test_at_high_objectives_the_guard_is_the_limit() -> None:
    share = smallest_share("critical", month("99.999"))
    assert share == Decimal("9.5") / (10 * 360)
    assert first_minute([MEDIUM], month("99.999"), outage(share * Decimal("0.99"))) is None
    assert first_minute([MEDIUM], month("99.999"), outage(share * Decimal("1.01"))) is not None


MINUTE_NS = 60 * 10**9


def test_a_slice_is_bad_when_too_few_of_its_requests_are_good() -> None:
    one = Slice(5 * MINUTE_NS, Decimal(50))
    traffic = sliced([Minute(10, 10, 10)] * 5, one, before=FINE)
    assert [traffic.bad.at(k) for k in range(-1, 5)] == [0, 0, 0, 1, 1, 1]
    assert [traffic.total.at(k) for k in range(-1, 5)] == [1] * 6
    idle = sliced([Minute(0, 0, 0)] * 6, one, before=FINE)
    assert [idle.total.at(k) for k in range(6)] == [1, 1, 1, 1, 0, 0]
    assert first_minute(PAGES, month("99"), outage(Decimal(1), one)) == 11
    assert first_minute(PAGES, month("99"), outage(Decimal("0.5"), one)) is None
    assert smallest_share("critical", month("99"), one) == Decimal("0.5")


counts = st.integers(0, 1000)
minutes = st.lists(
    st.builds(lambda good, bad: Minute(good + bad, bad, bad), counts, counts),
    min_size=1,
    max_size=90,
)


@given(minutes, st.builds(lambda good, bad: Minute(good + bad, bad, bad), counts, counts))
def test_windows_are_the_sums_of_their_minutes(values: list[Minute], before: Minute) -> None:
    """Long after the start, five times the hour's requests are in the hour's sum."""
    traffic = counted([before] * 70 + values + [Minute(0, 0, 0)] * 4, before=before)
    last = traffic.evaluations - 1
    whole = [before] * 70 + values
    every = [minute.total for minute in whole]
    recorded = [sum(every[max(0, k - 4) : k + 1]) for k in range(len(every) + 4)]
    assert traffic.total.at(last) == recorded[last]
    assert traffic.total.total("30m", last) == sum(recorded[last - 29 : last + 1])


@given(minutes)
def test_doubling_traffic_changes_no_share(values: list[Minute]) -> None:
    once = counted(values, before=FINE)
    twice = counted([Minute(2 * t, 2 * b, 2 * r) for t, b, r in values], before=Minute(20, 0, 0))
    for evaluation in range(len(values)):
        for window in ("5m", "30m", "1h"):
            for share in (Decimal("0.01"), Decimal("0.144"), Decimal("0.8")):
                assert exceeds(once, window, share, evaluation) == exceeds(
                    twice, window, share, evaluation
                )


@given(st.decimals("0.02", 1, places=2), st.sampled_from(PAGES))
def test_what_holds_in_a_lasting_outage_goes_on_to_hold(share: Decimal, pair: object) -> None:
    assert pair in PAGES
    traffic = outage(share, minutes=400)
    for one in PAGES:
        held = [holds(one, month("99"), traffic, k) for k in range(400)]
        assert held == sorted(held)


def test_before_the_first_evaluation_it_was_always_the_same() -> None:
    series = Series.of([1, 2], before=5)
    assert series.at(-3) == 5
    assert series.total("30m", 1) == 3 + 28 * 5


def test_severities_are_those_of_the_pairs() -> None:
    assert set(PAGES) == {FAST, MEDIUM, CLIFF}
    assert set(of_severity("warning")) == {SLOW, DRAIN}
    assert of_severity("info") == ()


def test_the_horizon_outlasts_every_window() -> None:
    assert HORIZON * 60 > 3 * DAY_S
    assert TICKS == 5


def test_an_outage_of_a_gauge_counts_minutes() -> None:
    one = Slice(300 * 10**9, Decimal(80))
    of_requests, of_minutes = (outage(Decimal(1), one, rate=rate, minutes=20) for rate in (10, 1))
    assert of_minutes.bad == of_requests.bad
    assert of_minutes.bad_requests.at(19) * 10 == of_requests.bad_requests.at(19)
