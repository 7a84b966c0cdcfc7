import json
from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.live import point
from inferometer.live.history import History, encode
from inferometer.live.point import Goodput, Material, Point


def made(time_ms: int) -> Point:
    return point.make(Material(), time_ms=time_ms, answering=0, targets=1)


def times(points: list[bytes]) -> list[int]:
    return [json.loads(data)["time_ms"] for data in points]


def test_a_reader_gets_what_came_after_the_number_it_knows() -> None:
    history = History(("all", "0"), points_max=10)
    for time_ms in (1, 2, 3):
        history.add({"all": made(time_ms), "0": made(-time_ms)})
    assert history.since("all", 0)[0] == 3
    assert times(history.since("all", 0)[1]) == [1, 2, 3]
    assert times(history.since("0", 2)[1]) == [-3]
    assert history.since("all", 3) == (3, [])


def test_a_source_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        History(("all",), points_max=1).since("7", 0)


def test_the_oldest_points_make_room() -> None:
    history = History(("all",), points_max=3)
    for time_ms in range(10):
        history.add({"all": made(time_ms)})
    assert times(history.since("all", 0)[1]) == [7, 8, 9]


def test_what_is_unknown_or_infinite_is_null() -> None:
    slo = Goodput("request", 1, 2, 0, 0, None, {"ttft": inf, "gap": nan}, {})
    encoded = json.loads(encode(replace(made(1), slos={"a": slo}, heat_edges=(0.5, inf))))
    assert encoded["heat_edges"] == [0.5, None]
    assert encoded["ttft"]["p50"] is None
    assert encoded["slos"]["a"]["limits"] == {"ttft": None, "gap": None}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_arrive_to_six_digits(value: float) -> None:
    got = json.loads(encode(replace(made(1), input_rate=value)))["input_rate"]
    assert got == pytest.approx(value, rel=1e-5, abs=5e-324)
