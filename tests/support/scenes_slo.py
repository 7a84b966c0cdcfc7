"""Scenes for the alerts on SLOs, one each; how they behave at length is tested in `slo`."""

from collections.abc import Sequence
from typing import Final

from support.scenes_requests import NOTHING
from support.scenes_servers import gauge
from support.shipped import Scene, Table, merged, overridden
from support.slo_rules import Phase, counter, counters

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR


def _slo(
    name: str, *, minutes: int, objective: str = "0.99", window_s: int = 2592000
) -> dict[str, str]:
    """Return what a document says of an SLO, in as many minutes."""
    key = {"namespace": "llm", "slo": name}
    people = {"service": "llama", "owner": "team", "page": "true", "ticket": "true"}
    return merged(
        gauge("inferometer:slo_info", f"1x{minutes}", **key, **people),
        *(
            gauge(f"inferometer:slo_{what}", f"{value}x{minutes}", **key)
            for what, value in (
                ("objective:ratio", objective),
                ("window:seconds", window_s),
                ("min_bad:count", 10),
                ("nodata_delay:seconds", 1800),
            )
        ),
    )


def _told(name: str, severity: str, **more: str) -> dict[str, str]:
    people = {"service": "llama", "owner": "team"}
    return {"severity": severity, "namespace": "llm", "slo": name, **people, **more}


def _pairs(alert: str, severity: str, share: float, pairs: Sequence[tuple[str, str, str]]) -> Table:
    """Return the scenes of a pair of windows: a little above and below the share that it needs."""
    every, minutes = 1000, 65
    seen = merged(
        *(
            merged(
                _slo(name, minutes=minutes),
                counters(name, (minutes, every * (1 - part), every * part)),
            )
            for name, part in (("bad", share * 1.05), ("just-below", share * 0.95))
        )
    )
    fires = [
        _told("bad", severity, pair=pair, long=long, short=short) for pair, long, short in pairs
    ]
    return Table(alert, (Scene("5 % above and below", minutes, seen, fires), NOTHING))


FAST: Final = _pairs("LLMSLOBurnFast", "critical", 0.144, [("fast", "1h", "5m")])
OUTAGE: Final = Scene(
    "a total outage, by both rules",
    _HOUR,
    merged(_slo("bad", minutes=60), counters("bad", (60, 0, 1000))),
    [
        _told("bad", "critical", pair="fast", long="1h", short="5m"),
        _told("bad", "critical", pair="cliff", long="30m", short="5m"),
    ],
)


def _few(name: str, bad: str) -> dict[str, str]:
    return merged(
        _slo(name, minutes=180),
        counter(name, "good", "0x180"),
        counter(name, "bad", bad),
    )


_TRICKLE: Final = merged(
    _few("bad", "0x10 1x40 2x40 3x90"),
    _few("just-below", "0x10 1x40 2x130"),
    _few("many", "0x10 20x170"),
)
TRICKLE: Final = Table(
    "LLMSLOTrickle",
    (
        Scene("three, two, and so many that others tell", 170, _TRICKLE, [_told("bad", "warning")]),
        Scene(
            "two are enough",
            170,
            merged(_TRICKLE, overridden("LLMSLOTrickle", "2")),
            [_told("bad", "warning"), _told("just-below", "warning")],
        ),
        NOTHING,
    ),
)


def _ended(name: str, per_hour: int) -> dict[str, str]:
    """Return an SLO that is good for a day and a bit, then counts nothing more."""
    minutes = _DAY + 2 * _HOUR
    phases: tuple[Phase, ...] = ((minutes, per_hour / 60, 0), (_HOUR, 0, 0))
    return merged(_slo(name, minutes=minutes + _HOUR), counters(name, *phases))


_SILENT: Final = merged(_ended("bad", 30), _ended("just-below", 15))
SILENT: Final = Table(
    "LLMSLONoData",
    (
        Scene(
            "silent where 30 and 15 requests were",
            _DAY + 165,
            _SILENT,
            [_told("bad", "warning")],
        ),
        Scene(
            "another limit",
            _DAY + 165,
            merged(_SILENT, overridden("LLMSLONoData", "10")),
            [_told("bad", "warning"), _told("just-below", "warning")],
        ),
        NOTHING,
    ),
)


def _unmeasured(name: str, per_minute: float) -> dict[str, str]:
    lost = gauge(
        "inferometer_slo_requests_total",
        f"0+{per_minute}x90",
        vantage="sidecar",
        namespace="llm",
        slo=name,
        verdict="excluded",
        reason="unmeasured",
    )
    return merged(_slo(name, minutes=90), counters(name, (90, 1000, 0)), lost)


_LOST: Final = merged(_unmeasured("bad", 15), _unmeasured("just-below", 8))


def _recorded(name: str, **values: int) -> dict[str, str]:
    """Return what the rules of an SLO on other people's metrics record."""
    key = {"namespace": "llm", "slo": name}
    return merged(
        _slo(name, minutes=90),
        *(
            gauge(f"inferometer:slo_{what}:increase5m", f"{n}x90", **key)
            for what, n in values.items()
        ),
    )


_CONTRADICTIONS: Final = Scene(
    "each contradiction",
    80,
    merged(
        _recorded("swapped", total=10, bad=20),
        _recorded("edge", total=10),
        _slo("drift", minutes=90),
        counters("drift", (90, 100, 0)),
        gauge("inferometer_slo_objective_ratio", "0.95x90", namespace="llm", slo="drift"),
        counters("undeclared", (90, 100, 0)),
        _slo("twice", minutes=90),
        gauge(
            "inferometer:slo_info",
            "1x90",
            namespace="llm",
            slo="twice",
            service="llama",
            owner="team",
            page="false",
            ticket="false",
        ),
    ),
    [
        _told("twice", "warning", problem="declared_twice"),
        _told("swapped", "warning", problem="bad_above_total"),
        _told("edge", "warning", problem="no_bad"),
        _told("drift", "warning", problem="objective_differs"),
        {
            "severity": "warning",
            "namespace": "llm",
            "slo": "undeclared",
            "problem": "no_objective",
        },
    ],
)

INVALID: Final = Table(
    "LLMSLOInvalid",
    (
        _CONTRADICTIONS,
        Scene(
            "1.5 % and 0.8 % could not be measured",
            80,
            _LOST,
            [_told("bad", "warning", problem="unmeasured")],
        ),
        Scene(
            "another limit",
            80,
            merged(_LOST, overridden("LLMSLOInvalid", "0.005")),
            [_told(name, "warning", problem="unmeasured") for name in ("bad", "just-below")],
        ),
        NOTHING,
    ),
)


EXHAUSTED: Final = Table(
    "LLMSLOBudgetExhausted",
    (
        Scene(
            "1.05 % and 0.95 % of a month were bad, where 1 % may be",
            30,
            merged(
                *(
                    merged(_slo(name, minutes=30), counters(name, (30, 1000 - bad, bad)))
                    for name, bad in (("bad", 10.5), ("just-below", 9.5))
                )
            ),
            [_told("bad", "info")],
        ),
        NOTHING,
    ),
)

TRUNCATED: Final = Table(
    "LLMSLOWindowTruncated",
    (
        Scene(
            "ten days where a window has 30 and one has 7",
            100,
            merged(
                _slo("bad", minutes=100),
                _slo("just-below", minutes=100, window_s=604800),
                gauge("prometheus_tsdb_lowest_timestamp_seconds", "-864000x100", instance="p"),
            ),
            [_told("bad", "info")],
        ),
        NOTHING,
    ),
)

SLO_TABLES: Final = (
    Table(FAST.alert, (*FAST.scenes, OUTAGE)),
    _pairs("LLMSLOBurnMedium", "critical", 0.06, [("medium", "6h", "30m")]),
    _pairs("LLMSLOBurnSlow", "warning", 0.03, [("slow", "1d", "2h")]),
    _pairs("LLMSLOBudgetDrain", "warning", 0.01, [("drain", "3d", "6h")]),
    EXHAUSTED,
    TRICKLE,
    INVALID,
    TRUNCATED,
)
SILENT_TABLES: Final = (SILENT,)
"""Apart, since a day passes in them: fewer rules can be evaluated."""
