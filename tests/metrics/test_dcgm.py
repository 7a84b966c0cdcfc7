import re

import pytest

from inferometer.metrics.catalog import METRICS
from inferometer.metrics.dcgm import DCGM, FAMILIES, DcgmFamily

ON = [family.classic.partition("DCGM_FI_")[2] for family in FAMILIES if family.on]


def test_the_default_list_is_that_of_dashboards_for_dcgm_exporter() -> None:
    assert ON == [
        "DEV_SM_CLOCK",
        "DEV_MEM_CLOCK",
        "DEV_GPU_TEMP",
        "DEV_MEMORY_TEMP",
        "DEV_POWER_USAGE",
        "DEV_TOTAL_ENERGY_CONSUMPTION",
        "DEV_GPU_UTIL",
        "DEV_MEM_COPY_UTIL",
        "DEV_ENC_UTIL",
        "DEV_DEC_UTIL",
        "DEV_FB_USED",
        "DEV_FB_FREE",
        "DEV_FB_RESERVED",
        "DEV_PCIE_REPLAY_COUNTER",
        "DEV_XID_ERRORS",
        "DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "DEV_CORRECTABLE_REMAPPED_ROWS",
        "DEV_ROW_REMAP_FAILURE",
        "DEV_NVLINK_BANDWIDTH_TOTAL",
        "DEV_POWER_MGMT_LIMIT",
        "DEV_ENFORCED_POWER_LIMIT",
        "PROF_GR_ENGINE_ACTIVE",
        "PROF_PIPE_TENSOR_ACTIVE",
        "PROF_DRAM_ACTIVE",
        "PROF_SM_ACTIVE",
        "PROF_PCIE_TX_BYTES",
        "PROF_PCIE_RX_BYTES",
    ]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.classic)
def test_a_family_is_catalogued_under_both_names_with_at_most_12_labels(
    family: DcgmFamily,
) -> None:
    for name in (family.classic, family.renamed):
        assert re.fullmatch(r"DCGM_FI_(DEV|PROF)_[A-Z0-9_]+", name)
        metric = METRICS[name]
        assert (metric.kind, metric.help) == (family.kind, family.help)
        assert len(metric.labels) <= 12


def test_each_name_is_one_family() -> None:
    assert len({family.classic for family in FAMILIES}) == len(FAMILIES)
    assert len({family.renamed for family in FAMILIES}) == len(FAMILIES)


def test_newer_names_have_the_newer_label() -> None:
    assert "Hostname" in METRICS["DCGM_FI_DEV_GPU_TEMP"].labels
    assert "hostname" in METRICS["DCGM_FI_DEV_GPU_TEMP_CELSIUS"].labels


def test_rates_that_are_called_totals_are_gauges() -> None:
    assert METRICS["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"].kind == "gauge"
    assert METRICS["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"].kind == "counter"


def test_a_metric_is_declared_once() -> None:
    assert len({metric.name for metric in DCGM}) == len(DCGM)
