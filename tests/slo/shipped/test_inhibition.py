"""Which alerts silence which: as data, for amtool, and in a real Alertmanager."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

from inferometer.slo.names import Options
from inferometer.slo.render import shipped
from inferometer.slo.shipped.index import entries
from inferometer.slo.shipped.inhibition import INHIBITIONS, configuration, configuration_object
from support.alertmanager import Alertmanager, check_config

NOBODY: Final = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
SETTLE_S: Final = 20.0
PEOPLE: Final = {"namespace": "llm", "service": "llama"}
CHAT: Final = {**PEOPLE, "slo": "chat-all"}
OTHER: Final = {"namespace": "llm", "service": "other", "slo": "other-all"}
GPU: Final = {"hostname": "n1", "gpu": "0", "UUID": "GPU-1"}
NEIGHBOUR: Final = {"hostname": "n1", "gpu": "1", "UUID": "GPU-2"}


def alert(name: str, severity: str, labels: Mapping[str, str], **more: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels, **more}


SCENES: Final = {
    "a page silences the tickets and notices of its SLO, and no other": (
        [alert("LLMSLOBurnMedium", "critical", CHAT)],
        [
            alert("LLMSLOBurnSlow", "warning", CHAT),
            alert("LLMSLOBudgetExhausted", "info", CHAT),
        ],
        [
            alert("LLMSLOBurnSlow", "warning", OTHER),
            alert("LLMSLOBurnSlow", "warning", {**CHAT, "namespace": "elsewhere"}),
            alert("LLMTTFTHigh", "warning", {"namespace": "llm", "model": "m"}),
        ],
    ),
    "a page without an SLO silences nothing by its severity": (
        [alert("LLMStreamsBroken", "critical", {"namespace": "llm", "model": "m"})],
        [],
        [alert("LLMRateLimited", "warning", {"namespace": "llm", "model": "m"})],
    ),
    "a page on errors silences the ticket on them, of the same model": (
        [alert("LLMErrorRatioHigh", "critical", {"namespace": "llm", "model": "m"})],
        [alert("LLMErrorRatioHigh", "warning", {"namespace": "llm", "model": "m"})],
        [
            alert("LLMErrorRatioHigh", "warning", {"namespace": "llm", "model": "n"}),
            alert("LLMRateLimited", "warning", {"namespace": "llm", "model": "m"}),
        ],
    ),
    "a remap that failed silences one that waits, on the same GPU": (
        [alert("GPURowRemap", "critical", GPU, problem="failed")],
        [alert("GPURowRemap", "warning", GPU, problem="pending")],
        [alert("GPURowRemap", "warning", NEIGHBOUR, problem="pending")],
    ),
    "what burns fast silences the longer pair, not itself": (
        [alert("LLMSLOBurnFast", "critical", CHAT, pair="fast")],
        [alert("LLMSLOBurnMedium", "critical", CHAT, pair="medium")],
        [alert("LLMSLOBurnFast", "critical", CHAT, pair="cliff")],
    ),
    "a server that is down silences the SLOs of its service": (
        [alert("LLMServerDown", "critical", PEOPLE, pod="p-0")],
        [
            alert("LLMSLOBurnFast", "critical", CHAT),
            alert("LLMSLOBudgetDrain", "warning", CHAT),
            alert("LLMSLONoData", "warning", CHAT),
        ],
        [
            alert("LLMSLOBurnFast", "critical", OTHER),
            alert("LLMTTFTHigh", "warning", {"namespace": "llm", "model": "m"}),
            alert("LLMServerDown", "critical", PEOPLE, pod="p-1"),
        ],
    ),
    "so does a service without a replica": (
        [alert("LLMNoReadyReplicas", "critical", PEOPLE)],
        [alert("LLMSLOBurnSlow", "warning", CHAT)],
        [],
    ),
    "a server of no known service silences nothing": (
        [alert("LLMServerDown", "critical", {"namespace": "llm", "pod": "p-0"})],
        [],
        [alert("LLMSLOBurnFast", "critical", {"namespace": "llm", "slo": "nobodys"})],
    ),
    "a GPU that is gone has no other trouble, its neighbour may": (
        [alert("GPUFellOffBus", "critical", GPU)],
        [
            alert("GPUXidResetNeeded", "critical", GPU),
            alert("GPURowRemap", "critical", GPU),
            alert("GPUExporterStale", "warning", GPU),
        ],
        [alert("GPUXidResetNeeded", "critical", NEIGHBOUR), alert("GPUAppFault", "warning", GPU)],
    ),
    "a machine with fewer GPUs silences none that is there": (
        [alert("GPUFellOffBus", "critical", {"hostname": "n1", "instance": "n1:9400"})],
        [],
        [alert("GPUThrottledHot", "warning", GPU)],
    ),
    "of a node that nobody watches nothing else is known": (
        [alert("GPUMetricsMissing", "critical", {"hostname": "n1"})],
        [
            alert("GPUAllocatedIdle", "info", GPU),
            alert("GPUMemoryOrphaned", "warning", GPU),
            alert("GPUExporterStale", "warning", NEIGHBOUR),
        ],
        [
            alert("GPUExporterStale", "warning", {**GPU, "hostname": "n2"}),
            alert("GPUEccUncorrectable", "critical", GPU),
        ],
    ),
    "replicas that restart or wait make others slow": (
        [alert("LLMPodRestartLoop", "critical", {"namespace": "llm", "pod": "p-0"})],
        [alert("LLMReplicaOutlier", "warning", {"namespace": "llm", "pod": "p-1"})],
        [alert("LLMReplicaOutlier", "warning", {"namespace": "elsewhere", "pod": "p-1"})],
    ),
    "so do pods that wait for a GPU": (
        [alert("LLMPodsPendingGPU", "warning", {"namespace": "llm", "pod": "p-0"})],
        [alert("LLMReplicaOutlier", "warning", {"namespace": "llm", "pod": "p-1"})],
        [],
    ),
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a configuration around the rules that are shipped, as a user would."""
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yaml"
    (file,) = (
        file for file in shipped("prometheus", Options()) if file.name.endswith("inhibition.yaml")
    )
    path.write_text(yaml.safe_dump(NOBODY) + file.text, "utf-8")
    return path


def test_amtool_takes_the_rules(config: Path) -> None:
    assert check_config(config) == ""


def test_amtool_does_not_take_any(config: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(config.read_text("utf-8").replace("=~", "=%", 1), "utf-8")
    assert "FAILED" in check_config(wrong)


def test_a_real_alertmanager_silences_effects_and_nothing_else(
    config: Path, tmp_path: Path
) -> None:
    """Each scene has a cluster of its own, which both sides of every rule must share."""
    silent: list[dict[str, str]] = []
    loud: list[dict[str, str]] = []
    for cluster, (causes, effects, others) in SCENES.items():
        silent += [{**labels, "cluster": cluster} for labels in effects]
        loud += [{**labels, "cluster": cluster} for labels in (*causes, *others)]
    expected = {frozenset(one.items()): True for one in silent}
    expected |= {frozenset(one.items()): False for one in loud}
    with Alertmanager(config, tmp_path / "data") as alertmanager:
        alertmanager.tell([*silent, *loud])
        end_s = time.monotonic() + SETTLE_S
        seen: dict[frozenset[tuple[str, str]], bool] = {}
        while seen != expected and time.monotonic() < end_s:
            seen = {frozenset(labels.items()): is_so for labels, is_so in alertmanager.inhibited()}
    assert seen == expected


def test_clusters_do_not_silence_each_other() -> None:
    assert all(rule.equal[0] == "cluster" for rule in INHIBITIONS)


def test_they_name_alerts_that_are_shipped() -> None:
    known = {entry.name for entry in entries()}
    for rule in INHIBITIONS:
        for matcher in (*rule.source, *rule.target):
            if matcher.label == "alertname":
                assert set(matcher.value.split("|")) <= known


def test_both_forms_say_the_same() -> None:
    rules = yaml.safe_load(_text(configuration()))["inhibit_rules"]
    objects = yaml.safe_load(_text(configuration_object()))["spec"]["inhibitRules"]
    assert len(rules) == len(objects) == len(INHIBITIONS)
    for rule, one in zip(rules, objects, strict=True):
        for ours, theirs in (
            ("source_matchers", "sourceMatch"),
            ("target_matchers", "targetMatch"),
        ):
            written = [f'{m["name"]}{m["matchType"]}"{m["value"]}"' for m in one[theirs]]
            assert written == rule[ours]
        assert one["equal"] == rule["equal"]


def _text(data: Mapping[str, object]) -> str:
    return yaml.safe_dump(dict(data))
