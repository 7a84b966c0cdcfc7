"""What a proof tells about an SLO in a few numbers, and what is wrong with it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from inferometer.slo.model import TICKS, smallest_share
from inferometer.slo.proof.oracle import RUNS
from inferometer.slo.proof.prove import Outcome, Proof, who
from inferometer.slo.proof.scenario import Reading, Watch
from inferometer.slo.proof.standins import GAUGE
from inferometer.slo.rule import Severity
from inferometer.slo.windows import MINUTE_S, SECONDS

HALF: Final = Decimal("0.5")


class Page(NamedTuple):
    """How soon somebody is paged, by which pair, and how much of the budget is gone by then."""

    minutes: int
    pair: str
    spent: Decimal


class FalseAlarm(NamedTuple):
    """An alert in a scenario in which nobody should hear anything, and after how many minutes."""

    scenario: str
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The numbers of one promise; None where nobody is told, or wants to be."""

    outage: Page | None
    half: Page | None
    smallest_page: Decimal | None
    smallest_ticket: Decimal | None
    false_alarms: tuple[FalseAlarm, ...]
    faults: tuple[str, ...]


def figures(proof: Proof) -> Figures:
    """Return the numbers of a proof."""
    subject = proof.case.subject
    rate = 1 if subject.kind == GAUGE else proof.case.rate

    def smallest(severity: Severity) -> Decimal:
        return smallest_share(severity, subject.promise, subject.slice, rate=rate)

    outcomes = {outcome.scenario.name: outcome for outcome in proof.outcomes}
    return Figures(
        outage=_page(proof, outcomes["outage"], Decimal(1)),
        half=_page(proof, outcomes["half"], HALF),
        smallest_page=smallest("critical") if subject.page else None,
        smallest_ticket=smallest("warning") if subject.ticket else None,
        false_alarms=tuple(_false_alarms(proof)),
        faults=tuple(_faults(proof)),
    )


def _page(proof: Proof, outcome: Outcome, share: Decimal) -> Page | None:
    found = [
        (look.minute - outcome.scenario.start, look.of.pair.name)
        for look in outcome.looks
        if isinstance(look.of, Watch)
        and look.of.edge == "first"
        and look.of.pair is not None
        and look.minute is not None
    ]
    if not found:
        return None
    minutes, pair = min(found)
    promise = proof.case.subject.promise
    bad = Decimal(1) if proof.case.subject.slice else share  # a slice is bad or not
    spent = bad * minutes * MINUTE_S / ((1 - promise.objective) * promise.window_s)
    return Page(minutes, pair, spent)


def _false_alarms(proof: Proof) -> Iterator[FalseAlarm]:
    for outcome in proof.outcomes:
        for look in outcome.looks:
            if isinstance(look.of, Watch) and look.of.must == "silent" and look.minute is not None:
                yield FalseAlarm(outcome.scenario.name, look.minute - outcome.scenario.start)


def _faults(proof: Proof) -> Iterator[str]:
    for outcome in proof.outcomes:
        for look in outcome.looks:
            if isinstance(look.of, Watch):
                yield from _faults_of(proof, outcome, look.of, look.minute)
    if proof.case.subject.page:
        outage = next(one for one in proof.outcomes if one.scenario.name == "outage")
        if _page(proof, outage, Decimal(1)) is None:
            yield "outage: nobody is paged"


def _faults_of(proof: Proof, outcome: Outcome, watch: Watch, minute: int | None) -> Iterator[str]:
    pair, name = watch.pair, outcome.scenario.name
    if pair is None or not proof.case.subject.wants(pair):
        return
    if watch.must == "fire" and minute is None:
        yield f"{name}: {pair.name} cannot fire"
    if watch.must == "end" and minute is not None:
        last = (SECONDS[pair.short] + pair.keep_firing_for_s) // MINUTE_S + TICKS
        length_ns = proof.case.subject.slice.length_ns if proof.case.subject.slice else 0
        last += length_ns // (MINUTE_S * 10**9)
        if minute - outcome.scenario.over > last:
            yield f"{name}: {pair.name} does not end in time"


def said(outcome: Outcome) -> str:
    """Return what the model says of a scenario, in a line."""
    scenario = outcome.scenario
    parts, ends = [], []
    for look in outcome.looks:
        if isinstance(look.of, Reading):
            continue
        if look.of.edge == "last":
            if look.minute is not None:
                ends.append(look.minute - scenario.over)
        elif look.minute is None:
            parts.append(f"{who(look.of)} silent")
        else:
            late = RUNS[scenario.run].step_min
            about = "about " if late > 1 else ""
            parts.append(f"{who(look.of)} after {about}{span(look.minute - scenario.start)}")
    if ends:
        parts.append(f"all over {span(max(ends))} later")
    parts += [_number(look.of) for look in outcome.looks if isinstance(look.of, Reading)]
    return ", ".join(dict.fromkeys(filter(None, parts)))


def _number(reading: Reading) -> str:
    if reading.value is None:
        return ""
    kind = "budget left" if "budget" in reading.what else "ratio"
    return f"{kind} {100 * reading.value:.3g} %" if reading.value else f"{kind} 0 %"


def span(minutes: int) -> str:
    """Return minutes as people say them."""
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def percent(share: Decimal) -> str:
    """Return a share as percent, to two digits or to the whole percent."""
    number = 100 * share
    return f"{number:.0f} %" if number >= 10 else f"{number:.2g} %"  # noqa: PLR2004 (digits)
