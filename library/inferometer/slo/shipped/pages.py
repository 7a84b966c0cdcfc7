"""What pages say of shipped alerts: a part of each runbook, and tables of all of them, in Markdown.

The rest of a runbook is written by hand, for somebody who was woken and has never seen the system.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from inferometer.slo.promql import duration, number
from inferometer.slo.rule import Alert
from inferometer.slo.shipped.index import Entry, Waiting
from inferometer.slo.shipped.record import Limit

WORDS: Final = {"critical": "page", "warning": "ticket", "info": "notice"}
"""What a severity asks of people."""


START: Final = "../../docs/alerts.md#if-you-were-woken"


def summary(entry: Entry) -> str:
    """Return the first lines of a runbook: what it means in a sentence, and who asks for what."""
    asked = " or a ".join(WORDS[severity] for severity in entry.severities)
    return f"**{entry.means}** It is a {asked}. Never seen this system? [Start here]({START})."


def meaning(entry: Entry) -> str:
    """Return what an alert compares, with its defaults, for its runbook."""
    parts = [_rule(rule) for rule in entry.rules]
    if entry.limits:
        rows = (_limit_row(limit) for limit in entry.limits)
        head = ("limit", "default", "what it is", "source")
        parts.append("\n".join(_table(head, rows)))
    parts.append(f"Needs {'; '.join(entry.needs)}.")
    return "\n\n".join(parts)


def shipped_table(entries: Iterable[Entry], tests: Mapping[str, str]) -> str:
    """Return the table of all alerts; `tests` are links to what proves each of them."""
    head = ("alert", "severity", "what it means", "default", "needs", "test")
    rows = (_entry_row(entry, tests[entry.name]) for entry in entries)
    return "\n".join(_table(head, rows))


def waiting_table(waiting: Iterable[Waiting]) -> str:
    """Return the table of alerts that are not there yet, and why."""
    head = ("alert", "severity", "what it would tell", "waits for")
    rows = ((f"`{one.name}`", WORDS[one.severity], one.means, one.waits_for) for one in waiting)
    return "\n".join(_table(head, rows))


def _rule(rule: Alert) -> str:
    labels = "".join(f", `{name}={value}`" for name, value in rule.labels)
    since = f", after {duration(rule.for_s)}" if rule.for_s else ", at once"
    until = f", for {duration(rule.keep_firing_for_s)} longer" if rule.keep_firing_for_s else ""
    head = f"A {WORDS[rule.severity]} (`severity={rule.severity}`{labels}){since}{until}:"
    return f"{head}\n\n```promql\n{rule.expr}\n```"


def _limit_row(limit: Limit) -> tuple[str, ...]:
    part = f', part="{limit.part}"' if limit.part else ""
    name = f'`{{alert="{limit.alert}"{part}}}`'
    return name, _default(limit), limit.meaning, limit.source


def _default(limit: Limit) -> str:
    unit = "" if limit.unit == "ratio" else f" {limit.unit}"
    return f"{number(limit.default)}{unit}"


def _entry_row(entry: Entry, test: str) -> tuple[str, ...]:
    limits = "; ".join(
        f"{_default(limit)}{f' ({limit.part})' if limit.part else ''}" for limit in entry.limits
    )
    return (
        f"[{entry.name}](../alerts/runbooks/{entry.name}.md)",
        ", ".join(WORDS[severity] for severity in entry.severities),
        entry.means,
        limits,
        "; ".join(entry.needs),
        test,
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
