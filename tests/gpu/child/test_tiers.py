"""The rhythm of a device, and what is known between two readings."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.child.tiers import COUNT_MAX, Grid, Latest
from inferometer.gpu.quantities import Counter, Gauge, Tier, Total
from inferometer.gpu.sample import Instance, Process, Reading

PERIODS: dict[Tier, int] = {"fast": 1, "process": 5, "slow": 30}
MIG = Instance(
    gpu_instance=1, compute_instance=0, uuid="MIG-1", profile="1g", slices=1, slices_max=7
)


@pytest.fixture
def grid() -> Grid:
    return Grid(first_ns=1000, tick_ns=100, periods=PERIODS)


@pytest.fixture
def latest() -> Latest:
    return Latest()


def test_in_the_first_tick_every_tier_is_due_and_then_each_in_its_period(grid: Grid) -> None:
    due = []
    for _ in range(31):
        due.append(grid.tiers())
        grid.advance(grid.due_ns + 1)
    assert [n for n, tiers in enumerate(due) if "process" in tiers] == [0, 5, 10, 15, 20, 25, 30]
    assert [n for n, tiers in enumerate(due) if "slow" in tiers] == [0, 30]
    assert all("fast" in tiers for tiers in due)
    assert grid.due_ns == 1000 + 31 * 100
    assert grid.missed == {"fast": 0, "process": 0, "slow": 0}


def test_a_late_tick_is_left_out_and_counted(grid: Grid) -> None:
    grid.advance(1099)
    assert grid.due_ns == 1100
    grid.advance(1200)  # the tick of 1200 has begun already
    assert grid.due_ns == 1300
    assert grid.missed["fast"] == 1


def test_a_tier_whose_tick_was_left_out_is_read_in_the_next(grid: Grid) -> None:
    for _ in range(5):
        grid.advance(grid.due_ns)
    assert grid.due_ns == 1500
    assert grid.tiers() == ("fast", "process")
    grid.advance(1500 + 730)
    assert grid.due_ns == 2300
    assert grid.missed == {"fast": 7, "process": 1, "slow": 0}
    assert grid.tiers() == ("fast", "process")
    grid.advance(grid.due_ns)
    assert grid.tiers() == ("fast",)


def test_a_tick_before_the_grid_is_one_more() -> None:
    grid = Grid(first_ns=1000, tick_ns=100, periods=PERIODS, early_ns=700)
    assert (grid.due_ns, grid.tiers()) == (700, ("fast", "process", "slow"))
    grid.advance(760)
    assert (grid.due_ns, grid.tiers()) == (1000, ("fast", "process", "slow"))
    grid.advance(1001)
    assert (grid.due_ns, grid.tiers()) == (1100, ("fast",))
    assert grid.missed == {"fast": 0, "process": 0, "slow": 0}


def test_all_tiers_can_be_made_due(grid: Grid) -> None:
    grid.advance(1000)
    grid.all_due()
    assert grid.tiers() == ("fast", "process", "slow")


@given(st.lists(st.integers(0, 5000), max_size=30))
def test_every_tick_is_either_made_or_counted(durations_ns: list[int]) -> None:
    grid = Grid(first_ns=0, tick_ns=100, periods=PERIODS)
    made = 0
    for took_ns in durations_ns:
        made += 1
        began_ns = grid.due_ns
        grid.advance(began_ns + took_ns)
        assert grid.due_ns > began_ns + took_ns
        assert grid.due_ns <= began_ns + took_ns + 100
    assert grid.due_ns == (made + grid.missed["fast"]) * 100


def test_tiers_are_put_together(latest: Latest) -> None:
    latest.take(
        "fast", Reading(gauges={Gauge.POWER_WATTS: 1.0}, totals={Total.BUSY_NS: 2}), read_ns=1
    )
    latest.take("process", Reading(processes=(Process(1, None, None),)), read_ns=1)
    slow = Reading(gauges={Gauge.FAN_PERCENT: 3.0}, counters={Counter.PCIE_REPLAYS: 4})
    latest.take("slow", slow, read_ns=1)
    sample = latest.sample("GPU-1", (5, 6.0), {"fp64_ratio": "architecture"})
    assert (sample.uuid, sample.moment_ns, sample.time_s) == ("GPU-1", 5, 6.0)
    assert sample.gauges == {Gauge.POWER_WATTS: 1.0, Gauge.FAN_PERCENT: 3.0}
    assert sample.counters == {Counter.PCIE_REPLAYS: 4}
    assert sample.totals == {Total.BUSY_NS: 2}
    assert sample.processes == (Process(1, None, None),)
    assert sample.unsupported == {"fp64_ratio": "architecture"}


def test_what_a_tier_no_longer_tells_is_unknown(latest: Latest) -> None:
    latest.take("fast", Reading(gauges={Gauge.POWER_WATTS: 1.0, Gauge.SM_RATIO: 0.5}), read_ns=1)
    latest.take("fast", Reading(gauges={Gauge.SM_RATIO: 0.6}), read_ns=1)
    assert latest.sample("", (0, 0), {}).gauges == {Gauge.SM_RATIO: 0.6}
    assert latest.gone() == {Gauge.POWER_WATTS}


def test_a_quantity_that_moved_to_another_tier_is_not_gone(latest: Latest) -> None:
    latest.take("fast", Reading(gauges={Gauge.POWER_WATTS: 1.0}), read_ns=1)
    latest.take("fast", Reading(), read_ns=1)
    latest.take("slow", Reading(gauges={Gauge.POWER_WATTS: 2.0}), read_ns=1)
    assert latest.sample("", (0, 0), {}).gauges == {Gauge.POWER_WATTS: 2.0}
    assert latest.gone() == set()


def test_the_fastest_tier_has_the_last_word(latest: Latest) -> None:
    latest.take("fast", Reading(gauges={Gauge.POWER_WATTS: 1.0}), read_ns=1)
    latest.take("slow", Reading(gauges={Gauge.POWER_WATTS: 2.0}), read_ns=1)
    assert latest.sample("", (0, 0), {}).gauges == {Gauge.POWER_WATTS: 1.0}


def test_a_tier_that_did_not_look_leaves_instances_and_processes(latest: Latest) -> None:
    latest.take("slow", Reading(instances=(MIG,), processes=()), read_ns=1)
    latest.take("fast", Reading(), read_ns=2)
    assert latest.instances == {"MIG-1"}
    sample = latest.sample("", (0, 0), {})
    assert (sample.processes, sample.processes_ns) == ((), 1)
    latest.take("slow", Reading(instances=()), read_ns=1)
    assert latest.sample("", (0, 0), {}).instances == ()


def test_what_no_driver_can_mean_is_refused_and_counted(latest: Latest) -> None:
    gauges = {Gauge.POWER_WATTS: nan, Gauge.SM_RATIO: inf, Gauge.FAN_PERCENT: 0.0}
    counters = {Counter.PCIE_REPLAYS: -1, Counter.ENERGY_MILLIJOULES: COUNT_MAX}
    for _ in range(2):
        reading = Reading(gauges=gauges, counters=counters, implausible={"x": 3})
        latest.take("fast", reading, read_ns=1)
    sample = latest.sample("", (0, 0), {})
    assert sample.gauges == {Gauge.FAN_PERCENT: 0.0}
    assert sample.counters == {}
    assert sample.implausible == {
        "power_watts": 2,
        "sm_ratio": 2,
        "pcie_replays": 2,
        "energy_millijoules": 2,
        "x": 3,
    }


def test_after_clear_nothing_is_known(latest: Latest) -> None:
    reading = Reading(gauges={Gauge.POWER_WATTS: 1.0}, instances=(MIG,), processes=())
    latest.take("slow", reading, read_ns=1)
    latest.clear()
    sample = latest.sample("", (0, 0), {})
    assert (sample.gauges, sample.instances) == ({}, ())
    assert (sample.processes, sample.processes_ns) == (None, None)
    assert latest.gone() == set()


@pytest.mark.req("GX-04")
def test_a_sum_that_is_no_longer_told_is_gone_too(latest: Latest) -> None:
    latest.take("fast", Reading(totals={Total.BUSY_NS: 1}), read_ns=1)
    latest.take("fast", Reading(), read_ns=2)
    assert latest.gone() == {Total.BUSY_NS}
    assert latest.sample("", (0, 0), {}).totals == {}


@pytest.mark.req("GX-04")
def test_an_older_value_of_a_slower_tier_never_comes_back(latest: Latest) -> None:
    slow = Reading(
        gauges={Gauge.POWER_WATTS: 1.0, Gauge.FAN_PERCENT: 3.0},
        counters={Counter.PCIE_REPLAYS: 5},
        totals={Total.BUSY_NS: 7},
    )
    latest.take("slow", slow, read_ns=1)  # calls that were slow for a while
    fast = Reading(
        gauges={Gauge.POWER_WATTS: 2.0},
        counters={Counter.PCIE_REPLAYS: 6},
        totals={Total.BUSY_NS: 9},
    )
    latest.take("fast", fast, read_ns=2)
    latest.take("fast", Reading(), read_ns=3)
    sample = latest.sample("", (0, 0), {})
    assert sample.gauges == {Gauge.FAN_PERCENT: 3.0}
    assert (sample.counters, sample.totals) == ({}, {})
    assert latest.gone() == {Gauge.POWER_WATTS, Counter.PCIE_REPLAYS, Total.BUSY_NS}
