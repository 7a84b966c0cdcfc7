"""Counts of the ledger from a real Prometheus, against an exact sum of what was recorded."""

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from inferometer.prom.client import Client
from inferometer.prom.endpoint import parse
from inferometer.prom.errors import PrometheusError
from inferometer.slo.budget import Counts
from inferometer.slo.ledger.ledger import Span
from inferometer.slo.ledger.tallies import Recorded
from support.live_slos import DAY_S, Live
from support.scripted_prometheus import Asked, ScriptedPrometheus, reply, vector

CHAT, QUIET = ("llm", "chat-all"), ("llm", "chat-quiet")


@pytest.fixture
def live(live_of_each: Live) -> Live:
    return live_of_each


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    with Client(parse(live.url)) as client:
        yield client


@pytest.mark.req("SC-05")
@pytest.mark.parametrize(
    ("days_ago", "start_s", "length_s"),
    [(2, 0, DAY_S), (3, 0, DAY_S), (4, 0, 23 * 3600), (5, 7200, 25 * 3600), (6, 17, 60), (1, 5, 1)],
)
def test_a_span_is_counted_exactly_whatever_its_holes(
    live: Live, client: Client, days_ago: int, start_s: int, length_s: int
) -> None:
    chat, quiet = live.recorded
    begin = live.day_s - days_ago * DAY_S + start_s
    found = Recorded(client).counts(Span(begin, begin + length_s), [CHAT, QUIET, ("llm", "new")])
    expected = {
        key: Counts(*one.truth(begin, begin + length_s))
        for key, one in ((CHAT, chat), (QUIET, quiet))
    }
    assert found == {key: counts for key, counts in expected.items() if counts != Counts()}


def test_spans_that_meet_count_every_sample_once(live: Live, client: Client) -> None:
    """One begins and ends at the very moment of a sample."""
    chat, _ = live.recorded
    middle = live.day_s - 10 * DAY_S + 3600
    source = Recorded(client)
    # The samples lie at 17.25 s; whole seconds on both sides of one, and those beside them.
    for cut in (middle + 17, middle + 18):
        first = source.counts(Span(middle - 3600, cut), [CHAT])[CHAT]
        second = source.counts(Span(cut, middle + 3600), [CHAT])[CHAT]
        assert first + second == Counts(*chat.truth(middle - 3600, middle + 3600))


def test_another_cluster_has_other_slos(live: Live, client: Client) -> None:
    begin = live.day_s - 2 * DAY_S
    assert Recorded(client, cluster="east").counts(Span(begin, begin + 60), [CHAT]) == {}


def test_the_clock_is_that_of_the_server(live: Live, client: Client) -> None:
    assert 0 <= Recorded(client).now_s() - live.now_s < 3600


def scripted(*series: tuple[dict[str, str], object], **more: object) -> ScriptedPrometheus:
    def script(asked: Asked) -> bytes:
        if "vector(0)" in asked.form["query"]:
            return reply(vector(({}, 3)))
        body = {"status": "success", "data": vector(*series), **more}
        return reply(body=json.dumps(body).encode())

    return ScriptedPrometheus(script)


def asked(server: ScriptedPrometheus) -> object:
    with server, Client(parse(server.url)) as client:
        return Recorded(client).counts(Span(0, 60), [CHAT])


def test_two_series_of_one_slo_are_refused() -> None:
    labels = {"namespace": "llm", "slo": "chat-all"}
    two = (({**labels, "replica": "a"}, 1), ({**labels, "replica": "b"}, 1))
    with pytest.raises(PrometheusError, match="two series of the SLO 'chat-all'") as caught:
        asked(scripted(*two))
    assert caught.value.reason == "ambiguous"


@pytest.mark.parametrize("number", ["NaN", "+Inf", "1e+13"])
def test_what_is_no_number_is_no_count(number: str) -> None:
    labels = {"namespace": "llm", "slo": "chat-all"}
    with pytest.raises(PrometheusError, match="which is no count") as caught:
        asked(scripted((labels, number)))
    assert caught.value.reason == "not_a_number"


def test_an_answer_that_is_not_whole_is_none() -> None:
    with pytest.raises(PrometheusError, match="may not be whole"):
        asked(scripted(warnings=["a store is away"]))


def test_a_bad_part_that_nobody_records_makes_no_count() -> None:
    def script(asked: Asked) -> bytes:
        query = asked.form["query"]
        if "vector(0)" in query:
            return reply(vector(({}, 2)))
        labels = {"namespace": "llm", "slo": "chat-all"}
        return reply(vector((labels, 1)) if "slo_total" in query else vector())

    assert asked(ScriptedPrometheus(script)) == {}


def test_somebody_elses_slo_and_samples_outside_of_the_span_do_not_count() -> None:
    """An id may come again in another namespace; a range may take in one sample too many."""
    ours, theirs = ({"namespace": n, "slo": "chat-all"} for n in ("llm", "other"))

    def script(asked: Asked) -> bytes:
        query = asked.form["query"]
        if "vector(0)" in query:
            return reply(vector(({}, 2)))
        if query.startswith("count_over_time"):
            return reply(vector((ours, 2 if "slo_total" in query else 1), (theirs, 1)))
        if query.startswith("sum_over_time"):
            return reply(vector((ours, 10), (theirs, 10)))
        values = [[0, "5"], [59.9, "10"], [60, "500"]]
        series = {"metric": ours, "values": values[1:] if "slo_bad" in query else values}
        return reply({"resultType": "matrix", "result": [series]})

    counts = asked(ScriptedPrometheus(script))
    assert counts == {CHAT: Counts(Decimal(2), Decimal(2), 60)}


def test_many_slos_are_asked_for_in_groups() -> None:
    server = scripted()
    with server, Client(parse(server.url)) as client:
        Recorded(client).counts(Span(0, 60), [("llm", f"slo-{n}") for n in range(250)])
    assert len(server.asked) == 3 * 4 + 1
    assert max(one.form["query"].count("slo-") for one in server.asked) == 100


def test_an_integer_stays_one(live: Live, client: Client) -> None:
    begin = live.day_s - 2 * DAY_S
    counts = Recorded(client).counts(Span(begin, begin + 3600), [CHAT])[CHAT]
    assert counts.total == Decimal(60 * 500) / 5
