"""Other people's tools on the same matter: pint reads our rules, sloth writes its own."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from inferometer.slo.windows import PAIRS
from support.go_tools import GoTool, binary
from support.promtool import Case, Promtool
from support.slo_rules import Rules, chat, counters, promised

pytestmark = pytest.mark.e2e

SLOTH: Final = GoTool("sloth", "github.com/slok/sloth/cmd/sloth", (1, 26))
PINT: Final = GoTool("pint", "github.com/cloudflare/pint/cmd/pint", (1, 26))
SPEC: Final = """\
version: prometheus/v1
service: llama
slos:
  - name: all
    objective: {objective}
    description: the same promise
    sli:
      events:
        error_query: sum(rate({requests}verdict="bad"}}[{{{{.window}}}}]))
        total_query: sum(rate({requests}verdict=~"good|bad"}}[{{{{.window}}}}]))
    alerting:
      name: Sloth
      page_alert: {{labels: {{severity: page}}}}
      ticket_alert: {{labels: {{severity: ticket}}}}
"""


def sloth_rules(folder: Path, objective: str, slo: str) -> Path:
    """Let sloth write rules about the same counters, without the catalogue that it adds."""
    spec, rules = folder / f"{slo}.spec.yaml", folder / f"{slo}.sloth.yaml"
    requests = f'inferometer_slo_requests_total{{slo="{slo}",'
    spec.write_text(SPEC.format(objective=objective, requests=requests))
    subprocess.run(
        [binary(SLOTH), "generate", "-i", spec, "-o", rules],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return rules


def test_pint_has_nothing_to_say_about_our_rules(rules: Rules) -> None:
    week = chat({"week": promised("99")}, rest="window: {rolling: 7d}")
    done = subprocess.run(
        [binary(PINT), "--offline", "--no-color", "lint", "-n", "warning", *rules(week)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "level=ERROR" not in done.stderr
    assert re.findall(r"^(?:Warning|Bug|Fatal).*", done.stdout + done.stderr, re.MULTILINE) == []


def test_sloth_looks_at_the_same_windows_with_the_same_factors(tmp_path: Path) -> None:
    text = sloth_rules(tmp_path, "99.9", "chat-all").read_text()
    theirs = set(re.findall(r"ratio_rate(\w+)\{[^}]*\} > \(([0-9.]+) \*", text))
    ours = {(w, f"{p.factor.normalize():f}") for p in PAIRS for w in (p.long, p.short)}
    assert theirs == ours


@pytest.mark.req("SC-05")
def test_of_the_same_outage_both_tell_at_high_objectives_and_only_we_at_low_ones(
    promtool: Promtool, rules: Rules, tmp_path: Path
) -> None:
    """At 90 % sloth's page needs 144 % of errors, so a total outage is never told."""
    objectives = {"high": "99.9", "low": "90"}
    steady, after = 370, 60
    paths = rules(chat({name: promised(o, tenant=name) for name, o in objectives.items()}))
    expect: list[tuple[str, int, dict[str, float]]] = []
    values: dict[str, str] = {}
    for name, objective in objectives.items():
        slo = f"chat-{name}"
        paths.append(sloth_rules(tmp_path, objective, slo))
        text = paths[-1].read_text().replace("Sloth", f"Sloth-{name}").replace("-all", f"-{name}")
        text = text.replace('sloth_slo="all"', f'sloth_slo="{name}"')
        paths[-1].write_text(text.replace("sloth_slo: all", f"sloth_slo: {name}"))
        values |= counters(slo, (steady, 10, 0), (after, 0, 10))
    theirs = 'count by (alertname) (ALERTS{alertname=~"Sloth.*",sloth_severity="page"})'
    ours = 'count(count by (slo) (ALERTS{slo=~"chat-.*",severity="critical"}))'
    expect += [
        (theirs, steady, {}),
        (theirs, steady + 5, {'{alertname="Sloth-high"}': 1}),
        (theirs, steady + after, {'{alertname="Sloth-high"}': 1}),
        (ours, steady, {}),
        (ours, steady + 5, {"{}": 1}),
        (ours, steady + 16, {"{}": 2}),
    ]
    assert promtool.test(tmp_path, paths, Case(values, expect)) == ""
