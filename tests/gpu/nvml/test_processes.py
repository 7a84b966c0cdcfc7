from pathlib import Path

import pytest

from inferometer.gpu.backend import Options
from inferometer.gpu.sample import Process
from support.fake_nvml import Scenario
from support.nvml import SECOND_US, Rig

GIB = 1 << 30


def found(rig: Rig, us: int = 5 * SECOND_US) -> dict[int, Process]:
    processes = rig.tick(us=us, tier="process").processes
    assert processes is not None
    return {process.pid: process for process in processes}


def test_a_process_has_memory_and_the_time_that_it_was_busy(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.processes([(7, GIB), (8, 2 * GIB)]).process_busy([(7, 30), (8, 10)]))
        rig.device.probe()
        found(rig)
        before, after = found(rig), found(rig)
        assert after[8].memory_bytes == 2 * GIB
        for pid, busy_ns in ((7, 1.5e9), (8, 0.5e9)):
            one, other = before[pid].busy_ns, after[pid].busy_ns
            assert one is not None
            assert other is not None
            assert other - one == pytest.approx(busy_ns, rel=0.05)


def test_three_calls_tell_all_of_processes(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.probed()
        assert sum(rig.calls(lambda: found(rig)).values()) == 3
        assert rig.tick(tier="fast").processes is None
        assert rig.tick(tier="slow").processes is None


@pytest.mark.req("GX-04")
def test_memory_that_is_not_available_is_unknown_not_zero(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.processes([(7, -1)]))
        rig.device.probe()
        assert found(rig)[7].memory_bytes is None


def test_an_idle_device_has_no_samples_and_processes_that_were_not_busy(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("nvmlDeviceGetProcessUtilization", 6))
        assert "process_busy_ns" not in rig.device.probe()
        assert found(rig)[4711].busy_ns == 0


def test_where_use_cannot_be_told_it_is_unknown(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("nvmlDeviceGetProcessUtilization", 4))
        assert rig.device.probe()["process_busy_ns"] == "no_permission"
        assert found(rig)[4711].busy_ns is None


@pytest.mark.req("GX-04")
def test_more_than_everything_is_dropped_and_counted(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.device.probe()
        rig.change(lambda s: s.process_busy([(4711, 250)]))
        reading = rig.tick(tier="process")
        assert reading.processes is not None
        assert reading.processes[0].busy_ns == 0
        assert reading.implausible["process_busy_ns"] >= 1


def test_a_drivers_clock_that_is_set_bills_nobody(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.device.probe()
        found(rig)
        before = found(rig)[4711].busy_ns
        rig.fake.scenario.clock(rig.fake.scenario.now_us + 3600 * SECOND_US)
        rig.ahead_us = 3600 * SECOND_US  # our own clock is monotonic and was not set
        assert [found(rig)[4711].busy_ns for _ in range(3)] == [before] * 3
        after = found(rig)[4711].busy_ns
        assert before is not None
        assert after is not None
        assert 0 < after - before <= 5 * 10**9


def test_clients_of_mps_are_known_by_their_list(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.processes([(7, GIB), (8, GIB)]).process_busy([]))
        rig.change(lambda s: s.processes([(8, GIB)], kind="MPSCompute"))
        rig.device.probe()
        assert [process.mps for process in found(rig).values()] == ["", "client"]


def test_a_process_that_is_only_sampled_is_there_too(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.processes([]).process_busy([(9, 40)]))
        rig.device.probe()
        assert found(rig)[9].memory_bytes is None


def test_graphics_processes_are_listed_on_request_and_seldom(tmp_path: Path) -> None:
    scenario = Scenario.profile("geforce").processes([(5, GIB)], kind="Graphics")
    symbol = "nvmlDeviceGetGraphicsRunningProcesses_v3"
    with Rig.open(tmp_path, scenario, Options(processes=True, graphics_processes=True)) as rig:
        rig.device.probe()
        assert rig.calls(lambda: rig.tick(tier="slow"))[symbol] == 1
        assert not rig.calls(lambda: rig.tick(tier="process"))[symbol]
        assert found(rig)[5].memory_bytes == GIB
    with Rig.open(tmp_path, scenario) as rig:
        rig.device.probe()
        assert not rig.calls(lambda: rig.tick(tier="slow"))[symbol]
        assert 5 not in found(rig)


@pytest.mark.parametrize("driver", ["r470", "r535_86", "r535_98"])
def test_every_drivers_rows_are_read(tmp_path: Path, driver: str) -> None:
    scenario = Scenario.profile("a100", driver).process_busy([])
    rows = [(pid, pid * GIB) for pid in range(1, 9)]
    for suffix in ("_v2", "_v3"):
        words = [f"{pid}:{size}" for pid, size in rows]
        scenario.value(f"nvmlDeviceGetComputeRunningProcesses{suffix}", *words)
    with Rig.open(tmp_path, scenario) as rig:
        rig.device.probe()
        assert {pid: process.memory_bytes for pid, process in found(rig).items()} == dict(rows)


@pytest.mark.req("GX-04")
def test_garbage_is_no_process(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.device.probe()
        rig.change(lambda s: s.garbage("nvmlDeviceGetComputeRunningProcesses_v3", 3))
        for _ in range(5):
            reading = rig.tick(tier="process")
            for process in reading.processes or ():
                assert 0 < process.pid <= 1 << 22


def test_lists_that_are_refused_say_so_and_are_not_looked_at(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "h100") as rig:
        rig.change(lambda s: s.fail("nvmlDeviceGetComputeRunningProcesses_v3", 4))
        assert rig.device.probe()["process_memory_bytes"] == "no_permission"
        assert rig.tick(tier="process").processes is None


def test_an_old_driver_without_any_list_says_so(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").set(
        "lib.drop", "nvmlDeviceGetCompute*", "nvmlDeviceGetProcessUtilization"
    )
    with Rig.open(tmp_path, scenario) as rig:
        unsupported = rig.device.probe()
        assert unsupported["process_memory_bytes"] == "function_not_found"
        assert unsupported["process_busy_ns"] == "function_not_found"


def test_processes_of_instances_carry_their_instance(tmp_path: Path) -> None:
    with Rig.open(tmp_path, "a100_mig") as rig:
        rig.device.probe()
        processes = found(rig)
        assert {pid: each.gpu_instance for pid, each in processes.items()} == {
            5000: 1,
            5001: 5,
            5002: 13,
            5003: 14,
        }
        assert {each.busy_ns for each in processes.values()} == {None}
