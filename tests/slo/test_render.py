"""Rendered files: they load, are the same everywhere, and say what each target needs."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from inferometer.slo.check import findings
from inferometer.slo.detection import detections
from inferometer.slo.names import Options
from inferometer.slo.render import (
    HEAD,
    MIMIR_RULES_MAX,
    Home,
    Target,
    generic,
    notes,
    render,
    shipped,
)
from support.promtool import Promtool
from support.slo_rules import Documents, Rules, chat, promised
from support.tree import ROOT

WHOLE = Path(__file__).parents[1] / "fixtures" / "slo" / "whole.yaml"
TARGETS: tuple[Target, ...] = ("prometheus", "prometheusrule", "mimir")
HOSTILE = r"""
metadata: {name: h, namespace: llm, owner: "\"} or vector(1) #"}
service: "{{ $labels.x }}\n\t 'é😀'"
metrics:
  - name: a
    objective: 99
    histogram: {metric: m, threshold: 1s, where: {x: "\"} or vector(1) #", y: "a\n{{ . }}\uFFFD"}}
  - {name: b, objective: 99, ratio: {bad: 'm{x=~"\\d+|\"}"}', total: 'm{y="{{"}'}}
"""


@pytest.mark.req("SC-02", "SC-05")
def test_prometheus_loads_what_is_rendered(promtool: Promtool, rules: Rules) -> None:
    week = chat({"all": promised("99")}, rest="window: {rolling: 7d}").replace("chat", "week")
    calendar = chat({"all": promised("99")}, rest="window: {calendar: month, timezone: UTC}")
    whole = WHOLE.read_text("utf-8").partition("kind: SLO\n")[2].replace("name: chat", "name: w")
    paths = rules(HOSTILE, week, calendar, whole)
    assert len(paths) == 5
    assert promtool.check(*paths) == ""


@pytest.mark.req("SC-05")
def test_prometheus_loads_rules_for_clusters(promtool: Promtool, rules: Rules) -> None:
    options = Options(
        vantage='"}', clusters=("eu", '"} or vector(1)'), runbooks_url="https://x.test"
    )
    assert promtool.check(*rules(HOSTILE, chat({"a": promised("99")}), options=options)) == ""


@pytest.mark.req("SC-02")
def test_texts_of_users_stay_what_they_are(documents: Documents) -> None:
    (file,) = render(documents(HOSTILE), "prometheus", Options())[1:]
    info = yaml.safe_load(file.text)["groups"][0]["rules"][0]
    assert info["record"] == "inferometer:slo_info"
    assert info["labels"]["owner"] == '"} or vector(1) #'
    assert info["labels"]["service"] == "{{ $labels.x }}\n\t 'é😀'"


def groups_of(data: dict[str, Any], target: Target) -> object:
    return data["spec"]["groups"] if target == "prometheusrule" else data["groups"]


def test_every_target_holds_the_same_groups(documents: Documents) -> None:
    read = documents(chat({"all": promised("99")}))
    by_target = {
        target: [
            groups_of(yaml.safe_load(file.text), target) for file in render(read, target, Options())
        ]
        for target in TARGETS
    }
    assert by_target["prometheus"] == by_target["prometheusrule"] == by_target["mimir"]


def test_an_operator_gets_an_object_with_the_labels_it_looks_for(documents: Documents) -> None:
    home = Home("monitoring", (("release", "kube-prometheus-stack"),))
    read = documents(chat({"all": promised("99")}))
    objects = [yaml.safe_load(f.text) for f in render(read, "prometheusrule", Options(), home=home)]
    assert [one["metadata"]["name"] for one in objects] == [
        "inferometer-slo",
        "inferometer-slo-llm--chat",
    ]
    for one in objects:
        assert (one["apiVersion"], one["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert one["metadata"]["namespace"] == "monitoring"
        assert one["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    bare = yaml.safe_load(generic("prometheusrule", Options(), (30,)).text)
    assert "namespace" not in bare["metadata"]


def test_mimir_gets_a_namespace_of_rules_for_each_file(documents: Documents) -> None:
    """mimirtool refuses two files of one namespace, and groups of one name would be one group."""
    texts = [
        f"metadata: {{name: {name}{space}}}\nclasses:\n  - {{name: c, {promised('99')}}}\n"
        for name, space in (
            ("b-c", ", namespace: a"),
            ("c", ", namespace: a-b"),
            ("alerts", ""),
        )
    ]
    files = (
        *render(documents(*texts), "mimir", Options()),
        *(one for one in shipped("mimir", Options()) if one.name in {"serving.yaml", "gpu.yaml"}),
    )
    namespaces = [yaml.safe_load(file.text)["namespace"] for file in files]
    assert sorted(namespaces) == [
        "inferometer-gpu",
        "inferometer-serving",
        "inferometer-slo",
        "inferometer-slo-a--b-c",
        "inferometer-slo-a-b--c",
        "inferometer-slo-alerts",
    ]


def test_mimir_is_told_to_take_as_many_rules_in_a_group_as_there_are() -> None:
    groups = yaml.safe_load(generic("mimir", Options(), (30,)).text)["groups"]
    assert max(len(group["rules"]) for group in groups) > MIMIR_RULES_MAX
    assert any("-ruler.max-rules-per-rule-group" in note for note in notes((), "mimir"))


def test_documents_have_files_of_their_own(documents: Documents) -> None:
    read = documents(
        chat({"a": promised("99")}),
        "metadata: {name: b}\nmetrics:\n  - {name: c, objective: 99, ratio: {bad: x, total: y}}\n",
    )
    names = [file.name for file in render(read, "prometheus", Options())]
    assert names == ["slo.yaml", "slo-llm--chat.yaml", "slo-b.yaml"]


def test_what_a_target_cannot_say_is_noted(documents: Documents) -> None:
    read = documents(
        chat({"a": promised("99")}, rest="window: {rolling: 90d}"),
        "metadata: {name: b}\nmetrics:\n  - {name: c, objective: 99, ratio: {bad: x, total: y}}\n",
    )
    told = notes(read, "prometheus")
    assert [note.partition(":")[0] for note in told] == ["chat", "chat"]
    assert "judged by the sidecar" in told[0]
    assert "ledger" in told[1]
    assert notes(read, "mimir")[-1].startswith("mimir: LLMSLOWindowTruncated")


@pytest.mark.req("SC-05")
def test_five_hundred_slos_are_made_in_a_moment(documents: Documents) -> None:
    texts = [
        chat({f"c{n}": promised(f"99.{n}", tenant=f"t{n}") for n in range(10)}).replace(
            "name: chat", f"name: d{number}"
        )
        for number in range(50)
    ]
    began_s = time.process_time()
    read = documents(*texts)
    assert findings(read, zones=()) == ()
    assert len([one for document in read for one in detections(document)]) == 500
    assert len(render(read, "prometheus", Options())) == 51
    assert time.process_time() - began_s < 5


@pytest.mark.req("SC-05")
def test_the_same_documents_give_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    def run(seed: str) -> dict[str, bytes]:
        folder = tmp_path / seed
        code = "import sys; from inferometer.cli import main; sys.exit(main(sys.argv[1:]))"
        subprocess.run(
            [sys.executable, "-c", code, "slo", "render", WHOLE, "-o", folder],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=60,
        )
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    first = run("1")
    assert set(first) == {"slo.yaml", "slo-llm--chat.yaml"}
    assert all(content.startswith(HEAD.encode()) for content in first.values())
    assert run("2") == run("31337") == first


@pytest.mark.checkout
def test_the_shipped_file_is_fresh_and_loads(promtool: Promtool) -> None:
    shipped = ROOT / "alerts" / "slo.yaml"
    fresh = "inferometer slo render --shipped -o alerts"
    assert shipped.read_text("utf-8") == generic("prometheus", Options(), (30,)).text, fresh
    assert promtool.check(shipped) == ""
