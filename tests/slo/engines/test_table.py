"""The tables of engines: what is stated must hold together, and questions must find it."""

from decimal import Decimal
from itertools import pairwise

import pytest

from inferometer.slo.engines.page import metrics, named
from inferometer.slo.engines.table import (
    ALIASES,
    PAGES,
    PREFIXES,
    alias,
    base,
    engine_of,
    kinds,
    near,
    neighbours,
    newest,
    pages_with,
)


def test_every_page_names_its_source_and_holds_metrics_of_its_engine() -> None:
    assert len({(page.engine, page.version) for page in PAGES}) == len(PAGES)
    for page in PAGES:
        assert page.source
        assert page.metrics
        assert {engine_of(name) for name in page.metrics} == {page.engine}


def test_three_versions_of_vllm_and_each_other_engine_are_known() -> None:
    versions = {engine: [p for p in PAGES if p.engine == engine] for engine in PREFIXES.values()}
    assert len(versions["vLLM"]) >= 3
    assert set(versions) == {"vLLM", "SGLang", "TGI", "Triton", "dcgm-exporter"}
    assert all(versions.values())


def test_edges_rise_and_only_histograms_have_them() -> None:
    for page in PAGES:
        for shown in page.metrics.values():
            assert all(low < high for low, high in pairwise(shown.edges))
            assert shown.kind == "histogram" or not shown.edges


def test_an_alias_leads_from_a_name_that_is_gone_to_one_that_is_there() -> None:
    for one in ALIASES:
        assert one.new in newest(one.engine).metrics
        assert one.old not in newest(one.engine).metrics
        assert one.source
        assert alias(one.old) is one
    assert alias("vllm:num_requests_running") is None


@pytest.mark.parametrize(
    ("metric", "version", "edges"),
    [
        ("vllm:time_to_first_token_seconds", "0.5", "0.75 1 2.5 5 7.5 10"),
        ("vllm:time_to_first_token_seconds", "0.15", "160 640 2560"),
        ("vllm:inter_token_latency_seconds", "0.15", "40 80"),
        ("vllm:e2e_request_latency_seconds", "0.8", "1920 7680"),
        ("sglang:time_to_first_token_seconds", "0.4", "25 30"),
        ("sglang:time_to_first_token_seconds", "0.5", "200 400"),
        ("nv_inference_first_response_histogram_ms", "25", "100 500 2000 5000"),
        ("tgi_request_duration", "1 to 3", "145.6109606"),
    ],
)
def test_the_last_edges_are_those_of_the_version(metric: str, version: str, edges: str) -> None:
    (page,) = [page for page in pages_with(metric) if page.version == version]
    wanted = [Decimal(edge) for edge in edges.split()]
    found = page.metrics[metric].edges[-len(wanted) :]
    assert all(abs(one - other) < Decimal("1e-6") for one, other in zip(found, wanted, strict=True))


def test_series_of_a_histogram_belong_to_it() -> None:
    metric = "vllm:time_to_first_token_seconds"
    assert {base(f"{metric}{part}") for part in ("", "_bucket", "_count", "_sum")} == {metric}
    assert base("tgi_request_count") == "tgi_request_count"
    assert base("x_count") == "x_count"
    assert kinds("vllm:prompt_tokens_total") == {"counter"}
    assert kinds("vllm:x") == frozenset()


def test_a_slip_of_the_pen_is_found_and_another_metric_is_none() -> None:
    assert near("vllm:time_to_frst_token_seconds", "vLLM") == "vllm:time_to_first_token_seconds"
    assert near("vllm:nixl_transfers", "vLLM") == ""
    assert near("vllm:" + "x" * 100_000, "vLLM") == ""
    assert near("x", "none") == ""


def test_neighbours_are_the_edge_below_and_the_one_above() -> None:
    edges = (Decimal(1), Decimal("2.5"), Decimal(5))
    assert list(neighbours(edges, Decimal(2))) == [1, Decimal("2.5")]
    assert list(neighbours(edges, Decimal("0.5"))) == [1]
    assert list(neighbours(edges, Decimal(9))) == [5]


def test_a_table_that_states_a_metric_twice_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        metrics(named("gauge", "x", "a"), named("counter", "x", "a"))
