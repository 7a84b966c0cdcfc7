"""The page about proofs: its table, its scenarios and its picture are what the command makes."""

import re
from pathlib import Path

import pytest

from inferometer.slo.commands.promtool import found
from inferometer.slo.commands.prove import proved
from inferometer.slo.document import Document
from inferometer.slo.proof import report
from inferometer.slo.proof.oracle import Answers
from inferometer.slo.proof.picture import picture
from inferometer.slo.proof.prove import Proof, cases, generic, judged
from inferometer.slo.spec import load
from support.golden import Compare
from support.promtool import tool
from support.tree import ROOT

pytestmark = pytest.mark.checkout

PAGE = ROOT / "docs" / "slo-proof.md"
PICTURE = ROOT / "docs" / "images" / "slo-proof.svg"
WITNESS = "promtool 2.42.0"


@pytest.fixture
def example(tmp_path: Path) -> tuple[Document, ...]:
    text = (ROOT / "docs" / "slo.md").read_text("utf-8")
    path = tmp_path / "slo.yaml"
    path.write_text(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0], "utf-8")
    return load([path])


@pytest.fixture
def agreed(example: tuple[Document, ...]) -> tuple[Proof, ...]:
    """Return the proofs of the example as they are where promtool agrees."""
    known = cases(example, 10)
    return judged(known, {one.id: Answers({}) for case in known for one in case.stand_ins})


def told(proofs: tuple[Proof, ...]) -> list[str]:
    """Return what is printed, without the scenarios of all SLOs but the first."""
    parts = report.text(proofs, witness=WITNESS, colours=False).rstrip().split("\n\n")
    return "\n\n".join([*parts[:3], "[...]", parts[-1]]).splitlines()


def shown() -> list[str]:
    block = PAGE.read_text("utf-8").partition("--svg proof.svg\n")[2].partition("\n\n![")[0]
    return [line.removeprefix("    ") for line in block.splitlines()]


def test_the_example_is_proved_as_it_is_shown(agreed: tuple[Proof, ...]) -> None:
    assert shown() == told(agreed)


@pytest.mark.e2e
@pytest.mark.req("SC-05")
def test_promtool_confirms_what_is_shown(example: tuple[Document, ...]) -> None:
    assert shown() == told(proved(example, generic(example), found(tool("2", "promtool"))))


def test_the_picture_is_that_of_the_example(agreed: tuple[Proof, ...], golden: Compare) -> None:
    golden(PICTURE, picture(agreed, witness=WITNESS).encode())


def test_every_scenario_is_explained(agreed: tuple[Proof, ...]) -> None:
    text = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| ([a-z-]+(?:, [a-z-]+)*) \|", text, re.MULTILINE)
    explained = {name for row in rows for name in row.split(", ")}
    for proof in agreed:
        for outcome in proof.outcomes:
            short = outcome.scenario.name.removeprefix("partial")
            assert explained & {outcome.scenario.name, short}
