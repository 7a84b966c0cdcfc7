from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.prom.answer import NUMBER_MAX, Hold, Value, Zero, answer, fresh


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_cannot_be_a_value(text: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        Value(Decimal(text), 1.0)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_a_hold(number: float) -> None:
    assert isinstance(answer(number, 1.0), Hold)


def test_what_is_beyond_all_reason_is_a_hold() -> None:
    assert answer(NUMBER_MAX, 1.0) == Value(NUMBER_MAX, 1.0)
    assert answer(-NUMBER_MAX - 1, 1.0) == Hold("not_a_number", "it is larger than 1e+12")


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_a_number_stays_what_it_is(number: float) -> None:
    found = answer(number, 5.0, window_s=60.0)
    assert isinstance(found, Value)
    assert float(found.number) == number
    assert (found.at_s, found.window_s, found.bound) == (5.0, 60.0, "exact")


def test_the_three_are_never_equal() -> None:
    zero, proven, unknown = Value(Decimal(0), 1.0), Zero("counted", 1.0), Hold("no_data")
    assert len({zero, proven, unknown}) == 3


@pytest.mark.parametrize(("at_s", "is_known"), [(100, True), (40, True), (39, False), (161, False)])
def test_a_value_that_is_too_old_or_of_the_future_is_a_hold(at_s: float, *, is_known: bool) -> None:
    value = Value(Decimal(1), at_s)
    found = fresh(value, now_s=100, age_max_s=60)
    assert (found is value) is is_known
    if isinstance(found, Hold):
        assert (found.reason, found.since_s) == ("stale", at_s)
