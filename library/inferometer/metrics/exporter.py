"""The metrics of the GPU exporter about itself: what sampling costs and what it could not do."""

from typing import Final

from inferometer.metrics.dcgm import DEVICES_MAX, GPU, UUID
from inferometer.metrics.ladders import CALL, OVERHEAD
from inferometer.metrics.metric import Kind, Label, Ladder, Metric, Unit
from inferometer.metrics.programs import VERSION

BACKENDS: Final = ("nvml", "dcgm", "amd", "tpu", "fake")
BACKEND_STATES: Final = ("starting", "running", "absent", "lost", "released", "stuck")
STAGES: Final = ("render", "attribution", "jobs", "reload", "supervisor")
CALLS_MAX: Final = 128
"""Names of driver calls of one backend."""
QUANTITIES_MAX: Final = 128

_BACKEND: Final = Label("backend", BACKENDS)
_CALL: Final = Label("call", (), CALLS_MAX)
_TIER: Final = Label("tier", ("fast", "process", "slow"))


def _metric(
    name: str,
    help_: str,
    *labels: Label,
    kind: Kind = "gauge",
    unit: Unit = "",
    ladder: Ladder | None = None,
) -> Metric:
    """Return a metric of the exporter."""
    return Metric(
        name=f"inferometer_gpu_exporter_{name}",
        kind=kind,
        help=help_,
        domains=labels,
        ladder=ladder,
        unit=unit,
        source="gpu",
    )


EXPORTER: Final = (
    _metric("build_info", "1, with the version of inferometer.", VERSION),
    _metric(
        "backend_state",
        "1 for the state that a backend is in, with the reason why it is not running.",
        _BACKEND,
        Label("state", BACKEND_STATES),
        Label("reason", ("",), DEVICES_MAX),
    ),
    _metric(
        "call_seconds",
        "How long calls of the driver took.",
        _BACKEND,
        _CALL,
        kind="histogram",
        unit="seconds",
        ladder=CALL,
    ),
    _metric(
        "calls_total",
        "Calls of the driver by their result.",
        _BACKEND,
        _CALL,
        Label("result", ("ok",), DEVICES_MAX),
        kind="counter",
    ),
    _metric(
        "call_inflight_seconds",
        "Age of the call that a device has not answered yet.",
        GPU,
        UUID,
        _CALL,
        unit="seconds",
    ),
    _metric(
        "backend_call_inflight_seconds",
        "Age of a call of no single device, such as listing them, that has not returned for long.",
        _BACKEND,
        _CALL,
        unit="seconds",
    ),
    _metric(
        "call_demoted",
        "1 for a call that takes so long that it is made less often, or not at all.",
        _BACKEND,
        _CALL,
        Label("tier", ("slow", "off")),
    ),
    _metric(
        "ticks_missed_total",
        "Ticks of a device that were skipped because the one before was not over.",
        GPU,
        UUID,
        _TIER,
        kind="counter",
    ),
    _metric(
        "render_seconds",
        "How long making a page took.",
        kind="histogram",
        unit="seconds",
        ladder=OVERHEAD,
    ),
    _metric(
        "scrape_seconds",
        "From the request of a scraper to the last byte that was written.",
        kind="histogram",
        unit="seconds",
        ladder=OVERHEAD,
    ),
    _metric(
        "pod_map_age_seconds",
        "How old the map from devices to pods is; absent before the first.",
        unit="seconds",
    ),
    _metric("pod_map_up", "1 if the map from devices to pods is young enough to be used, else 0."),
    _metric(
        "pod_map_errors_total",
        "What was wrong with the map from devices to pods.",
        Label("reason", (), DEVICES_MAX),
        kind="counter",
    ),
    _metric(
        "implausible_values_total",
        "Values of a driver that cannot be true and were left out.",
        Label("metric", (), QUANTITIES_MAX),
        kind="counter",
    ),
    _metric(
        "series_dropped_total",
        "Series that were left out of a page, because there was one like it or too many.",
        Label("reason", ("duplicate", "limit")),
        kind="counter",
    ),
    _metric(
        "child_restarts_total",
        "Children that were replaced, and why.",
        _BACKEND,
        Label("reason", (), 16),
        kind="counter",
    ),
    _metric(
        "messages_dropped_total",
        "Messages of a child that did not fit into the pipe. Sums in the next one make up for it.",
        _BACKEND,
        kind="counter",
    ),
    _metric(
        "config_reload_success",
        "1 if the settings and the list of fields could last be read, else 0.",
    ),
    _metric(
        "config_reload_timestamp_seconds",
        "When the settings and the list of fields were last taken over.",
        unit="seconds",
    ),
    _metric(
        "internal_errors_total",
        "Faults of our own that were caught, by what was under way.",
        Label("stage", STAGES),
        kind="counter",
    ),
)
"""Every metric of the exporter, in the order in which a page shows them."""
