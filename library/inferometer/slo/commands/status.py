"""`inferometer slo status`: how every SLO stands, for people and for tools."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from inferometer.prom.answer import Answer, Hold
from inferometer.prom.client import Client
from inferometer.prom.endpoint import Endpoint, parse
from inferometer.prom.settings import Access
from inferometer.settings import resolve
from inferometer.slo import table
from inferometer.slo.commands.reading import load
from inferometer.slo.document import Document
from inferometer.slo.ledger.book import Key
from inferometer.slo.ledger.keeper import by_key
from inferometer.slo.ledger.ledger import Standing, ahead, standing, subjects
from inferometer.slo.ledger.store import FileStore
from inferometer.slo.ledger.tallies import Recorded
from inferometer.slo.online.asking import number
from inferometer.slo.online.status import REASON_WINDOW, History, Status, history, statuses
from inferometer.slo.shown import coarse_percent, known, moment, percent, rate, span
from inferometer.slo.table import Cell, Row, Tone

PROGRAM: Final = "slo status"
HEAD: Final = (
    "SLO", "objective", "good", "budget left", "burn 1h", "burn 6h", "lasts",
    f"worst ({REASON_WINDOW})", "known", "state",
)  # fmt: skip
_LOW: Final = Decimal("0.25")
"""A budget that is worth a look: three quarters are spent."""
_TONES: Final[Mapping[str, Tone]] = {
    "ok": "good",
    "idle": "faint",
    "no traffic": "faint",
    "partial": "worry",
    "no ledger": "worry",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Access):
    """Tell how SLOs stand: what was good, what is left of the budget, how fast it burns.

    Exit code 0 if every SLO has budget left and can be believed, 1 if one has none, or if nobody
    would know (no rules, no data, no sum over the window, another objective), or if Prometheus
    failed; 2 if the command or a document is wrong.
    """

    files: tuple[Path, ...] = field(
        metadata={"positional": True, "metavar": "FILE (repeatable)", "group": "settings"}
    )
    """SLO documents, also as plain words."""

    prometheus: Endpoint = field(metadata={"parse": parse, "metavar": "URL"})
    """The Prometheus, Thanos or Mimir that evaluates the rules, with the prefix of its path."""

    store: Path | None = None
    """The file of `inferometer slo ledger`: its counts reach further back, and it knows when what
    counts as good was changed. What came since its last pass is asked for at once and added; the
    file stays as it is. SLOs that it does not know stand as the rules say."""

    cluster: str = ""
    """Value of the label `cluster`, where many clusters write to one Thanos or Mimir."""

    format: Literal["text", "json"] = "text"
    """How it is printed: for people, or as one JSON object for tools."""


def main(argv: Sequence[str]) -> int:
    """Print how SLOs stand. Raises UserError and WorldError."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    documents = load(settings.files)
    with settings.client(settings.prometheus) as client:
        at_s, back = client.now_s(), history(client)
        kept = _kept(settings, documents, client, at_s)
        found = statuses(documents, client, ledger=kept, cluster=settings.cluster)
    if settings.format == "json":
        data = {"at": at_s, "retention_s": back.retention_s, "slos": list(map(_data, found))}
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        colours = table.coloured(sys.stdout, os.environ)
        sys.stdout.write("\n".join(table.lines(HEAD, map(_row, found), colours=colours)))
        sys.stdout.write(f"\n\n{_origin(settings.prometheus, at_s, back)}\n")
    return int(any(one.fails for one in found))


def _kept(
    settings: Settings, documents: Sequence[Document], client: Client, at_s: float
) -> Mapping[Key, Standing] | None:
    """Return how SLOs stand by the file and what came since, those of which it has anything."""
    if settings.store is None:
        return None
    wanted, source = subjects(documents), Recorded(client, cluster=settings.cluster)
    book = ahead(FileStore(settings.store).load().book, wanted, source, now_s=at_s)
    known = [one for one in wanted if one.key in book and book[one.key].days]
    return by_key(standing(book, one, at_s) for one in known)


def _origin(endpoint: Endpoint, at_s: float, back: History) -> str:
    parts = [f"At {moment(at_s)}, by {endpoint}"]
    if back.retention_s is not None:
        parts.append(f"which keeps {span(back.retention_s)}")
    if back.oldest_s is not None and back.oldest_s < at_s:
        parts.append(f"and holds samples since {moment(back.oldest_s)}")
    return f"{', '.join(parts)}."


def _row(one: Status) -> Row:
    cells = (
        Cell("/".join(filter(None, one.key))),
        Cell(percent(one.objective)),
        Cell(known(one.attainment, percent), _tone(one)),
        Cell(known(one.remaining, coarse_percent), _tone(one)),
        Cell(known(one.burn_1h, rate), _burn_tone(one.burn_1h)),
        Cell(known(one.burn_6h, rate), _burn_tone(one.burn_6h)),
        Cell(known(one.exhaustion_s, span)),
        Cell(one.reason or "-"),
        Cell(f"{span(one.known_s)} of {span(one.elapsed_s)}"),
        Cell(one.state, _TONES.get(one.state, "bad")),
    )
    return Row(cells, tuple(_notes(one)))


def _notes(one: Status) -> Iterator[str]:
    if one.state == "no rules":
        yield "its rules are not loaded: render them and load them into this Prometheus"
    if one.state == "other objective" and one.rendered is not None:
        yield f"its rules state {percent(one.rendered)}: render them anew"
    if one.state == "no data":
        yield "nothing counts it now: is the sidecar scraped, does the namespace agree?"
    if one.state == "stale":
        yield "nothing was recorded for minutes: are its counters scraped, are rules evaluated?"
    if one.state == "no budget":
        yield "nobody sums up its window: load the slo.yaml that was rendered with this document"
    if one.state == "partial" and not one.by_ledger:
        yield "what was bad before is not known: run `inferometer slo ledger`"
    if one.state == "no ledger":
        yield "rules cannot sum up its window: run `inferometer slo ledger`"
    if one.definition_since is not None:
        yield f"what counts as good was changed on {one.definition_since}"


def _tone(one: Status) -> Tone:
    left = number(one.remaining)
    if left is None:
        return "faint"
    if left <= 0:
        return "bad"
    return "worry" if left < _LOW else "good"


def _burn_tone(burn: Answer) -> Tone:
    found = number(burn)
    if found is None:
        return "faint"
    return "worry" if found > 1 else ""


def _data(one: Status) -> Mapping[str, Any]:
    return {
        "namespace": one.key[0],
        "slo": one.key[1],
        "objective": float(one.objective),
        "attainment": _answer(one.attainment),
        "budget_left": _answer(one.remaining),
        "burn_1h": _answer(one.burn_1h),
        "burn_6h": _answer(one.burn_6h),
        "exhaustion_s": _answer(one.exhaustion_s),
        "worst_reason": one.reason or None,
        "window_s": one.window_s,
        "elapsed_s": one.elapsed_s,
        "known_s": one.known_s,
        "state": one.state,
        "by_ledger": one.by_ledger,
        "definition_since": one.definition_since.isoformat() if one.definition_since else None,
        "fails": one.fails,
    }


def _answer(found: Answer) -> Mapping[str, Any]:
    """Return a number, or null and why there is none."""
    if isinstance(found, Hold):
        return {"value": None, "unknown": found.reason}
    return {"value": float(known(found, str))}
