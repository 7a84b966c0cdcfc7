"""Guards of the pages: what they name exists, and what exists is named."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from inferometer.cli import COMMANDS, EXIT_CODES
from inferometer.metrics.catalog import METRICS
from support.tree import ROOT, files, pyproject, python_files

pytestmark = pytest.mark.checkout

ID: Final = re.compile(r"\b(?:PF|LM|DC|FO|PR|LC|GX|SC|SU)-\d\d\b")


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def promised() -> set[str]:
    """Return the ids of all requirements."""
    return set(re.findall(r"^\| ([A-Z]{2}-\d\d) \|", page("docs/requirements.md"), re.MULTILINE))


def proved() -> dict[str, list[Path]]:
    """Return which test files prove each requirement."""
    found: dict[str, list[Path]] = {}
    for path in python_files():
        for marks in re.findall(r"mark\.req\(([^)]*)\)", path.read_text(encoding="utf-8")):
            for name in ID.findall(marks):
                found.setdefault(name, []).append(path)
    return found


def test_every_requirement_is_proved_by_a_test() -> None:
    assert promised() - set(proved()) == set()


def test_every_requirement_that_a_test_names_is_promised() -> None:
    assert {name: paths for name, paths in proved().items() if name not in promised()} == {}


def test_the_threat_model_refers_to_requirements_that_exist() -> None:
    named = set(ID.findall(page("docs/threat-model.md")))
    assert named
    assert named - promised() == set()


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "make generate"


def test_every_metric_exit_code_and_command_has_its_page() -> None:
    metrics = page("docs/reference/metrics.md")
    assert [name for name in METRICS if f"| `{name}` |" not in metrics] == []
    codes = page("docs/reference/exit-codes.md")
    assert [code for code in EXIT_CODES if f"| `{code}` |" not in codes] == []
    for command in COMMANDS:
        assert f"# inferometer {command}" in page(f"docs/reference/{command}.md")


def test_every_metric_that_a_page_names_exists() -> None:
    prefix = re.compile(r"`((?:inferometer|gen_ai)_[a-z_]+)`")
    for name in ("README.md", "docs/ARCHITECTURE.md", "docs/requirements.md"):
        for metric in prefix.findall(page(name)):
            known = metric in METRICS or any(m.startswith(metric) for m in METRICS)
            assert known, f"{name} names {metric}"


def test_the_readme_and_ci_run_the_same_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", page("README.md"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("make")]
    assert "make test" in commands
    assert "make demo" in commands
    ran = {line.strip() for line in page(".ci/run").splitlines()}
    assert "make test" in ran, "letter for letter, on a line of its own"
    assert any(re.fullmatch(r"make demo( DEMO_SECONDS=\d+)?( </dev/null)?", line) for line in ran)


def test_the_readme_names_only_targets_and_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", page("Makefile"), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md"):
        assert (
            set(re.findall(r"(?:^|`)make ([a-z0-9]+)", page(name), re.MULTILINE)) - targets == set()
        )
        commands = set(re.findall(r"`?inferometer ([a-z]+) (?:--|http)", page(name)))
        assert commands - set(COMMANDS) == set()


def test_links_between_pages_lead_somewhere() -> None:
    links = [
        (path, target)
        for path in files()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert [link for link in links if not (link[0].parent / link[1]).exists()] == []


def test_the_changelog_knows_the_version() -> None:
    version = pyproject()["project"]["version"]
    assert re.search(
        rf"^## \[(Unreleased|{re.escape(version)})\]", page("CHANGELOG.md"), re.MULTILINE
    )


def test_hooks_are_local() -> None:
    assert re.findall(r"repo: (\S+)", page(".pre-commit-config.yaml")) == ["local"]
