"""The series that recording rules make in Prometheus: no program of ours exports them.

They are declared here, since alerts, panels and the autoscaler read them by these names.
"""

from collections.abc import Iterator
from typing import Final

from inferometer.metrics.dcgm import GPU, UUID
from inferometer.metrics.metric import Label, Metric, Unit
from inferometer.metrics.requests import FINISH, MODEL, NO_TOKEN_REASON, OUTCOME, STREAM
from inferometer.metrics.verdicts import BAD_REASONS, CLASSES_MAX

SLOS_MAX: Final = 500
"""SLOs of one installation."""

WINDOWS: Final = ("30m", "1h", "2h", "6h", "1d", "3d")
"""Windows of burn rates beyond the 5 minutes that everything is summed from."""

_NAMESPACE: Final = Label("namespace", ("",), CLASSES_MAX)
_SLO: Final = Label("slo", ("request_header",), SLOS_MAX)
_KEY: Final = (_NAMESPACE, _SLO)
_REASON: Final = Label("reason", BAD_REASONS)
_WINDOW: Final = Label("window", (), 30)
_CALENDAR: Final = Label("calendar", ("week", "month", "quarter"))
_SERVICE: Final = Label("service", (), SLOS_MAX)
_OWNER: Final = Label("owner", (), SLOS_MAX)
_PAGE: Final = Label("page", ("true", "false"))
_TICKET: Final = Label("ticket", ("true", "false"))
_ALERT: Final = Label("alert", (), 100)
_PART: Final = Label("part", ("", "critical", "warning"), 10)
_MODEL_KEY: Final = (_NAMESPACE, MODEL)
_POD: Final = Label("pod", ("",), 500)
_INSTANCE: Final = Label("instance", (), 500)
_PEOPLE: Final = (_SERVICE, _OWNER)
_OF: Final = Label("of", ("ttft", "tpot", "gap"))


def _series(name: str, text: str, *, domains: tuple[Label, ...] = _KEY, unit: Unit = "") -> Metric:
    return Metric(
        name=f"inferometer:{name}",
        kind="gauge",
        help=text,
        domains=domains,
        unit=unit,
        source="rules",
    )


def _increases() -> Iterator[Metric]:
    for what, text in (("total", "Judged weight, good and bad"), ("bad", "Bad weight")):
        yield _series(f"slo_{what}:increase5m", f"{text}, in 5 minutes. Excluded is not here.")
        for window in WINDOWS:
            yield _series(
                f"slo_{what}:increase{window}", f"{text}, in {window}. Excluded is not here."
            )
        yield _series(
            f"slo_{what}:increase30d",
            f"{text}, in SLO windows of 30 days; a window of another length has a name of its "
            "own. Excluded is not here.",
            domains=(*_KEY, _WINDOW),
        )


def _burns() -> Iterator[Metric]:
    for window in ("5m", *WINDOWS):
        yield _series(
            f"slo_burn:rate{window}",
            f"How many times faster than allowed the error budget was spent in {window}. Absent "
            "without traffic.",
        )
    for pair in ("fast", "medium", "slow"):
        yield _series(
            f"slo_burn_threshold:{pair}",
            f"Burn rate above which the {pair} pair of windows alerts, lowered where an outage "
            "could not reach it.",
        )


def _requests() -> Iterator[Metric]:
    """Yield what alerts on serving look at: all requests, those of no SLO as well."""
    for name, text, more in (
        ("requests", "Finished requests", (STREAM, OUTCOME)),
        ("no_first_token", "Requests that should have streamed and gave none", (NO_TOKEN_REASON,)),
        ("finish_reasons", "Ends of generation", (FINISH,)),
        (
            "aborts",
            "Streams that clients closed, before or after their first token",
            (Label("when", ("before", "after")),),
        ),
    ):
        yield _series(f"{name}:increase5m", f"{text}, in 5 minutes.", domains=(*_MODEL_KEY, *more))
    yield _series(
        "slow_requests:increase10m",
        "Requests in 10 minutes above 2.5 s to the first token, 200 ms a token, or a gap of 1 s. "
        "Waits that clients gave up are in the first.",
        domains=(*_MODEL_KEY, _OF),
    )
    yield _series(
        "timed_requests:increase10m",
        "Requests in 10 minutes of which it is known whether they were slow.",
        domains=(*_MODEL_KEY, _OF),
    )
    yield _series(
        "replica_mean:seconds",
        "Mean time of one replica in 10 minutes. Replicas with fewer than 10 requests have none.",
        domains=(*_MODEL_KEY, _POD, _INSTANCE, _OF),
        unit="seconds",
    )


def _places() -> Iterator[Metric]:
    yield _series(
        "model_server:info",
        "1 for each model server with a sidecar in the last day, and whose it is by its SLOs.",
        domains=(_NAMESPACE, _POD, _INSTANCE, *_PEOPLE),
    )
    yield _series(
        "model_server_deployment:info",
        "1 for each Deployment whose pods had a sidecar in the last day.",
        domains=(_NAMESPACE, Label("deployment", (), 500), *_PEOPLE),
    )
    yield _series(
        "gpu_host:info",
        "1 for each GPU, with the name of its machine.",
        domains=(GPU, UUID, Label("hostname", (), 500)),
    )


RECORDED: Final = (
    _series(
        "slo_info",
        "1, with the service, the owner and the wishes of an SLO in its labels.",
        domains=(*_KEY, _SERVICE, _OWNER, _PAGE, _TICKET),
    ),
    _series("slo_objective:ratio", "Share that is promised to be good.", unit="ratio"),
    _series(
        "slo_window:seconds",
        "Length of the window of an SLO; nominal for a calendar's, which its label names.",
        domains=(*_KEY, _CALENDAR),
        unit="seconds",
    ),
    _series("slo_min_bad:count", "Bad requests that an alert needs in its long window."),
    _series(
        "slo_nodata_delay:seconds",
        "How long an SLO may be without data before an alert.",
        unit="seconds",
    ),
    *_increases(),
    _series(
        "slo_bad_requests:increase5m",
        "Bad requests in 5 minutes, whatever the weight. Excluded ones are not here.",
    ),
    _series(
        "slo_bad_reason:increase5m",
        "Bad weight in 5 minutes by first cause.",
        domains=(*_KEY, _REASON),
    ),
    *_burns(),
    _series("slo_burn_cap:ratio", "Largest threshold that a burn rate can exceed.", unit="ratio"),
    _series(
        "slo_error:ratio_window",
        "Bad share in the window of the SLO. Absent without traffic.",
        domains=(*_KEY, _WINDOW),
        unit="ratio",
    ),
    _series(
        "slo_budget_remaining:ratio",
        "Share of the error budget that is left; negative if overspent. The ledger wins.",
        unit="ratio",
    ),
    _series(
        "slo_budget_exhaustion:seconds",
        "Time until the budget is gone at the present burn rate. Absent while nothing burns.",
        unit="seconds",
    ),
    _series(
        "alert_threshold:value",
        "Threshold of an alert where a user has set one.",
        domains=(_ALERT, _PART),
    ),
    *_requests(),
    *_places(),
)
