"""The cells of requests, bound once for each (model, operation, stream) that occurs.

Each cell is made when it is first counted: a series that nothing was ever counted in would say
zero about something that may be unknown. Where one more label varies (`requests("success")`) its
value is one of a closed set, and the cells used last are remembered by it.
"""

from functools import cached_property, lru_cache, partial
from typing import Final

from inferometer.metrics.build import Registry
from inferometer.metrics.cells import Counter, Histogram

VANTAGE: Final = "sidecar"
REMEMBERED_MAX: Final = 32
"""Cells of one metric that are remembered: outcomes are ten, and an engine reports six phases."""


class Instruments:
    """Cells that share the labels of a request."""

    def __init__(self, registry: Registry, model: str, operation: str, stream: str) -> None:
        """Bind the label values; they must be clean and bounded already."""
        self._registry = registry
        self._model = (VANTAGE, model)
        self._operation = (VANTAGE, model, operation)
        self._request = (VANTAGE, model, operation, stream)

        remembered = lru_cache(REMEMBERED_MAX)
        self.duration = remembered(
            partial(self._histogram, "gen_ai_server_request_duration_seconds")
        )
        """Durations, by result."""
        self.inter_token = remembered(
            partial(self._histogram, "inferometer_inter_token_latency_seconds")
        )
        """Gaps per token, by how their weights are known."""
        self.requests = remembered(partial(self._counter, "inferometer_requests_total"))
        """Finished requests, by outcome."""
        self.no_first_token = remembered(partial(self._counter, "inferometer_no_first_token_total"))
        """Requests that should have streamed and gave no output, by reason."""
        self.tokens = remembered(partial(self._counter_of_model, "inferometer_tokens_total"))
        """Tokens, by direction and source."""
        self.usage_requests = remembered(
            partial(self._counter_of_model, "inferometer_usage_requests_total")
        )
        """Requests, by source of their output count."""
        self.finish_reasons = remembered(
            partial(self._counter_of_model, "inferometer_finish_reasons_total")
        )
        """Choices that came to their end, by reason."""
        self.reported = remembered(self._reported)
        """Phases that an engine reports of itself, by engine and phase."""

    def _counter_of_model(self, name: str, *more: str) -> Counter:
        return self._registry.counter(name, *self._model, *more)

    def _counter(self, name: str, *more: str) -> Counter:
        return self._registry.counter(name, *self._request, *more)

    def _histogram(self, name: str, *more: str) -> Histogram:
        return self._registry.histogram(name, *self._request, *more)

    def _reported(self, engine: str, phase: str) -> Histogram:
        name = "inferometer_reported_phase_seconds"
        return self._registry.histogram(name, self._model[1], engine, phase)

    @cached_property
    def first_token(self) -> Histogram:
        """Time to first token."""
        return self._histogram("gen_ai_server_time_to_first_token_seconds")

    @cached_property
    def first_output(self) -> Histogram:
        """Time to first output that a user can see."""
        return self._histogram("inferometer_time_to_first_output_seconds")

    @cached_property
    def first_byte(self) -> Histogram:
        """Time to first body byte."""
        return self._histogram("inferometer_time_to_first_byte_seconds")

    @cached_property
    def censored(self) -> Histogram:
        """Waits for a first token that were broken off."""
        return self._histogram("inferometer_time_to_first_token_censored_seconds")

    @cached_property
    def inter_chunk(self) -> Histogram:
        """Gaps between arrivals."""
        return self._histogram("inferometer_inter_chunk_latency_seconds")

    @cached_property
    def per_output_token(self) -> Histogram:
        """Mean time per output token of each request."""
        return self._histogram("gen_ai_server_time_per_output_token_seconds")

    @cached_property
    def longest_gap(self) -> Histogram:
        """Longest gap of each stream."""
        return self._histogram("inferometer_longest_gap_seconds")

    @cached_property
    def stalls(self) -> Counter:
        """Gaps that were stalls."""
        return self._counter("inferometer_stalls_total")

    @cached_property
    def client_stall(self) -> Counter:
        """Seconds for which clients did not read."""
        return self._counter_of_model("inferometer_client_stall_seconds_total")

    @cached_property
    def request_read(self) -> Histogram:
        """How long the request body took to arrive."""
        return self._registry.histogram("inferometer_request_read_seconds", *self._model)

    @cached_property
    def input_tokens(self) -> Histogram:
        """Input tokens of each request."""
        name = "inferometer_request_input_tokens"
        return self._registry.histogram(name, *self._operation)

    @cached_property
    def output_tokens(self) -> Histogram:
        """Output tokens of each request."""
        name = "inferometer_request_output_tokens"
        return self._registry.histogram(name, *self._operation)

    @cached_property
    def cached_input_tokens(self) -> Counter:
        """Input tokens that came from a cache."""
        return self._counter_of_model("inferometer_cached_input_tokens_total")

    @cached_property
    def reasoning_output_tokens(self) -> Counter:
        """Output tokens that no user sees."""
        return self._counter_of_model("inferometer_reasoning_output_tokens_total")
