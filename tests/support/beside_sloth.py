"""The same incidents as seen by our rules and by those of sloth, in one run of promtool."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from inferometer.slo.document import Document
from inferometer.slo.proof.oracle import Question, answers
from inferometer.slo.proof.prove import Job, cases, generic, jobs
from inferometer.slo.proof.standins import StandIn
from support.go_tools import GoTool, binary
from support.promtool import RUN_S, Promtool

SLOTH: Final = GoTool("sloth", "github.com/slok/sloth/cmd/sloth", (1, 26))
OBJECTIVES: Final = ("90", "95", "99", "99.9")
SCENARIOS: Final = ("outage", "half", "one-bad", "three-bad", "idle-night", "lost-scrapes")


class Seen(NamedTuple):
    """When each pages in a scenario, in minutes after it began; None if never."""

    scenario: str
    objective: str
    ours: int | None
    theirs: int | None


def seen(promtool: Promtool, folder: Path, document: Document) -> Iterator[Seen]:
    """Yield what both see of each scenario; the document has a class for each objective."""
    known = cases([document], 10)
    for job in jobs(known, generic([document])):
        kept = tuple(one for one in job.stand_ins if one.scenario.name in SCENARIOS)
        if not kept or job.run not in {"pages", "quiet"}:
            continue
        here = folder / job.run
        here.mkdir()
        minutes = _measured(promtool, here, replace(job, stand_ins=kept))
        for one in kept:
            objective = f"{(100 * one.subject.promise.objective).normalize():f}"
            start = one.scenario.start
            ours, theirs = (minutes.get(_query(one, by, job.minutes)) for by in (_OURS, _THEIRS))
            yield Seen(one.scenario.name, objective, _after(ours, start), _after(theirs, start))


_OURS: Final = 'slo="{}",severity="critical"'
_THEIRS: Final = 'sloth_slo="{}",sloth_severity="page"'


def _query(one: StandIn, matchers: str, until: int) -> str:
    firing = f'ALERTS{{alertstate="firing",{matchers.format(one.id)}}}'
    return f"min(min_over_time(timestamp({firing})[{until}m:1m])) / 60"


def _after(minute: float | None, start: int) -> int | None:
    return None if minute is None else round(minute) - start


def _measured(promtool: Promtool, folder: Path, job: Job) -> dict[str, float]:
    files = job.files("rules.yaml")
    (folder / "rules.yaml").write_text(files.rules, "utf-8")
    theirs = _sloth(folder, job.stand_ins)
    questions = [
        Question(_query(one, by, job.minutes), job.minutes, None)
        for one in job.stand_ins
        for by in (_OURS, _THEIRS)
    ]
    data: dict[str, Any] = yaml.safe_load(files.cases)
    data["rule_files"] = ["rules.yaml", theirs.name]
    groups = yaml.safe_load(theirs.read_text("utf-8"))["groups"]
    data["group_eval_order"] += [group["name"] for group in groups]  # else it is left to chance
    data["tests"][0]["promql_expr_test"] = [
        {"expr": one.query, "eval_time": f"{one.minute}m", "exp_samples": []} for one in questions
    ]
    (folder / "cases.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    done = subprocess.run(
        [promtool.path, "test", "rules", folder / "cases.yaml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_S,
    )
    told = answers(done.returncode, f"{done.stdout}\n{done.stderr}", questions)
    assert not told.broken, told.broken
    return {query: float(value) for query, value in told.others.items()}


def _sloth(folder: Path, stand_ins: Sequence[StandIn]) -> Path:
    """Let sloth write rules about the same counters, at the same objectives."""
    spec, rules = folder / "spec.yaml", folder / "sloth.yaml"
    slos = [_spec(one) for one in stand_ins]
    data = {"version": "prometheus/v1", "service": "prove", "slos": slos}
    spec.write_text(yaml.safe_dump(data), "utf-8")
    subprocess.run(
        [binary(SLOTH), "generate", "-i", spec, "-o", rules],
        check=True,
        capture_output=True,
        timeout=RUN_S,
    )
    return rules


def _spec(one: StandIn) -> dict[str, Any]:
    counter = f'inferometer_slo_requests_total{{slo="{one.id}",verdict=~"%s"}}[{{{{.window}}}}]'
    return {
        "name": one.id,
        "objective": float(100 * one.subject.promise.objective),
        "description": "the same promise",
        "sli": {
            "events": {
                "error_query": f"sum(rate({counter % 'bad'}))",
                "total_query": f"sum(rate({counter % 'good|bad'}))",
            }
        },
        "alerting": {
            "name": "Sloth",
            "page_alert": {"labels": {"severity": "page"}},
            "ticket_alert": {"labels": {"severity": "ticket"}},
        },
    }


def table(found: Sequence[Seen]) -> Iterator[str]:
    """Yield the comparison as the lines of a Markdown table."""
    yield f"| scenario | rules | {' | '.join(f'{one} %' for one in OBJECTIVES)} |"
    yield f"| --- | --- {'| --- ' * len(OBJECTIVES)}|"
    for name in SCENARIOS:
        by = {one.objective: one for one in found if one.scenario == name}
        ours = [_words(by[objective].ours) for objective in OBJECTIVES]
        theirs = [_words(by[objective].theirs) for objective in OBJECTIVES]
        yield f"| {name} | inferometer | {' | '.join(ours)} |"
        yield f"| | sloth | {' | '.join(theirs)} |"


def _words(minutes: int | None) -> str:
    return "never" if minutes is None else f"{minutes} min"
