"""Calls are counted and timed, and slow ones are made less often."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.child.calls import (
    EDGES_S,
    NAMES_MAX,
    OTHER,
    REST_NS,
    RESULTS_MAX,
    Load,
    Meter,
    merge,
)
from inferometer.gpu.quantities import Tier

MS = 1_000_000


class Time:
    """A clock that calls push forward."""

    def __init__(self) -> None:
        self.ns = 10**12

    def __call__(self) -> int:
        return self.ns

    def spend(self, ns: int) -> None:
        self.ns += ns


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def meter(time: Time) -> Meter:
    return Meter(clock_ns=time)


def make(meter: Meter, time: Time, name: str, took_ns: int, *, times: int = 1) -> None:
    for _ in range(times):
        meter.run(name, lambda: time.spend(took_ns))


def fail() -> None:
    raise KeyError


def test_a_call_is_counted_by_result_and_time(meter: Meter, time: Time) -> None:
    assert meter.run("Power", lambda: 5, result=lambda value: f"code {value}") == 5
    make(meter, time, "Power", 3 * MS)
    stats = meter.stats()["Power"]
    assert stats.results == {"code 5": 1, "ok": 1}
    assert stats.seconds == 0.003
    assert stats.buckets == (1, 0, 0, 0, 1, 0, 0, 0, 0, 0)
    assert meter.spent_s == 0.003


def test_each_edge_belongs_to_its_own_bucket(meter: Meter, time: Time) -> None:
    for edge_s in EDGES_S:
        make(meter, time, "Edge", round(edge_s * 1e9))
    make(meter, time, "Edge", round(EDGES_S[-1] * 1e9) + 1)
    assert meter.stats()["Edge"].buckets == (1,) * (len(EDGES_S) + 1)


def test_an_exception_passes_through_and_counts_as_its_type(meter: Meter) -> None:
    with pytest.raises(KeyError):
        meter.run("Name", fail)
    assert meter.stats()["Name"].results == {"KeyError": 1}
    assert meter.in_flight is None


def test_a_call_under_way_shows_its_name_and_start(meter: Meter, time: Time) -> None:
    start_ns = time.ns
    seen = meter.run("Hang", lambda: meter.in_flight)
    assert seen == ("Hang", start_ns)
    assert meter.in_flight is None


def test_names_and_results_are_bounded(meter: Meter) -> None:
    for number in range(NAMES_MAX + 5):
        meter.run(f"call {number}", lambda: None)
    assert len(meter.stats()) == NAMES_MAX + 1
    assert meter.stats()[OTHER].results == {"ok": 5}
    for number in range(RESULTS_MAX + 5):
        meter.run("call 0", partial(int, number), result=str)
    results = meter.stats()["call 0"].results
    assert len(results) == RESULTS_MAX + 1
    assert sum(results.values()) == RESULTS_MAX + 6


def test_a_call_is_made_in_its_own_tier(meter: Meter) -> None:
    assert meter.due("Fast", "fast", "fast")
    assert not meter.due("Fast", "fast", "process")
    assert not meter.due("Fast", "fast", "slow")
    assert meter.stats() == {}


def test_six_slow_calls_of_sixty_are_borne(meter: Meter, time: Time) -> None:
    meter.due("Call", "fast", "fast")
    for _ in range(5):
        make(meter, time, "Call", 3 * MS, times=6)
        make(meter, time, "Call", MS, times=54)
    assert meter.demoted() == {}


def test_with_a_p90_above_2_ms_a_call_moves_to_the_slow_tier(meter: Meter, time: Time) -> None:
    meter.due("Call", "fast", "fast")
    make(meter, time, "Call", MS, times=53)
    make(meter, time, "Call", 2 * MS + 1, times=7)
    assert meter.demoted() == {"Call": "slow"}
    assert not meter.due("Call", "fast", "fast")
    assert meter.due("Call", "fast", "slow")


def test_2_ms_are_not_above_2_ms(meter: Meter, time: Time) -> None:
    meter.due("Call", "fast", "fast")
    make(meter, time, "Call", 2 * MS, times=60)
    assert meter.demoted() == {}


def test_after_ten_minutes_a_demoted_call_is_made_as_declared_again(
    meter: Meter, time: Time
) -> None:
    meter.due("Call", "fast", "fast")
    make(meter, time, "Call", 3 * MS, times=7)
    time.spend(REST_NS - 1)
    assert not meter.due("Call", "fast", "fast")
    time.spend(1)
    assert meter.due("Call", "fast", "fast")
    make(meter, time, "Call", 3 * MS, times=6)
    assert meter.demoted() == {}, "its earlier slowness is forgotten"


def test_a_call_that_is_declared_slow_may_take_20_ms(meter: Meter, time: Time) -> None:
    meter.due("Ecc", "slow", "slow")
    make(meter, time, "Ecc", 20 * MS, times=60)
    assert meter.demoted() == {}
    assert meter.due("Ecc", "slow", "slow")


def test_with_a_p90_above_50_ms_a_call_is_off_for_ten_minutes(meter: Meter, time: Time) -> None:
    meter.due("Call", "fast", "fast")
    make(meter, time, "Call", 50 * MS + 1, times=6)
    assert meter.demoted() == {}
    make(meter, time, "Call", 50 * MS + 1)
    assert meter.demoted() == {"Call": "off"}
    time.spend(REST_NS - 1)
    assert not meter.due("Call", "fast", "fast")
    assert not meter.due("Call", "fast", "slow")
    time.spend(1)
    assert meter.due("Call", "fast", "slow"), "one trial, in the slow tier"
    assert not meter.due("Call", "fast", "fast")


def test_one_slow_trial_switches_a_call_off_again(meter: Meter, time: Time) -> None:
    meter.due("Call", "fast", "fast")
    make(meter, time, "Call", 60 * MS, times=7)
    time.spend(REST_NS)
    make(meter, time, "Call", 60 * MS)
    assert meter.demoted() == {"Call": "off"}
    assert not meter.due("Call", "fast", "slow")


@pytest.mark.parametrize(("tier", "pace"), [("fast", {"Call": "slow"}), ("slow", {})])
def test_one_quick_trial_brings_a_call_back_to_the_slow_tier(
    meter: Meter, time: Time, tier: Tier, pace: dict[str, str]
) -> None:
    meter.due("Call", tier, tier)
    make(meter, time, "Call", 60 * MS, times=7)
    time.spend(REST_NS)
    make(meter, time, "Call", MS)
    assert meter.demoted() == pace
    assert meter.due("Call", tier, "slow")


def test_a_call_that_never_asks_whether_it_is_due_is_not_governed(meter: Meter, time: Time) -> None:
    make(meter, time, "Open", 10**9, times=60)
    assert meter.demoted() == {}


@given(st.lists(st.integers(0, 100 * MS), min_size=60, max_size=60))
def test_the_governor_goes_by_the_54th_of_60(times_ns: list[int]) -> None:
    time = Time()
    meter = Meter(clock_ns=time)
    meter.due("Call", "fast", "fast")
    for took_ns in times_ns:
        if not meter.demoted():
            make(meter, time, "Call", took_ns)
    p90_ns = sorted(times_ns)[53]
    assert bool(meter.demoted()) == (p90_ns > 2 * MS)


def test_meters_are_merged_by_call(meter: Meter, time: Time) -> None:
    other = Meter(clock_ns=time)
    make(meter, time, "Both", MS)
    make(other, time, "Both", MS, times=2)
    make(other, time, "One", MS)
    merged = merge([meter.stats(), other.stats()])
    assert merged["Both"].results == {"ok": 3}
    assert merged["Both"].seconds == pytest.approx(0.003)
    assert sum(merged["Both"].buckets) == 3
    assert merged["One"].results == {"ok": 1}


def test_load_is_told_once_a_window() -> None:
    load = Load(window_s=60)
    assert load.take(1.0, 100.0) is None
    assert load.take(2.0, 159.9) is None
    assert load.take(2.2, 160.0) == pytest.approx(0.02)
    assert load.take(2.2, 161.0) is None
