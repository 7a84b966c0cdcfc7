"""Files for others: the same anywhere, and everything that is lost is told."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml

from inferometer.errors import SettingsError
from inferometer.slo.commands.render import main
from inferometer.slo.formats.targets import Format, notes, render
from inferometer.slo.names import Options
from inferometer.slo.render import HEAD, Home
from support.slo_rules import Documents, chat, promised

FORMATS: tuple[Format, ...] = get_args(Format)
FIXTURES = Path(__file__).parents[2] / "fixtures"
SLICES = "objective: 99, weight: slice, slice: {length: 5m, good_share: 50}, good: {ttft: 1s}"
METRICS = """
metrics:
  - {name: good, objective: 90, ratio: {good: a, total: b}}
  - {name: slow, objective: 99, histogram: {metric: h, threshold: 2}}
"""


def told(documents: Documents, target: Format, *texts: str) -> list[str]:
    return list(notes(documents(*texts), target, Options()))


def test_sloth_s_losses_are_told(documents: Documents) -> None:
    text = chat({"all": promised("99"), "s": SLICES}, rest="window: {rolling: 7d}") + METRICS
    assert told(documents, "sloth", text.replace("service: llama", "service: my llama")) == [
        (
            "chat: which requests belong to a class, and what makes them good, is judged by the"
            " sidecar: give it the same document"
        ),
        "chat: left out, since slices of time are unknown to Sloth: chat-s",
        (
            "chat: its window of 7d is lost: Sloth takes one window for all SLOs, 30d unless"
            " --default-slo-period says otherwise"
        ),
        "chat: the service is called 'chat': Sloth wants a name",
        "chat: alerts.min_bad is lost: one failure of few requests may page",
        "chat: no clamp and no cliff: a total outage pages late or never for chat-good",
        "chat: no ledger: the budget is what Prometheus still has samples of",
    ]
    short = "metadata: {name: b}\nwindow: %s\nmetrics:\n" + METRICS.partition("metrics:\n")[2]
    calendar = told(documents, "sloth", short % "{calendar: month}")
    assert "b: its window of a month is lost" in calendar[0]
    weeks = told(documents, "sloth", short % "{rolling: 28d}")
    assert weeks[0] == "b: run sloth with --default-slo-period 28d: it is no part of the file"


def test_pyrra_s_losses_are_told(documents: Documents) -> None:
    text = chat({"s": SLICES}, rest="alerts: {page: false}") + METRICS
    assert told(documents, "pyrra", text.replace("service: llama", "service: my llama"))[1:] == [
        "chat: left out, since slices of time are unknown to Pyrra: chat-s",
        "chat: left out, since Pyrra counts errors of a plainly named metric only: chat-good",
        "chat: le is written as Prometheus 3 stores it, such as 1.0: chat-slow",
        "chat: alerts.page and alerts.ticket are one switch in Pyrra: burn rates alert on both",
        "chat: service is lost: 'my llama' is no value of a Kubernetes label",
        "chat: alerts.min_bad is lost: one failure of few requests may page",
        "chat: no clamp and no cliff: a total outage pages late or never for chat-good",
        "chat: no ledger: the budget is what Prometheus still has samples of",
    ]
    calendar = chat({"all": promised("99")}, rest="window: {calendar: week}")
    assert told(documents, "pyrra", calendar)[-1] == (
        "chat: is left out: windows of a calendar are unknown to Pyrra"
    )


def test_openslo_s_losses_are_told(documents: Documents) -> None:
    odd = SLICES.replace("5m", "90s")
    text = chat({"all": odd}).replace("service: llama\n", "") + METRICS
    assert told(documents, "openslo", text)[1:] == [
        "chat: left out, since slices of OpenSLO are whole minutes: chat-all",
        "chat: thresholds become selectors of a bucket: chat-slow",
        "chat: the service is called 'chat': OpenSLO needs one",
        "chat: alerts are lost: a policy of OpenSLO has one window; annotations keep who is told",
    ]


@pytest.mark.parametrize("target", FORMATS)
def test_clusters_that_are_counted_together_are_told(documents: Documents, target: Format) -> None:
    read = documents(chat({"all": promised("99")}))
    options = Options(clusters=("eu", "us"))
    assert list(notes(read, target, options))[-1] == (
        f"{target}: the clusters are counted together"
    )
    (file,) = render(read, target, options, home=Home())
    assert 'cluster=~"eu|us"' in file.text


@pytest.mark.parametrize("target", FORMATS)
def test_the_command_writes_files_and_tells_losses(
    target: Format, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = FIXTURES / "slo" / "whole.yaml"
    assert main([str(whole), "--to", target, "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'slo-llm--chat.yaml'}\n"
    assert printed.err.startswith("note: chat: which requests belong to a class")
    written = (tmp_path / "slo-llm--chat.yaml").read_text("utf-8")
    assert written.startswith(HEAD)
    assert list(yaml.safe_load_all(written))
    with pytest.raises(SettingsError, match=f"there is nothing to ship for {target}"):
        main(["--shipped", "--to", target, "-o", str(tmp_path)])


@pytest.mark.req("SC-05")
def test_the_same_documents_give_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    files = [FIXTURES / "slo" / "whole.yaml", *sorted(FIXTURES.glob("openslo/[sw]h*.yaml"))]
    code = (
        "import sys; from inferometer.slo.commands.render import main;"
        "[main([*sys.argv[2:], '--to', t, '-o', f'{sys.argv[1]}/{t}'])"
        " for t in ('sloth', 'pyrra', 'openslo')]"
    )

    def run(seed: str) -> dict[str, bytes]:
        folder = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", code, folder, *files],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=60,
        )
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.yaml")}

    first = run("1")
    assert len(first) == 8
    assert run("31337") == first
