"""Prometheus' own tools as witnesses: Debian's 2.42, and 3.x built from its Go module.

`check` and `test` return what promtool complains about, empty if nothing.
"""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from support.go_tools import GoTool, binary

TAGS: Final = "remove_all_sd,enable_kubernetes_sd"
PACKAGE: Final = "github.com/prometheus/prometheus/cmd"
RUN_S: Final = 1200.0
"""The longest takes half a minute; five were too few where thirty others wanted two cores."""


def tool(version: str, name: str) -> Path:
    """Return `promtool` or `prometheus` of version 2 (Debian's) or 3; else skip the test."""
    if version == "3":
        return binary(GoTool("prometheus", f"{PACKAGE}/{name}", (1, 26), TAGS))
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus")
    return Path(found)


VERSIONS: Final = (
    pytest.param("2", marks=pytest.mark.oracle),
    pytest.param("3", marks=pytest.mark.e2e),
)
"""Parameters for a fixture: each version of Prometheus that rules must load in."""


@dataclass(frozen=True)
class Case:
    """Series with one value a minute unless told otherwise, and what must hold at some of them.

    `values` are in promtool's notation (`0+10x60`). `expect` maps an expression and a minute to
    the series it must give, by their labels as PromQL writes them.
    """

    values: Mapping[str, str]
    expect: Sequence[tuple[str, int, Mapping[str, float]]]
    alerts: Sequence[Mapping[str, Any]] = field(default=())
    name: str = ""
    interval: str = "1m"

    def data(self) -> dict[str, Any]:
        """Return it as promtool reads it."""
        return {
            **({"name": self.name} if self.name else {}),
            "interval": self.interval,
            "input_series": [{"series": k, "values": v} for k, v in self.values.items()],
            "promql_expr_test": [
                {
                    "expr": expr,
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": k, "value": v} for k, v in found.items()],
                }
                for expr, minute, found in self.expect
            ],
            "alert_rule_test": list(self.alerts),
        }


def groups(path: Path) -> list[str]:
    """Return the names of the groups in a file of rules."""
    found = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)
    return [group["name"] for group in found["groups"]]


@dataclass(frozen=True)
class Promtool:
    """One promtool."""

    path: Path

    def check(self, *files: Path) -> str:
        """Load rule files."""
        return self._run("check", "rules", *files)

    def test(self, folder: Path, rules: Iterable[Path], *cases: Case) -> str:
        """Run cases against rule files, evaluated once a minute, the groups of the last file first.

        Promtool leaves their order to chance unless it is told, and so would what they find.
        """
        paths = list(rules)
        data = {
            "rule_files": [str(path) for path in paths],
            "evaluation_interval": "1m",
            "group_eval_order": [name for path in reversed(paths) for name in groups(path)],
            "tests": [case.data() for case in cases],
        }
        path = folder / "test.yaml"
        path.write_text(json.dumps(data, ensure_ascii=False), "utf-8")
        return self._run("test", "rules", path)

    def _run(self, *argv: str | Path) -> str:
        done = subprocess.run(
            [self.path, *argv], capture_output=True, text=True, check=False, timeout=RUN_S
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr
