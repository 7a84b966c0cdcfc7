"""Shipped rules in a real Prometheus that scrapes the real GPU exporter, while its GPUs break."""

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest

from support.gpu_exporter import Exporter
from support.prometheus import Prometheus
from support.promtool import VERSIONS, tool
from support.shipped import rules

pytestmark = pytest.mark.e2e

WAIT_S: Final = 60.0
SCENARIO: Final = """\
devices: 3
faults:
  - {at_s: 8, device: 0, fault: xid, code: 119}
  - {at_s: 8, device: 1, fault: lost, for_s: 600}
  - {at_s: 8, device: 2, fault: ecc}
"""
EXPECTED: Final = {
    ("GPUXidResetNeeded", "0"),
    ("GPUFellOffBus", "1"),
    ("GPUEccUncorrectable", "2"),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_faults_of_gpus_reach_their_alerts(version: str, tmp_path: Path) -> None:
    """Once a second, so that it takes seconds: no rule on GPUs depends on the interval."""
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(SCENARIO, "utf-8")
    paths = rules(tmp_path, "gpu.yaml", "serving.yaml", "slo.yaml")
    for path in paths:
        path.write_text(path.read_text("utf-8").replace("interval: 1m", "interval: 1s"), "utf-8")
    flags = ("--backend", "fake", "--scenario", str(scenario), "--slow-s", "1", "--hostname", "n1")
    exporter = Exporter(*flags)
    configuration = {
        "global": {"scrape_interval": "1s"},
        "rule_files": [str(path) for path in paths],
        "scrape_configs": [
            {
                "job_name": "gpu",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}],
            }
        ],
    }
    data, binary = tmp_path / "data", tool(version, "prometheus")
    # Prometheus first: it has to see counters before the faults come.
    with (
        Prometheus(binary, data, configuration=json.dumps(configuration)) as prometheus,
        exporter,
    ):
        end_s = time.monotonic() + WAIT_S
        fired: set[tuple[str, str]] = set()
        unwell: list[dict[str, Any]] = [{}]
        # Groups are evaluated apart: one may have fired before another was looked at at all.
        while (fired != EXPECTED or unwell) and time.monotonic() < end_s:
            found = prometheus.rules()
            fired = {
                (rule["name"], alert["labels"]["gpu"])
                for rule in found
                for alert in rule.get("alerts", [])
                if alert["state"] == "firing" and "gpu" in alert["labels"]
            }
            unwell = [rule for rule in found if rule["health"] != "ok"]
            time.sleep(0.5)
        assert fired == EXPECTED
        assert unwell == []
