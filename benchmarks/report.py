"""RESULTS.md: one section a scenario, each with its machine, its command and its verdicts.

A run replaces the sections of the scenarios it measured and leaves the others, with their own
dates, alone. The table of targets at the top is gathered from all sections.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RESULTS = Path(__file__).parent / "RESULTS.md"
INTRO = """# What inferometer costs

Written by `python -m benchmarks` (`make bench`). Everything ran on one machine over loopback: the
proxy pinned to one core, the scripted server and the load (C, single-threaded) to another; proxies
take turns within each round. Figures are the median of the rounds with the least and the greatest
in brackets; ratios are taken within a round. CPU is that of the proxy's whole process tree.
Machines differ and shared ones are noisy: read the ratios, not the microseconds.
"""
TARGETS = "| figure | measured | gate | goal | verdict |"

Kind = Literal["most", "least"]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, what CI refuses (gate), what we want (goal). Smaller is better."""

    figure: str
    measured: float | None
    unit: str = ""
    gate: float | None = None
    goal: float | None = None
    digits: int = 2

    def row(self) -> str:
        """Write the row of the table of targets; a figure that is not known says so."""
        cells = (
            self.figure,
            self._value(self.measured, "not measured"),
            self._value(self.gate, "-"),
            self._value(self.goal, "-"),
            self.verdict(),
        )
        return "| " + " | ".join(cells) + " |"

    def verdict(self) -> str:
        """Judge the figure."""
        if self.measured is None:
            return "not measured"
        shown = round(self.measured, self.digits)
        if self.gate is not None and shown > self.gate:
            return "**gate broken**"
        if self.goal is not None and shown > self.goal:
            return "goal missed"
        return "-" if self.gate is None and self.goal is None else "met"

    def _value(self, value: float | None, unknown: str) -> str:
        if value is None:
            return unknown
        return f"{value:.{self.digits}f} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Section:
    """What one scenario has to say."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()

    def text(self, command: str, machine: str) -> str:
        """Write it as Markdown."""
        lines = [f"## {self.title}", "", self.about, "", f"`{command}`", f"{machine}", ""]
        if self.rows:
            lines += [*table(self.columns, self.rows), ""]
        if self.targets:
            lines += [TARGETS, "|---|---|---|---|---|", *(t.row() for t in self.targets), ""]
        lines += [*(f"- {note}" for note in self.notes), *([""] if self.notes else [])]
        return "\n".join(lines)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def merge(old: str, sections: Iterable[str]) -> str:
    """Put new sections in the place of those with the same title, and gather the targets."""
    parts = {_title(part): part for part in re.split(r"(?m)^(?=## )", old) if part[:3] == "## "}
    parts.pop("Targets", None)
    for section in sections:
        parts[_title(section)] = section
    rows = [row for part in parts.values() for row in _target_rows(part)]
    top = "\n".join(["## Targets", "", TARGETS, "|---|---|---|---|---|", *rows, ""])
    return "\n".join(part.strip() + "\n" for part in (INTRO, top, *parts.values()))


def save(sections: Iterable[str], path: Path = RESULTS) -> None:
    """Write the results, with what the file held on other scenarios."""
    old = path.read_text() if path.exists() else ""
    path.write_text(merge(old, sections))


def _title(section: str) -> str:
    return section.partition("\n")[0].removeprefix("## ").strip()


def _target_rows(section: str) -> list[str]:
    _, found, rest = section.partition(TARGETS + "\n")
    if not found:
        return []
    lines = rest.splitlines()[1:]
    return [line for line in lines[: lines.index("")] if line] if "" in lines else lines
