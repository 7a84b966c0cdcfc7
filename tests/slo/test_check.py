"""What is legal but wrong or unwise: each finding with its code, place and hint."""

from pathlib import Path

import pytest

from inferometer.documents import closest
from inferometer.errors import Place, Problem
from inferometer.slo.check import findings, is_error, summary
from support.slo_rules import Documents

ZONES = frozenset({"UTC", "Europe/Berlin"})
META = "metadata: {name: d, owner: me}\n"


def told(documents: Documents, *texts: str) -> list[str]:
    found = findings(documents(*texts), zones=ZONES)
    return [f"{p.code} {Path(p.place.source).name}:{p.place.line} {p.message}" for p in found]


def classes(*entries: str) -> str:
    lines = "".join(f"  - {{objective: 99, {entry}}}\n" for entry in entries)
    return f"{META}classes:\n{lines}"


def test_a_good_document_has_no_finding(documents: Documents) -> None:
    text = classes("name: a, match: {stream: true}, good: {ttft: 1s}", "name: b, good: {e2e: 1s}")
    assert told(documents, text) == []


def test_a_class_that_another_hides_is_an_error(documents: Documents) -> None:
    text = classes("name: a, good: {e2e: 1s}", "name: b, match: {model: m}, good: {e2e: 9s}")
    assert told(documents, text) == [
        "E07 0.yaml:6 class 'b' is never reached: 'a' takes all it matches"
    ]
    (problem,) = findings(documents(text), zones=ZONES)
    assert problem.hint.startswith("put it before the one at ")
    assert is_error(problem)


@pytest.mark.req("SC-04")
def test_a_timezone_must_exist_where_its_rules_are_known(documents: Documents) -> None:
    text = (
        classes("name: a, good: {e2e: 1s}") + "window: {calendar: week, timezone: Europe/Berlim}\n"
    )
    read = documents(text)
    found = [problem for problem in findings(read, zones=ZONES) if is_error(problem)]
    assert [(p.code, p.message, p.hint) for p in found] == [
        (
            "E08",
            "timezone must be one that exists, got 'Europe/Berlim'",
            "did you mean 'Europe/Berlin'?",
        )
    ]
    assert (found[0].place.line, found[0].place.column) == (6, 36)
    assert [p for p in findings(read, zones=frozenset()) if is_error(p)] == []
    far = findings(documents(text.replace("Europe/Berlim", "Xyz")), zones=ZONES)
    assert "such as Europe/Berlin or UTC" in {problem.hint for problem in far}


@pytest.mark.parametrize("window", ["{rolling: 90d}", "{calendar: month, timezone: UTC}"])
def test_windows_that_rules_cannot_sum_up_need_the_ledger(
    documents: Documents, window: str
) -> None:
    text = classes("name: a, good: {e2e: 1s}") + f"window: {window}\n"
    (found,) = told(documents, text)
    assert found == "W03 0.yaml:6 rules alone cannot sum up this window"


def test_limits_of_tokens_say_nothing_about_requests_that_do_not_stream(
    documents: Documents,
) -> None:
    text = classes("name: a, good: {ttft: 1s, itl: {within: 1s, max: 2s}, e2e: 9s}")
    assert told(documents, text) == [
        "W01 0.yaml:5 ttft, itl, gap say nothing about requests that are not streamed"
    ]


@pytest.mark.parametrize(
    "entry",
    [
        "name: a, good: {ttft: 1s}",  # requests that do not stream are passed over
        "name: a, match: {stream: true}, good: {ttft: 1s, e2e: 9s}",
        "name: a, match: {stream: false}, good: {e2e: 9s}",
    ],
)
def test_no_warning_where_only_streams_are_judged_by_tokens(
    documents: Documents, entry: str
) -> None:
    assert told(documents, classes(entry)) == []


def test_answers_without_tokens_cannot_be_weighed_by_them(documents: Documents) -> None:
    text = "name: a, weight: token, good: {e2e: 1s}, match: {route: [/v1/embeddings, /v1/rerank]}"
    assert told(documents, classes(text)) == [
        "E06 0.yaml:5 answers of these routes hold no tokens to weigh by"
    ]
    mixed = text.replace("/v1/rerank", "/v1/completions")
    assert told(documents, classes(mixed)) == []
    assert told(documents, classes(text.replace("/v1/rerank", "/v1/re*"))) == []


def test_headers_cannot_change_a_limit_that_is_not_stated(documents: Documents) -> None:
    text = (
        "name: a, match: {stream: true}, good: {ttft: 1s}, headers: {ttft: x-slo-ttft-ms, "
        "tpot: x-slo-tpot-ms}"
    )
    assert told(documents, classes(text)) == [
        "E06 0.yaml:5 headers change tpot, which good does not state"
    ]
    assert told(documents, classes(text.replace("ttft: 1s", "ttft: 1s, tpot: 50ms"))) == []


def test_a_histogram_of_an_engine_misses_aborted_requests(documents: Documents) -> None:
    text = META + (
        "metrics:\n"
        "  - {name: a, objective: 95, histogram: {metric: 'tgi_batch_next_size', threshold: 1}}\n"
        "  - {name: b, objective: 95, histogram: {metric: my_seconds, threshold: 1s}}\n"
        "  - {name: c, objective: 95, ratio: {bad: a_total, total: b_total}}\n"
    )
    assert told(documents, text) == ["W05 0.yaml:5 'a' sees only requests that the engine finished"]


def test_somebody_should_own_a_document(documents: Documents) -> None:
    text = classes("name: a, good: {e2e: 1s}").replace(", owner: me", "")
    assert told(documents, text) == ["W09 0.yaml:1 'd' has no owner"]


def test_two_slos_on_the_same_requests_could_be_one(documents: Documents) -> None:
    first = classes("name: a, match: {stream: true, model: m}, good: {ttft: 1s}")
    second = classes("name: b, match: {stream: true, model: m}, good: {tpot: 50ms}")
    second = second.replace("name: d", "name: e")
    assert told(documents, first, second) == [
        "W10 1.yaml:5 'e-b' and 'd-a' promise parts about the same requests"
    ]
    for other in (
        second.replace("model: m", "model: n"),
        second.replace("tpot: 50ms", "ttft: 2s"),
        second.replace("name: e", "name: e, namespace: other"),
        second.replace("good:", "weight: token, good:"),
    ):
        assert told(documents, first, other) == []


def test_errors_and_warnings_are_counted_in_words() -> None:
    problems = [Problem(Place("x"), "m", code=code) for code in ("E01", "W01", "W09")]
    assert list(summary(problems)) == ["1 error", "2 warnings"]
    assert list(summary([])) == ["0 errors", "0 warnings"]
    assert closest("x", []) == ""
