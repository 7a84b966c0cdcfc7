"""Each family of calls answers through pynvml what the scenario says."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from support.fake_nvml import FakeNvml

SIZES = {
    "c_nvmlFieldValue_t": 40,
    "c_nvmlMemory_t": 24,
    "c_nvmlMemory_v2_t": 40,
    "c_nvmlProcessInfo_v3_t": 24,
    "c_nvmlProcessDetail_v1_t": 32,
    "c_nvmlProcessDetailList_v1_t": 24,
    "c_nvmlProcessUtilizationSample_t": 32,
    "c_nvmlProcessUtilizationInfo_v1_t": 40,
    "c_nvmlProcessesUtilizationInfo_v1_t": 24,
    "c_nvmlSample_t": 16,
    "c_nvmlEventData_t": 32,
    "c_nvmlUtilization_t": 8,
    "c_nvmlGpmMetric_t": 40,
    "c_nvmlGpmSupport_t": 8,
    "nvmlPciInfo_t": 68,
    "c_nvmlSystemEventData_v1_t": 16,
    "c_nvmlSystemEventSetWaitRequest_v1_t": 32,
    "c_nvmlDeviceAttributes": 40,
    "c_nvmlRowRemapperHistogramValues": 20,
    "c_nvmlEccSramErrorStatus_v1_t": 104,
    "c_nvmlGpuFabricInfo_v2_t": 36,
    "c_nvmlGpuFabricInfo_v3_t": 40,
    "c_nvmlTemperature_v1_t": 12,
    "c_nvmlMarginTemperature_v1_t": 8,
    "c_nvmlRepairStatus_t": 12,
    "c_nvmlViolationTime_t": 16,
}
"""The C side asserts the same numbers when it is compiled."""


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_structs_are_as_large_on_both_sides(binding: Any, name: str, size: int) -> None:
    assert ctypes.sizeof(getattr(binding, name)) == size


def test_the_array_of_metrics_is_last_and_as_long_as_the_header_says(binding: Any) -> None:
    whole = ctypes.sizeof(binding.c_nvmlGpmMetricsGet_t)
    assert whole == 24 + 40 * binding.NVML_GPM_METRIC_MAX
    assert binding.c_nvmlGpmMetricsGet_t.metrics.offset == 24


def test_the_system_tells_its_versions(binding: Any, fake: FakeNvml) -> None:
    fake.scenario.value("nvmlSystemGetProcessName", "python3", device=None, args=[4711])
    fake.publish()
    assert binding.nvmlSystemGetDriverVersion() == "580.95.05"
    assert binding.nvmlSystemGetNVMLVersion() == "13.580.95.05"
    assert binding.nvmlSystemGetCudaDriverVersion() == 13000
    assert binding.nvmlSystemGetCudaDriverVersion_v2() == 13000
    assert binding.nvmlSystemGetProcessName(4711) == "python3"


def test_a_device_is_found_by_index_uuid_and_bus(binding: Any, device: Any) -> None:
    uuid = binding.nvmlDeviceGetUUID(device)
    pci = binding.nvmlDeviceGetPciInfo(device)
    assert binding.nvmlDeviceGetCount() == 1
    assert (pci.busId, pci.busIdLegacy) == ("00000000:10:00.0", "0000:10:00.0")
    assert (pci.bus, pci.pciDeviceId) == (0x10, 0x233010DE)
    for other in (
        binding.nvmlDeviceGetHandleByUUID(uuid),
        binding.nvmlDeviceGetHandleByPciBusId(pci.busId),
        binding.nvmlDeviceGetHandleByPciBusId("0000:10:00.0"),
    ):
        assert binding.nvmlDeviceGetUUID(other) == uuid
    assert binding.nvmlDeviceGetIndex(device) == 0


def test_identity_is_text_and_numbers(binding: Any, device: Any) -> None:
    assert binding.nvmlDeviceGetName(device) == "NVIDIA H100 80GB HBM3"
    assert binding.nvmlDeviceGetSerial(device) == "1650421000001"
    assert binding.nvmlDeviceGetVbiosVersion(device) == "96.00.89.00.01"
    assert binding.nvmlDeviceGetMinorNumber(device) == 0
    assert binding.nvmlDeviceGetArchitecture(device) == binding.NVML_DEVICE_ARCH_HOPPER


def test_unknown_devices_and_handles_are_refused(binding: Any, fake: FakeNvml, code: Any) -> None:
    stranger = ctypes.cast(ctypes.c_void_p(0x1234), binding.c_nvmlDevice_t)
    assert code(binding.nvmlDeviceGetHandleByIndex, 1) == binding.NVML_ERROR_INVALID_ARGUMENT
    assert code(binding.nvmlDeviceGetHandleByUUID, "GPU-none") == binding.NVML_ERROR_NOT_FOUND
    assert code(binding.nvmlDeviceGetName, stranger) == binding.NVML_ERROR_INVALID_ARGUMENT
    assert fake.counts().violations["handle"] == 1


def test_memory_v1_hides_the_reserved_part_in_used(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    fake.scenario.memory(used=300, total=1000, reserved=100)
    fake.publish()
    v1 = binding.nvmlDeviceGetMemoryInfo(device)
    v2 = binding.nvmlDeviceGetMemoryInfo(device, binding.nvmlMemory_v2)
    assert (v1.total, v1.free, v1.used) == (1000, 600, 400)
    assert (v2.total, v2.reserved, v2.free, v2.used) == (1000, 100, 600, 300)
    bar1 = binding.nvmlDeviceGetBAR1MemoryInfo(device)
    assert bar1.bar1Total == bar1.bar1Free + bar1.bar1Used == 128 << 30


def test_rates_clocks_and_power(binding: Any, device: Any) -> None:
    rates = binding.nvmlDeviceGetUtilizationRates(device)
    assert (rates.gpu, rates.memory) == (63, 41)
    assert binding.nvmlDeviceGetEncoderUtilization(device) == [0, 167000]
    assert binding.nvmlDeviceGetDecoderUtilization(device) == [0, 167000]
    assert [binding.nvmlDeviceGetClockInfo(device, kind) for kind in range(3)] == [1755, 1755, 2619]
    assert binding.nvmlDeviceGetMaxClockInfo(device, binding.NVML_CLOCK_MEM) == 2619
    assert binding.nvmlDeviceGetPowerUsage(device) == 512000
    assert binding.nvmlDeviceGetEnforcedPowerLimit(device) == 700000
    assert binding.nvmlDeviceGetPowerManagementLimit(device) == 700000
    assert binding.nvmlDeviceGetPowerManagementLimitConstraints(device) == [200000, 700000]
    assert binding.nvmlDeviceGetTemperature(device, 0) == 52
    assert binding.nvmlDeviceGetTemperatureV(device, 0) == 52
    assert binding.nvmlDeviceGetMarginTemperature(device) == 35
    assert binding.nvmlDeviceGetPerformanceState(device) == 0
    assert binding.nvmlDeviceGetCurrentClocksEventReasons(device) == 0
    assert binding.nvmlDeviceGetCurrentClocksThrottleReasons(device) == 0
    assert binding.nvmlDeviceGetCurrPcieLinkGeneration(device) == 5
    assert binding.nvmlDeviceGetMaxPcieLinkWidth(device) == 16


def test_what_a_device_does_not_list_is_not_supported(binding: Any, device: Any, code: Any) -> None:
    assert code(binding.nvmlDeviceGetFanSpeed, device) == binding.NVML_ERROR_NOT_SUPPORTED
    assert code(binding.nvmlDeviceGetClockInfo, device, 9) == binding.NVML_ERROR_NOT_SUPPORTED


def test_health(binding: Any, device: Any) -> None:
    status = binding.c_nvmlEccSramErrorStatus_v1_t()
    fabric = binding.c_nvmlGpuFabricInfo_v3_t()
    binding.nvmlDeviceGetSramEccErrorStatus(device, ctypes.byref(status))
    binding.nvmlDeviceGetGpuFabricInfoV(device, ctypes.byref(fabric))
    assert status.volatileCor == 0
    assert (fabric.state, fabric.cliqueId, fabric.healthSummary) == (3, 1, 1)
    assert list(fabric.clusterUuid) == [0] * 15 + [1]
    assert binding.nvmlDeviceGetEccMode(device) == [1, 1]
    assert binding.nvmlDeviceGetTotalEccErrors(device, 0, 1) == 3  # as field 5
    assert binding.nvmlDeviceGetRemappedRows(device) == (1, 0, 0, 0)
    assert binding.nvmlDeviceGetRowRemapperHistogram(device).max == 639
    assert binding.nvmlDeviceGetRepairStatus(device) == [0, 0]
    assert binding.nvmlDeviceGetViolationStatus(device, 0).violationTime == 5000
    assert binding.nvmlDeviceGetNvLinkState(device, 17) == 1
    assert binding.nvmlDeviceGetNvLinkErrorCounter(device, 17, 3) == 0


def test_an_older_struct_version_can_be_all_that_is_there(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    fake.scenario.fail("nvmlDeviceGetGpuFabricInfoV", 25, args=[3])
    fake.publish()
    ask = binding.nvmlDeviceGetGpuFabricInfoV
    assert code(ask, device, ctypes.byref(binding.c_nvmlGpuFabricInfo_v3_t())) == 25
    assert code(ask, device, ctypes.byref(binding.c_nvmlGpuFabricInfo_v2_t())) == 0


def test_retired_pages_are_lists_by_cause(tmp_path: Path, binding: Any) -> None:
    with FakeNvml.loaded(tmp_path, "t4"):
        binding.nvmlInit()
        device = binding.nvmlDeviceGetHandleByIndex(0)
        pages = binding.nvmlDeviceGetRetiredPages_v2(device, 0)
        assert [page["address"] for page in pages] == [0x1000, 0x2000]
        assert binding.nvmlDeviceGetRetiredPages(device, 0) == [0x1000, 0x2000]
        assert binding.nvmlDeviceGetRetiredPages(device, 1) == []
        assert binding.nvmlDeviceGetRetiredPagesPendingStatus(device) == 0


def test_fields_tell_value_type_time_and_a_code_each(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    fake.scenario.field(83, 5, kind=3, ramp=1000).fail("field", 4, args=[82]).field(297, 1.5)
    fake.publish()
    fake.step(2_000_000)
    asked = [83, 82, 9999, 297, (186, 0), (186, 1)]
    energy, refused, unknown, ratio, power, module = binding.nvmlDeviceGetFieldValues(device, asked)
    assert (energy.value.ullVal, energy.valueType) == (
        2005,
        binding.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG,
    )
    assert energy.timestamp == fake.scenario.now_us
    assert (refused.nvmlReturn, unknown.nvmlReturn, module.nvmlReturn) == (4, 3, 3)
    assert (ratio.value.dVal, ratio.valueType) == (1.5, binding.NVML_VALUE_TYPE_DOUBLE)
    assert (power.value.uiVal, power.nvmlReturn) == (512000, 0)
    assert binding.nvmlDeviceGetTotalEnergyConsumption(device) == 2005


def test_a_field_can_be_refreshed_in_steps_only(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.field(83, 0, ramp=1_000_000).set("dev.0.field.83.period_us", 100_000)
    fake.publish()
    fake.step(250_000)
    (energy,) = binding.nvmlDeviceGetFieldValues(device, [83])
    assert fake.scenario.now_us - energy.timestamp == 50_000
    assert energy.value.ullVal == 200_000


def test_samples_are_those_since_the_last_one_seen(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    kind, samples = binding.nvmlDeviceGetSamples(device, 1, 0)
    assert kind == binding.NVML_VALUE_TYPE_UNSIGNED_INT
    assert len(samples) == 120
    newest = samples[-1].timeStamp
    assert code(binding.nvmlDeviceGetSamples, device, 1, newest) == binding.NVML_ERROR_NOT_FOUND
    fake.step(300_000)
    _, samples = binding.nvmlDeviceGetSamples(device, 1, newest)
    assert [s.timeStamp - newest for s in samples] == [100_000, 200_000, 300_000]
    assert {s.sampleValue.uiVal for s in samples} == {63}
    fake.scenario.set("dev.0.nvmlDeviceGetSamples.1.rows", f"{newest}:1", f"{newest + 7}:9")
    fake.publish()
    _, samples = binding.nvmlDeviceGetSamples(device, 1, newest)
    assert [(s.timeStamp - newest, s.sampleValue.uiVal) for s in samples] == [(7, 9)]


def test_processes_are_listed_by_kind(binding: Any, fake: FakeNvml, device: Any) -> None:
    fake.scenario.processes([(10, 1 << 30), (11, -1)]).processes([(12, 5)], kind="MPSCompute")
    fake.publish()
    for ask in (
        binding.nvmlDeviceGetComputeRunningProcesses_v3,
        binding.nvmlDeviceGetComputeRunningProcesses_v2,
    ):
        assert [(p.pid, p.usedGpuMemory) for p in ask(device)] == [(10, 1 << 30), (11, None)]
        assert ask(device)[0].gpuInstanceId == 0xFFFFFFFF
    assert binding.nvmlDeviceGetGraphicsRunningProcesses_v3(device) == []
    assert binding.nvmlDeviceGetMPSComputeRunningProcesses_v3(device)[0].pid == 12


def test_process_details_have_a_column_more(binding: Any, fake: FakeNvml, device: Any) -> None:
    # pynvml itself cannot put None for what is not available here, so all columns are given.
    fake.scenario.value("nvmlDeviceGetRunningProcessDetailList", "10:5:1:2:3")
    fake.publish()
    version = binding.nvmlProcessDetailList_v1
    (row,) = binding.nvmlDeviceGetRunningProcessDetailList(device, version, 0)
    assert (row.pid, row.usedGpuMemory, row.gpuInstanceId, row.computeInstanceId) == (10, 5, 1, 2)
    assert row.usedGpuCcProtectedMemory == 3


def test_use_by_process_is_told_once_for_each_sample(
    binding: Any, fake: FakeNvml, device: Any, code: Any
) -> None:
    fake.scenario.process_busy([(10, 40), (11, 20)])
    fake.publish()
    rows = binding.nvmlDeviceGetProcessUtilization(device, 0)
    assert [(row.pid, row.smUtil) for row in rows] == [(10, 40), (11, 20)]
    seen = rows[0].timeStamp
    assert code(binding.nvmlDeviceGetProcessUtilization, device, seen) == 6
    fake.step(100_000)
    again = binding.nvmlDeviceGetProcessesUtilizationInfo(device, seen)
    assert [(row.pid, row.smUtil, row.timeStamp - seen) for row in again] == [
        (10, 40, 100_000),
        (11, 20, 100_000),
    ]


def ask_metrics(binding: Any, pair: tuple[Any, Any], *ids: int) -> Any:
    wanted = binding.c_nvmlGpmMetricsGet_t()
    wanted.version = binding.NVML_GPM_METRICS_GET_VERSION
    wanted.sample1, wanted.sample2 = pair
    wanted.numMetrics = len(ids)
    for row, metric_id in zip(wanted.metrics, ids, strict=False):
        row.metricId = metric_id
    binding.nvmlGpmMetricsGet(wanted)
    return wanted.metrics[: len(ids)]


def test_metrics_are_exact_means_between_two_samples(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    assert binding.nvmlGpmQueryDeviceSupport(device).isSupportedDevice == 1
    pair = (binding.nvmlGpmSampleAlloc(), binding.nvmlGpmSampleAlloc())
    fake.scenario.gpm(1, 20).gpm(5, 7, ret=4)
    fake.publish()
    binding.nvmlGpmSampleGet(device, pair[0])
    fake.step(500_000)
    fake.scenario.gpm(1, 80)
    fake.step(1_500_000)
    binding.nvmlGpmSampleGet(device, pair[1])
    busy, refused, unknown = ask_metrics(binding, pair, 1, 5, 400)
    assert busy.value == pytest.approx((20 * 0.5 + 80 * 1.5) / 2, rel=1e-9)
    assert (busy.nvmlReturn, refused.nvmlReturn, unknown.nvmlReturn) == (0, 4, 3)
    assert fake.counts().live["gpm_samples"] == 2
    for sample in pair:
        binding.nvmlGpmSampleFree(sample)
    assert fake.counts().live["gpm_samples"] == 0


def test_samples_too_close_together_give_zeros_and_no_error(
    binding: Any, fake: FakeNvml, device: Any
) -> None:
    pair = (binding.nvmlGpmSampleAlloc(), binding.nvmlGpmSampleAlloc())
    binding.nvmlGpmSampleGet(device, pair[0])
    fake.step(99_999)
    binding.nvmlGpmSampleGet(device, pair[1])
    (busy,) = ask_metrics(binding, pair, 1)
    assert (busy.value, busy.nvmlReturn) == (0, 0)
    assert fake.counts().violations["gpm_early"] == 1
