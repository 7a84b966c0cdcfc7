"""Proves that SLOs alert when they must and are silent when they must, before anybody needs it.

`cases` finds what differs between SLOs, so that each promise is proved once, and lets it live
through every scenario. `jobs` are the promtool runs that confirm what the model says of them;
`judged` takes their answers. Pure: promtool is run by `commands`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from inferometer.slo import alerts, constants, rules
from inferometer.slo.document import Class, Document, Foreign
from inferometer.slo.names import Options
from inferometer.slo.proof import oracle
from inferometer.slo.proof.expected import moment
from inferometer.slo.proof.oracle import RUNS, Answers, Files, Question
from inferometer.slo.proof.scenario import BURNS, Reading, RunName, Scenario, Subject, Watch
from inferometer.slo.proof.scenarios import table
from inferometer.slo.proof.standins import StandIn, kind
from inferometer.slo.rule import Group
from inferometer.slo.windows import (
    MINUTE_S,
    NODATA_MAX_S,
    lengths_in_use,
    summed_by_rules,
)

Verdict = Literal["confirmed", "unconfirmed", "disagrees"]

OPTIONS: Final = Options()
_TOGETHER: Final = 4
"""Promises in one run of promtool: more would be more samples than one of its queries may load."""
_SLACK_MIN: Final = 10


class Name(NamedTuple):
    """What an SLO is called."""

    namespace: str
    slo: str

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.namespace}/{self.slo}" if self.namespace else self.slo


@dataclass(frozen=True, slots=True)
class Case:
    """A promise, the SLOs that make it, and those that stand in for them in each scenario."""

    subject: Subject
    slos: tuple[Name, ...]
    stand_ins: tuple[StandIn, ...]
    rate: int


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a scenario: what is asked, what the model says, and the question to promtool."""

    of: Watch | Reading
    minute: int | None
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of promtool. The files are written when it starts, since they are large."""

    run: RunName
    minutes: int
    stand_ins: tuple[StandIn, ...]
    generic: tuple[Group, ...]

    def files(self, rules_name: str) -> Files:
        """Return the file of rules, and that of series and questions."""
        own = [
            group for one in self.stand_ins for group in constants.groups(one.renamed(), OPTIONS)
        ]
        series = dict(pair for one in self.stand_ins for pair in one.series(self.minutes))
        if self.run == "pages":
            series |= oracle.stored(self.minutes)
        return oracle.files(
            (*own, *self.generic), series, self.questions, RUNS[self.run], rules_name=rules_name
        )

    @property
    def questions(self) -> tuple[Question, ...]:
        """Return all that is asked."""
        return tuple(look.question for one in self.stand_ins for look in looks(one))


def cases(documents: Sequence[Document], rate: int) -> tuple[Case, ...]:
    """Return the promises of documents in their order, each once, with all their scenarios."""
    found: dict[Subject, list[tuple[Document, Class | Foreign]]] = {}
    for document in documents:
        for one in document.promises:
            found.setdefault(_subject(document, one), []).append((document, one))
    return tuple(
        Case(
            subject,
            tuple(Name(document.namespace, one.id) for document, one in those),
            tuple(_stand_ins(number, subject, those[0], rate)),
            rate,
        )
        for number, (subject, those) in enumerate(found.items())
    )


def _subject(document: Document, one: Class | Foreign) -> Subject:
    return Subject(
        promise=constants.promise(document, one),
        weight=one.weight,
        slice=one.slice if one.weight == "slice" else None,
        page=document.alerts.page,
        ticket=document.alerts.ticket,
        summed=summed_by_rules(document.window),
        kind=kind(one),
    )


def _stand_ins(
    number: int, subject: Subject, of: tuple[Document, Class | Foreign], rate: int
) -> Iterator[StandIn]:
    for scenario in table(subject, rate):
        yield StandIn(
            id=f"s{number}-{scenario.name}",
            subject=subject,
            scenario=scenario,
            document=of[0],
            promise=of[1],
        )


def generic(documents: Sequence[Document]) -> tuple[Group, ...]:
    """Return the rules and alerts for all SLOs, as `render` writes them for these documents."""
    lengths = lengths_in_use(tuple(documents))
    return rules.generic(OPTIONS, lengths), alerts.generic(OPTIONS, lengths)


def jobs(known: Sequence[Case], generic_rules: tuple[Group, ...]) -> tuple[Job, ...]:
    """Return the runs of promtool that confirm all cases, the longest first."""
    found = []
    for start in range(0, len(known), _TOGETHER):
        together = known[start : start + _TOGETHER]
        for run in sorted(RUNS, key=_ORDER.index):
            theirs = tuple(
                one for case in together for one in case.stand_ins if one.scenario.run == run
            )
            if theirs:
                minutes = max(map(minutes_of, theirs))
                found.append(Job(run=run, minutes=minutes, stand_ins=theirs, generic=generic_rules))
    return tuple(found)


_ORDER: Final[Sequence[RunName]] = ("quiet", "silence", "slow", "pages", "drain", "month")


def minutes_of(one: StandIn) -> int:
    """Return for how long a scenario is looked at: through its end, and what may come after it."""
    scenario, step = one.scenario, RUNS[one.scenario.run].step_min
    if scenario.run == "month":
        return scenario.minutes
    after = _SLACK_MIN
    if scenario.run == "silence":
        length_ns = one.subject.slice.length_ns if one.subject.slice else 0
        after += NODATA_MAX_S // MINUTE_S + length_ns // (10**9 * MINUTE_S)
    return -(-(scenario.minutes + after) // step) * step


def looks(one: StandIn) -> tuple[Look, ...]:
    """Return everything that is looked at in a scenario, in its order."""
    scenario, run, until = one.scenario, RUNS[one.scenario.run], minutes_of(one)
    found = []
    for watch in scenario.watches:
        minute = moment(one.subject, scenario, watch, until=until, step=run.step_min)
        question = oracle.about_alert(one.id, watch, minute, run=run, until=until)
        found.append(Look(watch, minute, question))
    found += [
        Look(reading, reading.minute, oracle.about_number(one.id, reading))
        for reading in scenario.readings
    ]
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a scenario: whether promtool agrees with the model, and where it does not."""

    scenario: Scenario
    looks: tuple[Look, ...]
    verdict: Verdict
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """A case and what came of each of its scenarios, in the order of the table."""

    case: Case
    outcomes: tuple[Outcome, ...]

    @property
    def agrees(self) -> bool:
        """Tell whether nothing disagrees; what is unconfirmed does not."""
        return all(one.verdict != "disagrees" for one in self.outcomes)


def judged(known: Sequence[Case], told: Mapping[str, Answers]) -> tuple[Proof, ...]:
    """Return the proofs. `told` are the answers of promtool by the id of each stand-in."""
    return tuple(
        Proof(case, tuple(_outcome(one, told.get(one.id)) for one in case.stand_ins))
        for case in known
    )


def _outcome(one: StandIn, told: Answers | None) -> Outcome:
    seen = looks(one)
    if told is None:
        return Outcome(scenario=one.scenario, looks=seen, verdict="unconfirmed")
    differences = [told.broken] if told.broken else list(_differences(one, seen, told))
    verdict: Verdict = "disagrees" if differences else "confirmed"
    return Outcome(
        scenario=one.scenario, looks=seen, verdict=verdict, differences=tuple(differences)
    )


def _differences(one: StandIn, seen: Sequence[Look], told: Answers) -> Iterator[str]:
    for look in seen:
        other = told.others.get(look.question.query)
        if other is None:
            continue
        if isinstance(look.of, Reading):
            wanted = "nothing" if look.of.value is None else f"{look.of.value:.6g}"
            yield f"{look.of.what}: must be {wanted}, promtool has {_ratio(other)}"
        else:
            wanted = "never" if look.minute is None else f"at {look.minute} min"
            yield (
                f"{who(look.of)}: {look.of.edge} fires {wanted} by the model, by promtool"
                f" {_minute(other)} ({one.scenario.name})"
            )


def _ratio(text: str) -> str:
    return text if text == "nothing" else f"{float(text) / oracle.MILLION:.6g}"


def _minute(text: str) -> str:
    return "never" if text == "nothing" else f"at {float(text):g} min"


def who(watch: Watch) -> str:
    """Return what an alert is called in a table."""
    if watch.pair is not None:
        return watch.pair.name
    return {".+": "any alert", BURNS: "any burn alert"}.get(watch.alert, watch.alert)
