import contextlib
from collections.abc import Iterator

import pytest

from inferometer.gpu.backend import BackendError, DeviceError, Options
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.tpu.backend import TpuBackend, open_backend
from inferometer.gpu.tpu.client import Client
from support.sidecar import free_port
from support.tpu_runtime import BANDWIDTH, DUTY, GIB, TOTAL, USED, Runtime, Values
from support.vendor_devices import Clock, device, until

SECOND = 1_000_000_000


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime(free_port(), chips=2, cores=2) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(runtime: Runtime, clock: Clock) -> Iterator[TpuBackend]:
    client = Client(runtime.address)
    until(lambda: client.ask(DUTY).outcome == "ok")  # a busy machine may take long to connect
    backend = TpuBackend([client], host="node1", models={"0x0076": 4}, clock_ns=clock.now_ns)
    yield backend
    backend.close()


def test_chips_are_described(runtime: Runtime, opened: TpuBackend) -> None:
    first, second = opened.discover()
    assert first.uuid == f"TPU-node1:{runtime.port}/0"
    assert (first.index, second.index) == (0, 1)
    assert (first.vendor, first.model, first.busy_source) == ("google", "TPU 7x", "utilization")
    assert opened.wait_events(0) is None
    assert opened.driver_version == ""


def test_the_duty_cycle_is_of_the_chip_and_memory_the_sum_of_its_cores(
    runtime: Runtime, opened: TpuBackend
) -> None:
    runtime.answers[DUTY] = {0: 50.0, 1: 75.0}
    runtime.answers[USED] = {0: 1 * GIB, 1: 2 * GIB, 2: 3 * GIB, 3: 4 * GIB}
    gauges = device(opened, index=1).sample("fast").gauges
    assert gauges == {
        Gauge.UTILIZATION_PERCENT: 75,
        Gauge.MEMORY_USED_BYTES: 7 * GIB,
        Gauge.MEMORY_TOTAL_BYTES: 32 * GIB,
        Gauge.MEMORY_FREE_BYTES: 25 * GIB,
        Gauge.DRAM_RATIO: 0.25,
    }


def test_busy_time_is_percent_over_time(runtime: Runtime, opened: TpuBackend, clock: Clock) -> None:
    one = device(opened)
    one.probe()
    assert one.sample("fast").totals == {}
    clock.ns += SECOND
    assert one.sample("fast").totals == {
        Total.BUSY_NS: SECOND // 2,
        Total.OBSERVED_NS: SECOND,
        Total.DRAM_ACTIVE_NS: SECOND // 4,
    }
    asked = len(runtime.asked)
    one.sample("slow")
    one.sample("process")
    assert len(runtime.asked) == asked


def test_what_tpus_never_tell_is_named(opened: TpuBackend) -> None:
    reasons = device(opened).probe()
    assert set(reasons.values()) == {"backend"}
    every = {str(quantity) for quantity in (*Gauge, *Counter, *Total)}
    assert every - reasons.keys() == {
        "utilization_percent",
        "memory_used_bytes",
        "memory_free_bytes",
        "memory_total_bytes",
        "dram_ratio",
        "busy_ns",
        "observed_ns",
        "dram_active_ns",
    }


@pytest.mark.req("GX-04")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("NOT_FOUND", "not_supported"),
        ("UNIMPLEMENTED", "not_supported"),
        ("PERMISSION_DENIED", "no_permission"),
        ("INTERNAL", "no_data"),
        ("UNAVAILABLE", "no_data"),
        (b"\x0a\x05abc", "no_data"),
        ({7: 10.0}, "no_data"),
        ([(0, None)], "no_data"),
        ({0: 101.0, 1: 101.0}, "no_data"),
    ],
)
def test_a_metric_that_is_not_there_leaves_the_others(
    runtime: Runtime, opened: TpuBackend, answer: Values | bytes | str, reason: str
) -> None:
    meter = Meter()
    one = device(opened, meter=meter)
    runtime.answers[BANDWIDTH] = answer
    reasons = one.probe()
    assert reasons["dram_ratio"] == reasons["dram_active_ns"] == reason
    gauges = one.sample("fast").gauges
    assert Gauge.DRAM_RATIO not in gauges
    assert gauges[Gauge.MEMORY_USED_BYTES] == 8 * GIB
    if isinstance(answer, str):
        assert meter.stats()["hbm_utilization"].results == {answer.lower(): 2}


@pytest.mark.req("GX-04")
def test_percents_above_100_are_refused_and_counted(runtime: Runtime, opened: TpuBackend) -> None:
    one = device(opened)
    runtime.answers[DUTY] = {0: 100.5, 1: 50.0}
    runtime.answers[USED] = dict.fromkeys(range(4), -1)
    reading = one.sample("fast")
    assert reading.implausible == {"utilization_percent": 1, "memory_used_bytes": 1}
    assert not {Gauge.UTILIZATION_PERCENT, Gauge.MEMORY_FREE_BYTES} & set(reading.gauges)
    reasons = one.probe()
    assert reasons["busy_ns"] == reasons["observed_ns"] == "no_data"
    assert reasons["memory_free_bytes"] == "no_data"


@pytest.mark.req("GX-03")
def test_a_runtime_that_ends_takes_the_backend_with_it_and_comes_back(
    runtime: Runtime, opened: TpuBackend
) -> None:
    one = device(opened)
    assert one.alive()
    runtime.stop()
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert (caught.value.state, caught.value.backend_lost) == ("stalled", True)
    assert not one.alive()
    with pytest.raises(BackendError) as absent:
        opened.discover()
    assert absent.value.reason == "runtime_not_running"
    with Runtime(runtime.port, chips=2, cores=2):
        until(one.alive)
        assert one.sample("fast").gauges


def test_a_runtime_that_hangs_costs_two_deadlines(runtime: Runtime, opened: TpuBackend) -> None:
    one = device(opened)
    runtime.released.clear()
    asked = len(runtime.asked)
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert "deadline_exceeded" in str(caught.value)
    assert len(runtime.asked) - asked == 2
    runtime.released.set()
    assert one.sample("fast").gauges


def test_a_chip_that_the_next_runtime_does_not_have_is_lost(
    runtime: Runtime, opened: TpuBackend
) -> None:
    one = device(opened, index=1)
    for metric, value in ((DUTY, 50.0), (USED, GIB), (TOTAL, GIB), (BANDWIDTH, 1.0)):
        runtime.answers[metric] = {0: value}
    with pytest.raises(DeviceError) as caught:
        one.sample("fast")
    assert (caught.value.state, caught.value.backend_lost) == ("lost", False)


def test_each_address_has_chips_and_one_that_is_silent_hides_no_other(runtime: Runtime) -> None:
    with Runtime(chips=1) as other:
        options = Options(tpu_addresses=("127.0.0.1:9", other.address, runtime.address))
        backend = open_backend(options)
        uuids: list[str] = []

        def found() -> bool:
            with contextlib.suppress(BackendError):
                uuids[:] = [one.uuid for one in backend.discover()]
            return len(set(uuids)) == 3

        until(found)  # a busy machine may take long to connect
        assert [uuid.rpartition(":")[2] for uuid in uuids] == [
            f"{other.port}/0",
            f"{runtime.port}/0",
            f"{runtime.port}/1",
        ]
        backend.close()


def test_a_runtime_elsewhere_is_named_by_its_own_host(runtime: Runtime) -> None:
    backend = TpuBackend([Client(f"127.0.0.2:{runtime.port}")], host="node1", models={})
    with pytest.raises(BackendError):
        backend.discover()  # nothing listens there
    backend.close()


def test_the_model_is_known_only_if_all_are_of_one(runtime: Runtime) -> None:
    client = Client(runtime.address)
    until(lambda: client.ask(DUTY).outcome == "ok")
    for models, model in (({"0x0063": 8}, "TPU v5e"), ({"0x1": 1}, "TPU"), ({}, "TPU")):
        assert TpuBackend([client], models=models).discover()[0].model == model
    client.close()


def test_without_a_runtime_the_backend_is_absent_with_its_addresses() -> None:
    backend = open_backend(Options(tpu_addresses=("127.0.0.1:9",)))
    with pytest.raises(BackendError) as caught:
        backend.discover()
    assert caught.value.reason == "runtime_not_running"
    assert "127.0.0.1:9: unavailable" in str(caught.value)
    backend.close()


def test_functions_of_the_bus_are_counted_where_there_is_a_bus(opened: TpuBackend) -> None:
    number = opened.pci_devices()
    assert number is None or number >= 0


def test_a_chip_that_is_closed_leaves_the_others(opened: TpuBackend) -> None:
    one, two = device(opened), device(opened, index=1)
    one.close()
    assert two.sample("fast").gauges
    assert one.identity.index == 0


@pytest.mark.parametrize("metric", [DUTY, TOTAL])
def test_half_an_answer_makes_no_other_chips(
    runtime: Runtime, opened: TpuBackend, metric: str
) -> None:
    before = [identity.uuid for identity in opened.discover()]
    runtime.answers[metric] = "UNAVAILABLE"
    assert [identity.uuid for identity in opened.discover()] == before
