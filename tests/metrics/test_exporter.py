from typing import get_args

from inferometer.gpu.backend import MODULES
from inferometer.gpu.child.calls import EDGES_S
from inferometer.gpu.sample import BackendState
from inferometer.metrics.exporter import BACKEND_STATES, BACKENDS, EXPORTER
from inferometer.metrics.ladders import CALL


def test_closed_sets_are_those_of_the_exporter() -> None:
    assert get_args(BackendState) == BACKEND_STATES
    assert set(MODULES) == set(BACKENDS)


def test_calls_are_counted_by_the_edges_that_the_catalogue_declares() -> None:
    assert CALL.edges == EDGES_S


def test_every_metric_is_of_the_exporter() -> None:
    assert all(metric.name.startswith("inferometer_gpu_exporter_") for metric in EXPORTER)
