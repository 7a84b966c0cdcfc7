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
from inferometer.metrics.dcgm import FAMILIES, DcgmFamily
from inferometer.settings import describe
from inferometer.slo.shipped.index import WAITING, entries
from inferometer.slo.shipped.pages import meaning, shipped_table, summary, waiting_table

FOLDER: Final = Path(__file__).parent / "reference"
RUNBOOKS: Final = Path(__file__).parents[1] / "alerts" / "runbooks"
SCENES: Final = Path(__file__).parents[1] / "tests" / "support"
HEAD: Final = "<!-- Written by docs/generate.py: change the code, then `make generate`. -->\n"
NAMED_MAX: Final = 3
"""Metrics of a label that are named one by one; more are only counted."""
SOURCES: Final = {
    "sidecar": "Exported by the sidecar, on its admin port",
    "gpu": "Exported by the GPU exporter",
    "dcgm": "Exported by the GPU exporter under DCGM's names, see [dcgm.md](dcgm.md)",
    "web": "Exported by every program, about its own admin port",
    "process": "Exported by every program, about its process",
    "ledger": "Exported by `inferometer slo ledger --listen`",
    "rules": "Recorded in Prometheus, by the rules that `inferometer slo render` writes",
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


def dcgm_page() -> Iterator[str]:
    """Yield the page of DCGM's families: both names, and which devices have them."""
    yield "# Families of DCGM"
    yield ""
    yield (
        "What the GPU exporter shows under names that dashboards for dcgm-exporter know. "
        "`--dcgm-names` chooses the names, `--fields` the families. With MIG on, a family is "
        "shown of the whole device only (*parent*), of each instance too (*instance*), or not "
        "at all (*absent*). Types and units are DCGM's own, wrong ones included."
    )
    yield ""
    head = ("older name", "name from DCGM 4.6 on", "by default", "kind", "with MIG", "devices")
    yield from table((*head, "what it tells"), map(_dcgm_row, FAMILIES))


def _dcgm_row(family: DcgmFamily) -> tuple[str, ...]:
    renamed = code(family.renamed) if family.renamed != family.classic else "the same"
    on = "yes" if family.on else ""
    since = family.since or "all"
    return code(family.classic), renamed, on, family.kind, family.mig, since, family.help


def settings_page(program: str) -> Iterator[str]:
    """Yield the page of one program, or of its subcommands: every setting and its reason."""
    yield f"# inferometer {program}"
    yield ""
    yield f"{COMMANDS[program].summary[:1].upper()}{COMMANDS[program].summary[1:]}."
    yield ""
    yield (
        "A flag wins over the environment variable, which wins over the file that `--config` names"
        " (flat YAML, the names of the flags with `_` for `-`), which wins over the default."
    )
    yield ""
    cli = COMMANDS[program].module
    subcommands = getattr(import_module(cli), "COMMANDS", {})
    if not subcommands or hasattr(import_module(cli), "Settings"):
        settings = import_module(f"{cli.rpartition('.')[0]}.settings").Settings
        yield from _settings_table(settings, program)
    for name, command in subcommands.items():
        yield f"## inferometer {program} {name}"
        yield ""
        yield f"{command.summary[:1].upper()}{command.summary[1:]}."
        yield ""
        yield from _settings_table(import_module(command.module).Settings, f"{program} {name}")


def _settings_table(settings: type, program: str) -> Iterator[str]:
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
        FOLDER / "dcgm.md": dcgm_page,
        FOLDER / "exit-codes.md": exit_codes_page,
    }
    programs = {
        FOLDER / f"{program}.md": lambda program=program: settings_page(program)
        for program in COMMANDS
    }
    return fixed | programs


def parts() -> Iterator[tuple[Path, str, str]]:
    """Yield what is written into pages by hand: the page, the name of the part, and its text."""
    alerts = FOLDER.parent / "alerts.md"
    tests = {entry.name: scenes(entry.name) for entry in entries()}
    yield alerts, "shipped", shipped_table(entries(), tests)
    yield alerts, "waiting", waiting_table(WAITING)
    for entry in entries():
        yield RUNBOOKS / f"{entry.name}.md", "means", summary(entry)
        yield RUNBOOKS / f"{entry.name}.md", "rule", meaning(entry)


def scenes(alert: str) -> str:
    """Return a link to the scenes that a promtool plays of an alert."""
    (path,) = (p for p in SCENES.glob("scenes_*.py") if f'"{alert}"' in p.read_text("utf-8"))
    return f"[{path.stem}](../tests/support/{path.name})"


def filled(text: str, name: str, part: str) -> str:
    """Return a page with one of its parts. Raises ValueError if the page has no place for it."""
    begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
    before, mark, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (mark and closed):
        message = f"no {begin.strip()} with {end} after it"
        raise ValueError(message)
    return f"{before}{begin}{part}\n{end}{after}"


def texts() -> dict[Path, str]:
    """Return the text of each page, of those by hand with their generated parts."""
    found = {path: render(write()) for path, write in pages().items()}
    for path, name, part in parts():
        found[path] = filled(found.get(path) or path.read_text("utf-8"), name, part)
    return found


def render(lines: Iterator[str]) -> str:
    """Return the text of a page."""
    return HEAD + "\n".join(lines).rstrip("\n") + "\n"


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    check = parser.parse_args().check
    stale = []
    for path, text in texts().items():
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
