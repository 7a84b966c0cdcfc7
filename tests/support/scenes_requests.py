"""Scenes for the alerts on requests: what became of them, and how long they took."""

from collections.abc import Mapping
from typing import Final

from support.shipped import Scene, Table, merged, overridden

NOTHING: Final = Scene("nothing is known", 40, {})
LATE: Final = 40
"""Minutes after which everything steady has fired."""
MINUTES: Final = 90


def counter(metric: str, per_minute: float, **labels: str) -> dict[str, str]:
    """Return a counter that rises steadily."""
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {f"{metric}{{{inside}}}": f"0+{per_minute:g}x{MINUTES}"}


def _requests(
    namespace: str, outcomes: Mapping[str, float], stream: str = "true"
) -> dict[str, str]:
    return merged(
        *(
            counter(
                "inferometer_requests_total",
                rate,
                vantage="sidecar",
                namespace=namespace,
                pod="p-0",
                model="m",
                operation="chat",
                stream=stream,
                outcome=outcome,
            )
            for outcome, rate in outcomes.items()
        )
    )


def _model(namespace: str, severity: str, **more: str) -> dict[str, str]:
    return {"severity": severity, "namespace": namespace, "model": "m", **more}


_ERRORS: Final = merged(
    _requests("six-percent", {"success": 94, "upstream_error": 3, "timeout": 3}),
    _requests("three-percent", {"success": 97, "truncated": 3}),
    _requests("just-below", {"success": 99.1, "stream_error": 0.9, "rejected": 50}),
    _requests("few", {"success": 0.5, "upstream_error": 0.5}),
    _requests("hidden-by-bad-clients", {"success": 94, "proxy_error": 6, "client_error": 900}),
)
ERRORS: Final = Table(
    "LLMErrorRatioHigh",
    (
        Scene(
            "6 % page and 3 % do not, 0.9 % and a few are nothing",
            LATE,
            _ERRORS,
            [
                _model("six-percent", "critical"),
                _model("six-percent", "warning"),
                _model("hidden-by-bad-clients", "critical"),
                _model("hidden-by-bad-clients", "warning"),
                _model("three-percent", "warning"),
            ],
        ),
        Scene(
            "both limits can be set, each apart",
            LATE,
            merged(
                _ERRORS,
                overridden("LLMErrorRatioHigh", "0.9", part="critical"),
                overridden("LLMErrorRatioHigh", "0.05", part="warning"),
            ),
            [_model("six-percent", "warning"), _model("hidden-by-bad-clients", "warning")],
        ),
        Scene("it is not told at once", 2, _ERRORS),
        NOTHING,
    ),
)

_BROKEN: Final = merged(
    _requests("broken", {"success": 196, "truncated": 2, "stream_error": 2}),
    _requests("just-below", {"success": 396, "truncated": 3.9}),
    _requests("no-streams", {"success": 100, "truncated": 50}, stream="false"),
)
BROKEN: Final = Table(
    "LLMStreamsBroken",
    (
        Scene("2 % of streams", LATE, _BROKEN, [_model("broken", "critical")]),
        Scene(
            "a lower limit takes the other one in",
            LATE,
            merged(_BROKEN, overridden("LLMStreamsBroken", "0.009")),
            [_model("broken", "critical"), _model("just-below", "critical")],
        ),
        NOTHING,
    ),
)


def _leaving(namespace: str, before: str, after: str) -> dict[str, str]:
    """Return 100 streams a minute that end well, and some that clients close."""
    key = f'vantage="sidecar",namespace="{namespace}",pod="p-0",model="m",stream="true"'
    closed = f'inferometer_requests_total{{{key},outcome="client_cancel"}}'
    waited = f'inferometer_no_first_token_total{{{key},reason="client_cancel"}}'
    well = f'inferometer_requests_total{{{key},outcome="success"}}'
    return {closed: after, waited: before, well: "0+100x200"}


# An hour of peace first, since it must be twice what it was.
_LEAVING: Final = merged(
    _leaving("waiting", "0x60 0+20x60", "0x60 0+20x60"),
    _leaving("reading", "0x120", "0x60 0+20x60"),
    _leaving("just-below", "0x60 0+10x60", "0x60 0+10x60"),
    _leaving("as-ever", "0+20x120", "0+20x120"),
)
ABORTS: Final = Table(
    "LLMClientAborts",
    (
        Scene(
            "a sixth leaves, where nobody did",
            90,
            _LEAVING,
            [
                _model("waiting", "warning", when="before"),
                _model("reading", "warning", when="after"),
            ],
        ),
        Scene(
            "a lower limit",
            90,
            merged(_LEAVING, overridden("LLMClientAborts", "0.05")),
            [
                _model("waiting", "warning", when="before"),
                _model("just-below", "warning", when="before"),
                _model("reading", "warning", when="after"),
            ],
        ),
        NOTHING,
    ),
)


def _finishing(namespace: str, stop: str, length: str) -> dict[str, str]:
    key = f'vantage="sidecar",namespace="{namespace}",pod="p-0",model="m"'
    return {
        f'inferometer_finish_reasons_total{{{key},finish="stop"}}': stop,
        f'inferometer_finish_reasons_total{{{key},finish="length"}}': length,
    }


# Three hours of 1 in 10, then an hour of more.
_CUT: Final = merged(
    _finishing("cut", "0+90x180 16200+50x90", "0+10x180 1800+50x90"),
    _finishing("just-below", "0+90x180 16200+70x90", "0+10x180 1800+30x90"),
    _finishing("few", "0+0.9x180 162+0.05x90", "0+0.1x180 18+0.1x90"),
)
CUT: Final = Table(
    "LLMTruncation",
    (
        Scene("half, where it was a tenth", 262, _CUT, [_model("cut", "info")]),
        Scene(
            "a lower limit",
            262,
            merged(_CUT, overridden("LLMTruncation", "0.12")),
            [_model("cut", "info"), _model("just-below", "info")],
        ),
        NOTHING,
    ),
)

_REFUSED: Final = merged(
    _requests("refused", {"success": 94, "rejected": 6}),
    _requests("just-below", {"success": 95.1, "rejected": 4.9}),
)
REFUSED: Final = Table(
    "LLMRateLimited",
    (
        Scene("6 %", LATE, _REFUSED, [_model("refused", "warning")]),
        Scene(
            "a lower limit",
            LATE,
            merged(_REFUSED, overridden("LLMRateLimited", "0.04")),
            [_model("refused", "warning"), _model("just-below", "warning")],
        ),
        NOTHING,
    ),
)


def _timed(metric: str, edge: str, namespace: str, fast: float, every: float) -> dict[str, str]:
    key = {"vantage": "sidecar", "namespace": namespace, "pod": "p-0", "model": "m"}
    return merged(
        counter(f"{metric}_bucket", fast, **key, stream="true", le=edge),
        counter(f"{metric}_count", every, **key, stream="true"),
    )


def _slow(alert: str, metric: str, edge: str, of: str) -> Table:
    """Return the scenes of an alert on a share above the edge of a bucket."""
    seen = merged(
        _timed(metric, edge, "slow", 98, 100),
        _timed(metric, edge, "just-below", 396.1, 400),
        _timed(metric, edge, "few", 0.5, 1),
    )
    slow, below = (_model(namespace, "warning", of=of) for namespace in ("slow", "just-below"))
    return Table(
        alert,
        (
            Scene("2 % are slow", LATE, seen, [slow]),
            Scene("a lower limit", LATE, merged(seen, overridden(alert, "0.009")), [slow, below]),
            NOTHING,
        ),
    )


_TTFT: Final = "gen_ai_server_time_to_first_token_seconds"
_CENSORED: Final = "inferometer_time_to_first_token_censored_seconds"
_TPOT: Final = "gen_ai_server_time_per_output_token_seconds"
_GIVEN_UP: Final = merged(
    _timed(_TTFT, "2.5", "given-up", 100, 100),
    _timed(_CENSORED, "2.5", "given-up", 0, 3),
    _timed(_TTFT, "2.5", "left-early", 100, 100),
    _timed(_CENSORED, "2.5", "left-early", 3, 3),
    _timed(_CENSORED, "2.5", "nobody-got-one", 0, 3),
)
_LATE_TOKENS: Final = _slow("LLMTTFTHigh", _TTFT, "2.5", "ttft")
LATE_TOKENS: Final = Table(
    _LATE_TOKENS.alert,
    (
        *_LATE_TOKENS.scenes,
        Scene(
            "who gave up after 2.5 s waited too long",
            LATE,
            _GIVEN_UP,
            [
                _model(namespace, "warning", of="ttft")
                for namespace in ("given-up", "nobody-got-one")
            ],
        ),
    ),
)


def _replica(namespace: str, pod: str, mean_s: float, per_minute: float = 10) -> dict[str, str]:
    key = {"vantage": "sidecar", "namespace": namespace, "pod": pod, "instance": pod, "model": "m"}
    return merged(
        counter(f"{_TPOT}_sum", mean_s * per_minute, **key),
        counter(f"{_TPOT}_count", per_minute, **key),
    )


_REPLICAS: Final = merged(
    *(_replica("odd", f"p-{i}", 0.05) for i in range(4)),
    _replica("odd", "p-slow", 0.11),
    _replica("odd", "p-rare", 0.9, per_minute=0.5),
    *(_replica("just-below", f"p-{i}", 0.05) for i in range(4)),
    _replica("just-below", "p-slow", 0.095),
    _replica("two", "p-0", 0.05),
    _replica("two", "p-slow", 0.9),
)


def _outlier(namespace: str) -> dict[str, str]:
    return _model(namespace, "warning", of="tpot", pod="p-slow", instance="p-slow")


OUTLIER: Final = Table(
    "LLMReplicaOutlier",
    (
        Scene("2.2 times the median of five", LATE, _REPLICAS, [_outlier("odd")]),
        Scene(
            "a lower limit",
            LATE,
            merged(_REPLICAS, overridden("LLMReplicaOutlier", "1.8")),
            [_outlier("odd"), _outlier("just-below")],
        ),
        NOTHING,
    ),
)

REQUEST_TABLES: Final = (
    ERRORS,
    BROKEN,
    ABORTS,
    CUT,
    REFUSED,
    LATE_TOKENS,
    _slow("LLMTPOTHigh", _TPOT, "0.2", "tpot"),
    _slow("LLMDecodeStalls", "inferometer_longest_gap_seconds", "1.0", "gap"),
    OUTLIER,
)
