"""Series of well-known exporters that shipped alerts and runbooks read, and where they come from.

What is neither here, nor in the catalogue of metrics, nor recorded by a rule is a wrong name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

KUBE_STATE_METRICS: Final = "kube-state-metrics 2.13, documentation of its metrics"
PROMETHEUS: Final = "Prometheus 2.42"


class Stranger(NamedTuple):
    """A series of somebody else: the labels that are relied on, and its source."""

    labels: tuple[str, ...]
    source: str


def _kube(*labels: str) -> Stranger:
    return Stranger(labels, KUBE_STATE_METRICS)


_POD: Final = ("namespace", "pod")
_CONTAINER: Final = (*_POD, "container")
_DEPLOYMENT: Final = ("namespace", "deployment")
_HPA: Final = ("namespace", "horizontalpodautoscaler")

STRANGERS: Final[Mapping[str, Stranger]] = MappingProxyType(
    {
        "up": Stranger(("job", "instance"), f"{PROMETHEUS}: made for each target"),
        "prometheus_tsdb_lowest_timestamp_seconds": Stranger(("instance",), PROMETHEUS),
        "kube_deployment_spec_replicas": _kube(*_DEPLOYMENT),
        "kube_deployment_status_replicas_ready": _kube(*_DEPLOYMENT),
        "kube_pod_deletion_timestamp": _kube(*_POD),
        "kube_pod_status_phase": _kube(*_POD, "phase"),
        "kube_pod_container_resource_requests": _kube(*_CONTAINER, "resource", "unit"),
        "kube_pod_container_status_restarts_total": _kube(*_CONTAINER),
        "kube_pod_container_status_waiting_reason": _kube(*_CONTAINER, "reason"),
        "kube_pod_container_status_last_terminated_reason": _kube(*_CONTAINER, "reason"),
        "kube_horizontalpodautoscaler_info": _kube(
            *_HPA, "scaletargetref_kind", "scaletargetref_name"
        ),
        "kube_horizontalpodautoscaler_spec_max_replicas": _kube(*_HPA),
        "kube_horizontalpodautoscaler_status_current_replicas": _kube(*_HPA),
        "kube_node_status_allocatable": _kube("node", "resource", "unit"),
        "kube_node_spec_unschedulable": _kube("node"),
        "kube_node_status_condition": _kube("node", "condition", "status"),
    }
)
"""By name. Families of dcgm-exporter are in the catalogue, since our exporter has them as well."""
