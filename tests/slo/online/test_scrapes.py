import pytest

from inferometer.errors import Problem
from inferometer.prom.client import Client
from inferometer.prom.endpoint import parse
from inferometer.slo.names import Options
from inferometer.slo.online.scrapes import rare
from support.scripted_prometheus import Asked, ScriptedPrometheus, reply, vector
from support.slo_rules import Documents, chat, promised

TARGET = {"job": "sidecar", "instance": "a:1"}


def found(
    documents: Documents, text: str, *, declared: str | None, samples: float
) -> list[Problem]:
    def script(asked: Asked) -> bytes:
        if asked.path.endswith("/targets"):
            targets = [{"labels": TARGET, "scrapeInterval": declared, "health": "up"}]
            return reply({"activeTargets": targets if declared else []})
        if asked.form["query"].startswith("count by"):
            return reply(vector((TARGET, 5)))
        return reply(vector(({}, samples)))

    with ScriptedPrometheus(script) as server, Client(parse(server.url)) as client:
        return list(rare(documents(text), client, Options()))


@pytest.mark.parametrize(
    ("declared", "samples", "told"),
    [
        ("15s", 2, ""),
        ("30s", 2, ""),
        ("1m", 120, "about every 1 min only"),
        ("5m", 120, "about every 5 min only"),
        (None, 120, ""),
        (None, 60, ""),
        (None, 55, ""),
        (None, 30, "about every 1 min only"),
        (None, 1, ""),
    ],
)
@pytest.mark.req("SC-04")
def test_a_scrape_is_too_rare_as_declared_or_else_as_counted(
    declared: str | None, samples: float, told: str, documents: Documents
) -> None:
    problems = found(documents, chat({"all": promised("99")}), declared=declared, samples=samples)
    assert [one.code for one in problems] == (["W08"] if told else [])
    assert all(told in one.message for one in problems)


def test_a_target_of_another_server_is_counted(documents: Documents) -> None:
    """Another Prometheus scrapes it: this one only knows that some target is declared."""
    text = chat({"all": promised("99")})
    assert found(documents, text, declared="15s", samples=30) == []


def test_series_that_nobody_scrapes_say_nothing(documents: Documents) -> None:
    def script(asked: Asked) -> bytes:
        return reply({} if asked.path.endswith("/targets") else vector())

    with ScriptedPrometheus(script) as server, Client(parse(server.url)) as client:
        text = chat(
            {
                "all": promised("99"),
                "s": "objective: 99, weight: slice, slice: {length: 5m,"
                " good_share: 50}, good: {tpot: 20ms}, match: {tenant: a}",
            }
        )
        assert list(rare(documents(text), client, Options())) == []
    assert any('slo=~"chat-all|chat-s--requests"' in a.form.get("query", "") for a in server.asked)


def test_a_gauge_is_looked_at_like_a_counter(documents: Documents) -> None:
    text = (
        "metadata: {name: g}\nmetrics: [{name: m, objective: 99, gauge: {metric: x, below: 1},"
        " slice: {length: 5m, good_share: 80}}]\n"
    )
    (problem,) = found(documents, text, declared="5m", samples=2)
    assert problem.code == "W08"
