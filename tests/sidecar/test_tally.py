"""Rules of counting verdicts: requests, tokens, slices, and what a reload keeps."""

import re
from pathlib import Path

import pytest

from inferometer.errors import SpecError
from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import write
from inferometer.metrics.verdicts import VERDICT_PAIRS
from inferometer.sidecar.tally import CELLS_MAX, Tally
from inferometer.sidecar.verdicts import Bench
from inferometer.slo import spec
from inferometer.slo.constants import groups
from inferometer.slo.names import Options
from inferometer.slo.verdict import GOOD, Verdict
from inferometer.stream.tokens import UsageSource
from support.judging import DONE
from support.samples import Samples

HEAD = "apiVersion: inferometer/v1\nkind: SLO\nmetadata: {name: d}\nclasses:\n"
REQUESTS = "inferometer_slo_requests_total"
TOKENS = "inferometer_slo_tokens_total"
CLAMPED = "inferometer_slo_header_clamped_total"
ERROR = Verdict("bad", "error")
LEFT = Verdict("excluded", "client_cancel")

BY_REQUEST = "name: a, objective: 99, good: {e2e: 9s}"
BY_TOKEN = f"{BY_REQUEST}, weight: token"
BY_SLICE = f"{BY_REQUEST}, weight: slice, slice: {{length: 5m, good_share: 50}}"


class Counted:
    """A bench and its page."""

    def __init__(self, folder: Path, *classes: str) -> None:
        self.registry = Registry()
        self.bench = Bench(self.registry)
        self._path = folder / "slo.yaml"
        self.promise(*classes)

    def promise(self, *classes: str) -> None:
        self._path.write_text(HEAD + "".join(f"  - {{{one}}}\n" for one in classes))
        documents = spec.load([self._path])
        assert spec.unsupported(documents) == []
        self.bench.replace(documents)
        (self.document,) = documents
        self.slo = self.document.classes[0]

    @property
    def tally(self) -> Tally:
        return self.bench.tally

    def page(self) -> Samples:
        return Samples(b"".join(write(self.registry, openmetrics=False)).decode())

    def lines(self) -> list[str]:
        return [line for line in self.page().text.split("\n") if "inferometer_slo_" in line]

    def tokens(self) -> dict[tuple[str, str], float]:
        found = self.page().find(TOKENS, slo=self.slo.id)
        return {(one["verdict"], one["reason"]): n for one, n in found if n}

    def end(self, verdict: Verdict, tokens: int | None, source: UsageSource = "server") -> int:
        source = "none" if tokens is None else source
        summary = DONE._replace(output_tokens=tokens, output_source=source)
        return self.tally.weigh(self.slo, verdict, summary)


def test_no_more_counters_are_remembered_than_the_limit_and_all_others_are_found(
    tmp_path: Path,
) -> None:
    every = [
        f"name: c{n}, match: {{model: m{n}}}, objective: 99, good: {{e2e: 9s}}" for n in range(60)
    ]
    counted = Counted(tmp_path, *every)
    first = counted.slo
    for n in range(1, CELLS_MAX // (60 * 12) + 2):
        counted.promise(*(one.replace("name: c", f"name: x{n}c") for one in every))
    assert counted.tally.cells.cache_info().currsize == CELLS_MAX
    counted.tally.count(first, GOOD, None)
    assert counted.page().value(REQUESTS, slo="d-c0", verdict="good") == 1


def test_every_series_of_a_class_exists_from_the_start_with_zero(tmp_path: Path) -> None:
    page = Counted(tmp_path, BY_TOKEN).page()
    for name in (REQUESTS, TOKENS):
        found = page.find(name, slo="d-a")
        assert {(one["verdict"], one["reason"]) for one, _ in found} == set(VERDICT_PAIRS)
        assert {value for _, value in found} == {0}
    assert len(page.find(REQUESTS, slo="request_header")) == len(VERDICT_PAIRS)


def test_only_classes_weighed_by_tokens_count_tokens(tmp_path: Path) -> None:
    headers = "headers: {ttft: x-slo-ttft-ms}, good: {ttft: 1s}"
    page = Counted(tmp_path, BY_REQUEST, f"name: b, objective: 99, {headers}").page()
    assert page.find(TOKENS) == []
    assert page.labels(CLAMPED, "slo") == {"d-b"}, "and only those with headers clamp"


def test_without_documents_there_is_no_series() -> None:
    registry = Registry()
    Bench(registry).replace(())
    assert b"inferometer_slo" not in b"".join(write(registry, openmetrics=False))


# Tokens.


def test_a_good_request_weighs_its_tokens_and_a_bad_one_at_least_the_mean(tmp_path: Path) -> None:
    counted = Counted(tmp_path, BY_TOKEN)
    assert counted.end(ERROR, None) == 1, "before there is a mean"
    assert [counted.end(GOOD, n) for n in (100, 301)] == [100, 301]
    assert counted.end(ERROR, None) == 201, "200.5, rounded"
    assert counted.end(ERROR, 3) == 201
    assert counted.end(ERROR, 2_000) == 2_000
    assert counted.end(ERROR, 700, "chunks") == 700, "an estimate is a lower bound"
    assert counted.tokens() == {("good", "none"): 401, ("bad", "error"): 1 + 201 + 201 + 2_700}
    assert counted.end(ERROR, None) == 201, "bad ones do not move the mean"


def test_what_is_excluded_weighs_the_tokens_that_are_known(tmp_path: Path) -> None:
    counted = Counted(tmp_path, BY_TOKEN)
    assert [counted.end(GOOD, 100), counted.end(LEFT, 30), counted.end(LEFT, None)] == [100, 30, 0]
    assert counted.end(LEFT, 9, "chunks") == 0
    assert counted.tokens() == {("good", "none"): 100, ("excluded", "client_cancel"): 30}


def test_what_is_bad_early_counts_the_mean_at_once_and_the_rest_at_its_end(tmp_path: Path) -> None:
    counted = Counted(tmp_path, BY_TOKEN)
    counted.end(GOOD, 100)
    early = counted.tally.weigh(counted.slo, ERROR, None)
    assert early == 100
    assert counted.tokens()["bad", "error"] == 100
    counted.end(GOOD, 900)  # meanwhile
    for made, weight in ((2_000, 2_000), (40, 100), (None, 100)):
        source: UsageSource = "none" if made is None else "server"
        summary = DONE._replace(output_tokens=made, output_source=source)
        before = counted.tokens()["bad", "error"]
        assert counted.tally.weigh(counted.slo, ERROR, summary, before=early) == weight
        assert counted.tokens()["bad", "error"] == before + weight - early


def test_counts_stay_whole_numbers(tmp_path: Path) -> None:
    counted = Counted(tmp_path, BY_TOKEN)
    for tokens in (10, 11, 13):
        counted.end(GOOD, tokens)
    counted.end(ERROR, None)
    assert 'slo="d-a",verdict="bad",reason="error"} 11\n' in counted.page().text


# Slices.


def test_the_requests_of_a_sliced_class_count_under_an_id_of_their_own(tmp_path: Path) -> None:
    counted = Counted(tmp_path, BY_SLICE)
    counted.tally.count(counted.slo, GOOD, None)
    counted.tally.count(counted.slo, ERROR, None)
    page = counted.page()
    assert page.find(REQUESTS, slo="d-a") == [], "rules make its series, nobody else may"
    found = page.find(REQUESTS, slo="d-a--requests")
    assert len(found) == len(VERDICT_PAIRS)
    counts = {(one["verdict"], one["reason"]): n for one, n in found if n}
    assert counts == {("good", "none"): 1, ("bad", "error"): 1}
    assert page.value("inferometer_slo_objective_ratio", slo="d-a") == 0.99
    assert page.find("inferometer_slo_objective_ratio", slo="d-a--requests") == []


def test_the_rules_of_slices_read_the_counters_that_exist(tmp_path: Path) -> None:
    counted = Counted(tmp_path, BY_SLICE)
    (group,) = groups(counted.document, Options())
    asked = {one for rule in group.rules for one in re.findall(r'slo="([^"]+)"', str(rule.expr))}
    assert asked == {"d-a--requests"}
    assert asked < counted.page().labels(REQUESTS, "slo")


# Reloads.


def test_a_reload_keeps_what_was_counted_and_the_mean(tmp_path: Path) -> None:
    counted = Counted(tmp_path, BY_TOKEN)
    counted.end(GOOD, 100)
    counted.promise(
        BY_TOKEN.replace("9s", "5s").replace("99", "95"), "name: b, objective: 99, good: {e2e: 1s}"
    )
    assert counted.tokens() == {("good", "none"): 100}
    assert counted.end(ERROR, None) == 100
    counted.promise("name: b, objective: 99, good: {e2e: 1s}")
    counted.promise(BY_TOKEN)
    assert counted.end(ERROR, None) == 100, "also of a class that was gone for a while"


@pytest.mark.parametrize(
    ("before", "after"),
    [(BY_REQUEST, BY_TOKEN), (BY_TOKEN, BY_REQUEST), (BY_REQUEST, BY_SLICE), (BY_SLICE, BY_TOKEN)],
)
def test_another_weight_needs_a_restart_since_counters_are_never_freed(
    tmp_path: Path, before: str, after: str
) -> None:
    counted = Counted(tmp_path, before)
    other = "name: b, objective: 99, good: {e2e: 1s}"
    counted.promise(other)
    old = counted.lines()
    with pytest.raises(SpecError) as caught:
        counted.promise(other, after)
    (problem,) = caught.value.problems
    assert problem.message.startswith("the weight of 'd-a' was '")
    assert problem.place.line == 6
    assert counted.lines() == old
    counted.promise(other, before)


def test_deadlines_that_were_clamped_are_counted_by_class(tmp_path: Path) -> None:
    headers = "headers: {ttft: x-slo-ttft-ms}, good: {ttft: 1s}"
    counted = Counted(tmp_path, f"name: b, objective: 99, {headers}")
    assert counted.page().value(CLAMPED, slo="d-b") == 0
    for n in (0, 2, 1):
        counted.tally.clamp(counted.slo, n)
    assert counted.page().value(CLAMPED, slo="d-b") == 3
