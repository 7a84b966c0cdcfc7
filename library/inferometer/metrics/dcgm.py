"""The families that dcgm-exporter users know: their old names, their new ones, their types.

Dashboards and alerts were written for these, so names, types and units are DCGM's own, wrong ones
included: some counters are typed as gauges, `GPU_UTIL_RATIO` goes to 100. How a value is found is
for `inferometer.gpu.page.families` to say.
"""

from typing import Final, Literal, NamedTuple

from inferometer.metrics.metric import Kind, Label, Metric

DEVICES_MAX: Final = 64
"""Devices of one machine that are told apart; more are not seen in one server."""
INSTANCES_MAX: Final = 7
"""MIG instances of one device."""
HOLDERS_MAX: Final = 500
"""Containers that can be named."""

GPU: Final = Label("gpu", (), DEVICES_MAX)
UUID: Final = Label("UUID", (), DEVICES_MAX)
NAMESPACE: Final = Label("namespace", (), HOLDERS_MAX)
POD: Final = Label("pod", (), HOLDERS_MAX)
CONTAINER: Final = Label("container", (), HOLDERS_MAX)
HPC_JOB: Final = Label("hpc_job", (), HOLDERS_MAX)

_DEVICE: Final = (
    GPU,
    UUID,
    Label("pci_bus_id", (), DEVICES_MAX),
    Label("device", (), DEVICES_MAX),
    Label("modelName", (), DEVICES_MAX),
)
_CLASSIC: Final = (*_DEVICE, Label("Hostname", (), 1))
_RENAMED: Final = (*_DEVICE, Label("hostname", (), 1))
_INSTANCE: Final = (
    Label("GPU_I_PROFILE", (), DEVICES_MAX),
    Label("GPU_I_ID", (), INSTANCES_MAX * 2),
)
_HOLDER: Final = (CONTAINER, NAMESPACE, POD)
_ERR_CODE: Final = Label("err_code", (), DEVICES_MAX)

Mig = Literal["parent", "instance", "absent"]
"""With MIG on: of the whole device only, of each instance too, or of nothing."""


class DcgmFamily(NamedTuple):
    """A family under both names, without and with DCGM 4.6's. `on` is in the list by default.

    `since` says which devices can have it; "" is all.
    """

    classic: str
    renamed: str
    kind: Kind
    help: str
    on: bool = False
    mig: Mig = "parent"
    since: str = ""


def _family(  # noqa: PLR0913  (the columns of a table)
    name: str,
    help_: str,
    *,
    new: str = "",
    kind: Kind = "gauge",
    on: bool = False,
    mig: Mig = "parent",
    since: str = "",
) -> DcgmFamily:
    """Return a family of the table below; `new` is the later name where it differs."""
    prefix = "DCGM_FI_" if name.startswith("PROF_") else "DCGM_FI_DEV_"
    renamed = f"{prefix}{new or name}"
    return DcgmFamily(f"{prefix}{name}", renamed, kind, help_, on, mig, since)


_AMPERE: Final = "Ampere and later, data centre boards"
_HOPPER: Final = "Hopper and later, data centre boards"
_BEFORE_AMPERE: Final = "before Ampere, data centre boards"
_ECC: Final = "boards with ECC"
_NVLINK: Final = "boards with NVLink"
_NVLINK_4: Final = "boards with NVLink up to generation 4"


def _remap() -> tuple[DcgmFamily, ...]:
    return (
        _family(
            "UNCORRECTABLE_REMAPPED_ROWS",
            "Rows remapped for uncorrectable errors.",
            new="ROW_REMAP_UNCORRECTABLE_TOTAL",
            kind="counter",
            on=True,
            since=_AMPERE,
        ),
        _family(
            "CORRECTABLE_REMAPPED_ROWS",
            "Rows remapped for correctable errors.",
            new="ROW_REMAP_CORRECTABLE_TOTAL",
            kind="counter",
            on=True,
            since=_AMPERE,
        ),
        _family(
            "ROW_REMAP_FAILURE",
            "1 if remapping a row failed, else 0.",
            new="ROW_REMAP_FAILED",
            on=True,
            since=_AMPERE,
        ),
        _family(
            "ROW_REMAP_PENDING", "1 if a remapped row waits for a reset, else 0.", since=_AMPERE
        ),
    )


def _retired() -> tuple[DcgmFamily, ...]:
    return (
        *(
            _family(
                f"RETIRED_{short}",
                f"Pages retired for {words} errors.",
                new=f"PAGE_RETIRED_{short}_TOTAL",
                kind="counter",
                since=_BEFORE_AMPERE,
            )
            for short, words in (("SBE", "single bit"), ("DBE", "double bit"))
        ),
        _family(
            "RETIRED_PENDING",
            "Pages that wait for a reset to be retired.",
            new="PAGE_RETIRED_PENDING",
            since=_BEFORE_AMPERE,
        ),
    )


def _ecc() -> tuple[DcgmFamily, ...]:
    return tuple(
        _family(
            f"ECC_{bits}_{span}_TOTAL",
            f"{'Single' if bits == 'SBE' else 'Double'} bit ECC errors "
            f"{'since the driver was loaded' if span == 'VOL' else 'in the life of the device'}.",
            kind="counter",
            since=_ECC,
        )
        for span in ("VOL", "AGG")
        for bits in ("SBE", "DBE")
    )


def _nvlink() -> tuple[DcgmFamily, ...]:
    return (
        _family(
            "NVLINK_BANDWIDTH_TOTAL",
            "Data over all NVLinks, both ways, in KiB/s divided by 1000: a rate, as in DCGM.",
            new="NVLINK_THROUGHPUT_TOTAL",
            on=True,
            since=_NVLINK,
        ),
        *(
            _family(
                f"NVLINK_{what}_ERROR_COUNT_TOTAL",
                f"NVLink {words} errors of all links.",
                new=f"NVLINK_{what}_ERROR_TOTAL",
                kind="counter",
                since=_NVLINK_4,
            )
            for what, words in (
                ("CRC_FLIT", "flit CRC"),
                ("CRC_DATA", "data CRC"),
                ("REPLAY", "replay"),
                ("RECOVERY", "recovery"),
            )
        ),
    )


def _violations() -> tuple[DcgmFamily, ...]:
    return tuple(
        _family(f"{what}_VIOLATION", f"Nanoseconds throttled {why}.", kind="counter")
        for what, why in (
            ("POWER", "by the power limit"),
            ("THERMAL", "by heat"),
            ("SYNC_BOOST", "by the sync boost limit"),
            ("BOARD_LIMIT", "by the limit of the board"),
            ("LOW_UTIL", "for low utilization"),
            ("RELIABILITY", "by the reliability limit of the board"),
        )
    )


def _profiling() -> tuple[DcgmFamily, ...]:
    ratios = (
        ("GR_ENGINE_ACTIVE", "GR_ENGINE_UTIL_RATIO", "the graphics engine was active", True),
        ("PIPE_TENSOR_ACTIVE", "TENSOR_UTIL_RATIO", "the tensor pipe was active", True),
        ("DRAM_ACTIVE", "DRAM_UTIL_RATIO", "the memory interface was active", True),
        ("SM_ACTIVE", "SM_UTIL_RATIO", "a warp was on an SM, mean of all SMs", True),
        ("SM_OCCUPANCY", "SM_OCCUPANCY_RATIO", "warps were on an SM, of those that fit", False),
        ("PIPE_FP64_ACTIVE", "FP64_UTIL_RATIO", "the FP64 pipe was active", False),
        ("PIPE_FP32_ACTIVE", "FP32_UTIL_RATIO", "the FP32 pipe was active", False),
        ("PIPE_FP16_ACTIVE", "FP16_UTIL_RATIO", "the FP16 pipe was active", False),
        ("PIPE_INT_ACTIVE", "INT_UTIL_RATIO", "the integer pipe was active", False),
        ("PIPE_TENSOR_IMMA_ACTIVE", "IMMA_UTIL_RATIO", "integer tensor work ran", False),
        ("PIPE_TENSOR_HMMA_ACTIVE", "HMMA_UTIL_RATIO", "half precision tensor work ran", False),
        ("PIPE_TENSOR_DFMA_ACTIVE", "DFMA_UTIL_RATIO", "double precision tensor work ran", False),
    )
    return (
        *(
            _family(
                f"PROF_{name}",
                f"Share of time in which {words}, 0 to 1.",
                new=f"PROF_{new}",
                on=on,
                mig="instance",
                since=_HOPPER,
            )
            for name, new, words, on in ratios
        ),
        *(
            _family(
                f"PROF_{link}_{way}_BYTES",
                f"Bytes a second {words} over {spelt}.",
                on=link == "PCIE",
                since=_HOPPER,
            )
            for link, spelt in (("PCIE", "PCIe"), ("NVLINK", "NVLink"))
            for way, words in (("TX", "sent"), ("RX", "received"))
        ),
    )


def _memory() -> tuple[DcgmFamily, ...]:
    return (
        *(
            _family(f"FB_{what}", f"Memory {words}, in MiB.", on=on, mig="instance")
            for what, words, on in (
                ("USED", "in use", True),
                ("FREE", "that is free", True),
                ("RESERVED", "kept by the driver", True),
                ("TOTAL", "of the device", False),
            )
        ),
        _family(
            "FB_USED_PERCENT",
            "Memory in use of what is not reserved, 0 to 1.",
            new="FB_USED_RATIO",
            mig="instance",
        ),
    )


_BUSY: Final = (
    ("GPU_UTIL", "GPU_UTIL_RATIO", "a kernel ran"),
    ("MEM_COPY_UTIL", "", "memory was read or written"),
    ("ENC_UTIL", "", "the encoder was in use"),
    ("DEC_UTIL", "", "the decoder was in use"),
)

FAMILIES: Final[tuple[DcgmFamily, ...]] = (
    _family("SM_CLOCK", "Clock of the SMs, in MHz.", on=True),
    _family("MEM_CLOCK", "Clock of the memory, in MHz.", on=True),
    _family(
        "GPU_TEMP", "Temperature of the GPU, in degrees Celsius.", new="GPU_TEMP_CELSIUS", on=True
    ),
    _family(
        "MEMORY_TEMP",
        "Temperature of the memory, in degrees Celsius.",
        new="MEMORY_TEMP_CELSIUS",
        on=True,
        since="boards with HBM",
    ),
    _family("POWER_USAGE", "Power drawn, in W.", new="BOARD_POWER_WATTS", on=True),
    _family("POWER_USAGE_INSTANT", "Power drawn at the moment, in W.", new="BOARD_POWER_RAW_WATTS"),
    _family(
        "TOTAL_ENERGY_CONSUMPTION",
        "Energy since the driver was loaded, in mJ.",
        kind="counter",
        on=True,
        since="Volta and later",
    ),
    *(
        _family(name, f"Share of time in which {words}, 0 to 100.", new=new, on=True, mig="absent")
        for name, new, words in _BUSY
    ),
    *_memory(),
    _family(
        "PCIE_REPLAY_COUNTER", "PCIe replays.", new="PCIE_REPLAY_TOTAL", kind="counter", on=True
    ),
    _family("XID_ERRORS", "The last XID error, 0 if there was none.", new="XID_ERROR", on=True),
    *_remap(),
    *_retired(),
    *_ecc(),
    *_nvlink(),
    *_violations(),
    _family(
        "POWER_MGMT_LIMIT",
        "The power limit that was set, in W.",
        new="BOARD_POWER_LIMIT_REQUESTED_WATTS",
        on=True,
    ),
    _family(
        "ENFORCED_POWER_LIMIT",
        "The power limit that holds, in W.",
        new="BOARD_POWER_LIMIT_ENFORCED_WATTS",
        on=True,
    ),
    _family("CLOCKS_EVENT_REASONS", "Why clocks are held back, as a bit mask."),
    _family("CLOCK_THROTTLE_REASONS", "Why clocks are held back, as a bit mask: the older name."),
    _family("PSTATE", "Performance state, 0 is the fastest.", new="GPU_PSTATE"),
    _family("FAN_SPEED", "Speed of the fan, in percent."),
    _family(
        "VGPU_LICENSE_STATUS", "1 if the vGPU is licensed, else 0. Only a DCGM host engine tells."
    ),
    *(
        _family(f"BAR1_{what}", f"BAR1 memory {words}, in MiB.")
        for what, words in (("TOTAL", "in all"), ("USED", "in use"), ("FREE", "that is free"))
    ),
    _family(
        "GET_GPU_RECOVERY_ACTION",
        "What the driver wants done to recover: 0 is nothing, 7 a reboot of the system.",
        new="GPU_RECOVERY_ACTION",
        since="recent drivers",
    ),
    *_profiling(),
)
"""Every family, in the order in which a page shows them."""


def _domains(family: DcgmFamily, device: tuple[Label, ...]) -> tuple[Label, ...]:
    instance = _INSTANCE if family.mig == "instance" else ()
    extra = (_ERR_CODE,) if family.classic.endswith("XID_ERRORS") else ()
    return (*device, *instance, *_HOLDER, HPC_JOB, *extra)


def _metrics() -> tuple[Metric, ...]:
    found: dict[str, Metric] = {}
    for name, family, device in (
        *((family.classic, family, _CLASSIC) for family in FAMILIES),
        *((family.renamed, family, _RENAMED) for family in FAMILIES),
    ):
        found.setdefault(
            name,
            Metric(
                name=name,
                kind=family.kind,
                help=family.help,
                domains=_domains(family, device),
                source="dcgm",
            ),
        )
    return tuple(found.values())


DCGM: Final[tuple[Metric, ...]] = _metrics()
"""The same as metrics, under both names; one that keeps its name has the older label `Hostname`."""
