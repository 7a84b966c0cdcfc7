"""Settings of a program: a frozen dataclass filled from flags, environment, file and defaults.

    @dataclass(frozen=True, slots=True)
    class Settings:
        header_timeout_s: float = field(default=10.0, metadata={"minimum": 0.1})
        \"\"\"How long a client may take over a request head.\"\"\"

`resolve` takes the flag `--header-timeout-s`, else `INFEROMETER_SIDECAR_HEADER_TIMEOUT_S`, else
`header_timeout_s` in the flat YAML file that `--config` names, else the default. Every value given
is checked, also one that another hides, and all faults are told at once. Nothing else reads the
environment. The text under a field is its reason, shown by `--help` and the reference page.

Types: str, int, float, bool, Path, Literal, `X | None`, `tuple[X, ...]` (repeat the flag; commas
in the environment; a list in the file), or whatever `metadata["parse"]` makes of a text; it raises
ValueError(what the text must be, a hint). Further metadata: `minimum`, `maximum`, `secret` (no
flag, never shown), `reload` (may change while running), `metavar`, `group` (a heading in the help,
from this field on), `positional` (a tuple that takes the words that belong to no flag).
"""

import dataclasses
import re
import shutil
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

from inferometer.addresses import Address, Upstream, parse_address, parse_upstream
from inferometer.declared import CONFIG, Setting, SettingRow, declared, describe, help_text
from inferometer.documents import (
    DUPLICATE,
    UNKNOWN_FIELD,
    Items,
    Node,
    Report,
    Scalar,
    closest,
    read,
    shown,
)
from inferometer.errors import Place, SettingsError, UserError
from inferometer.schema import Record, Value

__all__ = [
    "Address",
    "Adopted",
    "SettingRow",
    "Upstream",
    "adopt",
    "describe",
    "help_text",
    "parse_address",
    "parse_upstream",
    "reread",
    "resolve",
]

T = TypeVar("T")

_COMMAND_LINE: Final = Place("command line")
# What Kubernetes sets in every container for a Service that is called like a program of ours.
_FROM_KUBERNETES: Final = re.compile(r"(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")

Known = Mapping[str, Setting]
Layer = dict[str, Any]
"""Values of one source by setting name; None where a value was wrong, and reported."""


class Adopted(NamedTuple, Generic[T]):
    """Settings after a reload, and the names whose new values wait for a restart."""

    settings: T
    pending: tuple[str, ...]


def resolve(cls: type[T], argv: Sequence[str], *, environ: Mapping[str, str], program: str) -> T:
    """Return the settings of `program`, or raise SettingsError with every Problem.

    `--help` (or `-h`) before any `--` prints the help and raises SystemExit(0).
    """
    words = list(argv)
    words = words[: words.index("--")] if "--" in words else words
    if "--help" in words or "-h" in words:
        sys.stdout.write(help_text(cls, program, width=shutil.get_terminal_size().columns))
        raise SystemExit(0)
    return reread(cls, argv, environ=environ, program=program)


def reread(cls: type[T], argv: Sequence[str], *, environ: Mapping[str, str], program: str) -> T:
    """Resolve the same again, for a reload. Raises SettingsError; the caller keeps the old ones."""
    report = Report()
    known = {setting.name: setting for setting in declared(cls, program)}
    layers = [_from_flags(argv, known, report), _from_environment(environ, known, report)]
    path = layers[0].get(CONFIG) or layers[1].get(CONFIG)
    if path is not None:
        layers.append(_from_file(path, known, report))
    values = {name: value for layer in reversed(layers) for name, value in layer.items()}
    for setting in known.values():
        if setting.required and setting.name not in values:
            hint = f"give {setting.flag}, {setting.variable}, or {setting.name} in --config"
            report.add(Place(setting.flag), "a value is needed", hint=hint)
    if report.problems:
        raise SettingsError(report.problems)
    return cls(**{name: value for name, value in values.items() if known[name].of_class})


def adopt(running: T, fresh: T) -> Adopted[T]:
    """Return `running` with those changes of `fresh` that need no restart."""
    fields = dataclasses.fields(typing.cast("Any", running))
    changed = [f for f in fields if getattr(running, f.name) != getattr(fresh, f.name)]
    now = {f.name: getattr(fresh, f.name) for f in changed if f.metadata.get("reload")}
    pending = tuple(f.name for f in changed if f.name not in now)
    return Adopted(dataclasses.replace(typing.cast("Any", running), **now), pending)


class _Flags:
    """Reads `--name value`, `--name=value`, `--name`, `--no-name`; other words are positional."""

    def __init__(self, known: Known, report: Report) -> None:
        self.nodes: dict[str, list[Scalar]] = {}
        self._known = known
        self._report = report
        self._flags = {s.flag: s for s in known.values() if not s.metadata.get("secret")}
        self._switches = {
            f"--no-{flag[2:]}": s for flag, s in self._flags.items() if s.hint is bool
        }
        self._positional = next((s for s in known.values() if s.metadata.get("positional")), None)

    def take(self, words: list[str]) -> None:
        """Take every word; faults go to the report."""
        while words:
            word = words.pop(0)
            if word == "--":
                self._add_positional(words)
                return
            if word.startswith("-") and word != "-":
                self._take_flag(word, words)
            else:
                self._add_positional([word])

    def _take_flag(self, word: str, words: list[str]) -> None:
        flag, equals, text = word.partition("=")
        setting = self._flags.get(flag)
        if flag in self._switches and not equals:
            self._add(self._switches[flag].name, flag, "false")
        elif setting is None:
            self._refuse_unknown(flag)
            if words and not equals and not words[0].startswith("-"):
                words.pop(0)  # most likely its value, which is no fault of its own
        elif equals:
            self._add(setting.name, flag, text)
        elif setting.hint is bool:
            self._add(setting.name, flag, "true")
        elif words and not words[0].startswith("--"):
            self._add(setting.name, flag, words.pop(0))
        else:
            hint = f"write {flag} {setting.metavar()}"
            self._report.add(Place(flag), "its value is missing", hint=hint)
            self.nodes.setdefault(setting.name, [])

    def _add_positional(self, words: list[str]) -> None:
        for word in words:
            if self._positional is None:
                message = f"unexpected word {shown(word)}"
                self._report.add(_COMMAND_LINE, message, hint="settings begin with --")
            else:
                self._add(self._positional.name, _COMMAND_LINE.source, word)

    def _add(self, name: str, source: str, text: str) -> None:
        self.nodes.setdefault(name, []).append(Scalar(text, quoted=True, place=Place(source)))

    def _refuse_unknown(self, flag: str) -> None:
        secret = next((s for s in self._known.values() if s.flag == flag), None)
        if secret:
            hint = f"other users of the machine see flags: set {secret.variable}, or use --config"
            self._report.add(Place(flag), "a secret is not taken from a flag", hint=hint)
            self.nodes.setdefault(secret.name, [])
        else:
            hint = _guess(closest(flag, [*self._flags, *self._switches]))
            self._report.add(Place(flag), "there is no such flag", hint=hint, code=UNKNOWN_FIELD)


def _from_flags(argv: Sequence[str], known: Known, report: Report) -> Layer:
    flags = _Flags(known, report)
    flags.take(list(argv))
    values: Layer = {}
    for name, nodes in flags.nodes.items():
        setting = known[name]
        if len(nodes) > 1 and not setting.repeatable:
            message = f"given {len(nodes)} times"
            report.add(nodes[1].place, message, hint="give it once", code=DUPLICATE)
        node: Node | None = nodes[0] if nodes else None
        if nodes and setting.repeatable:
            node = Items(tuple(nodes), nodes[0].place)
        values[name] = setting.read(node, report) if node else None
    return values


def _from_environment(environ: Mapping[str, str], known: Known, report: Report) -> Layer:
    """Read the variables of this program; an empty one counts as not set."""
    settings = {s.variable: s for s in known.values()}
    prefix = known[CONFIG].variable.removesuffix(CONFIG.upper())
    values: Layer = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(prefix) or not text:
            continue
        place, setting = Place(variable), settings.get(variable)
        if setting:
            values[setting.name] = setting.read(_variable_node(setting, text, place), report)
        elif not _FROM_KUBERNETES.fullmatch(variable.removeprefix(prefix)):
            close = closest(variable.removeprefix(prefix).lower(), known)
            hint = _guess(known[close].variable if close else "")
            report.add(place, "there is no such setting", hint=hint, code=UNKNOWN_FIELD)
    return values


def _guess(name: str) -> str:
    return f"did you mean {name!r}?" if name else "--help lists the settings"


def _variable_node(setting: Setting, text: str, place: Place) -> Node:
    if not setting.repeatable:
        return Scalar(text, quoted=True, place=place)
    words = [word.strip() for word in text.split(",")]
    return Items(tuple(Scalar(w, quoted=True, place=place) for w in words if w), place)


def _from_file(path: Path, known: Known, report: Report) -> Layer:
    """Read the flat file; a file without any setting is fine."""
    try:
        documents = read(path)
    except UserError as error:
        for problem in error.problems:
            report.add(problem.place, problem.message, hint=problem.hint, code=problem.code)
        return {}
    for extra in documents[1:]:
        report.add(extra.place, "a second document is not allowed", hint="put all into the first")
    values: Layer = {}
    for document in documents[:1]:
        record = Record(Value("the settings file", document, report))
        for setting in known.values():
            if setting.name != CONFIG:
                secret = bool(setting.metadata.get("secret"))
                given = setting.name in record
                value = record.take(setting.name, setting.reader(), secret=secret)
                values |= {setting.name: value} if given else {}
        record.close()
    return values
