"""The metrics of our own programs: what measuring costs, what it could not measure, how it is.

`inferometer_web_*` belong to the admin port that every program has, `process_*` to the operating
system, the rest to the sidecar.
"""

from typing import Final

from inferometer.metrics.ladders import OVERHEAD
from inferometer.metrics.metric import Label, Metric
from inferometer.metrics.requests import ENGINE

DIALECTS_MAX: Final = 24
"""Dialects there can be; their names are those of `stream.dialects`."""

STAGE: Final = Label("stage", ("head", "dial", "chunk", "measure"))
LOST: Final = Label("what", ("events", "requests", "spans", "logs"))
ERROR_STAGE: Final = Label(
    "stage", ("relay", "parser", "registry", "labels", "tracer", "logger", "tokenizer")
)
DIALECT: Final = Label("dialect", ("unknown",), DIALECTS_MAX)
UNPARSED_REASON: Final = Label(
    "reason", ("route", "type", "encoding", "too_large", "malformed", "tunnel")
)
LABEL: Final = Label("label", ("model", "engine", "series"))
SIDE: Final = Label("side", ("client", "upstream"))
REFUSED_REASON: Final = Label("reason", ("limit", "head", "body", "draining"))
MODE: Final = Label("mode", ("inject_strip", "inject"))
INJECTED: Final = Label("result", ("stripped", "kept", "not_seen"))
RELOADED: Final = Label("what", ("settings", "slo", "certificates"))
RELOAD_RESULT: Final = Label("result", ("ok", "failed"))
VERSION: Final = Label("version", (), 1)
SEMCONV: Final = Label("semconv", (), 1)
WEB_REFUSED: Final = Label(
    "reason", ("limit", "head", "slow", "handshake", "unauthorized", "rate", "resources")
)

SIDECAR: Final = (
    Metric(
        name="inferometer_sidecar_overhead_seconds",
        kind="histogram",
        help="What the sidecar adds: head (request head to first byte upstream, without dialling), "
        "dial, chunk (upstream read to client write, 1 chunk in 16), measure (measuring time per "
        "request, off the serving path). Waiting for a slow client is not here.",
        domains=(STAGE,),
        ladder=OVERHEAD,
        unit="seconds",
    ),
    Metric(
        name="inferometer_sidecar_event_loop_lag_seconds",
        kind="histogram",
        help="How late timers of the serving loop are: the error bar of every moment taken.",
        ladder=OVERHEAD,
        unit="seconds",
    ),
    Metric(
        name="inferometer_sidecar_dropped_total",
        kind="counter",
        help="Measurements lost because a bounded queue was full: events (parts of bodies), "
        "requests (not observed at all), spans, logs. Served bytes are never dropped.",
        domains=(LOST,),
    ),
    Metric(
        name="inferometer_sidecar_internal_errors_total",
        kind="counter",
        help="Faults of our own that were caught, by stage. Those of measuring change nothing for "
        "clients; those of the relay ended one request each.",
        domains=(ERROR_STAGE,),
    ),
    Metric(
        name="inferometer_sidecar_unparsed_total",
        kind="counter",
        help="Answers of which only bytes and times are known, and why. Requests that failed "
        "before an answer are not here.",
        domains=(DIALECT, UNPARSED_REASON),
    ),
    Metric(
        name="inferometer_sidecar_usage_rejected_total",
        kind="counter",
        help="Token counts from the server that cannot be true (negative, above 10^8, no "
        "integers) and were ignored.",
    ),
    Metric(
        name="inferometer_sidecar_slo_header_rejected_total",
        kind="counter",
        help="Deadlines in request headers that could not be read and were ignored. Absent without "
        "an SLO document, as no header is looked at then.",
    ),
    Metric(
        name="inferometer_sidecar_label_overflow_total",
        kind="counter",
        help="Values folded into `other` because a label had no room, and under `series` "
        "children that the limit on series left out.",
        domains=(LABEL,),
    ),
    Metric(
        name="inferometer_sidecar_series",
        kind="gauge",
        help="Series that count in series_max. Those of SLOs and process metrics do not.",
    ),
    Metric(
        name="inferometer_sidecar_ring_fill_ratio",
        kind="gauge",
        help="How full the queue between serving and measuring is.",
        unit="ratio",
    ),
    Metric(
        name="inferometer_sidecar_ring_capacity",
        kind="gauge",
        help="Entries that the queue between serving and measuring holds.",
    ),
    Metric(
        name="inferometer_sidecar_connections",
        kind="gauge",
        help="Open connections by side, idle ones included. Those of the admin port are not here.",
        domains=(SIDE,),
    ),
    Metric(
        name="inferometer_sidecar_refused_total",
        kind="counter",
        help="Connections and requests that the sidecar itself refused. Refusals by the upstream "
        "are not here.",
        domains=(REFUSED_REASON,),
    ),
    Metric(
        name="inferometer_sidecar_injected_total",
        kind="counter",
        help="Requests to which asking for usage was added, and what became of the answer's usage "
        "event. 0 while injection is off.",
        domains=(MODE, INJECTED),
    ),
    Metric(
        name="inferometer_sidecar_draining",
        kind="gauge",
        help="1 from SIGTERM on, else 0.",
    ),
    Metric(
        name="inferometer_sidecar_upstream_up",
        kind="gauge",
        help="1 if the last connection to the upstream succeeded, 0 if it failed, absent before "
        "the first.",
    ),
    Metric(
        name="inferometer_sidecar_info",
        kind="gauge",
        help="1, with the version of inferometer, the version of the semantic conventions and the "
        "engine in its labels.",
        domains=(VERSION, SEMCONV, ENGINE),
    ),
    Metric(
        name="inferometer_sidecar_reloads_total",
        kind="counter",
        help="Attempts to take over changed files. After a failed one the old state stays. Files "
        "of the admin port are not here.",
        domains=(RELOADED, RELOAD_RESULT),
    ),
    Metric(
        name="inferometer_sidecar_reload_ok",
        kind="gauge",
        help="1 if the last attempt to take over changed files succeeded, else 0; absent before "
        "the first.",
        domains=(RELOADED,),
    ),
)

WEB: Final = (
    Metric(
        name="inferometer_web_connections",
        kind="gauge",
        help="Open connections to the admin port, idle ones included.",
        source="web",
    ),
    Metric(
        name="inferometer_web_refused_total",
        kind="counter",
        help="Connections and requests that the admin port refused or cut. Unknown paths and "
        "methods are not here.",
        domains=(WEB_REFUSED,),
        source="web",
    ),
    Metric(
        name="inferometer_web_errors_total",
        kind="counter",
        help="Answers of the admin port that a fault of our own cut or turned into a 500.",
        source="web",
    ),
    Metric(
        name="inferometer_web_config_failures_total",
        kind="counter",
        help="Changed web configurations or certificates that could not be taken over. The last "
        "good ones stay.",
        source="web",
    ),
)

PROCESS: Final = (
    Metric(
        name="process_cpu_seconds_total",
        kind="counter",
        help="Total user and system CPU time spent in seconds.",
        unit="seconds",
        source="process",
    ),
    Metric(
        name="process_resident_memory_bytes",
        kind="gauge",
        help="Resident memory size in bytes.",
        unit="bytes",
        source="process",
    ),
    Metric(
        name="process_virtual_memory_bytes",
        kind="gauge",
        help="Virtual memory size in bytes.",
        unit="bytes",
        source="process",
    ),
    Metric(
        name="process_start_time_seconds",
        kind="gauge",
        help="Start time of the process since unix epoch in seconds.",
        unit="seconds",
        source="process",
    ),
    Metric(
        name="process_open_fds",
        kind="gauge",
        help="Number of open file descriptors.",
        source="process",
    ),
    Metric(
        name="process_max_fds",
        kind="gauge",
        help="Maximum number of open file descriptors.",
        source="process",
    ),
)
