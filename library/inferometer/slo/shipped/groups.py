"""The groups of rules that are shipped beside those of SLOs: one file each for serving and GPUs."""

from collections.abc import Iterable
from typing import Final

from inferometer.slo.names import Options
from inferometer.slo.rule import Group
from inferometer.slo.shipped import facts
from inferometer.slo.shipped.addon import ADDON_ALERTS
from inferometer.slo.shipped.gpu_faults import FAULT_ALERTS
from inferometer.slo.shipped.gpu_links import LINK_ALERTS
from inferometer.slo.shipped.gpu_use import USE_ALERTS
from inferometer.slo.shipped.latency import LATENCY_ALERTS
from inferometer.slo.shipped.record import Declare
from inferometer.slo.shipped.requests import REQUEST_ALERTS
from inferometer.slo.shipped.servers import SERVER_ALERTS

SERVING_ALERTS: Final = (*SERVER_ALERTS, *REQUEST_ALERTS, *LATENCY_ALERTS, *ADDON_ALERTS)
GPU_ALERTS: Final = (*FAULT_ALERTS, *LINK_ALERTS, *USE_ALERTS)


def serving(options: Options) -> tuple[Group, ...]:
    """Return what is recorded and told about model servers and their requests."""
    return (facts.serving(options), _alerts(f"{facts.SERVING}-alerts", SERVING_ALERTS, options))


def gpus(options: Options) -> tuple[Group, ...]:
    """Return what is recorded and told about GPUs."""
    return (facts.devices(options), _alerts(f"{facts.DEVICES}-alerts", GPU_ALERTS, options))


def _alerts(name: str, declared: Iterable[Declare], options: Options) -> Group:
    rules = [rule for declare in declared for rule in declare(options).alerts(options)]
    return Group(name, tuple(rules))
