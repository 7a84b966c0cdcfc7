import pytest

from inferometer.gpu.amd.backend import AmdBackend
from inferometer.gpu.amd.library import Library
from inferometer.gpu.backend import DeviceError
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.quantities import XID, Counter, Gauge, Total
from inferometer.gpu.sample import Process
from support.fake_amd import NA, Board
from support.vendor_devices import Clock, device

SECOND = 1_000_000_000


def test_values_are_in_our_units(opened: AmdBackend) -> None:
    one = device(opened)
    one.probe()
    fast, slow = one.sample("fast"), one.sample("slow")
    assert fast.gauges == {
        Gauge.UTILIZATION_PERCENT: 60,
        Gauge.MEMORY_COPY_PERCENT: 30,
        Gauge.DRAM_RATIO: 0.3,
        Gauge.MEMORY_USED_BYTES: 300 << 20,
        Gauge.MEMORY_TOTAL_BYTES: 196592 << 20,
        Gauge.MEMORY_FREE_BYTES: 196292 << 20,
        Gauge.POWER_WATTS: 141,
        Gauge.POWER_INSTANT_WATTS: 141,
        Gauge.GPU_TEMPERATURE_CELSIUS: 45,
        Gauge.MEMORY_TEMPERATURE_CELSIUS: 38,
        Gauge.SM_CLOCK_MHZ: 2100,
        Gauge.MEMORY_CLOCK_MHZ: 900,
    }
    assert fast.counters == {Counter.ENERGY_MILLIJOULES: 15_259_000}
    assert slow.gauges == {
        Gauge.POWER_LIMIT_WATTS: 750,
        Gauge.PCIE_LINK_WIDTH: 16,
        Gauge.PCIE_LINK_WIDTH_MAX: 16,
        Gauge.PCIE_LINK_GENERATION: 4,
        Gauge.PCIE_LINK_GENERATION_MAX: 5,
    }
    assert slow.counters == {
        Counter.ECC_CORRECTED_VOLATILE: 5,
        Counter.ECC_UNCORRECTED_VOLATILE: 1,
        Counter.PCIE_REPLAYS: 7,
    }


def test_every_quantity_has_a_value_or_a_reason(opened: AmdBackend) -> None:
    one = device(opened)
    reasons = one.probe()
    assert reasons["fan_percent"] == "not_supported"
    assert reasons["tensor_ratio"] == reasons["nvlink_transmit_bytes"] == "backend"
    seen = {
        str(quantity)
        for tier in ("fast", "slow")
        for reading in [one.sample(tier)]
        for quantity in (*reading.gauges, *reading.counters)
    }
    later = {
        "busy_ns",
        "observed_ns",
        "dram_active_ns",
        "energy_microjoules",
        "clocks_event_reasons",
        "throttled_power_ns",
        "throttled_thermal_ns",
        "throttled_hw_thermal_ns",
    }
    every = {str(quantity) for quantity in (*Gauge, *Counter, *Total)}
    assert every | {XID} == seen | reasons.keys() | later
    assert not seen & reasons.keys()


@pytest.mark.req("GX-04")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"gfx_activity": NA, "umc_activity": NA}, "not_supported"),
        ({}, "not_supported"),
        ("garbage", "not_supported"),
        (None, "not_supported"),
        ({"gfx_activity": True, "umc_activity": "7"}, "not_supported"),
        ({"gfx_activity": -1, "umc_activity": 1 << 63}, "not_supported"),
        ({"error": 2}, "not_supported"),
        ({"error": 10}, "no_permission"),
        ({"error": 5}, "function_not_found"),
        ({"error": 7}, "no_data"),
    ],
)
def test_what_is_not_there_is_absent_with_its_reason(
    board: Board, opened: AmdBackend, answer: object, reason: str
) -> None:
    board.answer("get_gpu_activity", answer)
    one = device(opened)
    reasons = one.probe()
    assert reasons["utilization_percent"] == reasons["dram_ratio"] == reason
    assert reasons["busy_ns"] == reasons["observed_ns"] == reason
    assert one.identity.busy_source == ""
    reading = one.sample("fast")
    assert Gauge.UTILIZATION_PERCENT not in reading.gauges
    assert reading.gauges[Gauge.POWER_WATTS] == 141


@pytest.mark.req("GX-04")
def test_calls_that_fail_are_counted_by_name_and_code(board: Board, opened: AmdBackend) -> None:
    meter = Meter()
    one = device(opened, meter=meter)
    board.answer("get_gpu_activity", {"error": 30})
    board.answer("get_temp_metric", {"JUNCTION": {"error": 2}, "VRAM": 38})
    one.sample("fast")
    one.sample("fast")
    assert meter.stats()["get_gpu_activity"].results == {"busy": 2}
    assert meter.stats()["get_temp_metric_JUNCTION"].results == {"not_supported": 2}
    assert meter.stats()["get_temp_metric_VRAM"].results == {"ok": 2}


@pytest.mark.req("GX-04")
def test_percents_above_100_are_refused_and_counted(board: Board, opened: AmdBackend) -> None:
    one = device(opened)
    one.probe()
    board.answer("get_gpu_activity", {"gfx_activity": 101, "umc_activity": 200})
    reading = one.sample("fast")
    assert Gauge.UTILIZATION_PERCENT not in reading.gauges
    assert reading.implausible == {
        "utilization_percent": 1,
        "memory_copy_percent": 1,
        "dram_ratio": 1,
    }


def test_a_function_that_an_older_binding_lacks_is_a_reason(board: Board, clock: Clock) -> None:
    board.change(without=["get_gpu_metrics_info", "get_energy_count"])
    one = device(AmdBackend(Library(), processes=False, clock_ns=clock.now_ns))
    assert one.probe()["energy_millijoules"] == "function_not_found"
    assert one.identity.energy_source == "power"
    for clock.ns in (0, SECOND):
        totals = one.sample("fast").totals
    assert totals[Total.ENERGY_MICROJOULES] == 141_000_000
    assert one.sample("process").processes is None


@pytest.mark.parametrize(
    ("function", "answer", "told"),
    [
        (
            "get_power_info",
            {"average_socket_power": 90, "current_socket_power": 0},
            (Gauge.POWER_WATTS, 90),
        ),
        ("get_power_info", {"socket_power": 80}, (Gauge.POWER_WATTS, 80)),
        ("get_power_cap_info", {"power_cap": 560}, (Gauge.POWER_LIMIT_WATTS, 560)),
        ("get_clock_info", {"GFX": {"cur_clk": 800}}, (Gauge.SM_CLOCK_MHZ, 800)),
        ("get_pcie_info", {"pcie_metric": {"pcie_speed": 16}}, (Gauge.PCIE_LINK_GENERATION, 4)),
    ],
)
def test_older_forms_of_answers_are_read(
    board: Board, opened: AmdBackend, function: str, answer: object, told: tuple[Gauge, float]
) -> None:
    board.answer(function, answer)
    one = device(opened)
    one.probe()
    gauges = {**one.sample("fast").gauges, **one.sample("slow").gauges}
    assert gauges[told[0]] == told[1]


@pytest.mark.parametrize(
    ("function", "gauge"),
    [
        ("get_power_info", "power_watts"),
        ("get_energy_count", "energy_millijoules"),
        ("get_power_cap_info", "power_limit_watts"),
        ("get_clock_info", "sm_clock_mhz"),
        ("get_gpu_memory_usage", "memory_free_bytes"),
        ("get_gpu_total_ecc_count", "ecc_corrected_volatile"),
    ],
)
def test_an_answer_of_another_form_is_no_value(
    board: Board, opened: AmdBackend, function: str, gauge: str
) -> None:
    board.answer(function, "N/A")
    assert device(opened).probe()[gauge] == "not_supported"


def test_older_energy_counters_are_read_to_the_last_bit(board: Board, opened: AmdBackend) -> None:
    board.answer("get_energy_count", {"power": (1 << 62) + 1, "counter_resolution": 1000.0})
    one = device(opened)
    assert one.sample("fast").counters[Counter.ENERGY_MILLIJOULES] == (1 << 62) + 1


def test_busy_time_is_percent_over_time(board: Board, opened: AmdBackend, clock: Clock) -> None:
    assert board.state["gpus"]
    one = device(opened)
    one.probe()
    assert (one.identity.busy_source, one.identity.energy_source) == ("utilization", "counter")
    assert one.sample("fast").totals == {}
    clock.ns += SECOND
    assert one.sample("fast").totals == {
        Total.BUSY_NS: SECOND * 6 // 10,
        Total.OBSERVED_NS: SECOND,
        Total.DRAM_ACTIVE_NS: SECOND * 3 // 10,
    }


def residencies(cycles: int, power: int, thermal: int) -> dict[str, int]:
    return {
        "accumulation_counter": cycles,
        "ppt_residency_acc": power,
        "socket_thm_residency_acc": thermal,
        "prochot_residency_acc": 0,
    }


def test_throttled_time_is_the_share_of_cycles_under_a_limit(
    board: Board, opened: AmdBackend, clock: Clock
) -> None:
    one = device(opened)
    one.probe()
    assert Counter.THROTTLED_POWER_NS not in one.sample("fast").counters
    clock.ns += 10 * SECOND
    board.answer("get_gpu_metrics_info", residencies(2000, 350, 50))
    reading = one.sample("fast")
    assert reading.counters[Counter.THROTTLED_POWER_NS] == SECOND * 10 // 4
    assert reading.counters[Counter.THROTTLED_THERMAL_NS] == 0
    assert reading.gauges[Gauge.CLOCKS_EVENT_REASONS] == 4
    clock.ns += SECOND
    assert one.sample("fast").counters == reading.counters
    board.answer("get_gpu_metrics_info", residencies(10, 0, 0))
    again = one.sample("fast")
    assert again.counters == reading.counters
    assert Gauge.CLOCKS_EVENT_REASONS not in again.gauges
    clock.ns += SECOND
    board.answer("get_gpu_metrics_info", residencies(110, 0, 200))
    reading = one.sample("fast")
    assert reading.counters[Counter.THROTTLED_THERMAL_NS] == SECOND
    assert reading.gauges[Gauge.CLOCKS_EVENT_REASONS] == 0x40


def test_counts_of_limits_come_from_the_violation_status_if_nowhere_else(
    board: Board, opened: AmdBackend, clock: Clock
) -> None:
    board.answer("get_gpu_metrics_info", {"accumulation_counter": NA})
    one = device(opened)
    assert "throttled_power_ns" not in one.probe()
    one.sample("slow")
    clock.ns += SECOND
    board.answer(
        "get_violation_status",
        {"acc_counter": 20, "acc_ppt_pwr": 6, "acc_socket_thrm": 0, "acc_prochot_thrm": 10},
    )
    one.sample("slow")
    reading = one.sample("fast")
    assert reading.counters[Counter.THROTTLED_POWER_NS] == SECOND // 2
    assert reading.gauges[Gauge.CLOCKS_EVENT_REASONS] == 4 | 8
    board.answer("get_violation_status", {"acc_counter": NA})
    one.sample("slow")
    assert Gauge.CLOCKS_EVENT_REASONS not in one.sample("fast").gauges
    assert one.probe()["throttled_power_ns"] == "not_supported"


def test_processes_have_memory_and_their_share_of_the_units(
    board: Board, opened: AmdBackend, clock: Clock
) -> None:
    one = device(opened)
    one.probe()
    assert one.sample("process").processes == (Process(4242, 100 << 20, None),)
    clock.ns += 5 * SECOND
    assert one.sample("process").processes == (Process(4242, 100 << 20, 5 * SECOND // 2),)
    board.answer(
        "get_gpu_process_list",
        [
            {"pid": 7, "memory_usage": {"vram_mem": NA}, "cu_occupancy": NA},
            {"pid": 0},
            {"pid": 1 << 40},
            {"name": "no pid"},
            "garbage",
        ],
    )
    assert one.sample("process").processes == (Process(7, None, None),)
    board.answer("get_gpu_process_list", {"error": 10})
    assert one.sample("process").processes is None
    board.answer("get_gpu_process_list", NA)
    assert one.sample("process").processes == ()


def test_no_more_processes_are_listed_than_the_binding_lists(
    board: Board, opened: AmdBackend
) -> None:
    board.answer("get_gpu_process_list", [{"pid": pid} for pid in range(1, 1026)])
    one = device(opened)
    assert len(one.sample("process").processes or ()) == 1024


def test_a_fan_turns_at_a_share_of_its_highest_speed(board: Board, opened: AmdBackend) -> None:
    board.answer("get_gpu_fan_speed", 64)
    board.answer("get_gpu_fan_speed_max", 256)
    one = device(opened)
    assert "fan_percent" not in one.probe()
    assert one.sample("slow").gauges[Gauge.FAN_PERCENT] == 25


@pytest.mark.req("GX-03")
@pytest.mark.parametrize(
    ("code", "state", "driver"),
    [(31, "lost", False), (12, "lost", False), (34, "lost", True), (10, "no_permission", False)],
)
def test_a_device_that_fails_at_everything_is_lost_and_the_other_goes_on(
    board: Board, opened: AmdBackend, code: int, state: str, *, driver: bool
) -> None:
    one, two = device(opened), device(opened, index=1)
    one.probe()
    two.probe()
    board.fail(code)
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert (caught.value.state, caught.value.backend_lost) == (state, driver)
    assert not one.alive()
    assert two.sample("fast").gauges
    board.well()
    assert one.alive()
    assert one.sample("fast").gauges


def test_a_device_that_supports_nothing_is_not_lost(board: Board, opened: AmdBackend) -> None:
    one = device(opened)
    board.fail(2)
    assert set(one.probe().values()) == {"not_supported", "backend"}
    assert one.sample("fast").gauges == {}
    assert (one.identity.busy_source, one.identity.energy_source) == ("", "")


@pytest.mark.req("GX-04")
def test_sums_are_absent_while_nothing_adds_to_them(
    board: Board, opened: AmdBackend, clock: Clock
) -> None:
    one = device(opened)
    one.probe()
    one.sample("fast")
    clock.ns += SECOND
    board.answer("get_gpu_metrics_info", residencies(2000, 350, 50))
    known = one.sample("fast")
    assert known.totals[Total.BUSY_NS] > 0
    assert not one.sample("slow").totals, "they are the fast tier's to tell"
    board.answer("get_gpu_metrics_info", {})
    clock.ns += SECOND
    silent = one.sample("fast")
    assert Counter.THROTTLED_POWER_NS in known.counters
    assert Counter.THROTTLED_POWER_NS not in silent.counters
