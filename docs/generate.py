"""Write the reference pages from the code that they describe, so that they cannot go stale.

`python docs/generate.py` writes the pages. With `--check` it writes nothing, names the pages that
differ, and exits 1 if there are any.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from inferometer.cli import COMMANDS, EXIT_CODES
from inferometer.metrics.catalog import LADDERS, METRICS, Label, Metric
from inferometer.settings import describe

FOLDER: Final = Path(__file__).parent / "reference"
HEAD: Final = "<!-- Written by docs/generate.py: change the code, then `make generate`. -->\n"
NAMED_MAX: Final = 3
"""Metrics of a label that are named one by one; more are only counted."""
SOURCES: Final = {
    "sidecar": "Exported by the sidecar, on its admin port",
    "web": "Exported by every program, about its own admin port",
    "process": "Exported by every program, about its process",
    "ledger": "Declared for the ledger of error budgets, which is not built yet",
    "rules": "Declared for recording rules in Prometheus, which are not built yet",
}


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    for row in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def code(text: str) -> str:
    """Return text as code, and nothing as nothing."""
    return f"`{text}`" if text else ""


def metrics_page() -> Iterator[str]:
    """Yield the page of all metrics: names, labels with their bounds, bucket edges."""
    yield "# Metrics"
    yield ""
    yield "Durations are in seconds, from a monotonic clock. What is not known is absent, never 0."
    yield ""
    for source, title in SOURCES.items():
        found = [metric for metric in METRICS.values() if metric.source == source]
        if not found:
            continue
        yield f"## {title}"
        yield ""
        yield from table(("name", "kind", "labels", "what it tells"), map(_metric_row, found))
    yield "## Labels"
    yield ""
    yield "No label has more values than this; what comes from outside is cleaned first."
    yield ""
    rows = (_label_row(label, names) for label, names in _labels().items())
    yield from table(("label", "at most", "values", "of"), rows)
    yield "## Buckets"
    yield ""
    yield "Limits that an SLO document declares are inserted as edges of their own."
    yield ""
    ladders = ((name, ", ".join(f"{e:.7g}" for e in it.edges)) for name, it in LADDERS.items())
    yield from table(("ladder", "upper edges"), ladders)


def _metric_row(metric: Metric) -> tuple[str, ...]:
    kind = f"{metric.kind}, {metric.ladder.name}" if metric.ladder else metric.kind
    labels = ", ".join(code(label) for label in metric.labels)
    return code(metric.name), kind, labels, metric.help


def _labels() -> dict[Label, list[str]]:
    """Return which metrics have each label; one name may stand for several sets of values."""
    found: dict[Label, list[str]] = {}
    for metric in METRICS.values():
        for label in metric.domains:
            found.setdefault(label, []).append(metric.name)
    return found


def _label_row(label: Label, metrics: list[str]) -> tuple[str, ...]:
    values = ", ".join(code(value) for value in label.values)
    outside = f"{label.open_max} from outside" if label.open_max else ""
    of = ", ".join(map(code, metrics)) if len(metrics) <= NAMED_MAX else f"{len(metrics)} metrics"
    return code(label.name), str(label.bound), "; ".join(filter(None, (values, outside))), of


def settings_page(program: str) -> Iterator[str]:
    """Yield the page of one program: every setting, its names, default and reason."""
    settings = import_module(f"{COMMANDS[program].module.rpartition('.')[0]}.settings").Settings
    yield f"# inferometer {program}"
    yield ""
    yield f"{COMMANDS[program].summary[:1].upper()}{COMMANDS[program].summary[1:]}."
    yield ""
    yield (
        "A flag wins over the environment variable, which wins over the file that `--config` names"
        " (flat YAML, the names of the flags with `_` for `-`), which wins over the default."
    )
    yield ""
    rows = (
        (code(row.flag), code(row.variable), _default(row.default), row.doc + _reload(row.reload))
        for row in describe(settings, program)
    )
    yield from table(("flag", "environment variable", "default", "what it does, and why"), rows)


def _default(text: str | None) -> str:
    return "required" if text is None else code(text)


def _reload(reload: bool) -> str:  # noqa: FBT001  (a column of a table)
    return " Taken up at a reload." if reload else ""


def exit_codes_page() -> Iterator[str]:
    """Yield the page of exit codes."""
    yield "# Exit codes"
    yield ""
    yield "Every command of `inferometer` uses these, and no other."
    yield ""
    rows = ((code(str(number)), text) for number, text in EXIT_CODES.items())
    yield from table(("code", "what it tells"), rows)


def pages() -> Mapping[Path, Callable[[], Iterator[str]]]:
    """Return what writes each page."""
    fixed = {
        FOLDER / "metrics.md": metrics_page,
        FOLDER / "exit-codes.md": exit_codes_page,
    }
    programs = {
        FOLDER / f"{program}.md": lambda program=program: settings_page(program)
        for program in COMMANDS
    }
    return fixed | programs


def render(lines: Iterator[str]) -> str:
    """Return the text of a page."""
    return HEAD + "\n".join(lines).rstrip("\n") + "\n"


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    check = parser.parse_args().check
    stale = []
    for path, write in pages().items():
        text = render(write())
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.write_text(text, encoding="utf-8")
    for path in stale:
        sys.stdout.write(f"{'stale' if check else 'written'}: {path}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
