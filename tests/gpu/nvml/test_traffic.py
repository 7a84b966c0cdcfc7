from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.backend import DeviceError
from inferometer.gpu.nvml.traffic import ByteCounter
from inferometer.gpu.quantities import Counter, Gauge, Total
from support.fake_nvml import Scenario
from support.nvml import Rig

LIMIT = 1e9
SECOND = 1_000_000


def wide() -> Scenario:
    """An H100 that counts PCIe in 64 bits."""
    scenario = Scenario.profile("h100")
    for field in (197, 198):
        scenario.field(field, 10**9, ramp=310_000_000, kind=3)
    return scenario


def counting(*values: int, bits: int = 64, limit: float = LIMIT) -> ByteCounter:
    counter = ByteCounter()
    for second, value in enumerate(values):
        counter.take(value, second * SECOND, bits=bits, limit=limit)
    return counter


def test_a_counter_starts_with_what_the_driver_says() -> None:
    assert ByteCounter().bytes is None
    assert counting(500).bytes == 500


def test_units_become_bytes() -> None:
    counter = ByteCounter(1024)
    counter.take(3, 0, bits=64, limit=LIMIT)
    counter.take(5, SECOND, bits=64, limit=LIMIT)
    assert (counter.bytes, counter.step_bytes) == (5120, 2048)


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("bits", [32, 64])
def test_a_counter_that_wraps_at_32_bits_goes_on(bits: int) -> None:
    assert counting((1 << 32) - 10, 20, bits=bits).bytes == (1 << 32) + 20


@pytest.mark.req("GX-04")
def test_a_step_that_no_link_could_carry_is_left_out_and_counting_goes_on() -> None:
    counter = counting(0)
    step = counter.take(int(1.21 * LIMIT), SECOND, bits=64, limit=LIMIT)
    assert (step, counter.bytes) == ("implausible", 0)
    assert counter.take(int(1.21 * LIMIT) + 7, 2 * SECOND, bits=64, limit=LIMIT) == "taken"
    assert counter.bytes == 7


def test_a_little_more_than_the_link_carries_is_believed() -> None:
    assert counting(0, int(1.19 * LIMIT)).bytes == int(1.19 * LIMIT)


@pytest.mark.req("GX-04")
def test_a_counter_that_starts_again_counts_on_from_there() -> None:
    assert counting(3 << 32, 0, 5).bytes == (3 << 32) + 5


@given(
    start=st.integers(0, (1 << 32) - 1),
    steps=st.lists(st.integers(0, 10**9), max_size=50),
)
def test_the_sum_is_right_however_often_it_wraps(start: int, steps: list[int]) -> None:
    values = [start]
    for step in steps:
        values.append((values[-1] + step) % (1 << 32))
    assert counting(*values, bits=32).bytes == start + sum(steps)


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=30))
def test_whatever_a_driver_says_the_sum_never_falls(values: list[int]) -> None:
    counter = ByteCounter()
    last = 0
    for second, value in enumerate(values):
        counter.take(value, second * SECOND, bits=64, limit=LIMIT)
        assert counter.bytes is not None
        assert counter.bytes >= last or second == 0
        last = counter.bytes


def test_pcie_bytes_grow_over_the_wraps_of_the_drivers_counter(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:  # 310 MB/s in 32 bits: wraps every 14 s
        rig.change(lambda s: s.fail("nvmlGpmQueryDeviceSupport", 3))
        rig.probed()
        first = rig.tick().counters[Counter.PCIE_TRANSMIT_BYTES]
        last = rig.ticks(60).counters[Counter.PCIE_TRANSMIT_BYTES]
        assert last - first == 60 * 310_000_000


@pytest.mark.req("GX-04")
def test_an_impossible_step_of_pcie_is_refused_and_counted(tmp_path: Path) -> None:
    with Rig.open(tmp_path, wide()) as rig:
        rig.probed()
        before = rig.tick().counters
        rig.change(lambda s: s.field(197, 10**13, ramp=310_000_000, kind=3))
        refused = rig.tick()
        assert Counter.PCIE_TRANSMIT_BYTES not in refused.counters
        assert refused.counters[Counter.PCIE_RECEIVE_BYTES] > 0
        assert refused.implausible == {"pcie_transmit_bytes": 1}
        after = rig.tick().counters
        assert (
            after[Counter.PCIE_TRANSMIT_BYTES] - before[Counter.PCIE_TRANSMIT_BYTES] == 310_000_000
        )


def test_nvlink_counts_in_kib_and_gives_a_rate_of_both_ways(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        before = rig.tick()
        after = rig.tick()
        step = 42_000_000 * 1024
        counter = Counter.NVLINK_RECEIVE_BYTES
        assert after.counters[counter] - before.counters[counter] == step
        assert after.gauges[Gauge.NVLINK_BYTES_PER_SECOND] == pytest.approx(2 * step)


def test_links_that_count_for_themselves_are_added_up(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "b200") as rig:
        rig.probed()
        before = rig.tick()
        after = rig.tick()
        counter = Counter.NVLINK_TRANSMIT_BYTES
        step = after.counters[counter] - before.counters[counter]
        assert step == pytest.approx(97.2e9)
        assert after.gauges[Gauge.NVLINK_BYTES_PER_SECOND] == pytest.approx(2 * step)


def test_a_link_that_fails_for_a_while_is_made_up_for(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "b200") as rig:
        rig.probed()
        before = rig.tick().counters[Counter.NVLINK_TRANSMIT_BYTES]
        rig.change(lambda s: s.fail("field", 3, args=(202, 4)))
        during = rig.tick().counters[Counter.NVLINK_TRANSMIT_BYTES]
        assert during > before
        rig.change(lambda s: s.fail("field", 0, args=(202, 4)))
        after = rig.tick().counters[Counter.NVLINK_TRANSMIT_BYTES]
        assert after - before == pytest.approx(2 * 97.2e9)


def test_links_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "b200") as rig:
        rig.change(lambda s: s.fail("field", 3, args=(202, 4)))
        assert "nvlink_transmit_bytes" not in rig.probed()
        counter = Counter.NVLINK_TRANSMIT_BYTES
        before, after = rig.tick().counters[counter], rig.tick().counters[counter]
        assert after - before == pytest.approx(97.2e9 * 17 / 18)


@pytest.mark.req("GX-04")
def test_a_dead_link_with_a_constant_counter_has_a_rate_of_nothing(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        for field in (138, 139):
            rig.fake.scenario.set(f"dev.0.field.{field}.0xFFFFFFFF.ramp", 0)
        rig.probed()
        assert rig.tick().gauges[Gauge.NVLINK_BYTES_PER_SECOND] == 0


def test_a_counter_that_did_not_move_with_its_clock_gives_no_rate(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        rig.tick()
        assert Gauge.NVLINK_BYTES_PER_SECOND not in rig.tick(us=0).gauges


def test_bytes_are_made_of_rates_only_where_nothing_counts_them(tmp_path: Path) -> None:
    with Rig.open(tmp_path, wide()) as rig:
        rig.change(lambda s: s.fail("field", 3, args=(197,)))
        assert "pcie_transmit_bytes" not in rig.probed()
        reading = rig.ticks(4)
        assert Counter.PCIE_TRANSMIT_BYTES not in reading.counters
        assert reading.totals[Total.PCIE_TRANSMIT_BYTES] > 0
        assert Total.PCIE_RECEIVE_BYTES not in reading.totals


def test_a_device_without_links_says_why(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "l40s") as rig:
        unsupported = rig.probed()
        for name in ("nvlink_transmit_bytes", "nvlink_receive_bytes", "nvlink_bytes_per_second"):
            assert unsupported[name] == "not_supported"


@pytest.mark.req("GX-04")
def test_a_64_bit_counter_that_falls_has_not_wrapped_unless_it_was_about_to() -> None:
    fell = counting(10**9, 0)
    assert fell.bytes == 10**9
    assert fell.take(5, 2 * SECOND, bits=64, limit=LIMIT) == "taken"
    assert fell.bytes == 10**9 + 5


def test_a_counter_that_was_forgotten_keeps_its_sum_and_measures_no_step() -> None:
    for bits in (32, 64):
        counter = counting(0, bits=bits)
        assert counter.take(700, SECOND, bits=bits, limit=LIMIT) == "taken"
        counter.forget()
        assert counter.take(3, 2 * SECOND, bits=bits, limit=LIMIT) == "first"
        assert counter.bytes == 700
        assert counter.take(5, 3 * SECOND, bits=bits, limit=LIMIT) == "taken"
        assert counter.bytes == 702
    nothing = counting(0)
    nothing.forget()
    nothing.take(10**6, SECOND, bits=64, limit=LIMIT)
    assert nothing.bytes == 0


@pytest.mark.req("GX-04")
@pytest.mark.parametrize("kind", [1, 3])
def test_a_gpu_that_was_lost_and_reset_has_sent_nothing_in_between(
    tmp_path: Path, kind: int
) -> None:
    def counted(scenario: Scenario, value: int) -> None:
        for field in (197, 198):
            scenario.field(field, value, ramp=1_000_000, kind=kind)

    scenario = Scenario.profile("h100").fail("nvmlGpmQueryDeviceSupport", 3)
    counted(scenario, 3 * 10**9)
    with Rig.open(tmp_path, scenario) as rig:
        rig.probed()
        before = rig.tick().counters[Counter.PCIE_TRANSMIT_BYTES]
        rig.change(lambda s: s.lost(0))
        with pytest.raises(DeviceError):
            rig.tick()
        rig.fake.scenario.fail("*", 0)
        rig.change(lambda s: counted(s, -1_000_000 * s.now_us // 1_000_000))
        assert rig.device.alive()
        rig.device.probe()
        after = rig.tick().counters[Counter.PCIE_TRANSMIT_BYTES]
        assert before <= after <= before + 2_000_000
        assert rig.tick().counters[Counter.PCIE_TRANSMIT_BYTES] == after + 1_000_000


@pytest.mark.req("GX-04")
def test_a_counter_that_may_wrap_twice_in_a_tick_is_left_for_the_rate_of_gpm(
    tmp_path: Path,
) -> None:
    scenario = Scenario.profile("h100")
    for field in (197, 198):
        scenario.field(field, 10**6, ramp=10**10, kind=1)
    with Rig.open(tmp_path, scenario.gpm(20, 10**10 / 2**20).gpm(21, 10**10 / 2**20)) as rig:
        assert "pcie_transmit_bytes" not in rig.probed()
        before, after = rig.tick(), rig.ticks(10)
        assert Counter.PCIE_TRANSMIT_BYTES not in after.counters
        total = Total.PCIE_TRANSMIT_BYTES
        assert after.totals[total] - before.totals[total] == pytest.approx(10**11, rel=1e-6)
        assert Counter.NVLINK_TRANSMIT_BYTES in after.counters
