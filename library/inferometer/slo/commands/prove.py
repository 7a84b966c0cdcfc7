"""`inferometer slo prove`: let SLOs live through incidents before anybody relies on them."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from inferometer.errors import WorldError
from inferometer.settings import resolve
from inferometer.slo import table
from inferometer.slo.commands import promtool
from inferometer.slo.commands.reading import load
from inferometer.slo.document import Document
from inferometer.slo.guard import cannot_fire
from inferometer.slo.model import RATE_PER_MINUTE
from inferometer.slo.proof import picture, report
from inferometer.slo.proof.prove import Proof, cases, generic, jobs, judged
from inferometer.slo.rule import Group

PROGRAM: Final = "slo prove"


@dataclass(frozen=True, slots=True)
class Settings:
    """Let SLOs live through outages, quiet nights and deployments, and tell what alerts when.

    The moments are computed, and confirmed by promtool with the rules that `render` writes. Exit
    code 0 if all can fire and nothing disagrees, also where there is no promtool; 1 if an SLO
    cannot fire, a scenario disagrees, or promtool failed; 2 if the command or a document is wrong.
    """

    files: tuple[Path, ...] = field(metadata={"positional": True, "metavar": "FILE (repeatable)"})
    """SLO documents, also as plain words."""

    format: Literal["text", "json"] = "text"
    """How it is printed: for people, or as one JSON object for tools."""

    svg: Path | None = None
    """A file for the picture: how soon each SLO pages, and what happens in an outage."""

    badge: Path | None = None
    """A file for a badge, as JSON for the endpoint of shields.io."""

    promtool: Path | None = None
    """The promtool that confirms it. None takes the one that is installed; if there is none, what
    was computed stands alone and is called unconfirmed."""

    requests_per_minute: int = field(
        default=RATE_PER_MINUTE, metadata={"minimum": 1, "maximum": 1_000_000}
    )
    """How many requests each SLO gets: with few of them alerts wait for `alerts.min_bad`."""


def main(argv: Sequence[str]) -> int:
    """Print the proof. Raises UserError and WorldError."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    documents = load(settings.files)
    mute = list(cannot_fire(documents, settings.requests_per_minute))
    if mute:
        for problem in mute:
            sys.stdout.write(f"{problem.place}: {problem.message} [{problem.code}]\n")
            sys.stdout.write(f"hint: {problem.hint}\n")
        return 1
    tool = promtool.found(settings.promtool)
    if tool is None:
        sys.stderr.write("note: promtool is not installed, so nothing is confirmed\n")
    proofs = proved(documents, generic(documents), tool, rate=settings.requests_per_minute)
    witness = tool.version if tool else ""
    if settings.format == "json":
        sys.stdout.write(report.data(proofs, witness=witness))
    else:
        colours = table.coloured(sys.stdout, os.environ)
        sys.stdout.write(report.text(proofs, witness=witness, colours=colours))
    for path, text in (
        (settings.svg, picture.picture(proofs, witness=witness) if settings.svg else ""),
        (settings.badge, report.badge(proofs)),
    ):
        if path is not None:
            _write(path, text)
    return exit_code(proofs)


def proved(
    documents: Sequence[Document],
    rules: tuple[Group, ...],
    tool: promtool.Promtool | None,
    *,
    rate: int = RATE_PER_MINUTE,
) -> tuple[Proof, ...]:
    """Return the proofs of all SLOs under some generic rules. Raises WorldError."""
    known = cases(documents, rate)
    if tool is None:
        return judged(known, {})
    return judged(known, promtool.confirm(tool, jobs(known, rules), _progress))


def exit_code(proofs: Sequence[Proof]) -> int:
    """Return 1 if an SLO cannot fire or a scenario disagrees."""
    return int(not report.passed(proofs))


def _progress(done: int, of: int) -> None:
    """Tell how far it is, on one line, where somebody looks."""
    if sys.stderr.isatty():
        end = "\r\x1b[K" if done == of else ""
        sys.stderr.write(f"\r{done} of {of} runs of promtool are done{end}")
        sys.stderr.flush()


def _write(path: Path, text: str) -> None:
    try:
        draft = path.with_name(f"{path.name}.draft")
        draft.write_text(text, "utf-8", newline="\n")
        draft.replace(path)
    except OSError as error:
        message = f"cannot write {str(path)!r}: {error.strerror}"
        raise WorldError(message) from error
