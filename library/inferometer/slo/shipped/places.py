"""Where an alert happens: the labels of a model, of a server and of a device, and their names.

A server is a scraped sidecar. Outside of Kubernetes it has no pod and no namespace, and the empty
labels join as well. Device labels are those of `inferometer.metrics.devices`.
"""

from typing import Final

from inferometer.slo.names import Options
from inferometer.slo.promql import Expr, Matching, aggregate, binary, call, vector

POD_OF_DEPLOYMENT: Final = "(.+)-[a-z0-9]+-[a-z0-9]{5}"
"""Pods of a Deployment are named by it, the hash of the template, and five letters."""

SERVERS: Final = "inferometer:model_server:info"
DEPLOYMENTS: Final = "inferometer:model_server_deployment:info"
GPU_HOSTS: Final = "inferometer:gpu_host:info"

MODEL: Final = "{{ $labels.model }}{{ with $labels.namespace }} in {{ . }}{{ end }}"
SERVER: Final = (
    "{{ or $labels.pod $labels.instance }}{{ with $labels.namespace }} in {{ . }}{{ end }}"
    "{{ with $labels.service }} (service {{ . }}){{ end }}"
)
COUNT: Final = '{{ printf "%.0f" $value }}'
"""The value as a whole number: `increase` guesses, and 1.04 errors are one."""
DEVICE: Final = "GPU {{ $labels.gpu }} of {{ $labels.hostname }}"


def space(options: Options) -> tuple[str, ...]:
    """Return the labels of a namespace."""
    return options.key[:-1]


def model_key(options: Options) -> tuple[str, ...]:
    """Return the labels of a model."""
    return (*space(options), "model")


def server_key(options: Options) -> tuple[str, ...]:
    """Return the labels of one model server."""
    return (*space(options), "pod", "instance")


def pod_key(options: Options) -> tuple[str, ...]:
    """Return the labels of a pod, as kube-state-metrics and the GPU exporter name it, too."""
    return (*space(options), "pod")


def deployment_key(options: Options) -> tuple[str, ...]:
    """Return the labels of a Deployment."""
    return (*space(options), "deployment")


def fleet(options: Options) -> tuple[str, ...]:
    """Return the labels that tell clusters apart, where there are several."""
    return options.key[:-2]


def device_key(options: Options) -> tuple[str, ...]:
    """Return the labels of one device. The UUID alone would do, people know its number."""
    return (*fleet(options), "gpu", "UUID")


def with_service(info: str, expr: Expr, key: tuple[str, ...]) -> Expr:
    """Return an expression with service and owner of each place, as often as there are such."""
    return binary(vector(info), "*", expr, Matching(on=key, left=()))


def named_by(expr: Expr, label: str, source: str, pattern: str = "(.+)") -> Expr:
    """Return series with a label that is made of another one."""
    return call("label_replace", expr, label, "$1", source, pattern)


def per_device(expr: Expr, options: Options, *more: str) -> Expr:
    """Return one value for each device, with the name of its machine."""
    return on_machine(aggregate("max", expr, by=(*device_key(options), *more)), options)


def on_machine(expr: Expr, options: Options) -> Expr:
    """Return values of devices with the name of their machine."""
    key = device_key(options)
    return binary(expr, "*", vector(GPU_HOSTS), Matching(on=key, left=("hostname",)))
