"""vLLM. Its bucket edges are fixed; counters of tokens follow the longest context of the model."""

from typing import Final

from inferometer.slo.engines.page import Alias, Page, histograms, metrics, named, numbers

ENGINE: Final = "vLLM"
PREFIX: Final = "vllm:"

_FIRST: Final = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10"
_GAP: Final = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5"
_FIRST_V1: Final = numbers(f"{_FIRST} 20 40 80 160 640 2560")
_GAP_V1: Final = numbers(f"{_GAP} 5 7.5 10 20 40 80")
_WHOLE: Final = numbers("0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60 120 240 480 960 1920 7680")
_BATCH: Final = numbers("1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384")
_RESIDENCE: Final = numbers(
    "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10 20 30 60 120 300 600 1200 1800"
)
_PHASES: Final = (
    "e2e_request_latency_seconds request_queue_time_seconds request_inference_time_seconds"
    " request_prefill_time_seconds request_decode_time_seconds"
)
_LENGTHS: Final = (
    "request_prompt_tokens request_generation_tokens request_max_num_generation_tokens"
    " request_params_max_tokens"
)
_COUNTERS: Final = (
    "num_preemptions_total prompt_tokens_total generation_tokens_total request_success_total"
)
_SPECULATIVE: Final = (
    "spec_decode_num_drafts_total spec_decode_num_draft_tokens_total"
    " spec_decode_num_accepted_tokens_total spec_decode_num_accepted_tokens_per_pos_total"
)
_GAUGES: Final = "num_requests_running num_requests_waiting lora_requests_info cache_config_info"

V0_5: Final = Page(
    ENGINE,
    "0.5",
    metrics(
        named(
            "gauge",
            PREFIX,
            "num_requests_running num_requests_waiting num_requests_swapped cache_config_info"
            " gpu_cache_usage_perc cpu_cache_usage_perc avg_prompt_throughput_toks_per_s"
            " avg_generation_throughput_toks_per_s",
        ),
        named("counter", PREFIX, _COUNTERS),
        histograms(PREFIX, "time_to_first_token_seconds", numbers(_FIRST)),
        histograms(PREFIX, "time_per_output_token_seconds", numbers(_GAP)),
        histograms(PREFIX, "e2e_request_latency_seconds", numbers("1 2.5 5 10 15 20 30 40 50 60")),
        histograms(PREFIX, "request_params_best_of request_params_n", numbers("1 2 5 10 20")),
        named("histogram", PREFIX, "request_prompt_tokens request_generation_tokens"),
    ),
    source="vllm/engine/metrics.py at 00c33e8 (July 2024)",
)
V0_8: Final = Page(
    ENGINE,
    "0.8",
    metrics(
        named("gauge", PREFIX, f"{_GAUGES} gpu_cache_usage_perc"),
        named("counter", PREFIX, _COUNTERS),
        named("counter", PREFIX, "gpu_prefix_cache_queries_total gpu_prefix_cache_hits_total"),
        named("counter", PREFIX, _SPECULATIVE),
        histograms(PREFIX, "time_to_first_token_seconds", _FIRST_V1),
        histograms(PREFIX, "time_per_output_token_seconds", _GAP_V1),
        histograms(PREFIX, _PHASES, _WHOLE),
        histograms(PREFIX, "request_params_n", numbers("1 2 5 10 20")),
        named("histogram", PREFIX, f"{_LENGTHS} iteration_tokens_total"),
    ),
    source="vllm/v1/metrics/loggers.py at a6f0308 (April 2025)",
)
V0_10: Final = Page(
    ENGINE,
    "0.10",
    metrics(
        named("gauge", PREFIX, f"{_GAUGES} gpu_cache_usage_perc kv_cache_usage_perc"),
        named("counter", PREFIX, _COUNTERS),
        named("counter", PREFIX, "gpu_prefix_cache_queries_total gpu_prefix_cache_hits_total"),
        named("counter", PREFIX, "prefix_cache_queries_total prefix_cache_hits_total"),
        named("counter", PREFIX, _SPECULATIVE),
        histograms(PREFIX, "time_to_first_token_seconds", _FIRST_V1),
        histograms(PREFIX, "time_per_output_token_seconds", _GAP_V1),
        histograms(
            PREFIX,
            "time_per_prefill_token_request_seconds",
            numbers("0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1"),
        ),
        histograms(PREFIX, _PHASES, _WHOLE),
        histograms(PREFIX, "request_params_n", numbers("1 2 5 10 20")),
        histograms(PREFIX, "iteration_tokens_total", _BATCH),
        named("histogram", PREFIX, _LENGTHS),
    ),
    source="vllm/v1/metrics/loggers.py at 005a810 (July 2025)",
)
V0_15: Final = Page(
    ENGINE,
    "0.15",
    metrics(
        named("gauge", PREFIX, f"{_GAUGES} kv_cache_usage_perc engine_sleep_state"),
        named("counter", PREFIX, _COUNTERS),
        named("counter", PREFIX, _SPECULATIVE),
        named(
            "counter",
            PREFIX,
            "prefix_cache_queries_total prefix_cache_hits_total corrupted_requests_total"
            " external_prefix_cache_queries_total external_prefix_cache_hits_total"
            " mm_cache_queries_total mm_cache_hits_total prompt_tokens_by_source_total"
            " prompt_tokens_cached_total prompt_tokens_recomputed_total",
        ),
        histograms(PREFIX, "time_to_first_token_seconds", _FIRST_V1),
        histograms(
            PREFIX,
            "inter_token_latency_seconds request_time_per_output_token_seconds",
            _GAP_V1,
        ),
        histograms(PREFIX, _PHASES, _WHOLE),
        histograms(PREFIX, "request_params_n", numbers("1 2 5 10 20")),
        histograms(PREFIX, "iteration_tokens_total", _BATCH),
        histograms(
            PREFIX,
            "kv_block_lifetime_seconds kv_block_idle_before_evict_seconds"
            " kv_block_reuse_gap_seconds",
            _RESIDENCE,
        ),
        named("histogram", PREFIX, f"{_LENGTHS} request_prefill_kv_computed_tokens"),
    ),
    source="vllm/v1/metrics/loggers.py of early 2026, and the pull requests of the aliases",
)
PAGES: Final = (V0_5, V0_8, V0_10, V0_15)


def _alias(old: str, new: str, since: str, gone: str, source: str) -> Alias:
    return Alias(ENGINE, f"{PREFIX}{old}", f"{PREFIX}{new}", since, gone, source)


ALIASES: Final = (
    _alias(
        "time_per_output_token_seconds",
        "inter_token_latency_seconds",
        *("0.11", "0.12", "vllm pull requests 24110, 29330 and 32661"),
    ),
    _alias(
        "gpu_cache_usage_perc",
        "kv_cache_usage_perc",
        *("0.9.2", "0.12", "vllm pull requests 18354, 24245 and 29330"),
    ),
    _alias(
        "gpu_prefix_cache_queries_total",
        "prefix_cache_queries_total",
        *("0.9.2", "0.12", "vllm pull requests 18354, 24245 and 29330"),
    ),
    _alias(
        "gpu_prefix_cache_hits_total",
        "prefix_cache_hits_total",
        *("0.9.2", "0.12", "vllm pull requests 18354, 24245 and 29330"),
    ),
    _alias(
        "time_in_queue_requests",
        "request_queue_time_seconds",
        *("0.8", "0.10", "vllm pull requests 15458 and 18837"),
    ),
)
