"""Which alerts silence which others: who is woken by a cause needs no page of its effects.

Written for Alertmanager, as a part of its configuration and as an object for its operator.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from inferometer.slo.promql import Matcher, any_of, equal
from inferometer.slo.yaml_text import Data

KIND: Final = "AlertmanagerConfig"
_SET: Final = ".+"


class Inhibition(NamedTuple):
    """While an alert like `source` fires, those like `target` are silent where `equal` agrees."""

    why: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


def _has(label: str) -> Matcher:
    """Return the condition that a label is there: an absent one equals any other absent one."""
    return Matcher(label, "=~", _SET)


def _named(*names: str) -> Matcher:
    return any_of("alertname", names) if names[1:] else equal("alertname", names[0])


_SLO: Final = ("cluster", "namespace", "slo")
_SERVICE: Final = ("cluster", "namespace", "service")

INHIBITIONS: Final = (
    Inhibition(
        "who is woken for an SLO needs no ticket for it",
        (equal("severity", "critical"), _has("slo")),
        (any_of("severity", ("warning", "info")), _has("slo")),
        _SLO,
    ),
    Inhibition(
        "a page needs no ticket for the same",
        (_named("LLMErrorRatioHigh", "GPURowRemap"), equal("severity", "critical")),
        (_named("LLMErrorRatioHigh", "GPURowRemap"), equal("severity", "warning")),
        ("cluster", "alertname", "namespace", "model", "UUID"),
    ),
    Inhibition(
        "a budget that burns fast burns in the longer window, too",
        (_named("LLMSLOBurnFast"), _has("slo")),
        (_named("LLMSLOBurnMedium"), _has("slo")),
        _SLO,
    ),
    Inhibition(
        "a server that is down breaks the SLOs of its service",
        (_named("LLMServerDown", "LLMNoReadyReplicas"), _has("service")),
        (
            _named(
                "LLMSLOBurnFast",
                "LLMSLOBurnMedium",
                "LLMSLOBurnSlow",
                "LLMSLOBudgetDrain",
                "LLMSLONoData",
            ),
            _has("service"),
        ),
        _SERVICE,
    ),
    Inhibition(
        "a GPU that is gone has no other trouble",
        (_named("GPUFellOffBus"), _has("UUID")),
        (
            _named(
                "GPUXidResetNeeded",
                "GPUEccUncorrectable",
                "GPURowRemap",
                "GPUThrottledHot",
                "GPUPowerCapped",
                "GPUNvlinkErrors",
                "GPUPcieDegraded",
                "GPUAllocatedIdle",
                "GPUMemoryOrphaned",
                "GPUExporterStale",
            ),
            _has("UUID"),
        ),
        ("cluster", "UUID"),
    ),
    Inhibition(
        "of a node that nobody watches nothing else is known",
        (_named("GPUMetricsMissing"), _has("hostname")),
        (
            _named("GPUAllocatedIdle", "GPUMemoryOrphaned", "GPUExporterStale"),
            _has("hostname"),
        ),
        ("cluster", "hostname"),
    ),
    Inhibition(
        "replicas that restart or are missing make the others slow",
        (_named("LLMPodRestartLoop", "LLMPodsPendingGPU"),),
        (_named("LLMReplicaOutlier"),),
        ("cluster", "namespace"),
    ),
)


def matchers(of: tuple[Matcher, ...]) -> Iterator[str]:
    """Yield matchers as Alertmanager writes them, which is as PromQL does."""
    yield from map(str, of)


def configuration() -> Mapping[str, Data]:
    """Return the part of an Alertmanager's configuration."""
    return {
        "inhibit_rules": [
            {
                "source_matchers": list(matchers(rule.source)),
                "target_matchers": list(matchers(rule.target)),
                "equal": list(rule.equal),
            }
            for rule in INHIBITIONS
        ]
    }


def configuration_object() -> Mapping[str, Data]:
    """Return the same as an object for the operator of Prometheus and Alertmanager."""
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": KIND,
        "metadata": {
            "name": "inferometer-inhibition",
            "labels": {"app.kubernetes.io/part-of": "inferometer"},
        },
        "spec": {
            "inhibitRules": [
                {
                    "sourceMatch": list(_fields(rule.source)),
                    "targetMatch": list(_fields(rule.target)),
                    "equal": list(rule.equal),
                }
                for rule in INHIBITIONS
            ]
        },
    }


def _fields(of: tuple[Matcher, ...]) -> Iterator[Mapping[str, Data]]:
    for matcher in of:
        yield {"name": matcher.label, "matchType": matcher.operator, "value": matcher.value}
