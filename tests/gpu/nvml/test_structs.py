import ctypes
from typing import Any

import pytest

from inferometer.gpu.nvml import structs

pynvml: Any = pytest.importorskip("pynvml")

THEIRS = [
    (structs.FieldValue, pynvml.c_nvmlFieldValue_t, 40),
    (structs.Memory, pynvml.c_nvmlMemory_t, 24),
    (structs.Memory, pynvml.c_nvmlBAR1Memory_t, 24),
    (structs.MemoryV2, pynvml.c_nvmlMemory_v2_t, 40),
    (structs.Utilization, pynvml.c_nvmlUtilization_t, 8),
    (structs.Temperature, pynvml.c_nvmlTemperature_v1_t, 12),
    (structs.MarginTemperature, pynvml.c_nvmlMarginTemperature_v1_t, 8),
    (structs.FabricInfo, pynvml.c_nvmlGpuFabricInfo_t, 28),
    (structs.FabricInfoV2, pynvml.c_nvmlGpuFabricInfo_v2_t, 36),
    (structs.Attributes, pynvml.c_nvmlDeviceAttributes, 40),
    (structs.PciInfo, pynvml.nvmlPciInfo_t, 68),
    (structs.EventData, pynvml.c_nvmlEventData_t, 32),
    (structs.SystemEventSet, pynvml.c_nvmlSystemEventSetCreateRequest_v1_t, 16),
    (structs.SystemEventRegistration, pynvml.c_nvmlSystemRegisterEventRequest_v1_t, 24),
    (structs.SystemEventData, pynvml.c_nvmlSystemEventData_v1_t, 16),
    (structs.SystemEventWait, pynvml.c_nvmlSystemEventSetWaitRequest_v1_t, 32),
    (structs.Sample, pynvml.c_nvmlSample_t, 16),
    (structs.ProcessUtilization, pynvml.c_nvmlProcessUtilizationSample_t, 32),
    (structs.GpmSupport, pynvml.c_nvmlGpmSupport_t, 8),
]


@pytest.mark.parametrize(("ours", "theirs", "size"), THEIRS)
def test_a_structure_lies_in_memory_as_pynvml_has_it(
    ours: type[ctypes.Structure], theirs: Any, size: int
) -> None:
    assert ctypes.sizeof(ours) == ctypes.sizeof(theirs) == size
    assert _layout(ours) == _layout(theirs)


def _layout(structure: Any) -> list[tuple[int, int]]:
    members = (getattr(structure, name) for name, *_ in structure._fields_)
    return [(member.offset, member.size) for member in members]


def test_a_metric_lies_in_memory_as_pynvml_has_it() -> None:
    ours, theirs = structs.GpmMetric, pynvml.c_nvmlGpmMetric_t
    assert ctypes.sizeof(ours) == ctypes.sizeof(theirs) == 40
    assert _layout(ours)[:3] == _layout(theirs)[:3]
    assert ours.short_name.offset == theirs.metricInfo.offset


def test_metrics_begin_where_pynvml_has_them_and_have_room_for_longer_lists() -> None:
    theirs = pynvml.c_nvmlGpmMetricsGet_t
    assert structs.GpmMetrics.metrics.offset == theirs.metrics.offset == 24
    assert ctypes.sizeof(theirs) == 24 + 40 * pynvml.NVML_GPM_METRIC_MAX
    assert structs.GPM_METRICS_MAX >= pynvml.NVML_GPM_METRIC_MAX


@pytest.mark.parametrize(
    ("structure", "number", "version"),
    [
        (structs.MemoryV2, 2, pynvml.nvmlMemory_v2),
        (structs.Temperature, 1, pynvml.nvmlTemperature_v1),
        (structs.MarginTemperature, 1, pynvml.nvmlMarginTemperature_v1),
        (structs.FabricInfoV2, 2, pynvml.nvmlGpuFabricInfo_v2),
        (structs.SystemEventSet, 1, pynvml.nvmlSystemEventSetCreateRequest_v1),
        (structs.SystemEventWait, 1, pynvml.nvmlSystemEventSetWaitRequest_v1),
        (structs.SystemEventRegistration, 1, pynvml.nvmlSystemRegisterEventRequest_v1),
    ],
)
def test_a_version_is_what_the_header_says(
    structure: type[ctypes.Structure], number: int, version: int
) -> None:
    assert structs.version(structure, number) == version
