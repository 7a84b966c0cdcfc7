"""What the rules must make of scenarios, by the model: known moments, and how alerts go on."""

from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.slo.document import Slice
from inferometer.slo.proof.expected import firing, moment, traffic
from inferometer.slo.proof.scenario import BURNS, Scenario, Subject, Watch
from inferometer.slo.proof.scenarios import OUTAGE_MIN, PEAK_MIN, STEADY_MIN, table
from inferometer.slo.proof.standins import GAUGE
from inferometer.slo.windows import CLIFF, DAY_S, DRAIN, FAST, MEDIUM, Promise

FIVE = Slice(300 * 10**9, Decimal(50))


def subject(objective: str = "99", *, days: int = 30, min_bad: int = 10) -> Subject:
    return Subject(promise=Promise(Decimal(objective) / 100, days * DAY_S, min_bad))


def scenario(of: Subject, name: str) -> Scenario:
    return next(one for one in table(of, 10) if one.name == name)


def at(of: Subject, name: str, watch: Watch, *, until: int = 2000, step: int = 1) -> int | None:
    return moment(of, scenario(of, name), watch, until=until, step=step)


@pytest.mark.parametrize(("objective", "fast", "cliff"), [("99", 11, 15), ("99.9", 3, 15)])
def test_an_outage_pages_as_the_model_says(objective: str, fast: int, cliff: int) -> None:
    one = subject(objective)
    for pair, minute in ((FAST, fast), (CLIFF, cliff)):
        found = at(one, "outage", Watch(alert=pair.alert, pair=pair), until=500)
        assert found == STEADY_MIN + minute


def test_a_page_ends_after_its_short_window_and_some_minutes() -> None:
    watch = Watch(alert=FAST.alert, pair=FAST, edge="last")
    over = STEADY_MIN + OUTAGE_MIN
    assert at(subject(), "outage", watch, until=500) == over + 4 + 5
    assert at(subject(), "outage", watch, until=over + 5) is None  # it still fires then


def test_who_wants_no_page_gets_none() -> None:
    silent = Subject(promise=subject().promise, page=False, ticket=False)
    for pair in (FAST, MEDIUM, DRAIN):
        assert at(silent, "outage", Watch(alert=pair.alert, pair=pair), until=500) is None
    for alert, name in (("LLMSLOTrickle", "three-bad"), ("LLMSLONoData", "gone-at-peak")):
        assert at(silent, name, Watch(alert=alert)) is None


def test_between_long_steps_an_alert_waits_for_the_next_one() -> None:
    watch = Watch(alert=DRAIN.alert, pair=DRAIN)
    exact = at(subject(), "partial-drain", watch, until=6505)
    assert exact is not None
    assert at(subject(), "partial-drain", watch, until=6505, step=5) == -(-exact // 5) * 5


def test_three_bad_requests_are_told_an_hour_after_the_third() -> None:
    assert at(subject(), "three-bad", Watch(alert="LLMSLOTrickle")) == 111 + 2 + 60
    assert at(subject(), "three-bad", Watch(alert=BURNS)) is None
    assert at(subject(), "three-bad", Watch(alert=".+")) == 173
    assert at(subject(), "one-bad", Watch(alert="LLMSLOTrickle")) is None


def test_without_a_guard_one_request_is_a_false_alarm() -> None:
    assert at(subject(min_bad=1), "one-bad", Watch(alert=BURNS)) is not None
    assert at(subject(min_bad=1), "three-bad", Watch(alert="LLMSLOTrickle")) is None


@pytest.mark.parametrize(("objective", "delay"), [("99.9", 30), ("95", 108), ("50", 360)])
def test_silence_is_told_after_the_delay_of_the_objective(objective: str, delay: int) -> None:
    found = at(subject(objective), "gone-at-peak", Watch(alert="LLMSLONoData"))
    assert found == PEAK_MIN + 4 + delay
    sliced = Subject(promise=subject(objective).promise, slice=Slice(1800 * 10**9, Decimal(50)))
    found = at(sliced, "zero-at-peak", Watch(alert="LLMSLONoData"))
    assert found == PEAK_MIN + 29 + delay


def test_too_short_a_history_is_told_unless_a_ledger_covers_it() -> None:
    watch = Watch(alert="LLMSLOWindowTruncated")
    assert at(subject(), "retention", watch) == 60
    assert at(subject(), "retention-ledger", watch) is None
    assert at(subject(days=10), "retention", watch) is None


def test_weights_count_tokens_slices_or_minutes_of_a_gauge() -> None:
    promise = subject().promise
    tokens = Subject(promise=promise, weight="token")
    heavy = traffic(tokens, scenario(tokens, "one-heavy"), 20)
    assert (heavy.bad.at(15), heavy.bad_requests.at(15)) == (8000, 1)
    assert traffic(subject(), scenario(subject(), "half"), 400).bad.at(390) == 25
    slices = Subject(promise=promise, weight="slice", slice=FIVE)
    assert traffic(slices, scenario(slices, "outage"), 400).total.at(390) == 1
    gauge = Subject(promise=promise, weight="slice", slice=FIVE, kind=GAUGE)
    seen = traffic(gauge, scenario(gauge, "outage"), 400)
    assert seen.bad_requests.at(390) == 5


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 5), st.integers(0, 5))
def test_an_alert_waits_and_goes_on_as_long_as_it_says(
    held: list[bool], wait: int, keep: int
) -> None:
    fires = list(firing(held, for_min=wait, keep_min=keep))
    for now, fired in enumerate(fires):
        before = held[max(0, now - wait) : now + 1]
        if len(before) == wait + 1 and all(before):
            assert fired
        if fired and not held[now]:
            assert any(held[max(0, now - keep) : now])
        if fired:
            assert any(held[: now + 1])
    assert not any(islice(fires, wait))


def test_what_holds_again_while_it_is_kept_needs_no_new_wait() -> None:
    held = [True, True, False, True, False, False, False]
    assert list(firing(held, for_min=1, keep_min=2)) == [
        False, True, True, True, True, True, False,
    ]  # fmt: skip
