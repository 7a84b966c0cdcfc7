from typing import get_args

from inferometer.gpu.pods.tick import Method
from inferometer.gpu.quantities import EVENTS
from inferometer.gpu.sample import DeviceState, Reason
from inferometer.metrics.catalog import METRICS
from inferometer.metrics.devices import DEVICES, METHODS, REASONS, STATES


def values(metric: str, label: str) -> tuple[str, ...]:
    domains = {domain.name: domain for domain in METRICS[f"inferometer_gpu_{metric}"].domains}
    return domains[label].values


def test_closed_sets_are_those_of_the_exporter() -> None:
    assert get_args(DeviceState) == STATES
    assert get_args(Reason) == REASONS
    assert set(get_args(Method)) == set(METHODS)
    assert values("events_total", "event") == EVENTS


def test_info_has_exactly_twelve_labels() -> None:
    assert len(METRICS["inferometer_gpu_info"].labels) == 12


def test_no_family_has_more_than_twelve_labels() -> None:
    assert max(len(metric.labels) for metric in DEVICES) <= 12
