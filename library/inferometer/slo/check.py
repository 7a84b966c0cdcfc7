"""What is wrong or unwise in SLO documents that can be read: every Problem, with its place.

Codes that begin with E are errors, with W warnings. What one value says wrongly has been found by
`spec`; what only a Prometheus knows does not belong here.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from inferometer.documents import Report
from inferometer.errors import Problem
from inferometer.slo import known
from inferometer.slo.classes import INCOMPLETE
from inferometer.slo.document import Class, Document, Headers, HistogramSource
from inferometer.slo.reach import NO_TOKENS, hides, operations
from inferometer.slo.shown import many
from inferometer.slo.windows import summed_by_rules
from inferometer.slo.zones import check_zone

UNREACHED: Final = "E07"
NOT_STREAMED: Final = "W01"
NEEDS_LEDGER: Final = "W03"
ENGINE_ONLY: Final = "W05"
NO_OWNER: Final = "W09"
SPLIT: Final = "W10"

ENGINES: Final = ("vllm:", "sglang:", "tgi_", "nv_", "trtllm_", "lmdeploy:", "llamacpp:")
"""How names of engines' own metrics begin."""


def findings(documents: Sequence[Document], *, zones: Collection[str]) -> tuple[Problem, ...]:
    """Return every Problem, sorted by place. `zones` are the known timezones, empty if unknown."""
    report = Report()
    for document in documents:
        _check_document(document, zones, report)
        for position, one in enumerate(document.classes):
            _check_reach(document.classes[:position], one, report)
            _check_class(one, report)
    _check_split(documents, report)
    for problem in known.problems(documents):
        if report.full:
            break
        report.add(problem.place, problem.message, hint=problem.hint, code=problem.code)
    return tuple(sorted(report.problems))


def is_error(problem: Problem) -> bool:
    """Tell whether a Problem keeps rules from being made."""
    return not problem.code.startswith("W")


def _check_document(document: Document, zones: Collection[str], report: Report) -> None:
    window = document.window
    check_zone(document, zones, report)
    if not summed_by_rules(window):
        message = "rules alone cannot sum up this window"
        hint = "run `inferometer slo ledger`; without it only burn rates are known"
        report.add(window.place or document.place, message, hint=hint, code=NEEDS_LEDGER)
    if not document.owner:
        message = f"{document.name!r} has no owner"
        hint = "add metadata.owner: it is on every alert, for routing"
        report.add(document.place, message, hint=hint, code=NO_OWNER)
    for metric in document.foreign:
        source = metric.source
        if isinstance(source, HistogramSource) and source.metric.startswith(ENGINES):
            message = f"{metric.name!r} sees only requests that the engine finished"
            hint = "aborted ones are in no histogram of an engine: add a class for errors"
            report.add(metric.place, message, hint=hint, code=ENGINE_ONLY)


def _check_reach(earlier: Iterable[Class], one: Class, report: Report) -> None:
    first = next((other for other in earlier if hides(other, one)), None)
    if first is not None:
        message = f"class {one.name!r} is never reached: {first.name!r} takes all it matches"
        hint = f"put it before the one at {first.place}, since the first match wins"
        report.add(one.place, message, hint=hint, code=UNREACHED)


def _check_class(one: Class, report: Report) -> None:
    of_tokens = _of_tokens(one)
    if of_tokens and one.match.stream is not True and one.good.applies(streamed=False):
        message = f"{', '.join(of_tokens)} say nothing about requests that are not streamed"
        hint = "match stream: true, and give the others a class of their own"
        report.add(one.place, message, hint=hint, code=NOT_STREAMED)
    if one.headers:
        for name in _without_limit(one, one.headers):
            message = f"headers change {name}, which good does not state"
            hint = f"state {name}: a header moves it within clamp times that"
            report.add(one.headers.place, message, hint=hint, code=INCOMPLETE)
    asked = operations(one)
    if one.weight == "token" and asked and asked <= NO_TOKENS:
        message = "answers of these routes hold no tokens to weigh by"
        report.add(one.weight_place, message, hint="use weight: request", code=INCOMPLETE)


def _without_limit(one: Class, headers: Headers) -> tuple[str, ...]:
    """Return the limits that headers may change and that the class does not have."""
    stated = one.thresholds_s()
    named = {"ttft": headers.ttft, "tpot": headers.tpot}
    return tuple(name for name, header in named.items() if header and name not in stated)


def _of_tokens(one: Class) -> tuple[str, ...]:
    """Return the objectives of a class that only a stream can be measured by."""
    good = one.good
    stated = {
        "ttft": good.ttft,
        "itl": good.itl,
        "gap": good.gap_ns,
        "fluidity": good.fluidity,
    }
    return tuple(name for name, limit in stated.items() if limit is not None)


def _check_split(documents: Sequence[Document], report: Report) -> None:
    """Warn where two SLOs on the same requests could be one: 95 % and 95 % may be 90 % together."""
    seen: list[tuple[Document, Class]] = []
    for document in documents:
        for one in document.classes:
            twin = next((old for old in seen if _could_be_one(*old, document, one)), None)
            if twin is not None:
                message = f"{one.id!r} and {twin[1].id!r} promise parts about the same requests"
                hint = "state both in one class: how many requests meet both is told by neither"
                report.add(one.place, message, hint=hint, code=SPLIT)
            else:
                seen.append((document, one))


def _could_be_one(first: Document, ours: Class, second: Document, theirs: Class) -> bool:
    return (
        first is not second
        and first.namespace == second.namespace
        and ours.match == theirs.match
        and ours.weight == theirs.weight
        and not set(ours.thresholds_s()) & set(theirs.thresholds_s())
    )


def summary(problems: Iterable[Problem]) -> Iterator[str]:
    """Yield how many errors and warnings there are, in words."""
    found = list(problems)
    errors = sum(map(is_error, found))
    for count, word in ((errors, "error"), (len(found) - errors, "warning")):
        yield many(count, word)
