"""`inferometer slo check`: tell everything that is wrong with documents, and what they would do."""

import json
import os
import sys
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from inferometer.errors import Problem
from inferometer.settings import resolve
from inferometer.slo.check import findings, is_error, summary
from inferometer.slo.commands.online import Online, Told, ask, data, text
from inferometer.slo.detection import Detection, detections
from inferometer.slo.guard import cannot_fire
from inferometer.slo.model import RATE_PER_MINUTE
from inferometer.slo.online import checks as online
from inferometer.slo.shown import many
from inferometer.slo.spec import examine

PROGRAM: Final = "slo check"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Online):
    """Tell everything that is wrong with SLO documents, and how soon each SLO would be told.

    Exit code 0 if there is no error, 1 if there is one, 2 if the command itself was misused.
    """

    files: tuple[Path, ...] = field(
        metadata={"positional": True, "metavar": "FILE (repeatable)", "group": "settings"}
    )
    """SLO documents, also as plain words."""

    format: Literal["text", "json"] = "text"
    """How it is printed: for people, or as one JSON object for tools."""

    strict: bool = False
    """Let a warning count as an error, so that a pipeline stops at it."""

    requests_per_minute: int = field(
        default=RATE_PER_MINUTE, metadata={"minimum": 1, "maximum": 1_000_000}
    )
    """How many requests each SLO gets: with few of them alerts wait for `alerts.min_bad`, or never
    come. A Prometheus that knows an SLO's traffic is believed instead."""


class Slos(NamedTuple):
    """How soon each SLO would be told, at some requests a minute."""

    per_minute: int
    known: Sequence[Detection]


def main(argv: Sequence[str]) -> int:
    """Print what was found. Raises SettingsError, and WorldError for a Prometheus that fails."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    zones = zoneinfo.available_timezones()
    read = examine(settings.files, zones=zones)
    rate = settings.requests_per_minute
    found = (
        *findings(read.documents, zones=zones),
        *cannot_fire(read.documents, rate),
    )
    told = ask(settings, read.documents)
    found = online.settled(found, told.found) if told else found
    problems = sorted((*read.problems, *read.warnings, *found))
    known = [one for document in read.documents for one in detections(document, rate=rate)]
    slos = Slos(rate, known)
    write = _json if settings.format == "json" else _text
    sys.stdout.write(write(problems, slos, told))
    return int(any(settings.strict or is_error(problem) for problem in problems))


def _text(problems: Sequence[Problem], slos: Slos, told: Told | None) -> str:
    lines = []
    for problem in problems:
        lines.append(f"{problem.place}: {problem.message} [{problem.code}]")
        if problem.hint:
            lines.append(f"hint: {problem.hint}")
    if slos.known:
        lines += ["", f"At {many(slos.per_minute, 'request')} a minute:", ""]
    for one in slos.known:
        name = f"{one.namespace}/{one.slo}" if one.namespace else one.slo
        promise = f"{one.objective_percent.normalize():f} % of {one.weight}s in {one.window_days}d"
        lines += [f"{name}: {promise}", f"  {one.words()}"]
    lines += ["", *(text(told) if told else ())]
    lines += [f"{many(len(slos.known), 'SLO')}, {', '.join(summary(problems))}", ""]
    return "\n".join(lines).lstrip("\n")


def _json(problems: Sequence[Problem], slos: Slos, told: Told | None) -> str:
    found = {
        "problems": [
            {
                "file": problem.place.source,
                "line": problem.place.line,
                "column": problem.place.column,
                "code": problem.code,
                "severity": "error" if is_error(problem) else "warning",
                "message": problem.message,
                "hint": problem.hint,
            }
            for problem in problems
        ],
        "requests_per_minute": slos.per_minute,
        "slos": [one.data() for one in slos.known],
        **(data(told) if told else {}),
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
