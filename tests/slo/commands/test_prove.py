"""`inferometer slo prove`: what it prints, writes, and how it ends."""

import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from inferometer.errors import WorldError
from inferometer.slo.commands.prove import main

HEAD = "apiVersion: inferometer/v1\nkind: SLO\n"
CLASSES = "classes:\n  - {name: all, objective: 99, good: {e2e: 5s}}\n"
GOOD = f"{HEAD}metadata: {{name: chat, namespace: llm, owner: team}}\n{CLASSES}"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("nothing_installed")
def test_without_promtool_the_model_speaks_and_says_so(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(good)]) == 0
    printed = capsys.readouterr()
    assert "11 min (fast), 2.5 % spent" in printed.out
    assert "21 unconfirmed" in printed.out
    assert printed.err == "note: promtool is not installed, so nothing is confirmed\n"


@pytest.mark.usefixtures("nothing_installed")
def test_picture_and_badge_are_written_whole(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    svg, badge = tmp_path / "proof.svg", tmp_path / "badge.json"
    argv = [str(good), "--format", "json", "--svg", str(svg), "--badge", str(badge)]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    assert ET.fromstring(svg.read_text()).tag.endswith("svg")
    assert json.loads(badge.read_text())["message"] == "unconfirmed"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "badge.json", "good.yaml", "proof.svg",
    ]  # fmt: skip
    with pytest.raises(WorldError, match="cannot write"):
        main([str(good), "--svg", str(tmp_path / "absent" / "proof.svg")])


@pytest.mark.usefixtures("nothing_installed")
def test_an_slo_that_cannot_fire_is_refused_with_its_place(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(f"{GOOD}alerts: {{min_bad: 1000}}\n")
    assert main([str(good)]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{good}:5:5: 'chat-all' cannot fire")
    assert "[E09]\nhint: lower alerts.min_bad" in out
    assert main([str(good), "--requests-per-minute", "100"]) == 0


def test_a_promtool_that_finds_all_as_expected_confirms_it(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "fake"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "promtool, version 9.9.9 (x)" && exit 0\n'
        'grep -q group_eval_order "$3" && exit 0\nexit 7\n'
    )
    fake.chmod(0o755)
    assert main([str(good), "--promtool", str(fake)]) == 0
    assert "21 confirmed, by promtool 9.9.9." in capsys.readouterr().out


def test_a_promtool_that_fails_makes_every_scenario_disagree(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "fake"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "promtool, version 9.9.9 (x)" && exit 0\n'
        'echo "FAILED: something else"\nexit 1\n'
    )
    fake.chmod(0o755)
    assert main([str(good), "--promtool", str(fake)]) == 1
    out = capsys.readouterr().out
    assert "21 disagree," in out
    assert "    FAILED: something else" in out


class Terminal(io.StringIO):
    """A terminal that remembers what was written."""

    def isatty(self) -> bool:
        return True


def test_at_a_terminal_it_is_told_how_far_it_is(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho promtool, version 9.9.9\n")
    fake.chmod(0o755)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert main([str(good), "--promtool", str(fake)]) == 0
    assert terminal.getvalue().startswith("\r0 of 6 runs of promtool are done\r1 of 6")
    assert terminal.getvalue().endswith("\x1b[K")
