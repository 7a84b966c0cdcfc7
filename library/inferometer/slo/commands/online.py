"""What `inferometer slo check` adds where it may ask a Prometheus: live findings, and a replay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from inferometer.errors import Place, Problem, SettingsError
from inferometer.prom.client import duration_s
from inferometer.prom.endpoint import Endpoint, parse
from inferometer.prom.settings import Access
from inferometer.slo import table
from inferometer.slo.document import Document
from inferometer.slo.names import Options
from inferometer.slo.online.checks import Found, look
from inferometer.slo.online.replay import (
    BEFORE_S,
    NOT_REPLAYED,
    REPLAY_MAX_S,
    Alarm,
    Firing,
    Replayed,
    replay,
)
from inferometer.slo.shown import moment, span
from inferometer.slo.table import Cell, Row
from inferometer.slo.windows import DAY_S

HEAD: Final = ("SLO", "alert", "windows", "fired", "for", "longest", "last began")


def replay_s(text: str) -> int:
    """Read the length of a replay. Raises ValueError, as `settings` expects of a parser."""
    seconds = duration_s(text)
    if seconds is None or not DAY_S <= seconds <= REPLAY_MAX_S:
        expected = f"a duration from 1d to {REPLAY_MAX_S // DAY_S}d"
        raise ValueError(expected, "such as 14d")
    return int(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Online(Access):
    """The settings of a check that asks a Prometheus."""

    prometheus: Endpoint | None = field(default=None, metadata={"parse": parse, "metavar": "URL"})
    """A Prometheus, Thanos or Mimir that has the metrics, with the prefix of its path: traffic,
    bucket edges, retention, scrapes, namespaces and alerting rules are then checked, too."""

    cluster: str = ""
    """Value of the label `cluster`, where many clusters write to one Thanos or Mimir."""

    vantage: str = "sidecar"
    """Where the verdicts were counted, as the label `vantage` says."""

    replay: int | None = field(default=None, metadata={"parse": replay_s, "metavar": "14d"})
    """How far back the alerts are replayed on what really happened, from 1d to 31d: how often would
    each have fired, and when? Needs --prometheus, which is asked for a day at a time."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a Prometheus told; `replayed` is None where nobody asked for it."""

    found: Found
    replayed: tuple[Replayed, ...] | None
    length_s: int


def ask(settings: Online, documents: Sequence[Document]) -> Told | None:
    """Return what the Prometheus of the settings tells, None without one.

    Raises SettingsError and PrometheusError.
    """
    if settings.prometheus is None:
        if settings.replay is not None:
            problem = Problem(Place("--replay"), "needs --prometheus", "give its URL")
            raise SettingsError([problem])
        return None
    clusters = (settings.cluster,) if settings.cluster else ()
    options, length_s = Options(vantage=settings.vantage, clusters=clusters), settings.replay or 0
    with settings.client(settings.prometheus) as client:
        found = look(documents, client, options)
        if not length_s:
            return Told(found, None, 0)
        return Told(found, replay(documents, client, options, length_s=length_s), length_s)


def text(told: Told, *, colours: bool = False) -> Iterator[str]:
    """Yield the lines of it."""
    if told.found.unknown:
        names = ", ".join("/".join(filter(None, key)) for key in told.found.unknown)
        yield f"Too little is known there of: {names}"
        yield ""
    if told.replayed is None:
        return
    yield f"Replay of {span(told.length_s)}, had these alerts been there:"
    yield ""
    rows = [_row(one, alarm, fired) for one in told.replayed for alarm, fired in _firings(one)]
    yield from table.lines(HEAD, rows, colours=colours)
    yield ""
    for one in told.replayed:
        if one.known_s < told.length_s:
            name = "/".join(filter(None, one.key))
            yield f"{name}: {span(one.known_s)} of {span(told.length_s)} have samples"
    yield f"Not replayed: {', '.join(NOT_REPLAYED)}"
    yield ""


def data(told: Told) -> Mapping[str, Any]:
    """Return it as JSON can hold it, without the problems."""
    found: dict[str, Any] = {
        "unknown": [{"namespace": namespace, "slo": slo} for namespace, slo in told.found.unknown]
    }
    if told.replayed is not None:
        found["replay"] = {
            "length_s": told.length_s,
            "warm_up_s": BEFORE_S,
            "not_replayed": NOT_REPLAYED,
            "slos": [
                {
                    "namespace": one.key[0],
                    "slo": one.key[1],
                    "known_s": one.known_s,
                    "alerts": [
                        {**alarm._asdict(), "firings": [one._asdict() for one in fired]}
                        for alarm, fired in one.firings.items()
                    ],
                }
                for one in told.replayed
            ],
        }
    return found


def _firings(one: Replayed) -> Iterator[tuple[Alarm, tuple[Firing, ...]]]:
    """Yield the alerts that fired; a first one that did not where none did."""
    fired = [(alarm, times) for alarm, times in one.firings.items() if times]
    yield from fired or list(one.firings.items())[:1]


def _row(one: Replayed, alarm: Alarm, fired: Sequence[Firing]) -> Row:
    name = Cell("/".join(filter(None, one.key)))
    if not fired:
        return Row([name, Cell("none fired", "good"), *[Cell("")] * 5])
    lengths = [time.end_s - time.start_s for time in fired]
    tone: table.Tone = "bad" if alarm.severity == "critical" else "worry"
    return Row(
        [
            name,
            Cell(alarm.alert, tone),
            Cell(alarm.detail),
            Cell(str(len(fired))),
            Cell(span(Decimal(sum(lengths)))),
            Cell(span(Decimal(max(lengths)))),
            Cell(moment(fired[-1].start_s)),
        ]
    )
