"""The cells of requests, bound once for each (model, operation, stream) that occurs.

Each cell is made when it is first counted: a series that nothing was ever counted in would say
zero about something that may be unknown.
"""

from functools import cached_property

from inferometer.metrics.build import Registry
from inferometer.metrics.cells import Counter, Histogram

VANTAGE = "sidecar"


class Instruments:
    """Cells that share the labels of a request."""

    def __init__(self, registry: Registry, model: str, operation: str, stream: str) -> None:
        """Bind the label values; they must be clean and bounded already."""
        self.model = model
        self._registry = registry
        self._operation = operation
        self._labels = (VANTAGE, model, operation, stream)

    def _histogram(self, name: str, *more: str) -> Histogram:
        return self._registry.histogram(name, *self._labels, *more)

    def _counter(self, name: str, *more: str) -> Counter:
        return self._registry.counter(name, *self._labels, *more)

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
    def request_read(self) -> Histogram:
        """How long the request body took to arrive."""
        return self._registry.histogram("inferometer_request_read_seconds", VANTAGE, self.model)

    @cached_property
    def input_tokens(self) -> Histogram:
        """Input tokens of each request."""
        name = "inferometer_request_input_tokens"
        return self._registry.histogram(name, VANTAGE, self.model, self._operation)

    @cached_property
    def output_tokens(self) -> Histogram:
        """Output tokens of each request."""
        name = "inferometer_request_output_tokens"
        return self._registry.histogram(name, VANTAGE, self.model, self._operation)

    def inter_token(self, weights: str) -> Histogram:
        """Return the cell of gaps per token."""
        return self._histogram("inferometer_inter_token_latency_seconds", weights)

    def duration(self, result: str) -> Histogram:
        """Return the cell of durations."""
        return self._histogram("gen_ai_server_request_duration_seconds", result)

    def requests(self, outcome: str) -> Counter:
        """Return the cell of finished requests."""
        return self._counter("inferometer_requests_total", outcome)

    def no_first_token(self, reason: str) -> Counter:
        """Return the cell of requests that should have streamed and gave no output."""
        return self._counter("inferometer_no_first_token_total", reason)

    def tokens(self, direction: str, source: str) -> Counter:
        """Return the cell of tokens."""
        name = "inferometer_tokens_total"
        return self._registry.counter(name, VANTAGE, self.model, direction, source)

    def usage_requests(self, source: str) -> Counter:
        """Return the cell of requests by source of their output count."""
        name = "inferometer_usage_requests_total"
        return self._registry.counter(name, VANTAGE, self.model, source)

    def of_model(self, name: str, *more: str) -> Counter:
        """Return a counter that is labelled with vantage, model and `more`."""
        return self._registry.counter(name, VANTAGE, self.model, *more)

    def reported(self, engine: str, phase: str) -> Histogram:
        """Return the cell of a phase that the engine reports of itself."""
        name = "inferometer_reported_phase_seconds"
        return self._registry.histogram(name, self.model, engine, phase)
