"""The metrics of requests: latencies, tokens, outcomes, what is in flight.

Durations are monotonic and start when the request head is complete. Names that OpenTelemetry's
GenAI conventions define are theirs in Prometheus spelling, the others start with `inferometer_`.
"""

from typing import Final

from inferometer.metrics.ladders import COUNT, FIRST, GAP, LENGTH, TOKEN
from inferometer.metrics.metric import Label, Metric

NAMES_MAX: Final = 64
"""Model names that can ever get a label of their own."""

OUTCOMES: Final = (
    "success",
    "client_error",
    "rejected",
    "upstream_error",
    "stream_error",
    "truncated",
    "timeout",
    "client_cancel",
    "drain_cut",
    "proxy_error",
)
USAGE_SOURCES: Final = (
    "server",
    "server_cumulative",
    "events",
    "token_ids",
    "tokenizer",
    "chunks",
    "none",
)
CODES: Final = (
    *(str(code) for code in (100, 101, 102, 103, 104, *range(200, 209), 226)),
    *(str(code) for code in (*range(300, 309), *range(400, 419), 421, 422, 423, 424, 425, 426)),
    *(str(code) for code in (428, 429, 431, 451, *range(500, 509), 510, 511)),
    "other",
)
"""HTTP status codes that are registered, and `other`."""

VANTAGE: Final = Label("vantage", ("sidecar", "server"))
MODEL: Final = Label("model", ("unknown", "other"), NAMES_MAX)
OPERATION: Final = Label(
    "operation",
    (
        "chat",
        "text_completion",
        "generate_content",
        "embeddings",
        "rerank",
        "audio",
        "image",
        "infer",
        "other",
    ),
)
STREAM: Final = Label("stream", ("true", "false", "unknown"))
RESULT: Final = Label("result", ("ok", "cancel", "error"))
OUTCOME: Final = Label("outcome", OUTCOMES)
NO_TOKEN_REASON: Final = Label("reason", (*OUTCOMES, "empty"))
USAGE_SOURCE: Final = Label("usage_source", USAGE_SOURCES)
WEIGHTS: Final = Label("weights", ("exact", "uniform"))
TOKEN_DIRECTION: Final = Label("direction", ("input", "output"))
BODY_DIRECTION: Final = Label("direction", ("request", "response"))
ENGINE: Final = Label(
    "engine",
    (
        "vllm",
        "sglang",
        "trtllm-serve",
        "triton-tensorrt-llm",
        "triton",
        "tgi",
        "lmdeploy",
        "llamacpp",
        "torchserve",
        "tfserving",
        "ollama",
        "nim",
        "unknown",
    ),
    8,
)
PHASE: Final = Label("phase", ("queue", "prefill", "decode", "first_token", "load", "total"))
FINISH: Final = Label(
    "finish",
    ("stop", "length", "tool_calls", "content_filter", "error", "abort", "other", "unknown"),
)
CODE: Final = Label("code", CODES)
STATE: Final = Label("state", ("waiting", "streaming"))

R: Final = (VANTAGE, MODEL, OPERATION, STREAM)
"""The labels of a request, the same for every family, so that families join."""

REQUESTS: Final = (
    Metric(
        name="gen_ai_server_time_to_first_token_seconds",
        kind="histogram",
        help="Request head to first generated output, reasoning included. Streams only. A wait "
        "that ended without output is not here but in the censored histogram.",
        domains=R,
        ladder=FIRST,
        unit="seconds",
    ),
    Metric(
        name="inferometer_time_to_first_output_seconds",
        kind="histogram",
        help="Request head to the first output that a user can see: reasoning does not count. "
        "Streams only.",
        domains=R,
        ladder=FIRST,
        unit="seconds",
    ),
    Metric(
        name="inferometer_time_to_first_byte_seconds",
        kind="histogram",
        help="Request head to the first byte of the response body. It is not a token: role "
        "chunks, pings and error bodies count.",
        domains=R,
        ladder=FIRST,
        unit="seconds",
    ),
    Metric(
        name="inferometer_time_to_first_token_censored_seconds",
        kind="histogram",
        help="Waits that ended unanswered (client_cancel, timeout, drain_cut): lower bounds of a "
        "time to first token. Errors are not waits and not here.",
        domains=R,
        ladder=FIRST,
        unit="seconds",
    ),
    Metric(
        name="inferometer_inter_token_latency_seconds",
        kind="histogram",
        help="Gap between arrivals divided by its tokens, counted once per token. Not here: "
        "streams whose token count is unknown, the first arrival, gaps in which the client "
        "did not read.",
        domains=(*R, WEIGHTS),
        ladder=TOKEN,
        unit="seconds",
    ),
    Metric(
        name="inferometer_inter_chunk_latency_seconds",
        kind="histogram",
        help="Gap between arrivals of output, as a screen shows it, whatever the number of "
        "tokens. Gaps in which the client did not read are not here.",
        domains=R,
        ladder=TOKEN,
        unit="seconds",
    ),
    Metric(
        name="gen_ai_server_time_per_output_token_seconds",
        kind="histogram",
        help="Mean decode time per token after the first, one sample per request. Not here: "
        "fewer than two tokens, token count unknown, several choices counted together.",
        domains=R,
        ladder=TOKEN,
        unit="seconds",
    ),
    Metric(
        name="inferometer_longest_gap_seconds",
        kind="histogram",
        help="Longest silence inside a stream after its first output, one sample per request. One "
        "that no output ended counts from the stall limit on. Time in which the client did not "
        "read is not here.",
        domains=R,
        ladder=GAP,
        unit="seconds",
    ),
    Metric(
        name="gen_ai_server_request_duration_seconds",
        kind="histogram",
        help="Request head to last output (streams) or last body byte. All outcomes, told apart "
        "by result. Routes that generate nothing and tunnels are not here.",
        domains=(*R, RESULT),
        ladder=LENGTH,
        unit="seconds",
    ),
    Metric(
        name="inferometer_request_read_seconds",
        kind="histogram",
        help="Request head to end of request body: a slow upload is no slow prefill. Bodies that "
        "never became complete are not here.",
        domains=(VANTAGE, MODEL),
        ladder=LENGTH,
        unit="seconds",
    ),
    Metric(
        name="inferometer_reported_phase_seconds",
        kind="histogram",
        help="Times that the engine reports of itself, by its own definitions. Never mixed with "
        "what was measured here.",
        domains=(MODEL, ENGINE, PHASE),
        ladder=FIRST,
        unit="seconds",
    ),
    Metric(
        name="inferometer_request_input_tokens",
        kind="histogram",
        help="Input tokens per request, cached ones included. Requests without a known count "
        "are not here.",
        domains=(VANTAGE, MODEL, OPERATION),
        ladder=COUNT,
        unit="tokens",
    ),
    Metric(
        name="inferometer_request_output_tokens",
        kind="histogram",
        help="Output tokens per request, reasoning included. Requests without a known count are "
        "not here.",
        domains=(VANTAGE, MODEL, OPERATION),
        ladder=COUNT,
        unit="tokens",
    ),
    Metric(
        name="inferometer_requests_total",
        kind="counter",
        help="Finished requests by outcome, each once. The only denominator of availability. "
        "Requests in flight are not here.",
        domains=(*R, OUTCOME),
    ),
    Metric(
        name="inferometer_no_first_token_total",
        kind="counter",
        help="Requests that should have streamed and gave no output, by outcome, or empty where "
        "the stream ended well without any.",
        domains=(*R, NO_TOKEN_REASON),
    ),
    Metric(
        name="inferometer_responses_total",
        kind="counter",
        help="Status codes as the client saw them. Requests that ended without one are not here.",
        domains=(VANTAGE, CODE),
    ),
    Metric(
        name="inferometer_finish_reasons_total",
        kind="counter",
        help="Why generation stopped, once per choice that told. Streams cut before are not here.",
        domains=(VANTAGE, MODEL, FINISH),
    ),
    Metric(
        name="inferometer_stalls_total",
        kind="counter",
        help="Gaps between arrivals at or above the stall limit, 1 s by default. Waiting for the "
        "first output is no stall, nor is a client that does not read.",
        domains=R,
    ),
    Metric(
        name="inferometer_client_stall_seconds_total",
        kind="counter",
        help="Time in which the client did not read and the upstream was paused for it.",
        domains=(VANTAGE, MODEL),
        unit="seconds",
    ),
    Metric(
        name="inferometer_tokens_total",
        kind="counter",
        help="Tokens, with how they are known. Requests whose count is unknown add nothing.",
        domains=(VANTAGE, MODEL, TOKEN_DIRECTION, USAGE_SOURCE),
        unit="tokens",
    ),
    Metric(
        name="inferometer_cached_input_tokens_total",
        kind="counter",
        help="Input tokens served from a prefix cache: a subset of the input tokens, where the "
        "server tells.",
        domains=(VANTAGE, MODEL),
        unit="tokens",
    ),
    Metric(
        name="inferometer_reasoning_output_tokens_total",
        kind="counter",
        help="Output tokens spent on reasoning: a subset of the output tokens, where the server "
        "tells.",
        domains=(VANTAGE, MODEL),
        unit="tokens",
    ),
    Metric(
        name="inferometer_usage_requests_total",
        kind="counter",
        help="Requests by where their output token count came from: the coverage of every token "
        "metric. Routes that generate nothing are not here.",
        domains=(VANTAGE, MODEL, USAGE_SOURCE),
    ),
    Metric(
        name="inferometer_body_bytes_total",
        kind="counter",
        help="Body bytes relayed, without heads and framing.",
        domains=(VANTAGE, BODY_DIRECTION),
        unit="bytes",
    ),
    Metric(
        name="inferometer_requests_in_flight",
        kind="gauge",
        help="Requests not finished: waiting have no output yet, streaming have some. Tunnels "
        "are not here.",
        domains=(VANTAGE, MODEL, STATE),
    ),
    Metric(
        name="inferometer_waiting_age_max_seconds",
        kind="gauge",
        help="Age of the oldest request that should stream and has no output yet, 0 if there is "
        "none.",
        domains=(VANTAGE,),
        unit="seconds",
    ),
)
