"""`inferometer slo render`: write documents as rules and alerts for whatever loads them."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from inferometer.errors import Place, Problem, SettingsError, WorldError
from inferometer.settings import resolve
from inferometer.slo.commands.reading import load
from inferometer.slo.formats import targets
from inferometer.slo.names import Options
from inferometer.slo.render import HEAD, File, Home, notes, render, shipped

PROGRAM: Final = "slo render"

_LABEL_KEY: Final = re.compile(
    r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_URL: Final = re.compile(r"[\x21-\x7e]*")


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (equals and _LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
        expected = "KEY=VALUE, a label of Kubernetes"
        raise ValueError(expected, "such as release=kube-prometheus-stack")
    return key, value


def _url(text: str) -> str:
    if not _URL.fullmatch(text) or "{{" in text:
        expected = "a URL"
        raise ValueError(expected, "without spaces and templates")
    return text


def _text(text: str) -> str:
    if not text:
        expected = "a text"
        raise ValueError(expected)
    return text


@dataclass(frozen=True, slots=True)
class Settings:
    """Write the recording rules and alerts of SLO documents, for whatever loads them.

    The same documents and settings give the same bytes anywhere.
    """

    output: Path = field(metadata={"metavar": "DIR"})
    """The folder to write into, also as `-o DIR`; it is made if it does not exist."""

    files: tuple[Path, ...] = field(
        default=(), metadata={"positional": True, "metavar": "FILE (repeatable)"}
    )
    """SLO documents, also as plain words."""

    to: Literal["prometheus", "prometheusrule", "mimir", "sloth", "pyrra", "openslo"] = "prometheus"
    """What loads the files: Prometheus (`rule_files`), its operator (a custom resource), or Mimir
    (`mimirtool rules load`). The last three are formats of others, in which less can be said: what
    is lost is told."""

    shipped: bool = False
    """Write what needs no document, the files that we ship: rules for all SLOs with 30 days as the
    window, alerts on serving and GPUs, and what Alertmanager must know of them."""

    vantage: str = field(default="sidecar", metadata={"parse": _text})
    """Where the verdicts were counted, as the label `vantage` says."""

    cluster: tuple[str, ...] = field(
        default=(), metadata={"parse": _text, "metavar": "NAME (repeatable)"}
    )
    """Values of the label `cluster`, for a Thanos or Mimir that many clusters write to: each SLO
    then counts in each of them apart."""

    runbooks_url: str = field(default=Options().runbooks_url, metadata={"parse": _url})
    """Where the runbooks are, for the link on every alert."""

    dashboards_url: str = field(default="", metadata={"parse": _url})
    """Where Grafana is, for the link on every alert."""

    rule_namespace: str = ""
    """Namespace of PrometheusRule objects; none leaves it to whoever applies them."""

    rule_label: tuple[tuple[str, str], ...] = field(
        default=(), metadata={"parse": _label, "metavar": "KEY=VALUE (repeatable)"}
    )
    """Labels of PrometheusRule objects: many operators look only at those with one of theirs."""


def main(argv: Sequence[str]) -> int:
    """Write the files, print their names. Raises SettingsError, SpecError and WorldError."""
    settings = resolve(Settings, _spelled_out(argv), environ=os.environ, program=PROGRAM)
    if bool(settings.files) == settings.shipped:
        problem = Problem(Place("command line"), "either documents or --shipped is needed")
        raise SettingsError([problem])
    again = [name for name in settings.cluster if settings.cluster.count(name) > 1]
    if again:
        problem = Problem(Place("--cluster"), f"{again[0]!r} is named twice", "name each once")
        raise SettingsError([problem])
    options = Options(
        vantage=settings.vantage,
        clusters=settings.cluster,
        runbooks_url=settings.runbooks_url,
        dashboards_url=settings.dashboards_url,
    )
    files, told = _made(settings, options)
    for path in _write(files, settings.output):
        sys.stdout.write(f"{path}\n")
    for note in told:
        sys.stderr.write(f"note: {note}\n")
    if not settings.shipped:
        for path in _stale(files, settings.output):
            sys.stderr.write(f"note: {path}: none of these documents makes it any more\n")
    return 0


def _made(settings: Settings, options: Options) -> tuple[Sequence[File], Sequence[str]]:
    """Return the files, and what they cannot say. Raises SettingsError and SpecError."""
    home = Home(settings.rule_namespace, settings.rule_label)
    documents = load(settings.files)
    match settings.to:
        case "sloth" | "pyrra" | "openslo":
            if settings.shipped:
                message = f"there is nothing to ship for {settings.to}"
                hint = "take prometheus, prometheusrule or mimir"
                raise SettingsError([Problem(Place("--shipped"), message, hint)])
            files = targets.render(documents, settings.to, options, home=home)
            return files, tuple(targets.notes(documents, settings.to, options))
        case _:
            told = notes(documents, settings.to)
            if settings.shipped:
                return shipped(settings.to, options, home=home), told
            return render(documents, settings.to, options, home=home), told


def _spelled_out(argv: Sequence[str]) -> list[str]:
    """Return the words with `--output` for `-o`, which everybody types."""
    end = argv.index("--") if "--" in argv else len(argv)
    return ["--output" if word == "-o" else word for word in argv[:end]] + list(argv[end:])


def _write(files: Iterable[File], folder: Path) -> Iterator[Path]:
    """Write each file whole or not at all: a Prometheus may look at any moment."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            path = folder / file.name
            path.parent.mkdir(exist_ok=True)
            draft = path.with_suffix(".draft")
            draft.write_text(file.text, encoding="utf-8", newline="\n")
            draft.replace(path)
            yield path
    except OSError as error:
        message = f"cannot write into {str(folder)!r}: {error.strerror}"
        raise WorldError(message) from None


def _stale(files: Iterable[File], folder: Path) -> Iterator[Path]:
    """Yield the files of an earlier run that this one has not written."""
    names = {file.name for file in files}
    for path in sorted(folder.glob("slo-*.yaml")):
        if path.name not in names and path.is_file():
            with path.open("rb") as stream:
                if stream.read(len(HEAD)) == HEAD.encode():
                    yield path
