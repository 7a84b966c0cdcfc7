"""The page about SLOs: what it shows is what the command does."""

import re
from pathlib import Path

import pytest

from inferometer.slo.alerts import generic as alerts
from inferometer.slo.commands.check import main
from inferometer.slo.names import Options
from inferometer.slo.rules import generic as rules
from support.tree import ROOT

pytestmark = pytest.mark.checkout

PAGE = ROOT / "docs" / "slo.md"


@pytest.fixture
def page() -> str:
    return PAGE.read_text("utf-8")


def test_the_example_gives_the_answer_that_is_shown(
    page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "slo.yaml"
    path.write_text(example, "utf-8")
    assert main([str(path)]) == 0
    shown = page.partition("$ inferometer slo check slo.yaml\n")[2].partition("\nEvery problem")[0]
    printed = capsys.readouterr().out
    assert [line.removeprefix("    ") for line in shown.splitlines()] == printed.splitlines()


def test_numbers_of_rules_and_all_alerts_are_named(page: str) -> None:
    recorded, alerting = rules(Options(), (30,)), alerts(Options(), (30,))
    count = f"{len(recorded.rules)} recording rules and {len(alerting.rules)} alerting rules"
    assert count in page
    for alert in alerting.alerts:
        assert re.search(rf"^\| `{alert.name}` \| {alert.severity} \|", page, re.MULTILINE)
