"""Proofs as people and tools read them: a table in text, JSON, and a badge. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from inferometer.slo import table
from inferometer.slo.proof.figures import FalseAlarm, Figures, Page, figures, percent, said, span
from inferometer.slo.proof.prove import Look, Outcome, Proof, who
from inferometer.slo.proof.scenario import Reading
from inferometer.slo.shown import many
from inferometer.slo.table import Cell, Row, Tone
from inferometer.slo.windows import DAY_S

HEAD: Final = (
    "SLO", "objective", "100 % bad pages", "50 % bad pages", "smallest page", "smallest ticket",
    "false alarms", "scenarios",
)  # fmt: skip
_SCENARIOS: Final = ("scenario", "by the model", "promtool")
_TONES: Final[Mapping[str, Tone]] = {"confirmed": "good", "disagrees": "bad", "unconfirmed": ""}
_COLOURS: Final = {"good": "brightgreen", "bad": "red", "": "lightgrey"}


def passed(proofs: Sequence[Proof]) -> bool:
    """Tell whether everything can fire and nothing disagrees."""
    return all(proof.agrees and not figures(proof).faults for proof in proofs)


def text(proofs: Sequence[Proof], *, witness: str, colours: bool) -> str:
    """Return tables. `witness` is what confirmed it, empty if nothing did."""
    rates = {proof.case.rate for proof in proofs}
    lines = [f"At {many(max(rates), 'request')} a minute:" if rates else "There is no SLO.", ""]
    lines += table.lines(HEAD, (row for proof in proofs for row in _rows(proof)), colours=colours)
    for proof in proofs:
        lines += ["", f"{', '.join(map(str, proof.case.slos))}:"]
        lines += table.lines(_SCENARIOS, map(_scenario, proof.outcomes), colours=colours)
    lines += ["", f"{_summary(proofs)}{_by(witness)}.", ""]
    return "\n".join(lines)


def _by(witness: str) -> str:
    return f", by {witness}" if witness else "; without promtool the model alone has spoken"


def _summary(proofs: Sequence[Proof]) -> str:
    slos = sum(len(proof.case.slos) for proof in proofs)
    counts = _counts(proofs)
    words = ", ".join(_verdict(verdict, number) for verdict, number in counts.items() if number)
    whose = "of its" if slos == 1 else f"{len(proofs)} of them different; of their"
    return f"{many(slos, 'SLO')}{'; ' if slos == 1 else ', '}{whose} scenarios {words or 'none'}"


def _verdict(verdict: str, number: int) -> str:
    """Return how many are so: `2 confirmed`, but `1 disagrees` and `2 disagree`."""
    return f"{number} {verdict if number == 1 else verdict.removesuffix('s')}"


def _counts(proofs: Sequence[Proof]) -> Mapping[str, int]:
    every = [outcome.verdict for proof in proofs for outcome in proof.outcomes]
    return {verdict: every.count(verdict) for verdict in ("confirmed", "unconfirmed", "disagrees")}


def _rows(proof: Proof) -> Iterator[Row]:
    known = figures(proof)
    promise = proof.case.subject.promise
    objective = f"{(100 * promise.objective).normalize():f} % in {promise.window_s // DAY_S}d"
    alarms = known.false_alarms
    verdict = _worst(proof)
    for slo in proof.case.slos:
        yield Row(
            (
                Cell(str(slo)),
                Cell(objective),
                Cell(_paged(known.outage), "" if known.outage else "worry"),
                Cell(_paged(known.half)),
                Cell(_share(known.smallest_page)),
                Cell(_share(known.smallest_ticket)),
                Cell(_alarms(alarms), "worry" if alarms else "good"),
                Cell(verdict, _TONES[verdict]),
            ),
            tuple(known.faults),
        )


def _worst(proof: Proof) -> str:
    found = {outcome.verdict for outcome in proof.outcomes}
    return next(one for one in ("disagrees", "unconfirmed", "confirmed") if one in found)


def _paged(page: Page | None) -> str:
    if page is None:
        return "never"
    return f"{span(page.minutes)} ({page.pair}), {percent(page.spent)} spent"


def _share(share: Decimal | None) -> str:
    return "none" if share is None else f"{float(100 * share):.3g} %"


def _alarms(found: Sequence[FalseAlarm]) -> str:
    return ", ".join(f"{one.scenario} {span(one.minutes)}" for one in found) or "none"


def _scenario(outcome: Outcome) -> Row:
    cells = (
        Cell(outcome.scenario.name),
        Cell(said(outcome)),
        Cell(outcome.verdict, _TONES[outcome.verdict]),
    )
    return Row(cells, outcome.differences)


def data(proofs: Sequence[Proof], *, witness: str) -> str:
    """Return everything as JSON."""
    found = {
        "passed": passed(proofs),
        "promtool": witness or None,
        "scenarios": _counts(proofs),
        "promises": [_promise(proof) for proof in proofs],
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _promise(proof: Proof) -> Mapping[str, Any]:
    subject, known = proof.case.subject, figures(proof)
    return {
        "slos": [slo._asdict() for slo in proof.case.slos],
        "objective": float(subject.promise.objective),
        "window_s": subject.promise.window_s,
        "min_bad": subject.promise.min_bad,
        "weight": subject.weight,
        "requests_per_minute": proof.case.rate,
        **_known(known),
        "scenarios": [_told(outcome) for outcome in proof.outcomes],
    }


def _known(known: Figures) -> Mapping[str, Any]:
    return {
        "outage": _page(known.outage),
        "half": _page(known.half),
        "smallest_page": _float(known.smallest_page),
        "smallest_ticket": _float(known.smallest_ticket),
        "false_alarms": [one._asdict() for one in known.false_alarms],
        "faults": list(known.faults),
    }


def _page(page: Page | None) -> Mapping[str, Any] | None:
    return page and {**page._asdict(), "spent": round(float(page.spent), 6)}


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number)


def _told(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "name": outcome.scenario.name,
        "title": outcome.scenario.title,
        "verdict": outcome.verdict,
        "start_min": outcome.scenario.start,
        "expected": [_look(look) for look in outcome.looks],
        "differences": list(outcome.differences),
    }


def _look(look: Look) -> Mapping[str, Any]:
    if isinstance(look.of, Reading):
        return {
            "number": look.of.what,
            "minute": look.of.minute,
            "value": _float(look.of.value),
        }
    return {"alert": who(look.of), "edge": look.of.edge, "minute": look.minute}


def badge(proofs: Sequence[Proof]) -> str:
    """Return the JSON that shields.io makes a badge of."""
    counts = _counts(proofs)
    done = sum(counts.values())
    tone = "" if counts["unconfirmed"] else "good"
    message = f"{counts['confirmed']} of {done} confirmed"
    if not passed(proofs):
        faults = sum(len(figures(proof).faults) for proof in proofs)
        tone, message = "bad", f"{_verdict('disagrees', counts['disagrees'])}, {faults} cannot fire"
    elif counts["unconfirmed"]:
        message = "unconfirmed"
    found = {
        "schemaVersion": 1,
        "label": "SLO proof",
        "message": message,
        "color": _COLOURS[tone],
    }
    return json.dumps(found) + "\n"
