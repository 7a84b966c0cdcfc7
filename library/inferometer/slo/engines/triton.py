"""Triton Inference Server. Its one histogram is off by default, and in milliseconds."""

from typing import Final

from inferometer.slo.engines.page import Page, histograms, metrics, named, numbers

ENGINE: Final = "Triton"
PREFIX: Final = "nv_"

_COUNTERS: Final = (
    "inference_request_success inference_request_failure inference_count inference_exec_count"
    " inference_request_duration_us inference_queue_duration_us"
    " inference_compute_input_duration_us inference_compute_infer_duration_us"
    " inference_compute_output_duration_us energy_consumption cache_num_hits_per_model"
    " cache_num_misses_per_model cache_hit_duration_per_model cache_miss_duration_per_model"
)
_GAUGES: Final = (
    "inference_pending_request_count gpu_power_usage gpu_power_limit gpu_utilization"
    " gpu_memory_total_bytes gpu_memory_used_bytes cpu_utilization cpu_memory_total_bytes"
    " cpu_memory_used_bytes"
)
_SUMMARIES: Final = (
    "inference_request_summary_us inference_queue_summary_us inference_compute_input_summary_us"
    " inference_compute_infer_summary_us inference_compute_output_summary_us"
)
_PLAIN: Final = tuple(
    metrics(
        named("counter", PREFIX, _COUNTERS),
        named("gauge", PREFIX, _GAUGES),
        named("summary", PREFIX, _SUMMARIES),
    ).items()
)

R24: Final = Page(
    ENGINE,
    "24.04",
    metrics(_PLAIN),
    source="docs/user_guide/metrics.md of 24.04",
)
R25: Final = Page(
    ENGINE,
    "25",
    metrics(
        _PLAIN,
        histograms(PREFIX, "inference_first_response_histogram_ms", numbers("100 500 2000 5000")),
    ),
    source="docs/user_guide/metrics.md of 2025",
    tuned="model_metrics in config.pbtxt",
)
PAGES: Final = (R24, R25)
