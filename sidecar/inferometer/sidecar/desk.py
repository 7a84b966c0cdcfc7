"""What all watches share: the stages of measuring, and the cells that belong to no request.

A stage that raises is counted here and costs the measuring of one exchange, never more.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, ParamSpec, TypeVar, get_args

from inferometer import log
from inferometer.metrics.build import Registry
from inferometer.metrics.cells import Counter
from inferometer.metrics.labels import Names, code
from inferometer.sidecar.instruments import REMEMBERED_MAX, VANTAGE, Instruments
from inferometer.sidecar.tap import Answered, Started
from inferometer.sidecar.verdicts import Bench
from inferometer.stream.decode import Decoder
from inferometer.stream.dialect import Call

Stage = Literal["parser", "registry", "labels", "tracer", "logger", "tokenizer"]
P = ParamSpec("P")
T = TypeVar("T")

OPAQUE: Final = Call(dialect="opaque", operation="other", model=None, stream="unknown")
"""A request that could not be read."""

_SECOND_NS: Final = 1_000_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stages:
    """The steps that depend on outside data, each of which may fail; tests put faulty ones here."""

    read_call: Callable[[Started, bytes], Call]
    make_decoder: Callable[[Call, Answered], Decoder]
    names: Names
    bench: Bench


class Desk:
    """Where watches find stages and cells."""

    def __init__(self, registry: Registry, stages: Stages, *, stall_s: float) -> None:
        """Bind the cells that no request names; a gap of `stall_s` counts as a stall."""
        self.registry = registry
        self.stall_s = stall_s
        self.bench = stages.bench
        self.internal_errors: dict[str, int] = dict.fromkeys(get_args(Stage), 0)
        self.head_delay = registry.histogram("inferometer_sidecar_overhead_seconds", "head")
        self.dial_delay = registry.histogram("inferometer_sidecar_overhead_seconds", "dial")
        self.chunk_delay = registry.histogram("inferometer_sidecar_overhead_seconds", "chunk")
        self.measure_cost = registry.histogram("inferometer_sidecar_overhead_seconds", "measure")
        self.loop_lag = registry.histogram("inferometer_sidecar_event_loop_lag_seconds")
        self.usage_rejected = registry.counter("inferometer_sidecar_usage_rejected_total")
        self.request_bytes = registry.counter("inferometer_body_bytes_total", VANTAGE, "request")
        self.response_bytes = registry.counter("inferometer_body_bytes_total", VANTAGE, "response")
        self.responses = lru_cache(REMEMBERED_MAX)(self._responses)
        """The counter of a status that clients were sent."""
        self._stages = stages
        self._bundles: dict[tuple[str, str, str], Instruments] = {}

    def stage(
        self, name: Stage, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Run a step that may fail; count and log a failure, and go on without its result."""
        try:
            return step(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  (the seam that law 1 asks for)
            self.count_error(name, error)
            return None

    def count_error(self, stage: Stage, error: Exception) -> None:
        """Count a failure of ours; the first of a kind is logged with its trace."""
        self.internal_errors[stage] += 1
        try:
            key = (stage, type(error).__name__)
            log.once(_log, key, "measuring failed", stage=stage)
        except Exception:  # noqa: BLE001  (a broken logger is counted, not raised)
            self.internal_errors["logger"] += 1

    def read_call(self, started: Started, body: bytes) -> Call:
        """Return what a request asks for, `OPAQUE` where reading it failed."""
        try:
            return self._stages.read_call(started, body)
        except Exception as error:  # noqa: BLE001  (the seam of the parser stage)
            self.count_error("parser", error)
            return OPAQUE

    def make_decoder(self, call: Call, answered: Answered) -> Decoder | None:
        """Return the decoder of an answer, None where making one failed."""
        try:
            return self._stages.make_decoder(call, answered)
        except Exception as error:  # noqa: BLE001  (the seam of the parser stage)
            self.count_error("parser", error)
            return None

    def peek_model(self, name: str | None) -> str:
        """Return the label of a model as of now."""
        try:
            return self._stages.names.peek(name) or "unknown"
        except Exception as error:  # noqa: BLE001  (the seam of the labels stage)
            self.count_error("labels", error)
            return "unknown"

    def take_model(self, name: str | None, *, proven: bool) -> str:
        """Return the label of a model for good; call it once for each request."""
        try:
            return self._stages.names.take(name, proven=proven) or "unknown"
        except Exception as error:  # noqa: BLE001  (the seam of the labels stage)
            self.count_error("labels", error)
            return "unknown"

    def learn_models(self, names: Iterable[str]) -> None:
        """Give names that the engine lists their label for certain, and keep room for them."""
        for name in self._stages.names.list_more(names):
            self.registry.reserve(name)

    def instruments(self, model: str, operation: str, stream: str) -> Instruments:
        """Return the cells of these labels."""
        key = (model, operation, stream)
        bundle = self._bundles.get(key)
        if bundle is None:
            bundle = self._bundles[key] = Instruments(self.registry, *key)
        return bundle

    def _responses(self, status: int) -> Counter:
        return self.registry.counter("inferometer_responses_total", VANTAGE, code(status))

    def count_head(self, spent_ns: int, dial_ns: int) -> None:
        """Count what the way of a request head through the sidecar cost, and connecting."""
        self.head_delay.add(max(0, spent_ns - dial_ns) / _SECOND_NS)
        if dial_ns:
            self.dial_delay.add(dial_ns / _SECOND_NS)

    def count_unparsed(self, dialect: str, reason: str) -> None:
        """Count an answer of which only bytes are known."""
        name = "inferometer_sidecar_unparsed_total"
        self.registry.counter(name, dialect, reason).add()
