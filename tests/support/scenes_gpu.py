"""Scenes for the alerts on GPUs that are broken. The name of a machine says which case it is."""

from typing import Final

from support.scenes_requests import LATE, NOTHING
from support.scenes_servers import gauge
from support.shipped import Scene, Series, Table, merged, overridden

STEADY: Final = "1x200"
HOSTS: Final = ("bad", "just-below", "fine")


def device(host: str) -> dict[str, str]:
    """Return the labels of the only GPU of a machine."""
    return {"gpu": "0", "UUID": f"GPU-{host}"}


def known(*hosts: str) -> dict[str, str]:
    """Return who the GPUs of some machines are."""
    return merged(
        *(
            gauge(
                "inferometer_gpu_info",
                STEADY,
                **device(host),
                hostname=host,
                instance=f"{host}:9400",
                driver_version="1",
            )
            for host in hosts
        )
    )


def of(host: str, metric: str, values: str, **more: str) -> dict[str, str]:
    """Return one family of the GPU of a machine."""
    return gauge(
        f"inferometer_gpu_{metric}", values, **device(host), instance=f"{host}:9400", **more
    )


def fires(host: str, severity: str, **more: str) -> dict[str, str]:
    """Return the labels of an alert on the GPU of a machine."""
    return {"severity": severity, **device(host), "hostname": host, **more}


def limited(
    alert: str, seen: Series, bad: dict[str, str], *, limit: str, part: str = ""
) -> tuple[Scene, ...]:
    """Return that only the bad one fires by default, and the one just below with another limit."""
    host = {"hostname": "just-below", **device("just-below")}
    what = part or "the limit"
    return (
        Scene(f"above and just below {what}", LATE, seen, [bad]),
        Scene(
            f"another one for {what}",
            LATE,
            merged(seen, overridden(alert, limit, part=part)),
            [bad, {**bad, **host}],
        ),
    )


def _xid(code: str, *, at: int, host: str) -> dict[str, str]:
    """Return an XID that is first seen at a minute, which is when its series begins."""
    values = f"_x{at} {at * 60}x{200 - at}"
    return of(host, "xid_last_seen_timestamp_seconds", values, xid=code)


def _xid_scenes(alert: str, code: str, other: str, bad: dict[str, str]) -> tuple[Scene, ...]:
    seen = merged(
        known(*HOSTS),
        _xid(code, at=30, host="bad"),
        _xid(code, at=20, host="just-below"),
        _xid(other, at=30, host="fine"),
    )
    longer = merged(seen, overridden(alert, "3600"))
    return (
        Scene("ten minutes ago and twenty, and another code", 40, seen, [bad]),
        Scene(
            "told for an hour",
            40,
            longer,
            [bad, {**bad, "hostname": "just-below", **device("just-below")}],
        ),
        NOTHING,
    )


_RECOVERY: Final = Scene(
    "the driver asks for a reset, for nothing",
    5,
    merged(
        known("bad", "fine"),
        of("bad", "recovery_action", STEADY, action="gpu_reset"),
        of("bad", "recovery_action", "0x200", action="none"),
        of("fine", "recovery_action", STEADY, action="none"),
        of("fine", "recovery_action", "0x200", action="node_reboot"),
    ),
    [fires("bad", "critical", problem="recovery_action", action="gpu_reset")],
)
XID: Final = Table(
    "GPUXidResetNeeded",
    (
        *_xid_scenes(
            "GPUXidResetNeeded", "109", "13", fires("bad", "critical", problem="xid", xid="109")
        ),
        _RECOVERY,
    ),
)
APP: Final = Table(
    "GPUAppFault",
    _xid_scenes("GPUAppFault", "31", "43", fires("bad", "warning", xid="31")),
)


_INFO: Final = "inferometer_gpu_info"


def _devices(host: str, driver: str, pci: str) -> dict[str, str]:
    return merged(
        *(
            gauge("inferometer_gpu_devices", values, source=source, instance=f"{host}:9400")
            for source, values in (("driver", driver), ("pci", pci))
        )
    )


LOST: Final = Table(
    "GPUFellOffBus",
    (
        *_xid_scenes("GPUFellOffBus", "79", "13", fires("bad", "critical", problem="lost")),
        Scene(
            "a device that is lost, and one that is stalled",
            5,
            merged(
                known("bad", "fine"),
                of("bad", "state", STEADY, state="lost"),
                of("fine", "state", "0x200", state="lost"),
                of("fine", "state", STEADY, state="stalled"),
            ),
            [fires("bad", "critical", problem="lost")],
        ),
        Scene(
            "fewer than before, fewer than on the bus, and as many as ever",
            LATE,
            merged(
                known("bad", "just-below", "fine"),
                _devices("bad", "8x20 7x180", "8x20 7x180"),
                _devices("just-below", "7x200", "8x200"),
                _devices("fine", "8x200", "8x200"),
            ),
            [
                {
                    "severity": "critical",
                    "problem": "count",
                    "hostname": host,
                    "instance": f"{host}:9400",
                }
                for host in ("bad", "just-below")
            ],
        ),
        Scene(
            "none is left, of a machine whose name is remembered and of one without a name",
            LATE,
            merged(
                gauge(_INFO, "1x10 stale", UUID="GPU-bad", hostname="bad", instance="bad:9400"),
                _devices("bad", "8x10 0x190", "8x200"),
                _devices("nameless", "0x200", "8x200"),
            ),
            [
                {
                    "severity": "critical",
                    "problem": "count",
                    "instance": f"{host}:9400",
                    **({"hostname": host} if host == "bad" else {}),
                }
                for host in ("bad", "nameless")
            ],
        ),
    ),
)

_ECC: Final = merged(
    known(*HOSTS),
    *(
        of(host, "ecc_errors_total", values, severity=severity, span="aggregate")
        for host, severity, values in (
            ("bad", "uncorrected", "0x30 2x170"),
            ("just-below", "uncorrected", "7x200"),
            ("fine", "corrected", "0+5x200"),
        )
    ),
)
ECC: Final = Table(
    "GPUEccUncorrectable",
    (
        Scene(
            "new ones, old ones, and those that were corrected",
            LATE,
            _ECC,
            [fires("bad", "critical")],
        ),
        Scene("a higher limit", LATE, merged(_ECC, overridden("GPUEccUncorrectable", "3"))),
        NOTHING,
    ),
)

_FLAGS: Final = merged(
    known(*HOSTS),
    of("bad", "remap_failed", STEADY),
    of("bad", "remap_pending", STEADY),
    of("fine", "remap_failed", "0x200"),
    of("fine", "remap_pending", "0x200"),
)
_ROWS: Final = merged(
    known(*HOSTS),
    of("bad", "remapped_rows_total", "512x200", severity="uncorrected"),
    of("just-below", "remapped_rows_total", "511x200", severity="uncorrected"),
    of("fine", "remapped_rows_total", "2000x200", severity="corrected"),
)
REMAP: Final = Table(
    "GPURowRemap",
    (
        Scene(
            "one that failed and one that waits",
            5,
            _FLAGS,
            [
                fires("bad", "critical", problem="failed"),
                fires("bad", "warning", problem="pending"),
            ],
        ),
        *limited("GPURowRemap", _ROWS, fires("bad", "critical", problem="rows"), limit="400"),
        NOTHING,
    ),
)

FAULT_TABLES: Final = (XID, LOST, APP, ECC, REMAP)
