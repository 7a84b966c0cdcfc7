"""What is known of a device at a moment: frozen records, the unit in each name, None for unknown.

A backend makes `Reading`s, the child process sends `Sample`s, and the server keeps a `DeviceView`
for whoever draws a page. Nothing here does anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from inferometer.gpu.quantities import Counter, Gauge, Total

DeviceState = Literal["ok", "stalled", "lost", "reset_required", "no_permission"]
BackendState = Literal["starting", "running", "absent", "lost", "released", "stuck"]

Reason = Literal[
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
]
"""Why a quantity cannot be had; the words are those of the metric `metric_unsupported`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which device it is. Devices are told apart by `uuid`; an `index` may change at any reset.

    Texts are "" where the driver does not tell. `busy_source` and `energy_source` name what the
    totals are made of: "gpm", "samples", "utilization"; "counter", "power"; "" for none.
    """

    uuid: str
    index: int
    vendor: str
    model: str
    minor: int | None = None
    pci_bus_id: str = ""
    architecture: str = ""
    driver_version: str = ""
    vbios_version: str = ""
    serial: str = ""
    busy_source: str = ""
    energy_source: str = ""
    mig: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A MIG instance with what is measured of it. `slices` of `slices_max` of the device's SMs."""

    gpu_instance: int
    compute_instance: int | None
    uuid: str
    profile: str
    slices: int
    slices_max: int
    gauges: Mapping[Gauge, float] = field(default_factory=dict)
    totals: Mapping[Total, int] = field(default_factory=dict)


class Process(NamedTuple):
    """A process on a device. `busy_ns` is a total since the backend first saw it, None unknown.

    `pid` is as the driver says it: of the host, or of our own PID namespace. `mps` is "client" or
    "server" where the driver lists it as such.
    """

    pid: int
    memory_bytes: int | None
    busy_ns: int | None
    gpu_instance: int | None = None
    mps: Literal["", "client", "server"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one tier of one tick gave. `processes` and `instances` are None if not looked at."""

    gauges: Mapping[Gauge, float] = field(default_factory=dict)
    counters: Mapping[Counter, int] = field(default_factory=dict)
    totals: Mapping[Total, int] = field(default_factory=dict)
    instances: tuple[Instance, ...] | None = None
    processes: tuple[Process, ...] | None = None
    implausible: Mapping[str, int] = field(default_factory=dict)
    """Values that were refused, by quantity: a total since the backend was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All that a child knows of a device after a tick: the latest of every tier.

    `moment_ns` is of CLOCK_MONOTONIC, which is one for all processes of a machine; `time_s` is of
    the wall clock. `processes_ns` is the moment at which `processes` were read, which may be ticks
    ago: a list that is equal to the one before may be news. `unsupported` names quantities that
    cannot be had, with the reason.
    """

    uuid: str
    moment_ns: int
    time_s: float
    gauges: Mapping[Gauge, float]
    counters: Mapping[Counter, int]
    totals: Mapping[Total, int]
    instances: tuple[Instance, ...] = ()
    processes: tuple[Process, ...] | None = None
    processes_ns: int | None = None
    unsupported: Mapping[str, Reason] = field(default_factory=dict)
    implausible: Mapping[str, int] = field(default_factory=dict)


class Xid(NamedTuple):
    """How often an XID was seen, and when last (seconds since the epoch)."""

    seen: int
    last_s: float


class Event(NamedTuple):
    """Something a driver reported. `kind` is "xid" or one of `quantities.EVENTS`.

    `uuid` is "" where the driver does not say which device; `xid` is None for other kinds.
    """

    uuid: str
    kind: str
    xid: int | None = None
    gpu_instance: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """What the server holds of a device: enough to draw all its series.

    `sample` is None before the first one and in every state but "ok": what is stale is not shown.
    `accumulated` and `totals` are sums since the server started, over all children. They are of
    different times, so what a driver counts and a child sums by turns is their sum; it is known as
    long as `sample` holds one of the two. `xids` has at most 64 codes, the rest under None.
    `xid_last` is None until events could be registered, then 0 or the last code.
    """

    identity: Identity
    backend: str
    state: DeviceState
    sample: Sample | None
    last_sample_s: float | None = None
    accumulated: Mapping[Counter, int] = field(default_factory=dict)
    totals: Mapping[Total, int] = field(default_factory=dict)
    instance_totals: Mapping[str, Mapping[Total, int]] = field(default_factory=dict)
    unsupported: Mapping[str, Reason] = field(default_factory=dict)
    implausible: Mapping[str, int] = field(default_factory=dict)
    xids: Mapping[int | None, Xid] = field(default_factory=dict)
    xid_last: int | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    events_heard: bool = True
    """False while an event might pass unheard: then nobody knows that there was none."""
    power_peak_watts: float | None = None
    busy_peak_ratio: float | None = None
    call_inflight: tuple[str, float] | None = None
    """The driver call that is under way, with its age in seconds at the last heartbeat."""
    recovery_action: int | None = None
    ticks_missed: Mapping[str, int] = field(default_factory=dict)


class CallStats(NamedTuple):
    """Driver calls of one name: how many by result, and a histogram of their time.

    `buckets` counts calls by `calls.EDGES_S`, one more for those above; `seconds` is the sum.
    """

    results: Mapping[str, int]
    buckets: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendView:
    """What the server holds of a backend. `reason` says why it is not running, "" if it is."""

    name: str
    state: BackendState
    reason: str = ""
    devices_listed: int | None = None
    devices_pci: int | None = None
    """Functions of this vendor that the kernel lists on the PCI buses."""
    driver_version: str = ""
    calls: Mapping[str, CallStats] = field(default_factory=dict)
    demoted: Mapping[str, str] = field(default_factory=dict)
    """Calls that are made less often than declared: "slow" or "off" by name."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    messages_dropped: int = 0
    calls_inflight: Mapping[str, float] = field(default_factory=dict)
    """Calls of no single device that have not returned for long, with their age in seconds."""
