"""Sums that outlive children and drivers, and never fall."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.child.calls import EDGES_S, NAMES_MAX
from inferometer.gpu.messages import CODES_MAX, EventTotals, Heartbeat, Hello
from inferometer.gpu.quantities import Counter, Total
from inferometer.gpu.sample import CallStats, Xid
from inferometer.gpu.supervision.accumulate import (
    FALLEN_S,
    INSTANCES_MAX,
    PEAK_S,
    STEPS_MAX,
    BusyRatio,
    DriverCounters,
    Events,
    Instances,
    Peak,
    Running,
    Work,
)

REPLAYS = Counter.PCIE_REPLAYS
ENERGY = Counter.ENERGY_MILLIJOULES


def test_totals_add_up_over_children() -> None:
    running: Running[str] = Running()
    running.take({"a": 5})
    running.take({"a": 8, "b": 1})
    running.restart()
    running.take({"a": 3})
    assert running.sums == {"a": 11, "b": 1}


def test_a_total_that_falls_has_begun_anew() -> None:
    running: Running[str] = Running()
    running.take({"a": 5})
    running.take({"a": 2})
    assert running.sums == {"a": 7}


def test_kinds_of_totals_are_bounded() -> None:
    running: Running[int] = Running(keys_max=3)
    running.take(dict.fromkeys(range(5), 1))
    running.take({0: 4, 4: 4})
    assert running.sums == {0: 4, 1: 1, 2: 1}


@given(st.lists(st.none() | st.integers(0, 1000)))
def test_sums_of_totals_never_fall(steps: list[int | None]) -> None:
    running: Running[str] = Running()
    sums = [0]
    for step in steps:
        if step is None:
            running.restart()
        else:
            running.take({"a": step})
        sums.append(running.sums.get("a", 0))
    assert sums == sorted(sums)


def test_a_drivers_counter_counts_from_when_it_was_first_seen() -> None:
    counters = DriverCounters()
    counters.take({REPLAYS: 1000}, 0)
    assert counters.sums == {REPLAYS: 0}
    counters.take({REPLAYS: 1007}, 1)
    counters.take({}, 2)  # a gap, during which it went on
    counters.take({REPLAYS: 1010}, 500)
    assert counters.sums == {REPLAYS: 10}
    assert counters.refused == {}


def test_a_counter_that_falls_without_a_reason_is_refused() -> None:
    counters = DriverCounters()
    counters.take({REPLAYS: 1000}, 0)
    counters.take({REPLAYS: 3}, 1)
    counters.take({REPLAYS: 1004}, 2)
    assert counters.sums == {REPLAYS: 4}
    assert counters.refused == {"pcie_replays": 1}


def test_a_counter_that_falls_after_a_reset_is_new_as_a_whole() -> None:
    counters = DriverCounters()
    counters.take({REPLAYS: 1000, ENERGY: 50}, 0)
    counters.expect_restart()
    counters.take({REPLAYS: 3}, 1)
    counters.take({REPLAYS: 5, ENERGY: 60}, 2)
    assert counters.sums == {REPLAYS: 5, ENERGY: 10}
    counters.take({REPLAYS: 0, ENERGY: 0}, 3)
    assert counters.refused == {"pcie_replays": 1, "energy_millijoules": 1}, "one reset, one fall"


def test_a_counter_that_stays_low_is_where_we_go_on_from_with_nothing_added() -> None:
    counters = DriverCounters()
    counters.take({REPLAYS: 1000}, 0)
    counters.take({REPLAYS: 10}, 1)
    counters.take({REPLAYS: 12}, FALLEN_S)
    assert counters.sums == {REPLAYS: 0}
    counters.take({REPLAYS: 14}, 1 + FALLEN_S)
    assert counters.sums == {REPLAYS: 0}
    counters.take({REPLAYS: 17}, 2 + FALLEN_S)
    assert counters.sums == {REPLAYS: 3}
    assert counters.refused == {"pcie_replays": 3}


def test_one_that_keeps_falling_is_not_believed() -> None:
    counters = DriverCounters()
    counters.take({REPLAYS: 1000}, 0)
    counters.take({REPLAYS: 10}, 1)
    counters.take({REPLAYS: 5}, FALLEN_S)
    counters.take({REPLAYS: 6}, 1 + FALLEN_S)
    assert counters.refused == {"pcie_replays": 3}


def test_a_step_that_no_device_makes_is_refused() -> None:
    counters = DriverCounters()
    counters.take({ENERGY: 1000}, 0)
    counters.take({ENERGY: 2**60}, 1)
    counters.take({ENERGY: 1700}, 2)
    assert counters.sums == {ENERGY: 700}
    assert counters.refused == {"energy_millijoules": 1}


@given(st.lists(st.none() | st.tuples(st.integers(0, 100), st.floats(0, 400))))
def test_sums_of_counters_never_fall(steps: list[tuple[int, float] | None]) -> None:
    counters = DriverCounters()
    sums, now_s = [0], 0.0
    for step in steps:
        if step is None:
            counters.expect_restart()
        else:
            now_s += step[1]
            counters.take({REPLAYS: step[0]}, now_s)
        sums.append(counters.sums.get(REPLAYS, 0))
    assert sums == sorted(sums)


def events(xids: dict[int | None, int], last: int, **kinds: int) -> EventTotals:
    return EventTotals("GPU-1", {c: Xid(n, 10.0 + n) for c, n in xids.items()}, last, kinds)


def test_two_equal_xids_count_twice() -> None:
    seen = Events()
    assert vars(seen)["xid_last"] is None
    seen.take(events({}, 0))
    assert vars(seen)["xid_last"] == 0
    seen.take(events({48: 2}, 48, ecc_dbe=1))
    assert seen.xids == {48: Xid(2, 12.0)}
    assert (seen.xid_last, seen.events) == (48, {"ecc_dbe": 1})


def test_events_add_up_over_children() -> None:
    seen = Events()
    seen.take(events({48: 2}, 48, ecc_dbe=1))
    seen.restart()
    seen.take(events({}, 0))
    assert seen.xid_last == 48
    seen.take(events({48: 1, 63: 1}, 63, ecc_dbe=1))
    assert {code: xid.seen for code, xid in seen.xids.items()} == {48: 3, 63: 1}
    assert (seen.xid_last, seen.events) == (63, {"ecc_dbe": 2})


def test_above_64_codes_xids_count_under_none() -> None:
    seen = Events()
    seen.take(events(dict.fromkeys(range(CODES_MAX - 1), 1), 5))
    seen.restart()
    seen.take(events({**dict.fromkeys(range(100, 110), 2), None: 3}, 109))
    assert len(seen.xids) == CODES_MAX + 1
    assert seen.xids[100].seen == 2
    assert seen.xids[None].seen == 9 * 2 + 3


def test_instances_that_are_gone_are_not_shown_but_remembered_for_a_while() -> None:
    instances = Instances()
    assert instances.take({"MIG-1": {Total.BUSY_NS: 5}}) == {"MIG-1": {Total.BUSY_NS: 5}}
    assert instances.take({}) == {}
    instances.restart()
    assert instances.take({"MIG-1": {Total.BUSY_NS: 2}}) == {"MIG-1": {Total.BUSY_NS: 7}}


def test_instances_that_are_remembered_are_bounded() -> None:
    instances = Instances()
    instances.take({"MIG-first": {Total.BUSY_NS: 5}})
    instances.take({"MIG-second": {Total.BUSY_NS: 5}})
    for number in range(INSTANCES_MAX - 1):
        instances.take({f"MIG-{number}": {Total.BUSY_NS: 1}})
    assert instances.take({"MIG-first": {Total.BUSY_NS: 1}}) == {"MIG-first": {Total.BUSY_NS: 1}}
    again = {"MIG-1": {Total.BUSY_NS: 3}}
    assert instances.take(again) == again


def test_a_peak_is_the_highest_of_the_last_minute() -> None:
    peak = Peak()
    assert peak.highest(0) is None
    peak.take(5.0, 0)
    peak.take(3.0, 10)
    peak.take(4.0, 20)
    assert peak.highest(PEAK_S) == 5.0
    assert peak.highest(PEAK_S + 1) == 4.0
    assert peak.highest(PEAK_S + 21) is None


def test_a_peaks_window_is_bounded() -> None:
    peak = Peak()
    for step in range(STEPS_MAX + 10):
        peak.take(1e6 - step, 0)
    assert peak.highest(0) == 1e6 - 10


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 100)), max_size=50))
def test_a_peak_is_what_a_plain_search_finds(values: list[tuple[float, float]]) -> None:
    peak, now_s, noted = Peak(), 0.0, []
    for wait_s, value in values:
        now_s += wait_s
        peak.take(value, now_s)
        noted.append((now_s, value))
        assert peak.highest(now_s) == max(v for s, v in noted if s >= now_s - PEAK_S)


def test_the_busy_ratio_is_that_of_a_second_or_so() -> None:
    ratio = BusyRatio()
    assert ratio.take({}) is None
    assert ratio.take({Total.BUSY_NS: 0, Total.OBSERVED_NS: 0}) is None
    assert ratio.take({Total.BUSY_NS: 2 * 10**8, Total.OBSERVED_NS: 5 * 10**8}) is None
    assert ratio.take({Total.BUSY_NS: 5 * 10**8, Total.OBSERVED_NS: 10**9}) == 0.5
    assert ratio.take({Total.BUSY_NS: 5 * 10**9, Total.OBSERVED_NS: 2 * 10**9}) == 1.0


def beat(calls: int, dropped: int = 0, **names: int) -> Heartbeat:
    counted = {"Call": calls, **names}
    stats = {
        name: CallStats({"ok": n}, (n,) + (0,) * len(EDGES_S), n / 4) for name, n in counted.items()
    }
    return Heartbeat({}, {}, stats, {"Call": "slow"}, dropped, calls)


def test_calls_add_up_over_children() -> None:
    work = Work()
    work.greeted(Hello("550.1", (), 8))
    work.beaten(beat(3, dropped=2))
    work.beaten(beat(4, dropped=3))
    work.restart()
    assert work.demoted == {}
    work.beaten(beat(2, dropped=1))
    work.beaten(beat(2, dropped=1)._replace(calls=None))
    assert work.calls["Call"].results == {"ok": 6}
    assert work.calls["Call"].seconds == pytest.approx(1.5)
    assert (work.dropped, work.devices_pci, work.driver_version) == (4, 8, "550.1")
    assert work.demoted == {"Call": "slow"}
    assert work.kernel_sequence == 4


def test_names_of_calls_are_bounded_over_children_too() -> None:
    work = Work()
    for child in range(5):
        work.restart()
        work.beaten(beat(1, **{f"{child} {number}": 1 for number in range(NAMES_MAX)}))
    assert len(work.calls) <= 2 * (NAMES_MAX + 1)


@pytest.mark.parametrize("driver", [False, True])
def test_bytes_that_a_child_continued_go_on_from_where_the_next_one_begins(driver: bool) -> None:  # noqa: FBT001
    moved = Counter.PCIE_TRANSMIT_BYTES
    counters = DriverCounters()
    counters.take({moved: 2**32 + 100, REPLAYS: 9}, 0)  # over a wrap of the driver's 32 bits
    counters.take({moved: 2**32 + 150, REPLAYS: 9}, 1)
    if driver:
        counters.expect_restart()
    counters.child_started()
    counters.take({moved: 170}, 2)
    assert counters.sums[moved] == 50, "how much of 170 bytes is new, nobody knows"
    counters.take({moved: 190}, 3)
    assert counters.sums[moved] == 70
    assert counters.refused == {}
    counters.take({moved: 10, REPLAYS: 3}, 4)
    refused = {moved} if driver else {moved, REPLAYS}
    assert counters.refused_now == refused, "what the driver itself counts does not begin anew"


def test_what_was_refused_is_told_until_the_next_time() -> None:
    counters = DriverCounters()
    counters.take({REPLAYS: 1000, ENERGY: 5}, 0)
    counters.take({REPLAYS: 3, ENERGY: 6}, 1)
    assert counters.refused_now == {REPLAYS}
    counters.take({ENERGY: 7}, 2)
    assert counters.refused_now == frozenset()


def test_a_total_that_is_counted_elsewhere_adds_nothing() -> None:
    running: Running[str] = Running()
    running.take({"a": 5})
    running.take({"a": 8}, passing=["a"])
    running.take({"a": 9})
    assert running.sums == {"a": 6}


def test_events_say_how_far_they_go_in_the_kernels_log() -> None:
    work = Work()
    work.counted(EventTotals("GPU-1", {48: Xid(1, 5.0)}, 48, {}, 41))
    work.beaten(Heartbeat({}, {}, None, {}, 0, 40))
    work.counted(EventTotals("GPU-1", {}, 0, {}))
    assert work.kernel_sequence == 41
