from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.prom.answer import Hold, Value, Zero
from inferometer.slo.shown import coarse_percent, known, many, moment, percent, rate, span


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        ("1", "100 %"),
        ("0.999", "99.9 %"),
        ("0.99999999", "99.999 %"),
        ("0", "0 %"),
        ("-0.5", "-50 %"),
        ("0.12345678", "12.345 %"),
    ],
)
def test_a_share_is_rounded_down(ratio: str, text: str) -> None:
    assert percent(Decimal(ratio)) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 SLOs"), (1, "1 SLO"), (2, "2 SLOs")])
def test_one_is_no_plural(count: int, text: str) -> None:
    assert many(count, "SLO") == text


@given(st.decimals(min_value=0, max_value=1, places=12))
def test_what_is_not_all_is_never_shown_as_all(ratio: Decimal) -> None:
    assert (percent(ratio) == "100 %") == (ratio == 1)
    assert Decimal(coarse_percent(ratio).removesuffix(" %")) <= 100 * ratio


@pytest.mark.req("SC-03")
def test_what_is_unknown_is_said_in_words() -> None:
    assert known(Hold("no_traffic"), percent) == "no traffic"
    assert known(Hold("not_burning"), percent) == "not burning"
    assert known(Value(Decimal("0.5"), 1), percent) == "50 %"
    assert known(Zero("counted", 1), percent) == "0 %"


@pytest.mark.parametrize(
    ("number", "text"),
    [("0", "0.00"), ("0.001", "< 0.01"), ("1.5", "1.50"), ("14.4", "14"), ("1000", "1000")],
)
def test_a_rate_has_the_digits_that_matter(number: str, text: str) -> None:
    assert rate(Decimal(number)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min"),
        (86400, "1 d"),
        (86400 + 61, "1 d"),
        (86400 * 29 + 3600 * 23 + 60, "29 d 23 h"),
    ],
)
def test_a_time_is_told_in_its_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_moment_is_told_to_the_minute() -> None:
    assert moment(1_795_564_859) == "2026-11-25 00:00 UTC"
