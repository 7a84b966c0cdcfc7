"""What a Prometheus knows about documents, found on a real one and on scripted ones."""

from collections.abc import Callable, Sequence

import pytest

from inferometer.errors import Place, Problem
from inferometer.prom.client import Client
from inferometer.prom.endpoint import parse
from inferometer.slo.document import Document
from inferometer.slo.names import Options
from inferometer.slo.online.checks import Found, look, settled
from support.live_slos import DOCUMENTS, FOREIGN, Live
from support.scripted_prometheus import Asked, ScriptedPrometheus, reply, vector
from support.slo_rules import HEAD, Documents, chat, promised

WEEK_STEPS = 2016


def text(document: str) -> str:
    return document.removeprefix(HEAD)


def live_look(live: Live, documents: Sequence[Document]) -> Found:
    with Client(parse(live.url)) as client:
        return look(documents, client, Options())


def codes(problems: Sequence[Problem]) -> list[str]:
    return [one.code for one in problems]


def test_a_live_prometheus_tells_what_is_wrong_with_documents(
    live: Live, documents: Documents
) -> None:
    found = live_look(live, documents(text(DOCUMENTS), text(FOREIGN)))
    told = {one.code: f"{one.message}; {one.hint}" for one in found.problems}
    assert set(told) == {"W04", "W07", "W08", "W11"}
    assert told["W11"].startswith("sidecars judge 'chat-all' by 98 %, promised are 99 %")
    assert "no class of 'chat' takes" in told["W07"]
    assert "'ext-engine' would not have kept its promise: 90 % were good" in "".join(
        one.message for one in found.problems
    )
    assert "series of 'ext' are scraped about every 1 min only" in told["W08"]
    assert found.unknown == (("llm", "chat-quiet"),)
    assert found.ledgers == frozenset()


def test_a_namespace_that_nobody_has_is_an_error(live: Live, documents: Documents) -> None:
    found = live_look(live, documents(text(DOCUMENTS).replace("namespace: llm", "namespace: lm")))
    (told,) = {one.message for one in found.problems if one.code == "E14" and "all" in one.message}
    assert told == "the namespace of 'chat-all' is 'lm', its series have 'llm'"


def test_a_document_without_namespace_is_told_where_series_have_one(
    live: Live, documents: Documents
) -> None:
    found = live_look(live, documents(text(DOCUMENTS).replace(" namespace: llm,", "")))
    assert any(
        one.message == "the namespace of 'chat-all' is none, its series have 'llm'"
        for one in found.problems
    )


def scripted(answers: Callable[[str], object], **more: object) -> ScriptedPrometheus:
    """Answer instant queries with one number of the SLO chat-all, or none."""
    key = {"namespace": "llm", "slo": "chat-all", "document": "chat"}

    def script(asked: Asked) -> bytes:
        if asked.path.endswith("/status/runtimeinfo"):
            return reply(more.get("runtime", {}))
        if asked.path.endswith("/rules"):
            return reply({"groups": more.get("groups", [])})
        if asked.path.endswith("/targets"):
            return reply({"activeTargets": []})
        if "/label/" in asked.path:
            return reply([])
        query = asked.form["query"]
        if query == "time()":
            return reply(vector(({}, 1_795_564_800)))
        found = answers(query)
        return reply(vector() if found is None else vector((key, found)))

    return ScriptedPrometheus(script)


def week(total: float, bad: float, steps: int = WEEK_STEPS) -> Callable[[str], float | None]:
    """Return the answers of a week with so many requests."""

    def answers(query: str) -> float | None:
        if query.startswith("count_over_time(sum by"):
            return steps
        if query.startswith("sum_over_time(sum by"):
            return bad if 'verdict="bad"' in query else total
        return None

    return answers


@pytest.fixture
def one(documents: Documents) -> tuple[Document, ...]:
    return documents(chat({"all": promised("99")}))


def looked(server: ScriptedPrometheus, documents: Sequence[Document]) -> Found:
    with server, Client(parse(server.url)) as client:
        return look(documents, client, Options())


@pytest.mark.parametrize(
    ("per_week", "deaf"),
    [
        (7 * 24 * 10, ""),
        (7 * 24 * 9, "fast (1h)"),
        (7 * 4 * 9, "fast (1h), medium (6h)"),
        (7 * 9, "fast (1h), medium (6h), slow (1d)"),
        (7 * 3, "fast (1h), medium (6h), slow (1d), drain (3d)"),
    ],
)
def test_an_alert_that_needs_more_requests_than_there_are_is_an_error(
    per_week: int, deaf: str, one: tuple[Document, ...]
) -> None:
    found = looked(scripted(week(per_week, 0)), one)
    told = [p.message for p in found.problems if p.code == "E09"]
    assert told == ([f"'chat-all' has too little traffic for alerts: {deaf}"] if deaf else [])


def test_requests_that_were_counted_settle_whether_an_alert_can_come(
    one: tuple[Document, ...],
) -> None:
    offline = [Problem(one[0].classes[0].place, "at a rate that was assumed", code="E09")]
    busy, idle = looked(scripted(week(10**6, 0)), one), looked(scripted(week(0, 0)), one)
    assert settled(offline, busy) == ()
    assert set(codes(settled(offline, idle))) == {"E09", "W02"}
    assert settled(offline, looked(scripted(week(1, 1, steps=287)), one)) == tuple(offline)


def test_alerts_that_nobody_wants_need_no_requests(documents: Documents) -> None:
    rest = "alerts: {page: false, ticket: false}"
    quiet = documents(chat({"all": promised("99")}, rest=rest))
    assert "E09" not in codes(looked(scripted(week(7, 0)), quiet).problems)


def test_a_budget_of_few_events_is_a_game(one: tuple[Document, ...]) -> None:
    found = looked(scripted(week(7 * 30, 0)), one)
    told = next(p for p in found.problems if p.code == "W02")
    assert told.message == "'chat-all' may have 9.0 bad events in 30 d"
    assert "W02" not in codes(looked(scripted(week(7 * 34, 0)), one).problems)


@pytest.mark.req("SC-03")
def test_no_traffic_is_told_as_that(one: tuple[Document, ...]) -> None:
    found = looked(scripted(week(0, 0)), one)
    assert [p.message for p in found.problems] == ["'chat-all' had no traffic in 7 d"]


def test_less_than_a_day_says_nothing(one: tuple[Document, ...]) -> None:
    found = looked(scripted(week(1, 1, steps=287)), one)
    assert (found.problems, found.unknown) == ((), (("llm", "chat-all"),))


@pytest.mark.parametrize(("bad", "is_told"), [(100, False), (101, True)])
def test_a_promise_that_was_broken_is_told(
    bad: int, one: tuple[Document, ...], *, is_told: bool
) -> None:
    problems = looked(scripted(week(10_000, bad)), one).problems
    assert codes(problems) == (["W04"] if is_told else [])
    if is_told:
        assert (
            problems[0].message == "'chat-all' would not have kept its promise: 98.99 % were good"
        )


@pytest.mark.req("SC-04")
def test_a_window_that_is_longer_than_what_is_kept_is_told(one: tuple[Document, ...]) -> None:
    busy, runtime = week(10**6, 0), {"storageRetention": "15d"}
    (told,) = looked(scripted(busy, runtime=runtime), one).problems
    assert (told.code, told.message) == (
        "W03",
        "the window of 30 d is longer than Prometheus keeps: 15 d",
    )
    assert looked(scripted(busy, runtime={"storageRetention": "30d"}), one).problems == ()


def test_a_ledger_settles_that_a_window_needs_one(documents: Documents) -> None:
    (document,) = documents(chat({"all": promised("99")}, rest="window: {rolling: 90d}"))
    busy = week(10**6, 0)

    def answers(query: str) -> float | None:
        return 5 if query.startswith("inferometer_slo_ledger_covered") else busy(query)

    runtime = {"storageRetention": "15d"}
    found = looked(scripted(answers, runtime=runtime), [document])
    assert found.problems == ()
    place = document.window.place
    assert place is not None
    offline = [Problem(place, "needs a ledger", code="W03"), Problem(place, "other", code="W09")]
    assert settled(offline, found) == (offline[1],)
    without = looked(scripted(busy, runtime=runtime), [document])
    assert settled(offline, without) == tuple(offline)


def test_a_few_unmatched_requests_are_no_news(one: tuple[Document, ...]) -> None:
    busy = week(10**6, 0)

    def answers(lost: float) -> Callable[[str], float | None]:
        def answer(query: str) -> float | None:
            if "unmatched" in query:
                return lost
            return 95.0 if query.startswith("sum by (namespace) (increase") else busy(query)

        return answer

    assert codes(looked(scripted(answers(6)), one).problems) == ["W07"]
    assert codes(looked(scripted(answers(5)), one).problems) == []


def test_a_promise_that_nobody_counts_yet_is_held_against_histograms(
    documents: Documents,
) -> None:
    text = "objective: 99, good: {ttft: 1s, tpot: 50ms}, match: {model: ['llama-*'], stream: true}"
    fresh = documents(chat({"all": text}))

    def answers(query: str) -> float | None:
        if query.startswith("sum(increase(gen_ai_server_time_to_first_token_seconds_bucket"):
            assert 'model=~"llama-.*"' in query
            assert 'stream="true"' in query
            assert 'le=~"1(\\\\.0)?"' in query
            return 0.93
        return 1.0 if query.startswith("sum(increase(gen_ai") else None

    (told,) = looked(scripted(answers), fresh).problems
    assert told.code == "W04"
    assert told.message == (
        "'chat-all' would not have kept its promise: ttft within 1 s held for 93 %"
    )


def test_an_alert_on_a_quantile_is_told_beside_the_documents(one: tuple[Document, ...]) -> None:
    query = (
        "histogram_quantile(0.9, rate(gen_ai_server_time_to_first_token_seconds_bucket[5m])) > 1"
    )
    rule = {"name": "Slow", "type": "alerting", "query": query}
    groups = [{"name": "g", "file": "mine.yaml", "rules": [rule]}]
    (told,) = looked(scripted(week(10**6, 0), groups=groups), one).problems
    assert (told.code, told.place) == ("W06", Place("mine.yaml"))


@pytest.mark.parametrize("share", [None, "NaN"])
def test_histograms_without_traffic_say_nothing(share: str | None, documents: Documents) -> None:
    text = """\
metadata: {name: chat, owner: team}
classes:
  - {name: all, objective: 99, good: {ttft: 1s, e2e: 60s}}
"""
    server = scripted(lambda query: share if "gen_ai" in query else None)
    assert looked(server, documents(text)).problems == ()
    asked = [q for one in server.asked if "gen_ai" in (q := one.form.get("query", ""))]
    assert asked
    assert not any("namespace=" in query for query in asked)


@pytest.mark.parametrize(
    "text",
    [
        "objective: 99, good: {ttft: 1s}, match: {tenant: a}",
        "objective: 99, good: {ttft: {base: 1s, per_1k_prompt_tokens: 40ms}}",
        "objective: 99, good: {ttft: 1.01s}",
        "objective: 99, good: {ttft: {base: 1s, from: body}}",
    ],
)
def test_what_a_histogram_cannot_know_is_not_asked(text: str, documents: Documents) -> None:
    server = scripted(lambda query: 0.5 if "gen_ai" in query else None)
    assert looked(server, documents(chat({"all": text}))).problems == ()


def test_a_live_prometheus_knows_better_than_pages_of_engines() -> None:
    place = Place("slo.yaml", 1, 1)
    offline = [
        Problem(place, "x", code=code) for code in ("E07", "E10", "E11", "E12", "W05", "W13", "W14")
    ]
    kept = settled(offline, Found((), (), frozenset()))
    assert [problem.code for problem in kept] == ["E07", "W05"]
