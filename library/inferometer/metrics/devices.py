"""The families of our own about devices: base units, names and labels that linters accept.

Counters are of the time since the exporter started, and go on over a driver that comes back, but
for `ecc_errors_total` and `remapped_rows_total`: those are the driver's own, of the time that their
help names. What a device cannot tell is absent; `inferometer_gpu_metric_unsupported` says why.
"""

from typing import Final

from inferometer.metrics.dcgm import (
    CONTAINER,
    DEVICES_MAX,
    GPU,
    HPC_JOB,
    INSTANCES_MAX,
    NAMESPACE,
    POD,
    UUID,
)
from inferometer.metrics.metric import Kind, Label, Metric, Unit

STATES: Final = ("ok", "stalled", "lost", "reset_required", "no_permission")
ENGINES: Final = ("sm", "tensor", "dram", "fp64", "fp32", "fp16", "int", "enc", "dec")
THROTTLE_BITS: Final = {
    "gpu_idle": 1,
    "app_clocks": 2,
    "sw_power_cap": 4,
    "hw_slowdown": 8,
    "sync_boost": 16,
    "sw_thermal": 32,
    "hw_thermal": 64,
    "hw_power_brake": 128,
    "display_clocks": 256,
}
"""Bits of the driver's mask of reasons why clocks are held back."""
RECOVERY_ACTIONS: Final = (
    "none",
    "gpu_reset",
    "node_reboot",
    "drain_p2p",
    "drain_and_reset",
    "recover_imex",
    "bus_reset",
    "system_reboot",
)
"""What the driver wants done, by its number."""
FABRIC_STATES: Final = ("not_started", "in_progress", "completed")
"""By the driver's number, from 1."""
REASONS: Final = (
    "not_supported",
    "no_permission",
    "function_not_found",
    "version_mismatch",
    "deprecated",
    "mig_mode",
    "architecture",
    "no_data",
    "too_slow",
    "implausible",
    "backend",
)
METHODS: Final = ("exclusive", "process", "mig", "mps", "none")
XIDS_MAX: Final = 64
NAMES_MAX: Final = 200
"""Families that can be unsupported."""
PROCESSES_MAX: Final = 64

_DEVICE: Final = (GPU, UUID)
_HOLDER: Final = (NAMESPACE, POD, CONTAINER)
_DIRECTION: Final = Label("direction", ("transmit", "receive"))
_WHICH: Final = Label("which", ("current", "max"))
_SEVERITY: Final = Label("severity", ("corrected", "uncorrected"))
_XID: Final = Label("xid", ("other",), XIDS_MAX)
_SHARE: Final = Label("share", ("pod", "other", "idle"))
_PID: Final = Label("pid", (), PROCESSES_MAX)
_THROTTLED: Final = Label(
    "reason",
    (
        "power",
        "thermal",
        "sync_boost",
        "board_limit",
        "low_util",
        "reliability",
        "hw_thermal",
        "hw_power_brake",
        "sw_thermal",
    ),
)


def _text(name: str) -> Label:
    return Label(name, (), DEVICES_MAX)


def _metric(name: str, help_: str, *labels: Label, kind: Kind = "gauge", unit: Unit = "") -> Metric:
    """Return a family about a device."""
    return Metric(
        name=f"inferometer_gpu_{name}",
        kind=kind,
        help=help_,
        domains=(*_DEVICE, *labels),
        unit=unit,
        source="gpu",
    )


_INFO: Final = tuple(
    map(
        _text,
        (
            "hostname",
            "device",
            "pci_bus_id",
            "model_name",
            "vendor",
            "architecture",
            "driver_version",
            "vbios_version",
            "busy_source",
            "energy_source",
        ),
    )
)

STATUS: Final = (
    _metric(
        "info",
        "1, with who the device is, and what busy time and energy are made of. On request with "
        "the label serial in place of vbios_version.",
        *_INFO,
    ),
    _metric(
        "instance_info",
        "1 for each MIG instance, with its profile and how many slices it has.",
        Label("GPU_I_ID", (), INSTANCES_MAX * 2),
        _text("GPU_I_PROFILE"),
        _text("mig_uuid"),
        Label("slices", (), INSTANCES_MAX + 1),
    ),
    _metric("up", "1 if the device answered within the last ticks, else 0."),
    _metric(
        "state", "1 for the state that the device is in, 0 for others.", Label("state", STATES)
    ),
    _metric(
        "last_sample_timestamp_seconds",
        "When the device last answered, in every state.",
        unit="seconds",
    ),
    Metric(
        name="inferometer_gpu_devices",
        kind="gauge",
        help="Devices as the bus shows them, as the driver counts them, and those that are up. One "
        "that the driver counts but cannot tell apart from others, or that was lost since, still "
        "counts for the driver; while a backend is away, nothing does.",
        domains=(Label("source", ("pci", "driver", "up")),),
        source="gpu",
    ),
)

HEALTH: Final = (
    _metric(
        "xid_errors_total",
        "XID errors since the exporter started. 13, 31, 43 and 45 are faults of applications.",
        _XID,
        kind="counter",
    ),
    _metric(
        "xid_last_seen_timestamp_seconds",
        "When an XID error was last seen.",
        _XID,
        unit="seconds",
    ),
    _metric(
        "events_total",
        "Events other than XIDs that the driver reported.",
        Label(
            "event",
            (
                "ecc_sbe",
                "ecc_dbe",
                "dram_retirement",
                "dram_retirement_failed",
                "poison_nonfatal",
                "poison_fatal",
                "unavailable",
                "recovery_action",
                "fallen_off_bus",
            ),
        ),
        kind="counter",
    ),
    _metric(
        "recovery_action",
        "1 for what the driver wants done to recover the device, 0 for others.",
        Label("action", RECOVERY_ACTIONS),
    ),
    _metric(
        "ecc_errors_total",
        "ECC errors: volatile since the driver was loaded, aggregate in the life of the device.",
        _SEVERITY,
        Label("span", ("volatile", "aggregate")),
        kind="counter",
    ),
    _metric(
        "remapped_rows_total",
        "Rows of memory that were remapped in the life of the device.",
        _SEVERITY,
        kind="counter",
    ),
    _metric("remap_pending", "1 if a remapped row waits for a reset, else 0."),
    _metric("remap_failed", "1 if remapping a row failed, else 0."),
)

LOAD: Final = (
    _metric(
        "busy_seconds_total",
        "Time with work on the device; busy_source of its info says how it is known.",
        kind="counter",
        unit="seconds",
    ),
    _metric(
        "engine_active_seconds_total",
        "How long each part of the device was active: its rate is the mean ratio, whatever the "
        "scrape interval.",
        Label("engine", ENGINES),
        kind="counter",
        unit="seconds",
    ),
    _metric(
        "energy_joules_total",
        "Energy drawn; energy_source of the info says how it is known.",
        kind="counter",
    ),
    _metric(
        "memory_bytes",
        "Memory of the device. What is reserved by the driver is not in used.",
        Label("kind", ("used", "reserved", "free", "total")),
        unit="bytes",
    ),
    _metric("power_peak_watts", "Highest power of one second in the last minute."),
    _metric(
        "busy_peak_ratio", "Highest busy ratio of one second in the last minute.", unit="ratio"
    ),
    _metric("pcie_bytes_total", "Bytes over PCIe.", _DIRECTION, kind="counter", unit="bytes"),
    _metric(
        "nvlink_bytes_total",
        "Data bytes over all NVLinks.",
        _DIRECTION,
        kind="counter",
        unit="bytes",
    ),
    _metric(
        "throttled_seconds_total",
        "How long clocks were held back, by reason. Reasons overlap.",
        _THROTTLED,
        kind="counter",
        unit="seconds",
    ),
    _metric(
        "throttle_active",
        "1 for each reason why clocks are held back at the moment.",
        Label("reason", tuple(THROTTLE_BITS)),
    ),
    _metric("temperature_margin_celsius", "Degrees left before the device slows itself down."),
    _metric("pcie_link_width_lanes", "Lanes of the PCIe link.", _WHICH),
    _metric("pcie_link_generation", "Generation of the PCIe link.", _WHICH),
    _metric("fabric_state", "1 for the state of the NVLink fabric.", Label("state", FABRIC_STATES)),
)

SHARES: Final = (
    _metric(
        "share_seconds_total",
        "Time of the device by who used it: pods, other and idle add up to all of it.",
        _SHARE,
        *_HOLDER,
        kind="counter",
        unit="seconds",
    ),
    _metric(
        "share_energy_joules_total",
        "Energy of the device by who used it: pods, other and idle add up to all of it.",
        _SHARE,
        *_HOLDER,
        kind="counter",
    ),
    _metric(
        "share_memory_bytes",
        "Memory in use by who uses it: pods and other add up to what is in use.",
        _SHARE,
        *_HOLDER,
        unit="bytes",
    ),
    _metric(
        "attribution_info",
        "1, with how shares are told, or why they are not.",
        Label("method", METHODS),
        Label("reason", ("",), 16),
    ),
    _metric(
        "attribution_error_ratio",
        "How far shares are from adding up to the device: always 0.",
        unit="ratio",
    ),
    _metric("hpc_job_info", "1 for each batch job that runs on the device.", HPC_JOB),
    _metric("process_memory_bytes", "Memory of a process; on request.", _PID, unit="bytes"),
    _metric(
        "process_busy_ratio",
        "Share of time with work of a process on the device; on request.",
        _PID,
        unit="ratio",
    ),
    _metric(
        "metric_unsupported",
        "1 for each family that the device cannot tell, with the reason.",
        Label("metric", (), NAMES_MAX),
        Label("reason", REASONS),
    ),
)

DEVICES: Final = (*STATUS, *HEALTH, *LOAD, *SHARES)
"""Every family of a device, in the order in which a page shows them."""
