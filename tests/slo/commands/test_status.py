"""`inferometer slo status`: what is known as a number, what is not in words."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from inferometer.errors import WorldError
from inferometer.slo.budget import Counts
from inferometer.slo.commands import ledger
from inferometer.slo.commands.status import main
from inferometer.slo.ledger.book import Book, Bucket, Entry
from inferometer.slo.ledger.store import FileStore, Stored
from support.live_slos import DAY_S, DOCUMENTS, Live
from support.scripted_prometheus import Asked, ScriptedPrometheus, reply, vector

ONE: Final = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: chat, namespace: llm, owner: team}
classes:
  - {name: all, objective: 99, good: {e2e: 5s}}
"""


@pytest.fixture
def slos(tmp_path: Path) -> Path:
    path = tmp_path / "slo.yaml"
    path.write_text(DOCUMENTS)
    return path


def told(url: str, *argv: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main([*argv, "--prometheus", url])
    return code, capsys.readouterr().out


def test_a_table_says_how_each_slo_stands(
    live: Live, slos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = told(live.url, str(slos), capsys=capsys)
    cells = {line.split()[0]: re.split(r"\s{2,}", line) for line in text.splitlines() if line}
    all_of_it = cells["llm/chat-all"]
    assert all_of_it[1:8] == ["99 %", "99.6 %", "60 %", "1.50", "0.50", "36 d", "ttft"]
    assert all_of_it[-1] == "ok"
    assert cells["llm/chat-quiet"][-1] == "other objective"
    assert cells["llm/chat-words"][2:8] == ["no data"] * 5 + ["-"]
    assert cells["llm/chat-words"][-1] == "no rules"
    assert "its rules state 95 %: render them anew" in text
    assert "its rules are not loaded" in text
    assert re.search(r"At 20.* UTC, by http://127.0.0.1:\d+, which keeps 36500 d, and holds", text)
    assert code == 1  # somebody has to load rules


@pytest.mark.req("SC-03")
def test_json_holds_numbers_or_why_there_are_none(
    live: Live, slos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = told(live.url, str(slos), "--format", "json", capsys=capsys)
    found = {one["slo"]: one for one in json.loads(text)["slos"]}
    assert found["chat-all"]["budget_left"] == {"value": 0.6}
    assert found["chat-all"]["fails"] is False
    quiet = found["chat-quiet"]
    assert quiet["burn_1h"] == {"value": None, "unknown": "no_traffic"}
    assert quiet["attainment"] == {"value": None, "unknown": "no_traffic"}
    assert found["chat-words"]["attainment"] == {"value": None, "unknown": "no_data"}
    assert found["chat-words"]["known_s"] == 0


def test_the_file_of_a_ledger_wins_and_dates_what_was_changed(
    live: Live, slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "l.json"
    argv = [str(slos), "--store", str(store)]
    ledger.main([*argv, "--prometheus", live.url])
    capsys.readouterr()
    _, text = told(live.url, *argv, "--format", "json", capsys=capsys)
    found = {one["slo"]: one for one in json.loads(text)["slos"]}["chat-all"]
    assert found["budget_left"]["value"] != 0.6
    assert found["by_ledger"] is True
    assert found["definition_since"] is None
    book = store.read_text()
    assert "chat-all" in book


@pytest.mark.parametrize("window", ["{calendar: month, timezone: Europe/Berlin}", "{rolling: 90d}"])
def test_a_window_that_needs_a_ledger_has_no_budget_without_one(
    live: Live, slos: Path, window: str, capsys: pytest.CaptureFixture[str]
) -> None:
    slos.write_text(DOCUMENTS.replace("{rolling: 30d}", window))
    _, text = told(live.url, str(slos), capsys=capsys)
    (line,) = (line for line in text.splitlines() if line.startswith("llm/chat-all"))
    cells = re.split(r"\s{2,}", line)
    assert cells[2:4] == ["no data", "no data"]
    assert cells[-1] == "no ledger"
    assert "run `inferometer slo ledger`" in text


def exported(asked: Asked) -> bytes:
    """Answer as a Prometheus that scrapes a ledger: a budget, and 20 of 30 days."""
    key = {"namespace": "llm", "slo": "chat-all"}
    query = asked.form.get("query", "")
    answers = {
        "time()": ({}, 1_795_564_800),
        "inferometer:slo_objective:ratio{": (key, 0.99),
        "inferometer:slo_total:increase5m{": (key, 500),
        "timestamp(inferometer:slo_total": (key, 1_795_564_790),
        "inferometer:slo_total:increase3d{": (key, 500_000),
        "inferometer:slo_budget_remaining:ratio{": (key, -0.25),
        "inferometer_slo_ledger_covered_seconds{": (key, 20 * 86400),
        "inferometer:slo_burn:rate6h{": (key, "NaN"),
    }
    if asked.path.endswith("runtimeinfo"):
        return reply({}, status=404)
    found = [pair for start, pair in answers.items() if query.startswith(start)]
    return reply(vector(*found))


def test_a_ledger_that_is_scraped_gives_budget_and_coverage(
    slos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedPrometheus(exported) as server:
        code, text = told(server.url, str(slos), capsys=capsys)
    (line,) = (line for line in text.splitlines() if line.startswith("llm/chat-all"))
    cells = re.split(r"\s{2,}", line)
    assert cells[2:7] == ["98.75 %", "-25 %", "no data", "not a number", "0 s"]
    assert cells[-2:] == ["20 d of 30 d", "partial"]
    assert code == 1


@pytest.mark.parametrize(
    ("numbers", "state", "code"),
    [
        ({}, "ok", 0),
        ({"total:increase5m": 0}, "idle", 0),
        ({"total:increase5m": 0, "total:increase3d": None}, "no traffic", 0),
        ({"total:increase5m": None}, "no data", 1),
        ({"timestamp": 1_795_564_800 - 200}, "stale", 1),
        ({"timestamp": None}, "stale", 1),
        ({"objective:ratio": None}, "no rules", 1),
        ({"objective:ratio": 0.95}, "other objective", 1),
        ({"count": 41_000}, "partial", 0),
        ({"count": None}, "partial", 0),
        ({"budget_remaining:ratio": None}, "no budget", 1),
        ({"budget_remaining:ratio": None, "total:increase5m": 0}, "idle", 0),
        ({"budget_remaining:ratio": 0.1}, "ok", 0),
        ({"budget_remaining:ratio": 0.0}, "ok", 1),
    ],
)
def test_a_state_says_whether_numbers_can_be_believed(
    numbers: dict[str, float | None],
    state: str,
    code: int,
    slos: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of 43,200 minutes 41,040 are enough; somebody else's SLO is not ours."""
    slos.write_text(ONE)
    key = {"namespace": "llm", "slo": "chat-all"}
    known = {
        "objective:ratio": 0.99,
        "total:increase5m": 500,
        "total:increase3d": 500_000,
        "error:ratio_window": 0.004,
        "budget_remaining:ratio": 0.6,
        "burn:rate6h": 0.0,
        "count": 43_200,
        "timestamp": 1_795_564_750,
        **numbers,
    }

    def script(asked: Asked) -> bytes:
        query = asked.form.get("query", "")
        if asked.path.endswith("runtimeinfo"):
            return reply({"storageRetention": "15d"})
        if query == "time()":
            return reply(vector(({}, 1_795_564_800)))
        if query.startswith("sum by (namespace, slo, reason)"):
            reasons = {"ttft": 40, "error": 4}
            return reply(vector(*(({**key, "reason": r}, n) for r, n in reasons.items())))
        name = next(
            (name for name in ("count", "timestamp") if query.startswith(name)),
            query[16:].partition("{")[0],
        )
        found = known.get(name)
        other = ({"namespace": "other", "slo": "chat-all"}, 1)
        return reply(vector(other) if found is None else vector((key, found), other))

    with ScriptedPrometheus(script) as server:
        found, text = told(server.url, str(slos), capsys=capsys)
    assert "which keeps 15 d" in text
    (line,) = (line for line in text.splitlines() if line.startswith("llm/chat-all"))
    cells = re.split(r"\s{2,}", line)
    assert (cells[-1], found) == (state, code)
    assert cells[7] == "ttft"
    assert ("load the slo.yaml" in text) == (state == "no budget")
    if state == "ok" and code == 0:
        assert cells[6] == "not burning"


def test_another_definition_is_dated(
    live: Live, slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FileStore(tmp_path / "l.json")
    day = date(2026, 1, 1)
    counts = Counts(Decimal(100), Decimal(1), 60)
    days = {day + timedelta(days=n): Bucket("ab"[n] * 4, Counts(), counts, 1, 2) for n in range(2)}
    store.save(Stored({("llm", "chat-all"): Entry(day, day, days)}, 0))
    _, text = told(live.url, str(slos), "--store", str(store.path), capsys=capsys)
    assert "what counts as good was changed on 2026-01-02" in text


def counted_until(until_s: int, *slos: str) -> Book:
    """Return what a ledger knows that was last run at a moment: a million, and nothing bad."""
    of = datetime.fromtimestamp(until_s, UTC).date()
    counts = Counts(Decimal(10**6), Decimal(0), 30 * DAY_S)
    days = {of: Bucket("ab", Counts(), counts, until_s - 60, until_s)}
    return {("llm", slo): Entry(of, of, days, "UTC") for slo in slos}


def test_what_came_after_the_last_pass_of_a_ledger_counts(
    live: Live, slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, until_s = FileStore(tmp_path / "l.json"), live.now_s - 9000
    store.save(Stored(counted_until(until_s, "chat-all"), 0))
    before = store.path.read_bytes()
    _, text = told(
        live.url, str(slos), "--store", str(store.path), "--format", "json", capsys=capsys
    )
    data = json.loads(text)
    found = {one["slo"]: one for one in data["slos"]}["chat-all"]
    total, bad, _ = live.recorded[0].truth(until_s, int(data["at"]))
    assert bad > 0
    assert found["attainment"]["value"] == pytest.approx(float(1 - bad / (10**6 + total)), abs=1e-9)
    assert store.path.read_bytes() == before


def test_an_slo_that_the_ledger_does_not_know_stands_as_the_rules_say(
    live: Live, slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = FileStore(tmp_path / "l.json")
    store.save(Stored(counted_until(live.now_s, "chat-words"), 0))
    _, text = told(
        live.url, str(slos), "--store", str(store.path), "--format", "json", capsys=capsys
    )
    found = {one["slo"]: one for one in json.loads(text)["slos"]}["chat-all"]
    assert (found["budget_left"], found["by_ledger"]) == ({"value": 0.6}, False)


@pytest.mark.parametrize(("ago_s", "questions"), [(3600, 9), (60 * DAY_S, 5)])
def test_the_time_since_the_last_pass_takes_few_questions_however_long_it_is(
    ago_s: int, questions: int, slos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now_s = 1_795_564_800

    def script(asked: Asked) -> bytes:
        if asked.path.endswith("runtimeinfo"):
            return reply({})
        if "vector(0)" in asked.form["query"]:
            return reply(vector(({}, 3)))
        return reply(vector(({}, now_s)) if asked.form["query"] == "time()" else vector())

    store = FileStore(tmp_path / "l.json")
    names = ("chat-all", "chat-quiet", "chat-words", "chat-slices")
    store.save(Stored(counted_until(now_s - ago_s, *names), 0))
    asked = []
    for more in ((), ("--store", str(store.path))):
        with ScriptedPrometheus(script) as server:
            told(server.url, str(slos), *more, capsys=capsys)
            asked.append(len(server.asked))
    assert asked[1] - asked[0] == questions


def test_two_numbers_for_one_slo_are_an_error(slos: Path) -> None:
    def script(asked: Asked) -> bytes:
        if asked.path.endswith("runtimeinfo"):
            return reply({"storageRetention": "15d"})
        if asked.form["query"] == "time()":
            return reply(vector(({}, 1_795_564_800)))
        key = {"namespace": "llm", "slo": "chat-all"}
        return reply(vector(({**key, "replica": "a"}, 1), ({**key, "replica": "b"}, 2)))

    with ScriptedPrometheus(script) as server, pytest.raises(WorldError, match="two series"):
        main([str(slos), "--prometheus", server.url])


def test_a_prometheus_that_is_away_is_told(slos: Path) -> None:
    with pytest.raises(WorldError, match="connection refused"):
        main([str(slos), "--prometheus", "http://127.0.0.1:1"])
