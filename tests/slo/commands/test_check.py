"""`inferometer slo check`: every problem at once, sorted by place, for people and for tools."""

import json
from pathlib import Path

import pytest

from inferometer.slo.commands.check import main

FIXTURES = Path(__file__).parents[2] / "fixtures" / "slo"
GOOD = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: chat, namespace: llm, owner: team}
classes:
  - {name: all, objective: 99, good: {e2e: 5s}}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_a_good_document_says_how_soon_each_slo_is_told(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(good)]) == 0
    assert capsys.readouterr().out == (
        "At 10 requests a minute:\n"
        "\n"
        "llm/chat-all: 99 % of requests in 30d\n"
        "  100 % outage pages in 11 min, 50 % in 20 min; smallest error that pages 6 %, that"
        " tickets 1 %\n"
        "\n"
        "1 SLO, 0 errors, 0 warnings\n"
    )


@pytest.mark.req("SC-03")
def test_an_slo_that_cannot_fire_is_an_error_at_its_place(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(f"{GOOD}alerts: {{min_bad: 40000}}\n")
    assert main([str(good)]) == 1
    told = capsys.readouterr().out.splitlines()
    message = (
        "'chat-all' cannot fire in these windows: fast (1h), medium (6h), cliff (30m), slow (1d);"
        " at 10 requests a minute they never hold 40000 bad ones"
    )
    assert told[:2] == [
        f"{good}:5:5: {message} [E09]",
        "hint: lower alerts.min_bad, or say with --requests-per-minute how many there are",
    ]
    assert told[-3].startswith("  100 % outage pages never, 50 % never; smallest error that pages")
    assert told[-3].endswith("pages none, that tickets 92.6 %")
    assert main([str(good), "--requests-per-minute", "1400"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "At 1400 requests a minute:"
    assert "pages in 31 min" in told[3]


def test_an_slo_that_wants_no_alerts_need_not_fire(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(f"{GOOD}alerts: {{min_bad: 40000, page: false, ticket: false}}\n")
    assert main([str(good), "--requests-per-minute", "1", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["problems"], told["requests_per_minute"]) == ([], 1)


@pytest.mark.req("SC-01")
def test_all_problems_of_all_files_come_at_once_by_place(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [FIXTURES / "twice.yaml", FIXTURES / "wrong_values.yaml", good, "absent.yaml"]
    assert main([str(path) for path in wrong]) == 1
    lines = capsys.readouterr().out.splitlines()
    places = [
        line.split(":")[0] for line in lines if line.endswith("]") and not line.startswith("hint")
    ]
    assert set(places) == {"absent.yaml", str(wrong[0]), str(wrong[1])}
    assert places == sorted(places)
    assert "absent.yaml: cannot be read: No such file or directory [E05]" in lines
    assert any(line.startswith("hint: ") for line in lines)
    assert "llm/chat-all: 99 % of requests in 30d" in lines  # what is whole is told, too


@pytest.mark.req("SC-01")
def test_an_objective_with_a_percent_sign_is_told_where_it_stands(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(GOOD.replace("objective: 99", "objective: 99.9%"))
    assert main([str(good)]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"{good}:5:28: objective must be between 50 and 99.999, got '99.9%' [E03]",
        "hint: write 99.9, the percent sign is implied",
    ]


def test_a_warning_is_no_failure_unless_it_is_meant_to_be(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(GOOD.replace(", owner: team", ""))
    assert main([str(good)]) == 0
    assert "1 SLO, 0 errors, 1 warning\n" in capsys.readouterr().out
    assert main([str(good), "--strict"]) == 1


def test_tools_get_the_same_as_one_object(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD.replace("99,", "990,", 1) + "---\n" + GOOD)
    assert main([str(good), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["slos"] == []
    first = told["problems"][0]
    assert first == {
        "file": str(good),
        "line": 5,
        "column": 28,
        "code": "E03",
        "severity": "error",
        "message": "objective must be between 50 and 99.999, got '990'",
        "hint": "",
    }
    good.write_text(GOOD)
    assert main([str(good), "--format=json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == []
    assert told["requests_per_minute"] == 10
    assert told["slos"][0]["outage_pages_min"] == 11


@pytest.mark.req("SC-04")
def test_a_selector_that_is_none_is_told_where_it_stands(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(
        GOOD + "metrics:\n  - {name: x, objective: 99, ratio: {bad: 'rate(a[5m])', total: b}}\n"
    )
    assert main([str(good)]) == 1
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{good}:7:43: bad must be a PromQL selector, got 'rate(a[5m])' [E11]"
    )
