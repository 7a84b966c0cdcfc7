"""Foreign metrics against the pages of engines and our own catalogue, without a Prometheus."""

import pytest

from inferometer.metrics.catalog import METRICS
from inferometer.slo.known import CODES, problems
from support.slo_rules import Documents, chat, promised


def told(documents: Documents, source: str, *, more: str = "") -> list[tuple[str, str, str]]:
    text = f"metadata: {{name: d}}\nmetrics:\n  - {{name: m, objective: 95, {source}{more}}}\n"
    return [(one.code, one.message, one.hint) for one in problems(documents(text))]


def histogram(metric: str, threshold: str) -> str:
    return f'histogram: {{metric: "{metric}", threshold: {threshold}}}'


@pytest.mark.req("SC-04")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            histogram("vllm:time_to_first_token_seconds", "2s"),
            (
                "E10",
                "threshold 2 is no bucket edge of vllm:time_to_first_token_seconds",
                "nearest are 1, 2.5",
            ),
        ),
        (
            histogram("tgi_request_duration", "1s"),
            (
                "E10",
                "threshold 1 is no bucket edge of tgi_request_duration",
                "nearest are 0.7481827642679213, 1.122274146401882",
            ),
        ),
        (
            histogram("sglang:time_to_first_token_seconds", "2.5s"),
            (
                "W13",
                (
                    "threshold 2.5 is no bucket edge of sglang:time_to_first_token_seconds in"
                    " SGLang 0.5"
                ),
                (
                    "nearest in 0.5 are 2, 4, unless --bucket-time-to-first-token and its like says"
                    " otherwise"
                ),
            ),
        ),
        (
            histogram("nv_inference_first_response_histogram_ms", "1000"),
            (
                "W13",
                (
                    "threshold 1000 is no bucket edge of"
                    " nv_inference_first_response_histogram_ms in Triton 25"
                ),
                "nearest in 25 are 500, 2000, unless model_metrics in config.pbtxt says otherwise",
            ),
        ),
        (
            histogram("vllm:time_per_output_token_seconds", "50ms"),
            (
                "W13",
                (
                    "vllm:time_per_output_token_seconds is called vllm:inter_token_latency_seconds"
                    " since vLLM 0.11"
                ),
                "the old name is gone from 0.12",
            ),
        ),
        (
            histogram("vllm:request_params_best_of", "1"),
            (
                "W13",
                "vllm:request_params_best_of is shown up to vLLM 0.5 only",
                "newer versions have no such metric",
            ),
        ),
        (
            histogram("vllm:time_in_queue_requests", "1s"),
            (
                "E12",
                (
                    "vllm:time_in_queue_requests is called vllm:request_queue_time_seconds since"
                    " vLLM 0.8"
                ),
                "the old name is gone from 0.10",
            ),
        ),
        (
            histogram("vllm:time_to_first_tokens_seconds", "1s"),
            (
                "E12",
                "vLLM does not show vllm:time_to_first_tokens_seconds",
                "did you mean 'vllm:time_to_first_token_seconds'?",
            ),
        ),
        (
            'ratio: {bad: "sglang:num_queue_reqs", total: "sglang:num_requests_total"}',
            (
                "E11",
                "sglang:num_queue_reqs is a gauge, not a counter or histogram or summary",
                "only what never falls can be counted by its increase",
            ),
        ),
        (
            histogram("vllm:prompt_tokens_total", "1"),
            (
                "E11",
                "vllm:prompt_tokens_total is a counter, not a histogram",
                "only a histogram has buckets: use ratio for counters",
            ),
        ),
        (
            (
                "gauge: {metric: DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION, at_most: 1},"
                " slice: {length: 5m, good_share: 50}"
            ),
            (
                "E11",
                "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION is a counter, not a gauge",
                "a counter only rises: use ratio, or record its rate by a rule",
            ),
        ),
        (
            "ratio: {bad: inferometer_slo_request_total, total: inferometer_slo_requests_total}",
            (
                "E12",
                "inferometer_slo_request_total is no metric of inferometer",
                "did you mean 'inferometer_slo_requests_total'?",
            ),
        ),
        (
            "ratio: {bad: 'inferometer:qqqqqqqqqqqqqqqqqqqqqqqqqqqqqq', total: x}",
            (
                "E12",
                "inferometer:qqqqqqqqqqqqqqqqqqqqqqqqqqqqqq is no metric of inferometer",
                "docs/reference/metrics.md has them all",
            ),
        ),
    ],
)
def test_what_cannot_be_right_names_what_is(
    documents: Documents, source: str, expected: tuple[str, str, str]
) -> None:
    assert told(documents, source) == [expected]
    assert expected[0] in CODES


def test_a_name_on_no_page_is_doubtful_only(documents: Documents) -> None:
    ((code, message, hint),) = told(documents, histogram("vllm:nixl_transfers", "1s"))
    assert (code, message) == (
        "W14",
        "vllm:nixl_transfers is on no page of vLLM that is known here",
    )
    assert hint == "known are 0.5, 0.8, 0.10, 0.15; with --prometheus it is looked up"


@pytest.mark.parametrize(
    "source",
    [
        histogram("vllm:time_to_first_token_seconds", "2.5s"),
        histogram("vllm:e2e_request_latency_seconds", "500ms"),
        histogram("vllm:request_prompt_tokens", "123"),
        histogram("tgi_request_duration", "1.122274146401882"),
        histogram("anything_else", "1s"),
        (
            "ratio: {good: \"vllm:e2e_request_latency_seconds_bucket{le='10.0'}\","
            ' total: "vllm:e2e_request_latency_seconds_count"}'
        ),
        "ratio: {bad: 'envoy_cluster_rq_xx{x=\"5\"}', total: envoy_cluster_rq_xx}",
        "ratio: {bad: nv_inference_request_failure, total: nv_inference_request_success}",
        (
            'gauge: {metric: "vllm:kv_cache_usage_perc", at_most: 0.9},'
            " slice: {length: 5m, good_share: 90}"
        ),
    ],
)
def test_what_may_be_right_is_left_alone(documents: Documents, source: str) -> None:
    assert told(documents, source) == []


def test_our_own_histograms_have_the_edges_of_their_ladder_and_of_the_classes(
    documents: Documents,
) -> None:
    metric = next(name for name, one in METRICS.items() if one.ladder and one.unit == "seconds")
    ladder = METRICS[metric].ladder
    assert ladder
    assert told(documents, histogram(metric, f"{ladder.edges[3]}")) == []
    odd = "0.31415"
    ((code, message, _),) = told(documents, histogram(metric, odd))
    assert (code, message) == ("E10", f"threshold {odd} is no bucket edge of {metric}")
    text = chat({"all": promised("99").replace("1s", f"{odd}s")})
    with_metric = f"{text}metrics: [{{name: m, objective: 95, {histogram(metric, odd)}}}]\n"
    assert list(problems(documents(with_metric))) == []
