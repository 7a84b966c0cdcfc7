"""Asks promtool what the really rendered rules make of scenarios: its files, and its answers.

All SLOs and scenarios of a run are parallel series of one test, evaluated by the same rules. What
is expected goes into each query: an answer within the tolerance becomes the expected one, so that
promtool's exit code is the verdict, and what it complains about is what it measured. Pure: whoever
runs promtool gives its output back. See Prometheus, "Unit testing for rules".
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from inferometer.slo import names
from inferometer.slo.promql import duration
from inferometer.slo.proof.scenario import RETENTION_S, Reading, RunName, Watch
from inferometer.slo.render import HEAD, WRAPPERS, Home
from inferometer.slo.rule import Alert, Group, Rule
from inferometer.slo.windows import MINUTE_S, Pair
from inferometer.slo.yaml_text import Data, document

MILLION: Final = 10**6
LAST_MIN: Final = 1
"""How much later than by the model an alert may end: Prometheus 2.42 keeps it for one evaluation
more than 3.x, and its windows hold one more."""

_RECORDED: Final = re.compile(r"inferometer:\w+(?::\w+)*")
_FAILED: Final = re.compile(
    r"^ +expr: (\"(?:[^\"\\]|\\.)*\"), time: [^\n]*\n +exp: ?[^\n]*\n +got: ?([^\n]*)",
    re.MULTILINE,
)
_ERROR: Final = ", err: "
_VALUE: Final = re.compile(r"([-+0-9.E]+|[-+]?Inf|NaN)$")
_WORDS_MAX: Final = 300


class Run(NamedTuple):
    """Which alerts are evaluated, and how often. `alerts` None are all of them."""

    alerts: frozenset[str] | None
    records: frozenset[str] = frozenset()
    step_min: int = 1
    without: frozenset[str] = frozenset()


_NODATA: Final = frozenset({"LLMSLONoData"})
RUNS: Final[Mapping[RunName, Run]] = MappingProxyType(
    {
        "pages": Run(frozenset({"LLMSLOBurnFast", "LLMSLOBurnMedium", "LLMSLOWindowTruncated"})),
        # Six hours of subqueries over many SLOs are more than promtool's samples of a query.
        "quiet": Run(None, without=_NODATA),
        "silence": Run(frozenset({"LLMSLONoData", "LLMSLOBurnFast"})),
        "slow": Run(frozenset({"LLMSLOBurnSlow"})),
        # Three days at one evaluation a minute would take minutes: shares are right at any step,
        # and counts, which are not, are far above the guard there.
        "drain": Run(frozenset({"LLMSLOBudgetDrain"}), step_min=5),
        # Thirty days at one evaluation a minute are more than promtool's samples of a query.
        "month": Run(frozenset(), frozenset({names.REMAINING}), step_min=60),
    }
)


@dataclass(frozen=True, slots=True)
class Question:
    """One query, the minute at which it is asked, and the whole number expected, None for none."""

    query: str
    minute: int
    expected: int | None


class Files(NamedTuple):
    """A file with rules, and one with series and questions about them."""

    rules: str
    cases: str


def about_alert(slo: str, watch: Watch, minute: int | None, *, run: Run, until: int) -> Question:
    """Ask for the first or last minute at which an alert of an SLO fires."""
    alert = f'alertname=~"{watch.alert}"{_labels(watch.pair)}'
    of_slo = f'ALERTS{{alertstate="firing",slo="{slo}",{alert}}}'
    over = f"[{duration(until * MINUTE_S)}:{duration(run.step_min * MINUTE_S)}]"
    which = "min" if watch.edge == "first" else "max"
    measured = f"{which}({which}_over_time(timestamp({of_slo}){over})) / {MINUTE_S}"
    if watch.edge == "last":  # what fires on has no end
        still = f'ALERTS{{alertstate="firing",slo="{slo}",{alert}}}'
        measured = f"{measured} unless count({still})"
    tolerance = run.step_min if watch.edge == "first" else run.step_min + LAST_MIN
    return Question(_within(measured, minute, tolerance), until, minute)


def _labels(pair: Pair | None) -> str:
    """Return the labels that the alert of a pair must have: with others it counts as silent."""
    if pair is None:
        return ""
    window = f'long="{pair.long}",short="{pair.short}"'
    return f',pair="{pair.name}",severity="{pair.severity}",{window}'


def about_number(slo: str, reading: Reading) -> Question:
    """Ask for a recorded number, in millionths."""
    if reading.value is None:
        query = reading.query.replace(",{}", f',slo="{slo}"').replace("{}", f'{{slo="{slo}"}}')
        return Question(query, reading.minute, None)
    query = reading.query.replace("{}", f'{{slo="{slo}"}}')
    expected = round(reading.value * MILLION)
    tolerance = max(1, round(abs(reading.value) * reading.tolerance * MILLION))
    measured = f"round(sum({query}) * {MILLION})"
    return Question(_within(measured, expected, tolerance), reading.minute, expected)


def _within(measured: str, expected: int | None, tolerance: int) -> str:
    """Return a query that gives `expected` if that is near, else what was measured."""
    if expected is None:
        return measured
    off = f"(({measured}) - {expected})"
    return f"({measured}) - {off} * (abs{off} <= bool {tolerance})"


def needed(groups: Iterable[Group], run: Run) -> tuple[Group, ...]:
    """Return the groups with the rules that a run needs, and those that these need."""
    groups = tuple(groups)
    every = [rule for group in groups for rule in group.rules]
    kept = {id(rule) for rule in every if _asked_for(rule, run)}
    grown = 0
    while grown != len(kept):
        grown = len(kept)
        wanted = {
            name for rule in every if id(rule) in kept for name in _RECORDED.findall(str(rule.expr))
        }
        kept |= {id(rule) for rule in every if isinstance(rule, Rule) and rule.record in wanted}
    chosen = (
        Group(group.name, tuple(rule for rule in group.rules if id(rule) in kept), group.interval_s)
        for group in groups
    )
    return tuple(group for group in chosen if group.rules)


def _asked_for(rule: Rule | Alert, run: Run) -> bool:
    if isinstance(rule, Rule):
        return run.alerts is None or rule.record in run.records
    return rule.name not in run.without and (run.alerts is None or rule.name in run.alerts)


def files(
    groups: Iterable[Group],
    series: Mapping[str, str],
    questions: Sequence[Question],
    run: Run,
    *,
    rules_name: str,
) -> Files:
    """Return the files of one run of promtool."""
    kept = needed(groups, run)
    rules = WRAPPERS["prometheus"](rules_name, kept, Home())
    cases: Mapping[str, Data] = {
        "rule_files": [rules_name],
        # Constants first: at long steps the values of the step before are out of sight.
        "group_eval_order": [group.name for group in kept],
        "evaluation_interval": f"{run.step_min}m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [_asked(one) for one in questions],
            }
        ],
    }
    return Files(HEAD + document(rules), document(cases))


def _asked(one: Question) -> Mapping[str, Data]:
    samples: Sequence[Data] = []
    if one.expected is not None:
        samples = [{"labels": "{}", "value": one.expected}]
    return {"expr": one.query, "eval_time": f"{one.minute}m", "exp_samples": samples}


def stored(minutes: int) -> Mapping[str, str]:
    """Return the series by which a Prometheus tells that it keeps 10 days."""
    return {"prometheus_tsdb_lowest_timestamp_seconds": f"-{RETENTION_S}x{minutes}"}


class Answers(NamedTuple):
    """What promtool measured otherwise, by query; `broken` is why it could not measure at all."""

    others: Mapping[str, str]
    broken: str = ""


def answers(code: int, output: str, questions: Iterable[Question]) -> Answers:
    """Read what promtool said. Whatever it fails at and does not name counts as all of it."""
    if code == 0:
        return Answers({})
    known = {one.query for one in questions}
    others = {}
    for query, got in _FAILED.findall(output):
        value = _VALUE.search(got.strip())
        others[_unquoted(query)] = value[1] if value else "nothing"
    if not others or _ERROR in output or not known.issuperset(others):
        return Answers({}, " ".join(output.split())[-_WORDS_MAX:] or f"exit code {code}")
    return Answers(others)


def _unquoted(text: str) -> str:
    """Return what Go has quoted; all that we ask is plain, so another text is none of ours."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text
