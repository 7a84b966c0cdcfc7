import re
from typing import get_args

import pytest

from inferometer.metrics.catalog import CODES, LADDERS, METRICS, OUTCOMES, VERDICT_PAIRS
from inferometer.metrics.dcgm import DCGM
from inferometer.metrics.devices import DEVICES
from inferometer.metrics.exporter import EXPORTER
from inferometer.metrics.ladders import FIRST, LENGTH, TOKEN
from inferometer.metrics.ledger import LEDGER
from inferometer.metrics.metric import Label, Metric
from inferometer.metrics.programs import PROCESS, SIDECAR, WEB
from inferometer.metrics.recorded import RECORDED
from inferometer.metrics.requests import FINISH, OPERATION, PHASE, REQUESTS, STREAM, USAGE_SOURCES
from inferometer.metrics.verdicts import VERDICTS
from inferometer.stream.dialect import Operation, Streaming
from inferometer.stream.events import Finish, Phase
from inferometer.stream.summary import Outcome
from inferometer.stream.tokens import UsageSource

ALL = [pytest.param(metric, id=name) for name, metric in METRICS.items()]
OUR_NAME = re.compile(r"(inferometer_|gen_ai_server_|process_)[a-z0-9_]+")
DCGM_NAME = re.compile(r"DCGM_FI_(DEV|PROF)_[A-Z0-9_]+")
RECORDED_NAME = re.compile(r"inferometer:[a-z0-9_]+(:[a-z0-9_]+)?")


def test_each_name_is_declared_once() -> None:
    assert len(METRICS) == sum(
        len(part)
        for part in (REQUESTS, VERDICTS, LEDGER, SIDECAR, DEVICES, DCGM, EXPORTER, WEB, PROCESS)
    ) + len(RECORDED)


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        METRICS["x"] = REQUESTS[0]  # type: ignore[index]


@pytest.mark.parametrize("metric", ALL)
def test_a_name_tells_who_made_it_and_what_it_counts(metric: Metric) -> None:
    if metric.source == "rules":
        assert RECORDED_NAME.fullmatch(metric.name)
        return
    if metric.source == "dcgm":  # names and types are DCGM's
        assert DCGM_NAME.fullmatch(metric.name)
        return
    assert OUR_NAME.fullmatch(metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_bucket", "_sum", "_count", "_created"))
    if metric.unit:
        assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}")


@pytest.mark.parametrize("metric", ALL)
def test_only_histograms_have_a_ladder(metric: Metric) -> None:
    assert (metric.ladder is not None) == (metric.kind == "histogram")


@pytest.mark.parametrize("metric", ALL)
def test_help_is_a_line_that_ends(metric: Metric) -> None:
    assert "\n" not in metric.help
    assert metric.help.endswith(".")
    assert len(metric.help) < 300


@pytest.mark.parametrize("metric", ALL)
def test_every_label_is_legal_and_has_a_bound(metric: Metric) -> None:
    assert len(set(metric.labels)) == len(metric.labels)
    for domain in metric.domains:
        ours = metric.source not in ("dcgm", "gpu")
        assert re.fullmatch(r"UUID|[a-z][a-z_]*" if ours else r"[A-Za-z][A-Za-z_]*", domain.name)
        assert domain.name != "le"
        assert 0 < domain.bound <= 501
        assert len(set(domain.values)) == len(domain.values)


def test_no_label_names_a_user_or_a_request() -> None:
    names = {label for metric in METRICS.values() for label in metric.labels}
    assert not names & {"user", "key", "tenant", "path", "ip", "request_id", "api_key"}


def test_ladders_ascend() -> None:
    for ladder in LADDERS.values():
        assert list(ladder.edges) == sorted(set(ladder.edges))


def test_ladders_contain_the_edges_that_opentelemetry_asks_for() -> None:
    first = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0"
    token = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5"
    duration = [0.01 * 2**power for power in range(14)]
    assert {float(edge) for edge in first.split()} <= set(FIRST.edges)
    assert {float(edge) for edge in token.split()} <= set(TOKEN.edges)
    assert duration == pytest.approx(LENGTH.edges[: len(duration)])


def test_there_are_thirteen_verdicts() -> None:
    assert len(set(VERDICT_PAIRS)) == len(VERDICT_PAIRS) == 13
    assert VERDICT_PAIRS[0] == ("good", "none")


@pytest.mark.parametrize(
    ("values", "literal"),
    [
        (OUTCOMES, Outcome),
        (USAGE_SOURCES, UsageSource),
        (FINISH.values, Finish),
        (PHASE.values, Phase),
        (OPERATION.values, Operation),
        (STREAM.values, Streaming),
    ],
)
def test_closed_sets_are_those_of_the_stream_core(values: tuple[str, ...], literal: object) -> None:
    assert set(values) == set(get_args(literal))


def test_status_codes_are_the_registered_ones() -> None:
    assert len(CODES) <= 70
    assert {"200", "404", "418", "429", "503", "511", "other"} <= set(CODES)
    assert not {"0", "299", "499", "520", "600"} & set(CODES)


def test_series_of_slo_documents_do_not_count_in_series_max() -> None:
    uncounted = {name for name, metric in METRICS.items() if not metric.counts_in_series_max}
    assert "inferometer_slo_requests_total" in uncounted
    assert "inferometer_waiting_over_slo" in uncounted
    assert "inferometer_requests_total" not in uncounted


def test_a_label_is_bounded_by_its_closed_set_and_its_open_values() -> None:
    assert Label("x", ("a", "b"), 3).bound == 5
