"""SGLang. Three settings move its bucket edges; without `--enable-metrics` it shows nothing."""

from typing import Final

from inferometer.slo.engines.page import Alias, Page, histograms, metrics, named, numbers

ENGINE: Final = "SGLang"
PREFIX: Final = "sglang:"

_TOTALS: Final = "prompt_tokens_total generation_tokens_total"
_LONG: Final = "0.1 0.2 0.4 0.6 0.8 1 2 4 6 8 10 20 40 60 80 100 200 400"
_GAUGES: Final = "num_running_reqs num_used_tokens token_usage gen_throughput num_queue_reqs"
_DISAGGREGATED: Final = (
    "num_prefill_prealloc_queue_reqs num_prefill_inflight_queue_reqs"
    " num_decode_prealloc_queue_reqs num_decode_transfer_queue_reqs kv_transfer_speed_gb_s"
    " kv_transfer_latency_ms"
)

V0_4: Final = Page(
    ENGINE,
    "0.4",
    metrics(
        named("gauge", PREFIX, f"{_GAUGES} cache_hit_rate"),
        named("counter", PREFIX, _TOTALS),
        histograms(
            PREFIX,
            "time_to_first_token_seconds",
            numbers(
                "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 15 20 25 30"
            ),
        ),
        histograms(
            PREFIX,
            "time_per_output_token_seconds",
            numbers(
                "0.005 0.01 0.015 0.02 0.025 0.03 0.04 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1"
                " 2.5"
            ),
        ),
        histograms(
            PREFIX,
            "e2e_request_latency_seconds",
            numbers("0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60"),
        ),
    ),
    source="python/sglang/srt/metrics/collector.py, first version (end of 2024)",
)
V0_5: Final = Page(
    ENGINE,
    "0.5",
    metrics(
        named("gauge", PREFIX, f"{_GAUGES} cache_hit_rate {_DISAGGREGATED}"),
        named(
            "gauge",
            PREFIX,
            "pending_prealloc_token_usage swa_token_usage num_grammar_queue_reqs utilization"
            " num_running_reqs_offline_batch spec_accept_length spec_accept_rate"
            " num_retracted_reqs num_paused_reqs max_running_requests_under_SLO is_cuda_graph"
            " engine_startup_time engine_load_weights_time",
        ),
        named(
            "counter",
            PREFIX,
            f"{_TOTALS} cached_tokens_total num_requests_total num_so_requests_total"
            " num_aborted_requests_total num_bootstrap_failed_reqs_total"
            " num_transfer_failed_reqs_total num_grammar_cache_hit_total"
            " num_grammar_aborted_total num_grammar_total prefetched_tokens_total"
            " backuped_tokens_total",
        ),
        histograms(PREFIX, "time_to_first_token_seconds", numbers(_LONG)),
        histograms(PREFIX, "e2e_request_latency_seconds", numbers(f"{_LONG} 600 1200 1800 2400")),
        histograms(
            PREFIX,
            "inter_token_latency_seconds",
            numbers(
                "0.002 0.004 0.006 0.008 0.01 0.015 0.02 0.025 0.03 0.035 0.04 0.06 0.08 0.1 0.2"
                " 0.4 0.6 0.8 1 2 4 6 8"
            ),
        ),
        histograms(
            PREFIX,
            "queue_time_seconds",
            numbers(
                "0 0.1 0.2 0.5 1 2 3 4 5 10 15 20 30 40 50 60 70 80 90 100 200 300 400 500 600 700"
                " 800 900 1000 1200 1400 1600 1800 2000 2500 3000"
            ),
        ),
        histograms(
            PREFIX,
            "grammar_compilation_time_seconds",
            numbers("0 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10 20 30 60 90 120 240"),
        ),
        named(
            "histogram",
            PREFIX,
            "prompt_tokens_histogram generation_tokens_histogram per_stage_req_latency_seconds",
        ),
    ),
    source="python/sglang/srt/metrics/collector.py at 93d0487 (end of 2025)",
    tuned="--bucket-time-to-first-token and its like",
)
PAGES: Final = (V0_4, V0_5)
ALIASES: Final = (
    Alias(
        ENGINE,
        f"{PREFIX}time_per_output_token_seconds",
        f"{PREFIX}inter_token_latency_seconds",
        *("0.5", "0.5", "python/sglang/srt/metrics/collector.py, both versions"),
    ),
)
