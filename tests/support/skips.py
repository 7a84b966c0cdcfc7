"""A pytest plugin: under CI a skip is a failure, unless tests/allowed_skips.txt lists its reason.

On a developer's machine a test that needs a missing tool is skipped and names the tool. Where the
tools are installed on purpose (CI=true) such a skip would hide that nothing was tested.
"""

import os
from collections.abc import Collection, Generator
from pathlib import Path
from typing import Final

import pytest

ALLOWED: Final = Path(__file__).parents[1] / "allowed_skips.txt"


def allowed_reasons(text: str) -> frozenset[str]:
    """Return the reasons that the list states, one a line; `#` starts a remark."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)


def refuse(
    report: pytest.TestReport | pytest.CollectReport, allowed: Collection[str], *, ci: bool
) -> None:
    """Turn a skip that nobody allowed into a failure."""
    if not (ci and report.skipped and isinstance(report.longrepr, tuple)):
        return  # an expected failure is reported as skipped too, but has no such tuple
    reason = str(report.longrepr[2]).removeprefix("Skipped: ")
    if reason not in allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped where CI=true: {reason}\nhint: install it, or see {ALLOWED}"


class Gate:
    """The hooks, with what they decide by."""

    def __init__(self, allowed: Collection[str], *, ci: bool) -> None:
        """Keep the reasons that may skip, and whether this is a CI run."""
        self.allowed = allowed
        self.ci = ci

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge the report of a test."""
        report = yield
        refuse(report, self.allowed, ci=self.ci)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Judge the report of a module, which may skip itself as a whole."""
        report = yield
        refuse(report, self.allowed, ci=self.ci)
        return report


def pytest_configure(config: pytest.Config) -> None:
    """Register the gate."""
    allowed = allowed_reasons(ALLOWED.read_text(encoding="utf-8")) if ALLOWED.exists() else ()
    gate = Gate(allowed, ci=os.environ.get("CI") == "true")
    config.pluginmanager.register(gate, "skips-are-failures")
