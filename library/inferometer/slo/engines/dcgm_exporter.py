"""dcgm-exporter, as its default list of fields goes; users add others, so no list is complete."""

from typing import Final

from inferometer.slo.engines.page import Page, metrics, named

ENGINE: Final = "dcgm-exporter"
PREFIX: Final = "DCGM_FI_"

V3: Final = Page(
    ENGINE,
    "3",
    metrics(
        named(
            "gauge",
            PREFIX,
            "DEV_SM_CLOCK DEV_MEM_CLOCK DEV_MEMORY_TEMP DEV_GPU_TEMP DEV_POWER_USAGE DEV_GPU_UTIL"
            " DEV_MEM_COPY_UTIL DEV_ENC_UTIL DEV_DEC_UTIL DEV_XID_ERRORS DEV_FB_FREE DEV_FB_USED"
            " DEV_VGPU_LICENSE_STATUS DEV_ROW_REMAP_FAILURE",
        ),
        named(
            "counter",
            PREFIX,
            "DEV_TOTAL_ENERGY_CONSUMPTION DEV_PCIE_TX_THROUGHPUT DEV_PCIE_RX_THROUGHPUT"
            " DEV_PCIE_REPLAY_COUNTER DEV_NVLINK_BANDWIDTH_TOTAL"
            " DEV_UNCORRECTABLE_REMAPPED_ROWS DEV_CORRECTABLE_REMAPPED_ROWS",
        ),
    ),
    source="etc/default-counters.csv at 00d6d34",
)
PAGES: Final = (V3,)
