"""Alerts on GPUs that nobody uses, and on GPUs that nobody sees."""

from decimal import Decimal
from typing import Final

from inferometer.slo.names import Options
from inferometer.slo.promql import (
    Expr,
    Matching,
    Selector,
    aggregate,
    binary,
    call,
    chain,
    equal,
    number,
    vector,
    window,
)
from inferometer.slo.shipped.gpu_faults import BOARD, VARIABLES
from inferometer.slo.shipped.places import (
    DEVICE,
    GPU_HOSTS,
    device_key,
    fleet,
    named_by,
    on_machine,
    per_device,
    pod_key,
)
from inferometer.slo.shipped.record import GPU, KUBE, Declare, Declared, Fires, Limit, above
from inferometer.slo.shipped.servers import ACCELERATORS
from inferometer.slo.windows import HOUR_S

_MINUTE_S: Final = 60
_TEN_S: Final = 600
_QUARTER_S: Final = 900
_BUSY: Final = "inferometer_gpu_busy_seconds_total"
_POD: Final = equal("share", "pod")
UNUSED_RATIO: Final = Decimal("0.01")
"""A device that is busy for less than this does nothing."""
UTILISATION: Final = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_GPU_UTIL_RATIO",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO",
)
"""What exporters other than ours call the time with work on a device."""

_IDLE: Final = Limit(
    alert="GPUAllocatedIdle",
    default=Decimal("0.05"),
    unit="ratio",
    meaning="share of an hour in which a GPU that a pod holds had work",
    source="llm-d has 30 % in 30 minutes; ours is for what is surely forgotten",
)


def allocated_idle(options: Options) -> Declared:
    """Return the notice that a pod holds a device and does nothing with it."""
    device, pod = device_key(options), pod_key(options)
    key = (*device, *(label for label in pod if label not in device))
    shares = Selector("inferometer_gpu_share_seconds_total", (_POD,))
    holders = aggregate("group", vector(shares), by=key)
    for_long = aggregate("group", vector(shares, offset_s=HOUR_S), by=key)
    busy = aggregate("max", call("rate", window(_BUSY, HOUR_S)), by=device)
    idle = binary(holders, "*", above(busy, _IDLE, operator="<"), Matching(on=device, left=()))
    return Declared(
        name="GPUAllocatedIdle",
        means="A pod holds a GPU and does nothing with it.",
        source="llm-d's rule, with a lower limit over a longer time",
        needs=(f"{GPU}, which knows the pods",),
        board=BOARD,
        variables=VARIABLES,
        limits=(_IDLE,),
        rules=(
            Fires(
                severity="info",
                expr=on_machine(binary(idle, "and", for_long), options),
                summary=f"{DEVICE} is held by {{{{ $labels.pod }}}} and does nothing",
                description="It had work in {{ $value | humanizePercentage }} of the last hour, all"
                " of which the pod held it.",
            ),
        ),
    )


_ORPHANED: Final = Limit(
    alert="GPUMemoryOrphaned",
    default=Decimal(2**30),
    unit="bytes",
    meaning="memory in use on a GPU that no pod holds",
    source="ours: a driver alone uses less",
)


def memory_orphaned(options: Options) -> Declared:
    """Return the alert on memory that nobody will give back."""
    key = (*device_key(options), "instance")
    memory = Selector("inferometer_gpu_memory_bytes", (equal("kind", "used"),))
    used = aggregate("max", vector(memory), by=key)
    held = vector(Selector("inferometer_gpu_share_seconds_total", (_POD,)))
    busy = aggregate("max", call("rate", window(_BUSY, _TEN_S)), by=key)
    # Without a map of pods every device looks as if nobody held it.
    known = binary(vector("inferometer_gpu_exporter_pod_map_up"), "==", number(1))
    host = Matching(on=(*fleet(options), "instance"))
    orphaned = binary(above(used, _ORPHANED), "unless", held, Matching(on=device_key(options)))
    unused = binary(orphaned, "and", binary(busy, "<", number(UNUSED_RATIO)))
    return Declared(
        name="GPUMemoryOrphaned",
        means="Memory of a GPU is in use although no pod holds the GPU and nothing runs on it.",
        source="ours",
        needs=(f"{GPU}, which knows the pods",),
        board=BOARD,
        variables=VARIABLES,
        limits=(_ORPHANED,),
        rules=(
            Fires(
                severity="warning",
                expr=per_device(binary(unused, "and", known, host), options),
                summary=f"Memory of {DEVICE} is in use by nobody",
                description="{{ $value | humanize1024 }}B are taken, no pod holds the GPU, and"
                " nothing runs on it. The next model may not fit.",
                for_s=_TEN_S,
            ),
        ),
    )


def metrics_missing(options: Options) -> Declared:
    """Return the alert on a node whose devices nobody watches."""
    by = (*fleet(options), "hostname")
    allocatable = vector(Selector("kube_node_status_allocatable", (ACCELERATORS,)))
    has = named_by(binary(allocatable, ">", number(0)), "hostname", "node")
    ours = binary(
        vector(_BUSY),
        "*",
        vector(GPU_HOSTS),
        Matching(on=device_key(options), left=("hostname",)),
    )
    parts = [ours, *(named_by(vector(name), "hostname", "Hostname") for name in UTILISATION)]
    seen = chain("or", [aggregate("group", part, by=by) for part in parts])
    return Declared(
        name="GPUMetricsMissing",
        means="A node has GPUs, and nothing tells how they are.",
        source="LLMKube's rules",
        needs=(KUBE, "any exporter for GPUs"),
        board=BOARD,
        variables=("hostname",),
        rules=(
            Fires(
                severity="critical",
                expr=binary(aggregate("max", has, by=by), "unless", seen),
                summary="{{ $labels.hostname }} has GPUs that nobody watches",
                description="The node offers {{ $value }} GPUs, and no exporter tells their"
                " utilisation: no other alert on them can fire.",
                for_s=_QUARTER_S,
            ),
        ),
    )


_STALE: Final = Limit(
    alert="GPUExporterStale",
    default=Decimal(60),
    unit="seconds",
    meaning="age of the last sample of a GPU",
    source="ours: it is sampled every second",
)


def exporter_stale(options: Options) -> Declared:
    """Return the alert on a device that does not answer any more."""
    last = vector("inferometer_gpu_last_sample_timestamp_seconds")
    age_s: Expr = binary(call("time"), "-", per_device(last, options))
    return Declared(
        name="GPUExporterStale",
        means="A GPU has not answered for a minute: what is shown of it is old or missing.",
        source="ours",
        needs=(GPU,),
        board=BOARD,
        variables=VARIABLES,
        limits=(_STALE,),
        rules=(
            Fires(
                severity="warning",
                expr=above(age_s, _STALE),
                summary=f"{DEVICE} does not answer",
                description="Its last sample is {{ $value | humanizeDuration }} old: the driver"
                " hangs, or the exporter does.",
                for_s=_MINUTE_S,
            ),
        ),
    )


USE_ALERTS: Final[tuple[Declare, ...]] = (
    allocated_idle,
    memory_orphaned,
    metrics_missing,
    exporter_stale,
)
