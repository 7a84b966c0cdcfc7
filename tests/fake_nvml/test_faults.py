"""What goes wrong on a script: codes, hangs, garbage, lost devices, resets, MIG, old drivers."""

import ctypes
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support.fake_nvml import FakeNvml, Scenario, until

WAIT_S = 10.0


def test_a_code_is_returned_until_it_heals(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    fake.scenario.fail("nvmlDeviceGetPowerUsage", 999)
    fake.publish()
    assert code(binding.nvmlDeviceGetPowerUsage, device) == 999
    assert code(binding.nvmlDeviceGetUtilizationRates, device) == 0
    fake.scenario.fail("nvmlDeviceGetPowerUsage", 0)
    fake.publish()
    assert binding.nvmlDeviceGetPowerUsage(device) == 512000


def test_a_delay_takes_real_time(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.delay("nvmlDeviceGetPowerUsage", 20_000)
    fake.publish()
    start_s = time.perf_counter()
    binding.nvmlDeviceGetPowerUsage(device)
    assert time.perf_counter() - start_s >= 0.02


def test_realistic_times_make_calls_slower(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.set("lib.delay", "realistic")
    fake.publish()
    start_s = time.perf_counter()
    for _ in range(10):
        binding.nvmlDeviceGetPowerUsage(device)
    assert time.perf_counter() - start_s >= 10 * 40e-6


def test_a_hang_holds_one_thread_and_no_other(binding: Any, fake: FakeNvml, device: Any) -> None:
    answers: list[int] = []
    fake.scenario.hang("nvmlDeviceGetPowerUsage")
    fake.publish()
    thread = threading.Thread(
        target=lambda: answers.append(binding.nvmlDeviceGetPowerUsage(device))
    )
    thread.start()
    until(lambda: fake.counts().live["hung"] == 1)
    assert binding.nvmlDeviceGetUtilizationRates(device).gpu == 63
    assert answers == []
    fake.scenario.release("nvmlDeviceGetPowerUsage")
    fake.publish()
    thread.join(WAIT_S)
    assert answers == [512000]
    assert fake.counts().live["hung"] == 0


def test_a_hang_can_wait_for_a_file(
    tmp_path: Path, binding: Any, fake: FakeNvml, device: Any
) -> None:
    release = tmp_path / "release"
    fake.scenario.set("dev.0.*.hang", release)
    fake.publish()
    thread = threading.Thread(target=binding.nvmlDeviceGetPowerUsage, args=[device])
    thread.start()
    until(lambda: fake.counts().live["hung"] == 1)
    release.touch()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_the_end_of_a_test_lets_go_what_hangs(tmp_path: Path, binding: Any, code: Any) -> None:
    codes: list[int] = []
    with FakeNvml.loaded(tmp_path, "t4") as fake:
        binding.nvmlInit()
        device = binding.nvmlDeviceGetHandleByIndex(0)
        fake.scenario.hang("*")
        fake.publish()
        thread = threading.Thread(
            target=lambda: codes.append(code(binding.nvmlDeviceGetPowerUsage, device))
        )
        thread.start()
        until(lambda: fake.counts().live["hung"] == 1)
    thread.join(WAIT_S)
    assert codes == [binding.NVML_ERROR_UNINITIALIZED]


def test_garbage_and_bytes_replace_what_is_told(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.garbage("nvmlDeviceGetMemoryInfo_v2", 1)
    fake.scenario.garbage("nvmlDeviceGetUtilizationRates", bytes([255, 255, 255, 255, 7]))
    fake.scenario.garbage("nvmlDeviceGetName", b"\xff\xfe\x00")
    fake.scenario.garbage("field", bytes([9, 1]), args=[83])
    fake.publish()
    memory = binding.nvmlDeviceGetMemoryInfo(device, binding.nvmlMemory_v2)
    assert memory.total != memory.used + memory.free + memory.reserved
    rates = binding.nvmlDeviceGetUtilizationRates(device)
    assert (rates.gpu, rates.memory) == (0xFFFFFFFF, 7)
    with pytest.raises(UnicodeDecodeError):
        binding.nvmlDeviceGetName(device)
    (energy,) = binding.nvmlDeviceGetFieldValues(device, [83])
    assert energy.value.ullVal & 0xFFFF == 0x0109


def test_a_lost_device_fails_alone(tmp_path: Path, binding: Any, code: Any) -> None:
    with FakeNvml.loaded(tmp_path, "h100x8") as fake:
        binding.nvmlInit()
        handles = [binding.nvmlDeviceGetHandleByIndex(i) for i in range(8)]
        fake.scenario.lost(3)
        fake.publish()
        codes = [code(binding.nvmlDeviceGetPowerUsage, handle) for handle in handles]
        assert codes == [0, 0, 0, 15, 0, 0, 0, 0]
        assert code(binding.nvmlDeviceGetHandleByIndex, 3) == 15
        assert code(binding.nvmlDeviceGetHandleByPciBusId, "0000:4b:00.0") == 15
        assert code(binding.nvmlDeviceGetHandleByIndex, 4) == 0


def test_devices_come_go_and_change_places_at_init_only(tmp_path: Path, binding: Any) -> None:
    with FakeNvml.loaded(tmp_path, "h100x8") as fake:

        def minors() -> list[int]:
            handles = map(binding.nvmlDeviceGetHandleByIndex, range(binding.nvmlDeviceGetCount()))
            return [binding.nvmlDeviceGetMinorNumber(handle) for handle in handles]

        binding.nvmlInit()
        fake.scenario.order(2, 0, 7)
        fake.publish()
        assert minors() == list(range(8))
        binding.nvmlInit()  # one of two, which changes nothing
        assert minors() == list(range(8))
        binding.nvmlShutdown()
        binding.nvmlShutdown()
        binding.nvmlInit()
        assert minors() == [2, 0, 7]


def test_a_driver_reset_ends_an_init_for_good(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    fake.scenario.driver_reset(9)
    fake.publish()
    assert code(binding.nvmlDeviceGetPowerUsage, device) == 9
    assert code(binding.nvmlDeviceGetCount) == 9
    binding.nvmlShutdown()
    assert code(binding.nvmlDeviceGetPowerUsage, device) == binding.NVML_ERROR_UNINITIALIZED
    binding.nvmlInit()
    assert code(binding.nvmlDeviceGetPowerUsage, device) == 0


@pytest.mark.parametrize("wanted", [1, 9, 18, 999])
def test_every_call_can_fail_for_a_while(
    binding: Any, fake: FakeNvml, device: Any, code: Any, wanted: int
) -> None:
    fake.scenario.set("lib.ret", wanted)
    fake.publish()
    assert code(binding.nvmlDeviceGetPowerUsage, device) == wanted
    fake.scenario.set("lib.ret", 0)
    fake.publish()
    assert code(binding.nvmlDeviceGetPowerUsage, device) == 0


def test_init_can_fail_by_its_flags(tmp_path: Path, binding: Any, code: Any) -> None:
    scenario = Scenario.profile("h100").fail("nvmlInitWithFlags", 15, device=None, args=[0])
    with FakeNvml.loaded(tmp_path, scenario):
        assert code(binding.nvmlInit) == 15
        assert code(binding.nvmlInitWithFlags, binding.NVML_INIT_FLAG_NO_ATTACH) == 0
        assert binding.nvmlDeviceGetCount() == 1


def test_instances_have_memory_processes_and_metrics_of_their_own(
    tmp_path: Path, binding: Any, code: Any
) -> None:
    with FakeNvml.loaded(tmp_path, "h100_mig"):
        binding.nvmlInit()
        parent = binding.nvmlDeviceGetHandleByIndex(0)
        assert binding.nvmlDeviceGetMaxMigDeviceCount(parent) == 7
        assert code(binding.nvmlDeviceGetUtilizationRates, parent) == 3
        assert code(binding.nvmlDeviceGetSamples, parent, 1, 0) == 3
        assert code(binding.nvmlDeviceGetMigDeviceHandleByIndex, parent, 3) == 6
        one = binding.nvmlDeviceGetMigDeviceHandleByIndex(parent, 2)
        assert binding.nvmlDeviceIsMigDeviceHandle(one).value == 1
        assert binding.nvmlDeviceGetGpuInstanceId(one) == 9
        assert binding.nvmlDeviceGetComputeInstanceId(one) == 0
        assert binding.nvmlDeviceGetAttributes(one).gpuInstanceSliceCount == 1
        assert binding.nvmlDeviceGetName(one).endswith("MIG 1g.10gb")
        uuid = binding.nvmlDeviceGetUUID(one)
        assert binding.nvmlDeviceGetUUID(binding.nvmlDeviceGetHandleByUUID(uuid)) == uuid
        assert binding.nvmlDeviceGetMemoryInfo(one, binding.nvmlMemory_v2).total < 10 << 30
        assert binding.nvmlDeviceGetComputeRunningProcesses(one)[0].gpuInstanceId == 9
        assert code(binding.nvmlDeviceGetPowerUsage, one) == 3
        back = binding.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(one)
        assert binding.nvmlDeviceGetUUID(back) == binding.nvmlDeviceGetUUID(parent)
        sample = binding.nvmlGpmSampleAlloc()
        assert code(binding.nvmlGpmMigSampleGet, parent, 9, sample) == 0
        assert code(binding.nvmlGpmMigSampleGet, parent, 3, sample) == 2


def test_cutting_anew_ends_handles_and_reuses_them(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    fake.scenario.mig(0, (1, 0, "3g.40gb"), (2, 0, "3g.40gb"))
    fake.publish()
    first, second = (binding.nvmlDeviceGetMigDeviceHandleByIndex(device, i) for i in range(2))
    before = binding.nvmlDeviceGetUUID(first)
    fake.scenario.mig(0, (7, 0, "7g.80gb"))
    fake.publish()
    assert code(binding.nvmlDeviceGetUUID, second) == binding.NVML_ERROR_INVALID_ARGUMENT
    assert binding.nvmlDeviceGetUUID(first) != before  # another instance behind an old handle
    fake.scenario.mig(0)
    fake.publish()
    assert binding.nvmlDeviceGetMigMode(device) == [0, 0]
    assert binding.nvmlDeviceGetUtilizationRates(device).gpu == 63


def test_an_old_driver_lacks_symbols(tmp_path: Path, binding: Any, code: Any) -> None:
    with FakeNvml.loaded(tmp_path, Scenario.profile("a100", "r470")) as fake:
        binding.nvmlInit()
        device = binding.nvmlDeviceGetHandleByIndex(0)
        missing = binding.NVML_ERROR_FUNCTION_NOT_FOUND
        assert binding.nvmlSystemGetDriverVersion() == "470.256.02"
        assert code(binding.nvmlDeviceGetMemoryInfo, device, binding.nvmlMemory_v2) == missing
        assert code(binding.nvmlGpmSampleAlloc) == missing
        assert code(binding.nvmlDeviceGetComputeRunningProcesses_v3, device) == missing
        assert binding.nvmlDeviceGetComputeRunningProcesses_v2(device)[0].pid == 4711
        assert binding.nvmlDeviceGetCurrentClocksThrottleReasons(device) == 0
        fake.scenario.drop("lib.drop")
        fake.publish()
        binding.nvmlDeviceGetCount()  # reads the scenario again
        binding.nvmlLib = None
        binding._nvmlGetFunctionPointer_cache.clear()
        binding.nvmlInit()
        assert binding.nvmlDeviceGetComputeRunningProcesses_v3(device)[0].pid == 4711


def test_one_old_driver_wrote_longer_rows(tmp_path: Path, binding: Any) -> None:
    scenario = Scenario.profile("a100", "r535_86").processes([(10, 1), (11, 2)])
    with FakeNvml.loaded(tmp_path, scenario):
        binding.nvmlInit()
        device = binding.nvmlDeviceGetHandleByIndex(0)
        rows = binding.nvmlDeviceGetComputeRunningProcesses_v3(device)
        assert [row.pid for row in rows] != [10, 11]  # what nvitop's users saw
        rows = binding.nvmlDeviceGetComputeRunningProcesses_v2(device)
        assert [row.pid for row in rows] == [10, 11]
        oldest = binding.nvmlLib.nvmlDeviceGetComputeRunningProcesses
        count, short = ctypes.c_uint(2), (ctypes.c_uint64 * 4)()
        assert oldest(device, ctypes.byref(count), short) == 0
        assert list(short) == [10, 1, 11, 2]


def test_newer_calls_are_missing_on_older_drivers(tmp_path: Path, binding: Any, code: Any) -> None:
    with FakeNvml.loaded(tmp_path, Scenario.profile("h100", "r535_98")):
        binding.nvmlInit()
        device = binding.nvmlDeviceGetHandleByIndex(0)
        assert code(binding.nvmlDeviceGetTemperatureV, device, 0) == 13
        assert code(binding.nvmlDeviceGetComputeRunningProcesses_v3, device) == 13
        assert code(binding.nvmlDeviceGetTemperature, device, 0) == 0
        assert code(binding.nvmlGpmSampleAlloc) == 0
