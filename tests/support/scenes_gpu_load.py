"""Scenes for the alerts on GPUs that are slow, unused, or not seen; see `scenes_gpu`."""

from dataclasses import replace
from typing import Final

from support.scenes_gpu import HOSTS, device, fires, known, limited, of
from support.scenes_requests import LATE, NOTHING
from support.scenes_servers import gauge
from support.shipped import Scene, Series, Table, merged, overridden


def _throttled(reason: str) -> dict[str, str]:
    """Return seconds that a reason cost: 20 and 5 of each minute, or nothing."""
    return merged(
        known(*HOSTS),
        of("bad", "throttled_seconds_total", "0+20x200", reason=reason),
        of("just-below", "throttled_seconds_total", "0+5x200", reason=reason),
        of("fine", "throttled_seconds_total", "0x200", reason=reason),
        of("fine", "throttled_seconds_total", "0+50x200", reason="low_util"),
    )


def _flapping(host: str, samples: int, reason: str = "hw_slowdown") -> dict[str, str]:
    """Return a flag that is up for so many samples, and down for as many."""
    once = " ".join(["0"] * samples + ["1"] * samples)
    return of(host, "throttle_active", " ".join([once] * (200 // samples)), reason=reason)


# At a sample every 15 s: 0.67 and 0.5 slow-downs a minute.
_SLOWDOWNS: Final = merged(
    known(*HOSTS),
    _flapping("bad", 3),
    _flapping("just-below", 4),
    _flapping("fine", 1, reason="gpu_idle"),
)
_MARGINS: Final = merged(
    known(*HOSTS),
    of("bad", "temperature_margin_celsius", "5x200"),
    of("just-below", "temperature_margin_celsius", "6x200"),
)
_HOT: Final = "GPUThrottledHot"
HOT: Final = Table(
    _HOT,
    (
        *limited(
            _HOT,
            _throttled("sw_thermal"),
            fires("bad", "warning", problem="heat"),
            limit="0.05",
            part="share",
        ),
        *(
            replace(scene, interval="15s")
            for scene in limited(
                _HOT,
                _SLOWDOWNS,
                fires("bad", "warning", problem="slowdowns"),
                limit="0.4",
                part="slowdowns",
            )
        ),
        *limited(
            _HOT,
            _MARGINS,
            fires("bad", "warning", problem="margin"),
            limit="8",
            part="margin",
        ),
        Scene("not yet", 9, _MARGINS),
        NOTHING,
    ),
)
CAPPED: Final = Table(
    "GPUPowerCapped",
    (
        *limited("GPUPowerCapped", _throttled("power"), fires("bad", "info"), limit="0.05"),
        NOTHING,
    ),
)


def _dcgm(host: str, name: str, values: str, *, label: str = "Hostname") -> dict[str, str]:
    return gauge(f"DCGM_FI_DEV_{name}", values, **device(host), **{label: host})


_NVLINK: Final = "GPUNvlinkErrors"
_CRC: Final = merged(
    *(
        merged(
            _dcgm(host, "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", f"0+{each}x200"),
            _dcgm(host, "NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", f"0+{each}x200"),
        )
        for host, each in (("bad", 3600), ("just-below", 2400))
    ),
)
_REPLAYS: Final = merged(
    _dcgm("bad", "NVLINK_REPLAY_ERROR_TOTAL", "0x34 2x166", label="hostname"),
    _dcgm("just-below", "NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "0+0.06x200"),
)
NVLINK: Final = Table(
    _NVLINK,
    (
        *limited(_NVLINK, _CRC, fires("bad", "warning", problem="crc"), limit="70", part="crc"),
        *limited(
            _NVLINK,
            _REPLAYS,
            fires("bad", "warning", problem="replays"),
            limit="0.5",
            part="replays",
        ),
        NOTHING,
    ),
)


def _link(host: str, lanes: tuple[int, int], generation: tuple[int, int], busy: str) -> Series:
    return merged(
        *(
            of(host, f"pcie_link_{quantity}", f"{value}x200", which=which)
            for quantity, values in (("width_lanes", lanes), ("generation", generation))
            for which, value in zip(("current", "max"), values, strict=True)
        ),
        of(host, "busy_seconds_total", busy),
    )


_PCIE: Final = "GPUPcieDegraded"
PCIE: Final = Table(
    _PCIE,
    (
        Scene(
            "too few lanes, an older generation, one that rests and one that is whole",
            LATE,
            merged(
                known("lanes", "generation", "rests", "fine"),
                _link("lanes", (8, 16), (5, 5), "0+50x200"),
                _link("generation", (16, 16), (1, 5), "0+50x200"),
                _link("rests", (16, 16), (1, 5), "0+10x200"),
                _link("fine", (16, 16), (5, 5), "0+50x200"),
            ),
            [fires(host, "warning", problem="link") for host in ("lanes", "generation")],
        ),
        *limited(
            _PCIE,
            merged(
                _dcgm("bad", "PCIE_REPLAY_COUNTER", "0+9x200"),
                _dcgm("just-below", "PCIE_REPLAY_TOTAL", "0+7x200", label="hostname"),
            ),
            fires("bad", "warning", problem="replays"),
            limit="6",
        ),
        NOTHING,
    ),
)


def _held(host: str, busy: str, holds: str = "0x200") -> dict[str, str]:
    pod = {"namespace": "llm", "pod": f"p-{host}", "container": "engine"}
    return merged(
        known(host),
        of(host, "share_seconds_total", holds, share="pod", **pod),
        of(host, "busy_seconds_total", busy),
    )


_IDLE: Final = merged(
    _held("bad", "0+2x200"),
    _held("just-below", "0+4x200"),
    _held("new", "0+2x200", holds="_x60 0x140"),
    known("free"),
    of("free", "busy_seconds_total", "0x200"),
)


def _idle(host: str) -> dict[str, str]:
    return {**fires(host, "info"), "namespace": "llm", "pod": f"p-{host}"}


IDLE: Final = Table(
    "GPUAllocatedIdle",
    (
        Scene("3 % of an hour; new and free ones do not count", 70, _IDLE, [_idle("bad")]),
        Scene(
            "another limit",
            70,
            merged(_IDLE, overridden("GPUAllocatedIdle", "0.1")),
            [_idle("bad"), _idle("just-below")],
        ),
        NOTHING,
    ),
)


def _memory(host: str, mib: int, *, busy: str = "0x200", pods: str = "1") -> dict[str, str]:
    return merged(
        known(host),
        of(host, "memory_bytes", f"{mib * 2**20}x200", kind="used"),
        of(host, "busy_seconds_total", busy),
        gauge("inferometer_gpu_exporter_pod_map_up", f"{pods}x200", instance=f"{host}:9400"),
    )


_ORPHANED: Final = merged(
    _memory("bad", 1025),
    _memory("just-below", 1000),
    _memory("works", 1025, busy="0+30x200"),
    _memory("no-map", 1025, pods="0"),
    _memory("held", 1025),
    of("held", "share_seconds_total", "0x200", share="pod", namespace="llm", pod="p"),
)
ORPHANED: Final = Table(
    "GPUMemoryOrphaned",
    (
        *limited("GPUMemoryOrphaned", _ORPHANED, fires("bad", "warning"), limit="1000000000"),
        NOTHING,
    ),
)


def _node(host: str, gpus: int = 8) -> dict[str, str]:
    return gauge(
        "kube_node_status_allocatable", f"{gpus}x200", node=host, resource="nvidia_com_gpu"
    )


MISSING: Final = Table(
    "GPUMetricsMissing",
    (
        Scene(
            "a node without metrics among those that have some of any kind",
            LATE,
            merged(
                *(_node(host) for host in ("bad", "ours", "older", "newer")),
                _node("none", 0),
                known("ours"),
                of("ours", "busy_seconds_total", "0+30x200"),
                _dcgm("older", "GPU_UTIL", "30x200"),
                gauge(
                    "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO",
                    "0.3x200",
                    **device("newer"),
                    hostname="newer",
                ),
            ),
            [{"severity": "critical", "hostname": "bad"}],
        ),
        Scene("a node that is new", 14, _node("bad")),
        NOTHING,
    ),
)

# Moments of the last samples: one stands still, one is half a minute late, one is in time.
_SAMPLES: Final = merged(
    known(*HOSTS),
    of("bad", "last_sample_timestamp_seconds", "0+60x20 1200x180"),
    of("just-below", "last_sample_timestamp_seconds", "-30+60x200"),
    of("fine", "last_sample_timestamp_seconds", "0+60x200"),
)
STALE: Final = Table(
    "GPUExporterStale",
    (*limited("GPUExporterStale", _SAMPLES, fires("bad", "warning"), limit="20"), NOTHING),
)

LOAD_TABLES: Final = (HOT, CAPPED, NVLINK, PCIE, IDLE, ORPHANED, MISSING, STALE)
