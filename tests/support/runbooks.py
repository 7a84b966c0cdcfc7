"""Runbooks as data: their sections, queries and commands; and what PromQL reads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import promql_parser

from support.tree import ROOT

FOLDER: Final = ROOT / "alerts" / "runbooks"


@dataclass(frozen=True)
class Runbook:
    """One runbook."""

    name: str
    text: str

    @property
    def sections(self) -> dict[str, str]:
        """Return the text below each heading."""
        parts = re.split(r"^## (.+)\n", self.text, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    def blocks(self, section: str, language: str) -> list[str]:
        """Return the blocks of code in a section, without their indent."""
        found = re.findall(
            rf"^( *)```{language}\n(.*?)^ *```$",
            self.sections[section],
            re.MULTILINE | re.DOTALL,
        )
        return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def runbooks() -> list[Runbook]:
    """Return all runbooks."""
    return [Runbook(path.stem, path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.md"))]


def selectors(promql: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name of each selected metric, and its conditions on labels.

    A condition on the name itself is under `__name__`, and then there is no name.
    """
    todo: list[Any] = [promql_parser.parse(promql)]
    while todo:
        node = todo.pop()
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {one.name: one.value for one in node.matchers.matchers}
            yield node.name or "", matchers
        children = ("lhs", "rhs", "expr", "param", "vector_selector", "args")
        for child in filter(None, (getattr(node, name, None) for name in children)):
            todo += child if isinstance(child, list) else [child]


def family(name: str) -> str:
    """Return the metric that a series of a histogram belongs to."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def path_of(alert: str) -> Path:
    """Return where the runbook of an alert must be."""
    return FOLDER / f"{alert}.md"
