"""Text Generation Inference. Durations have 35 edges, each 1.5 times the one before: none is round.

The program multiplies floats, and shows the sum of its errors, so the same is done here.
"""

from decimal import Decimal
from typing import Final

from inferometer.slo.engines.page import Page, histograms, metrics, named

ENGINE: Final = "TGI"
PREFIX: Final = "tgi_"
_FIRST: Final = 0.0001
_STEP: Final = 1.5
_STEPS: Final = 35


def _durations() -> tuple[Decimal, ...]:
    edge, edges = _FIRST, []
    for _ in range(_STEPS):
        edge *= _STEP
        edges.append(Decimal(repr(edge)))
    return tuple(edges)


V3: Final = Page(
    ENGINE,
    "1 to 3",
    metrics(
        named("gauge", PREFIX, "batch_current_max_tokens batch_current_size queue_size"),
        named(
            "counter",
            PREFIX,
            "batch_inference_count batch_inference_success request_count request_success",
        ),
        histograms(
            PREFIX,
            "batch_decode_duration batch_filter_duration batch_forward_duration"
            " batch_inference_duration request_duration request_inference_duration"
            " request_mean_time_per_token_duration request_queue_duration"
            " request_validation_duration",
            _durations(),
        ),
        histograms(PREFIX, "batch_next_size", tuple(Decimal(size) for size in range(1, 1025))),
        named(
            "histogram",
            PREFIX,
            "request_generated_tokens request_input_length request_max_new_tokens"
            " request_skipped_tokens",
        ),
    ),
    source="docs/source/reference/metrics.md, and the buckets of router/src/server.rs",
)
PAGES: Final = (V3,)
