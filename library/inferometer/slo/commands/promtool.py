"""Runs promtool, the unit tester of Prometheus' rules: some at once, each for a bounded time."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from inferometer.errors import WorldError
from inferometer.slo.proof.oracle import Answers, answers
from inferometer.slo.proof.prove import Job

NAME: Final = "promtool"
RUN_S: Final = 600.0
"""How long one run may take; the longest takes half a minute."""
_VERSION_S: Final = 30.0
_AT_ONCE_MAX: Final = 8

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Promtool:
    """A promtool and what it calls itself: `promtool 2.42.0`, or no more than its name."""

    path: str
    version: str


def found(path: Path | None) -> Promtool | None:
    """Return the promtool to use, or None if none was named and none is installed.

    Raises WorldError if what was named, or is installed, is none.
    """
    chosen = str(path) if path else shutil.which(NAME)
    if chosen is None:
        return None
    done = _run([chosen, "--version"], _VERSION_S)
    words = f"{done.stdout} {done.stderr}".split()
    if done.returncode != 0 or words[:2] != [NAME + ",", "version"]:
        message = f"{chosen!r} is no promtool"
        raise WorldError(message, hint="name one with --promtool, or leave it out")
    numbers = words[2:3] if words[2:] and words[2][0].isdigit() else []  # own builds have none
    return Promtool(chosen, " ".join([NAME, *numbers]))


def confirm(
    tool: Promtool, jobs: Sequence[Job], progress: Progress, *, limit_s: float = RUN_S
) -> Mapping[str, Answers]:
    """Return the answers to all jobs, by the id of each stand-in. Raises WorldError."""
    told: dict[str, Answers] = {}
    at_once = max(1, min(os.cpu_count() or 1, _AT_ONCE_MAX))
    with TemporaryDirectory(prefix="inferometer-prove-") as folder:
        pool = ThreadPoolExecutor(at_once)
        try:
            waiting = {
                pool.submit(_answered, tool, job, Path(folder, str(number)), limit_s): job
                for number, job in enumerate(jobs)
            }
            progress(0, len(jobs))
            for number, done in enumerate(as_completed(waiting), start=1):
                told |= dict.fromkeys((one.id for one in waiting[done].stand_ins), done.result())
                progress(number, len(jobs))
        finally:
            pool.shutdown(cancel_futures=True)
    return told


def _answered(tool: Promtool, job: Job, folder: Path, limit_s: float) -> Answers:
    files = job.files("rules.yaml")
    try:
        folder.mkdir()
        (folder / "rules.yaml").write_text(files.rules, "utf-8", newline="\n")
        cases = folder / "cases.yaml"
        cases.write_text(files.cases, "utf-8", newline="\n")
    except OSError as error:
        message = f"cannot write into {str(folder)!r}: {error.strerror}"
        raise WorldError(message) from error
    done = _run([tool.path, "test", "rules", str(cases)], limit_s)
    return answers(done.returncode, f"{done.stdout}\n{done.stderr}", job.questions)


def _run(argv: Sequence[str], limit_s: float) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603 - what the user named, or has installed
            argv,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{argv[0]!r} did not end within {limit_s:g} s"
        raise WorldError(message) from error
    except OSError as error:
        message = f"cannot run {argv[0]!r}: {error.strerror}"
        raise WorldError(message) from error
