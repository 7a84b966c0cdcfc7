"""The page about formats: its examples and tables are what the code says."""

import re
from pathlib import Path

import pytest

from inferometer.slo.commands.check import main
from inferometer.slo.engines.table import ALIASES, PAGES, PREFIXES
from inferometer.slo.known import problems
from inferometer.slo.openslo.objects import NOTES, PREFIX
from inferometer.slo.spec import load
from support.tree import ROOT

pytestmark = pytest.mark.checkout


@pytest.fixture
def page() -> str:
    return (ROOT / "docs" / "slo-formats.md").read_text("utf-8")


@pytest.fixture
def examples(page: str, tmp_path: Path) -> list[Path]:
    paths = []
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(text, "utf-8")
    return paths


def test_the_examples_are_right_and_answer_as_shown(
    page: str, examples: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    openslo, metrics = examples
    assert main([str(openslo)]) == 0
    shown = page.partition("$ inferometer slo check openslo.yaml\n")[2].partition("\n| of")[0]
    printed = capsys.readouterr().out
    assert [line.removeprefix("    ") for line in shown.splitlines()] == printed.splitlines()
    (document,) = load([metrics])
    assert [one.id for one in document.foreign] == [
        *("pool-first-token", "pool-gateway", "pool-gateway-slices", "pool-cache"),
    ]
    assert list(problems([document])) == []


def test_every_engine_and_version_is_named(page: str) -> None:
    for prefix, engine in PREFIXES.items():
        versions = ", ".join(one.version for one in PAGES if one.engine == engine)
        assert f"| {engine} | {versions} | `{prefix}` |" in page


def test_every_renamed_metric_is_named(page: str) -> None:
    for one in ALIASES:
        assert f"| `{one.old}` | `{one.new}` | {one.engine} {one.since} | {one.gone} |" in page


def test_every_annotation_is_named(page: str) -> None:
    for note in NOTES:
        assert f"`{PREFIX}{note}`" in page
