"""`inferometer slo check --prometheus URL --replay 14d`, as one types it."""

import json
import re
from pathlib import Path

import pytest

from inferometer.errors import SettingsError, WorldError
from inferometer.slo.commands.check import main
from inferometer.slo.commands.online import replay_s
from support.live_slos import DOCUMENTS, FOREIGN, Live


@pytest.fixture
def slos(tmp_path: Path) -> Path:
    path = tmp_path / "slo.yaml"
    path.write_text(f"{DOCUMENTS}---\n{FOREIGN}")
    return path


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two of the SLOs, since a replay asks for a lot of each."""
    path = tmp_path / "two.yaml"
    lines = DOCUMENTS.splitlines(keepends=True)
    path.write_text("".join(one for one in lines if not re.search("words|slice", one)))
    return path


def test_live_findings_stand_among_the_others(
    live: Live, slos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(slos), "--prometheus", live.url]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert any(re.match(r".*slo.yaml:\d+:5: sidecars judge 'chat-all' by 98 %.*\[W11\]", one)
               for one in lines)  # fmt: skip
    assert "Too little is known there of: llm/chat-quiet" in lines
    assert "Replay" not in text
    assert re.fullmatch(r"7 SLOs, 0 errors, \d+ warnings", lines[-1])


def test_a_replay_is_a_table(live: Live, two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(two), "--prometheus", live.url, "--replay", "5d"])
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("Replay of 5 d, had these alerts been there:")
    head, *rows = lines[at + 2 : lines.index("", at + 2)]
    assert head.split()[:4] == ["SLO", "alert", "windows", "fired"]
    cells = [re.split(r"\s{2,}", row) for row in rows]
    fast = next(row for row in cells if row[0] == "llm/chat-all" and "fast" in row)
    assert fast[1:4] == ["LLMSLOBurnFast", "fast", "1"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", fast[-1])
    assert ["llm/chat-quiet", "none fired"] in cells
    assert "llm/chat-quiet: 0 s of 5 d have samples" in lines
    assert any(line.startswith("Not replayed: LLMSLOBudgetExhausted") for line in lines)


def test_json_holds_every_firing(live: Live, two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(two), "--prometheus", live.url, "--replay", "5d", "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert found["unknown"] == [{"namespace": "llm", "slo": "chat-quiet"}]
    assert found["replay"]["length_s"] == 5 * 86400
    alerts = {
        (slo["slo"], alert["alert"], alert["detail"]): alert["firings"]
        for slo in found["replay"]["slos"]
        for alert in slo["alerts"]
    }
    ((times),) = (alerts["chat-all", "LLMSLOBurnFast", "fast"],)
    assert len(times) == 1
    assert times[0]["end_s"] > times[0]["start_s"] > live.outage_s
    assert alerts["chat-quiet", "LLMSLOBurnFast", "fast"] == []


def test_a_replay_needs_a_prometheus_and_a_length_that_can_be_asked_for(slos: Path) -> None:
    with pytest.raises(SettingsError, match="--replay: needs --prometheus"):
        main([str(slos), "--replay", "14d"])
    for text in ("14", "0d", "32d", "1h"):
        with pytest.raises(SettingsError, match="a duration from 1d to 31d"):
            main([str(slos), "--prometheus", "http://p", "--replay", text])
    assert replay_s("2w") == 14 * 86400


def test_a_prometheus_that_is_away_is_told(slos: Path) -> None:
    with pytest.raises(WorldError, match="connection refused"):
        main([str(slos), "--prometheus", "http://127.0.0.1:1"])
