"""Foreign metrics as a real Prometheus has them: every mistake names the nearest right thing."""

from collections.abc import Iterator

import pytest

from inferometer.errors import Problem
from inferometer.prom.client import Client
from inferometer.prom.endpoint import parse
from inferometer.prom.errors import PrometheusError
from inferometer.slo.online.strangers import problems
from support.live_slos import FOREIGN, Live
from support.scripted_prometheus import Asked, ScriptedPrometheus, reply, vector
from support.slo_rules import HEAD, Documents

TEXT = FOREIGN.removeprefix(HEAD)


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    with Client(parse(live.url)) as client:
        yield client


def test_metrics_that_are_there_are_no_problem(client: Client, documents: Documents) -> None:
    assert list(problems(documents(TEXT), client)) == []


@pytest.mark.req("SC-04")
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "threshold: 2.5s",
            "threshold: 2s",
            ("E10", "threshold 2 is no bucket edge of engine_ttft_seconds", "nearest are 1.0, 2.5"),
        ),
        (
            "engine_ttft_seconds",
            "engine_tttf_seconds",
            (
                "E12",
                "nothing shows engine_tttf_seconds_bucket",
                "did you mean 'engine_ttft_seconds_bucket'?",
            ),
        ),
        (
            "model_name: llama",
            "model_name: lama",
            (
                "E12",
                'no series of engine_ttft_seconds_bucket has model_name="lama"',
                "did you mean 'llama'?",
            ),
        ),
        (
            "total: rq_total",
            "total: rq_totals",
            ("E12", "nothing shows rq_totals", "did you mean 'rq_total'?"),
        ),
        (
            "total: rq_total",
            """total: 'rq_total{code="2",le="x"}'""",
            ("E12", 'no series of rq_total has le="x"', ""),
        ),
        (
            "total: rq_total",
            """total: 'rq_total{code=~"2",code=~"5"}'""",
            (
                "E12",
                'no series of rq_total has all of rq_total{code=~"2",code=~"5"}',
                "leave out a condition",
            ),
        ),
        (
            "total: rq_total",
            "total: zzz",
            ("E12", "nothing shows zzz", "is it scraped, and is its name right?"),
        ),
        ("total: rq_total", r"""total: 'rq_total{code=~"\\pX"}'""", ("E11", None, "bad_data")),
    ],
)
def test_a_mistake_names_what_is_near(
    old: str,
    new: str,
    told: tuple[str, str | None, str],
    client: Client,
    documents: Documents,
) -> None:
    (found,) = problems(documents(TEXT.replace(old, new)), client)
    code, message, hint = told
    assert found.code == code
    assert message in (None, found.message)
    assert hint in found.hint
    assert found.place.line > 4


def test_a_bad_part_that_never_happened_is_no_problem(client: Client, documents: Documents) -> None:
    """A code that no answer ever had has no series; its metric is there."""
    found = problems(documents(TEXT.replace('code="5"', 'code="599"')), client)
    assert list(found) == []


def scripted(kind: str, le: tuple[str, ...] = ("1.0", "+Inf")) -> ScriptedPrometheus:
    def script(asked: Asked) -> bytes:
        if asked.path.endswith("/metadata"):
            return reply({asked.form["metric"]: [{"type": kind}]})
        if asked.path.endswith("/le/values"):
            return reply([] if "=~" in asked.form["match[]"] else list(le))
        if "/label/" in asked.path:
            return reply(["rq_total"])
        return reply(vector(({}, 1_795_564_800)))

    return ScriptedPrometheus(script)


def found(server: ScriptedPrometheus, documents: Documents, text: str) -> list[Problem]:
    with server, Client(parse(server.url)) as client:
        return list(problems(documents(text), client))


GAUGE = """\
metadata: {name: ext, owner: team}
metrics:
  - {name: q, objective: 90, gauge: {metric: q, at_most: 5}, slice: {length: 5m, good_share: 90}}
"""
RATIO = """\
metadata: {name: ext, owner: team}
metrics:
  - {name: gw, objective: 99, ratio: {bad: 'rq_total{code="5"}', total: rq_total}}
"""


def test_a_gauge_is_no_counter(documents: Documents) -> None:
    (told,) = found(scripted("gauge"), documents, RATIO)
    assert (told.code, told.message) == ("E11", "rq_total is a gauge, not a counter")


def test_a_gauge_that_nobody_shows_is_told(client: Client, documents: Documents) -> None:
    (told,) = problems(documents(TEXT.replace("queue_depth", "queue_deep")), client)
    assert (told.code, told.hint) == ("E12", "did you mean 'queue_depth'?")


def test_a_counter_is_no_gauge(documents: Documents) -> None:
    (told,) = found(scripted("counter"), documents, GAUGE)
    assert (told.code, told.message) == ("E11", "q is a counter, not a gauge")
    assert found(scripted("gauge"), documents, GAUGE) == []


@pytest.mark.parametrize("kind", ["counter", "unknown", "histogram"])
def test_what_may_be_a_counter_is_fine(kind: str, documents: Documents) -> None:
    assert found(scripted(kind), documents, RATIO) == []


def test_an_edge_that_is_spelled_unusually_is_told(documents: Documents) -> None:
    text = RATIO.partition("  - ")[0] + (
        "  - {name: e, objective: 99, histogram: {metric: e_seconds, threshold: 1s}}\n"
    )
    (told,) = found(scripted("", ("1.000", "+Inf", "x")), documents, text)
    assert (told.code, told.hint) == ("E10", "it is one of +Inf, 1.000, x")


def test_a_prometheus_that_fails_is_no_problem_of_the_document(documents: Documents) -> None:
    server = ScriptedPrometheus(lambda _: reply({}, status=500))
    with pytest.raises(PrometheusError, match="answers 500"):
        found(server, documents, RATIO)
