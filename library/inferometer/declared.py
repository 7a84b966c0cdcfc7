"""What a settings class declares: names, types, defaults, reasons, and the help made of them.

The class is a frozen dataclass, with the reason of each default as a text under the field; see
`settings` for the rules. Where values come from does not belong here.
"""

import ast
import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from inferometer.addresses import Address, Upstream
from inferometer.documents import Node, Report, Scalar
from inferometer.schema import DECIMAL, INTEGER, Reader, Value, boolean, listed, one_of

CONFIG: Final = "config"
"""The setting that every program has: its file."""
ITEMS_MAX: Final = 1000
"""Values of one repeatable setting."""

_CONFIG_DOC: Final = (
    "A flat YAML file of settings by their names. Programs that reload look at it again on SIGHUP "
    "and when it changes."
)


class SettingRow(NamedTuple):
    """A setting as help and reference page show it.

    `flag` is empty for a secret; `default` is None where a value is required; `bounds` is such as
    `from 1 to 9`, or empty; `doc` is one paragraph; `group` is its heading.
    """

    name: str
    flag: str
    variable: str
    metavar: str
    default: str | None
    bounds: str
    doc: str
    group: str
    reload: bool


def describe(cls: type[Any], program: str) -> list[SettingRow]:
    """Return every setting in the order of the class, for help and reference pages."""
    docs = {CONFIG: _CONFIG_DOC, **_docs(cls)}
    rows, group = [], "settings"
    for setting in declared(cls, program):
        group = setting.metadata.get("group", group) if setting.of_class else "more settings"
        row = SettingRow(
            name=setting.name,
            flag="" if setting.metadata.get("secret") else setting.flag,
            variable=setting.variable,
            metavar=setting.metavar(),
            default=None if setting.required else setting.default_text(),
            bounds=_bounds(setting.metadata),
            doc=docs.get(setting.name, ""),
            group=group,
            reload=bool(setting.metadata.get("reload")),
        )
        rows.append(row)
    return rows


def help_text(cls: type[Any], program: str, *, width: int) -> str:
    """Return what `--help` prints, wrapped to `width` columns (40 to 100)."""
    width = min(max(width, 40), 100)
    rows = describe(cls, program)
    summary = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
    intro = (
        "Each setting is taken from its flag, else from its environment variable, else from the "
        f"YAML file that --config names (`{rows[0].name}: ...`), else it is the default."
    )
    lines = [f"usage: inferometer {program} [SETTINGS]", ""]
    lines += [*textwrap.wrap(summary, width), "", *textwrap.wrap(intro, width)]
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            lines += ["", f"{group}:"]
        lines += ["", *_help_of(row, width)]
    return "\n".join(lines) + "\n"


def _help_of(row: SettingRow, width: int) -> Iterator[str]:
    yield f"  {row.flag or row.name} {row.metavar}".rstrip()
    indent = " " * 6
    wrap = textwrap.TextWrapper(
        width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    yield from wrap.wrap(row.doc)
    default = "required" if row.default is None else f"default: {row.default}"
    variable = f"env: {row.variable}" if row.flag else f"env or file only: {row.variable}"
    reload = "may change at a reload" if row.reload else ""
    notes = [note for note in (default, row.bounds, variable, reload) if note]
    yield from wrap.wrap(f"[{'; '.join(notes)}]")


def _docs(cls: type[Any]) -> dict[str, str]:
    """Return the text under each field, read from the source since Python does not keep it."""
    docs: dict[str, str] = {}
    for part in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        except (OSError, TypeError):  # no source at hand: the help goes without reasons
            continue
        definition = tree.body[0]
        assert isinstance(definition, ast.ClassDef), part
        for first, second in zip(definition.body, definition.body[1:], strict=False):
            match first, second:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(doc))),
                ):
                    docs[name] = " ".join(doc.split())
    return docs


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of the class with the names it goes by; `config` may be none of its fields."""

    name: str
    flag: str
    variable: str
    hint: Any  # the type of one value: without `| None`, and inside of `tuple[..., ...]`
    repeatable: bool
    default: Any
    metadata: Mapping[str, Any]
    of_class: bool

    @property
    def required(self) -> bool:
        """Tell whether there is no default."""
        return self.default is dataclasses.MISSING

    def default_text(self) -> str:
        """Return the default as one would write it."""
        if self.metadata.get("secret") or self.default in (None, (), ""):
            return "none"
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return ", ".join(map(str, self.default)) if self.repeatable else str(self.default)

    def metavar(self) -> str:
        """Return the word that stands for the value in the help."""
        if "metavar" in self.metadata:
            return str(self.metadata["metavar"])
        if self.hint is bool:
            return f"| --no-{self.flag.removeprefix('--')}"
        if typing.get_origin(self.hint) is Literal:
            return "|".join(typing.get_args(self.hint))
        number = "SECONDS" if self.name.endswith("_s") else "NUMBER"
        words = {int: "N", float: number, Path: "FILE", Address: "ADDRESS", Upstream: "URL"}
        return words.get(self.hint, "TEXT") + (" (repeatable)" if self.repeatable else "")

    def read(self, node: Node, report: Report) -> object | None:
        """Type a node; None after a report."""
        secret = bool(self.metadata.get("secret"))
        return self.reader()(Value(self.name, node, report, secret))

    def reader(self) -> Reader[object]:
        """Return what types a value of this setting."""
        one = self._one_reader()
        return listed(one, minimum=0, maximum=ITEMS_MAX) if self.repeatable else one

    def _one_reader(self) -> Reader[object]:
        if "parse" in self.metadata:
            return _parsed(self.metadata["parse"])
        if typing.get_origin(self.hint) is Literal:
            return one_of(*typing.get_args(self.hint))
        readers: dict[Any, Reader[object]] = {
            str: _parsed(str),
            Path: _parsed(_path),
            bool: boolean,
            int: _number("a whole number", INTEGER, int, self.metadata),
            float: _number("a number", DECIMAL, float, self.metadata),
        }
        return readers[self.hint]


def declared(cls: type[Any], program: str) -> Iterator[Setting]:
    """Return the settings of a class in its order, and `config` last if it has none."""
    hints = typing.get_type_hints(cls)
    prefix = re.sub(r"[^A-Z0-9]+", "_", f"inferometer_{program}_".upper())
    fields = dataclasses.fields(cls)
    for one in fields:
        hint = hints[one.name]
        repeatable = typing.get_origin(hint) is tuple
        inside = typing.get_args(hint)
        yield Setting(
            name=one.name,
            flag=flag_of(one.name),
            variable=prefix + one.name.upper(),
            hint=inside[0] if repeatable or type(None) in inside else hint,
            repeatable=repeatable,
            default=one.default,
            metadata=one.metadata,
            of_class=True,
        )
    if CONFIG not in {one.name for one in fields}:
        variable = prefix + CONFIG.upper()
        yield Setting(
            CONFIG, flag_of(CONFIG), variable, Path, repeatable=False, default=None,
            metadata={}, of_class=False,
        )  # fmt: skip


def flag_of(name: str) -> str:
    """Return `--header-timeout-s` for `header_timeout_s`."""
    return f"--{name.replace('_', '-')}"


def _number(
    what: str, form: re.Pattern[str], kind: type[int | float], metadata: Mapping[str, Any]
) -> Reader[object]:
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")

    def read_number(value: Value) -> object | None:
        word = value.node.text if isinstance(value.node, Scalar) else ""
        if form.fullmatch(word):
            number = kind(word)
            low = minimum is not None and number < minimum
            high = maximum is not None and number > maximum
            if not low and not high:
                return number
        value.refuse(f"{what} {_bounds(metadata)}".rstrip())
        return None

    return read_number


def _bounds(metadata: Mapping[str, Any]) -> str:
    minimum, maximum = metadata.get("minimum"), metadata.get("maximum")
    match minimum, maximum:
        case None, None:
            return ""
        case _, None:
            return f"of {minimum} or more"
        case None, _:
            return f"of {maximum} or less"
    return f"from {minimum} to {maximum}"


def _parsed(parse: Callable[[str], object]) -> Reader[object]:
    def read_parsed(value: Value) -> object | None:
        node = value.node
        if not isinstance(node, Scalar) or not (node.text or node.quoted):
            value.refuse("a text")
            return None
        try:
            return parse(node.text)
        except ValueError as error:
            expected, hint = (*map(str, error.args), "", "")[:2]
            value.refuse(expected, hint=hint)
            return None

    return read_parsed


def _path(text: str) -> Path:
    if not text or "\0" in text:
        expected = "the path of a file"
        raise ValueError(expected)
    return Path(text)
