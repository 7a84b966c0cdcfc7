"""libtpu's metrics service, as a gRPC server of the tests.

It encodes with the protocol buffers library, from a description of the messages, and so shares no
code with what is tested.
"""

import importlib
import threading
from collections.abc import Mapping, Sequence
from concurrent import futures
from types import TracebackType
from typing import Any, Self

# Neither has types of its own.
GRPC: Any = importlib.import_module("grpc")
SERVICE = "tpu.monitoring.runtime.RuntimeMetricService"
DUTY = "tpu.runtime.tensorcore.dutycycle.percent"
USED = "tpu.runtime.hbm.memory.usage.bytes"
TOTAL = "tpu.runtime.hbm.memory.total.bytes"
BANDWIDTH = "tpu.runtime.hbm.utilization.percent"
GIB = 1 << 30

Values = Mapping[int, float | int] | Sequence[tuple[int | None, float | int | None]]
"""Values by the number in their attribute; as pairs, either may be missing."""


def messages() -> dict[str, Any]:
    """Make the messages' classes out of their description."""
    descriptor = importlib.import_module("google.protobuf.descriptor_pb2")
    factory = importlib.import_module("google.protobuf.message_factory")
    pool = importlib.import_module("google.protobuf.descriptor_pool").DescriptorPool()
    kinds = {"double": 1, "int64": 3, "string": 9}
    file = descriptor.FileDescriptorProto(name="tpu.proto", package="tpu", syntax="proto3")
    for name, fields in {
        "AttrValue": [("int_attr", 3, "int64", "choice"), ("string_attr", 1, "string", "choice")],
        "Attribute": [("key", 1, "string", ""), ("value", 2, "AttrValue", "")],
        "Gauge": [("as_double", 1, "double", "choice"), ("as_int", 2, "int64", "choice")],
        "Metric": [("attribute", 1, "Attribute", ""), ("gauge", 3, "Gauge", "")],
        "TPUMetric": [("name", 1, "string", ""), ("metrics", 3, "Metric", "many")],
        "MetricRequest": [("metric_name", 1, "string", "")],
        "MetricResponse": [("metric", 1, "TPUMetric", "")],
    }.items():
        message = file.message_type.add(name=name)
        if any(how == "choice" for *_, how in fields):
            message.oneof_decl.add(name="choice")
        for label, number, kind, how in fields:
            field = message.field.add(name=label, number=number, label=3 if how == "many" else 1)
            if kind in kinds:
                field.type = kinds[kind]
            else:
                field.type, field.type_name = 11, f".tpu.{kind}"
            if how == "choice":
                field.oneof_index = 0
    pool.Add(file)
    names = [message.name for message in file.message_type]
    return {
        name: factory.GetMessageClass(pool.FindMessageTypeByName(f"tpu.{name}")) for name in names
    }


CLASSES = messages()


def encode(name: str, values: Values) -> bytes:
    """Encode a response: floats as doubles, whole numbers as integers."""
    response = CLASSES["MetricResponse"]()
    response.metric.name = name
    pairs = values.items() if isinstance(values, Mapping) else values
    for number, value in pairs:
        metric = response.metric.metrics.add()
        metric.attribute.key = "device-id"
        if number is not None:
            metric.attribute.value.int_attr = number
        else:
            metric.attribute.value.string_attr = "a name"
        metric.gauge.SetInParent()
        if isinstance(value, float):
            metric.gauge.as_double = value
        elif value is not None:
            metric.gauge.as_int = value
    encoded: bytes = response.SerializeToString()
    return encoded


class Runtime:
    """A running libtpu. `answers` may be changed at any time: values, bytes, or a status' name."""

    def __init__(self, port: int = 0, *, chips: int = 2, cores: int = 1) -> None:
        count = chips * cores
        self.answers: dict[str, Values | bytes | str] = {
            DUTY: dict.fromkeys(range(chips), 50.0),
            USED: dict.fromkeys(range(count), 4 * GIB),
            TOTAL: dict.fromkeys(range(count), 16 * GIB),
            BANDWIDTH: dict.fromkeys(range(chips), 25.0),
        }
        self.released = threading.Event()
        self.released.set()
        self.asked: list[str] = []
        self._server = GRPC.server(futures.ThreadPoolExecutor(max_workers=4))
        handler = GRPC.unary_unary_rpc_method_handler(self._answer)
        self._server.add_generic_rpc_handlers(
            [GRPC.method_handlers_generic_handler(SERVICE, {"GetRuntimeMetric": handler})]
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.released.set()
        self._server.stop(None).wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _answer(self, message: bytes, context: Any) -> bytes:
        request = CLASSES["MetricRequest"].FromString(message)
        self.asked.append(request.metric_name)
        self.released.wait(10)
        answer = self.answers.get(request.metric_name, "NOT_FOUND")
        if isinstance(answer, str):
            return bytes(context.abort(GRPC.StatusCode[answer], "which raises"))
        if isinstance(answer, bytes):
            return answer
        return encode(request.metric_name, answer)
