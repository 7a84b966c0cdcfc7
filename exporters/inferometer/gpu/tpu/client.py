"""A client of libtpu's metrics service; the only importer of grpc.

libtpu serves it without TLS on a loopback address of its workload's network namespace, and only
while it runs (ports from TPU_RUNTIME_METRICS_PORTS, by default 8431).
"""

from typing import Final, NamedTuple

from inferometer.gpu.binding.importing import load
from inferometer.gpu.tpu.messages import BYTES_MAX, MessageError, Metric, request, response

METHOD: Final = "/tpu.monitoring.runtime.RuntimeMetricService/GetRuntimeMetric"
TIMEOUT_S: Final = 1.0
OPTIONS: Final = (
    ("grpc.max_receive_message_length", BYTES_MAX),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Without these, grpc waits for up to two minutes before it tries again."""
GONE: Final = frozenset({"unavailable", "deadline_exceeded"})
"""Outcomes that mean the runtime, not the metric."""


class Answer(NamedTuple):
    """What came back: `outcome` is "ok" or a status of gRPC in lower case."""

    outcome: str
    metrics: tuple[Metric, ...] = ()


class Client:
    """One address. Any thread may ask; each request has a deadline of its own."""

    def __init__(self, address: str) -> None:
        """Connect when first asked. Raises BackendError where grpc cannot be imported."""
        self.address = address
        grpc = load("grpc")
        self._failure: type[Exception] = grpc.RpcError
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self._method = self._channel.unary_unary(METHOD)

    def ask(self, metric: str) -> Answer:
        """Ask for a metric of all chips or cores; never raises."""
        try:
            message: bytes = self._method(request(metric), timeout=TIMEOUT_S)
        except self._failure as error:
            return Answer(_status(error))
        try:
            return Answer("ok", tuple(response(message)))
        except MessageError:
            return Answer("malformed")

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _status(error: Exception) -> str:
    """Name the status; what is raised by a call that was made is a call, too."""
    code = getattr(error, "code", None)
    status = code() if callable(code) else None
    return str(getattr(status, "name", "unknown")).lower()
