"""The messages of libtpu's metrics service, by hand: protocol buffers without generated code.

    MetricRequest  {1 metric_name}
    MetricResponse {1 TPUMetric {1 name, 3 repeated Metric {1 Attribute {1 key, 2 AttrValue
        {3 int_attr}}, 3 Gauge {1 as_double, 2 as_int}}}}

Pure. Numbers are those of `tpu_metric_service.proto` (package tpu.monitoring.runtime). Members of
a choice are sent even if they are 0, so a gauge without a value has none. Unknown fields are
skipped, and every size is checked before it is used.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

BYTES_MAX: Final = 1 << 20
METRICS_MAX: Final = 4_096
"""Far more than a machine has cores."""
VARINT_BYTES_MAX: Final = 10
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; 3 and 4, groups, are out of use."""


class MessageError(Exception):
    """Bytes that are no such message."""


class Metric(NamedTuple):
    """A value of a chip or core. `number` is None where the attribute is no integer."""

    number: int | None
    value: float | None


def request(metric: str) -> bytes:
    """Encode a MetricRequest."""
    name = metric.encode()
    return b"\x0a" + _varint(len(name)) + name


def response(message: bytes) -> list[Metric]:
    """Decode a MetricResponse. Raises MessageError."""
    if len(message) > BYTES_MAX:
        raise MessageError(len(message))
    metrics: list[Metric] = []
    for outer in _members(message, 1):
        for inner in _members(outer, 3):
            if len(metrics) == METRICS_MAX:
                raise MessageError(METRICS_MAX)
            metrics.append(Metric(_attribute(inner), _gauge(inner)))
    return metrics


def _attribute(metric: bytes) -> int | None:
    number: int | None = None
    for attribute in _members(metric, 1):
        for value in _members(attribute, 2):
            for field, kind, content in _fields(value):
                if (field, kind) == (3, VARINT) and isinstance(content, int):
                    number = _signed(content)
    return number


def _gauge(metric: bytes) -> float | None:
    value: float | None = None
    for gauge in _members(metric, 3):
        for field, kind, content in _fields(gauge):
            if (field, kind) == (1, FIXED64) and isinstance(content, bytes):
                (value,) = struct.unpack("<d", content)
            elif (field, kind) == (2, VARINT) and isinstance(content, int):
                value = _signed(content)
    return value


def _members(message: bytes, number: int) -> Iterator[bytes]:
    """Yield the messages or texts under a field."""
    for field, kind, content in _fields(message):
        if (field, kind) == (number, BYTES) and isinstance(content, bytes):
            yield content


def _fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Yield number, wire type and content of each field."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            number, at = _read_varint(message, at)
            yield tag >> 3, kind, number
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(kind)
        if kind == BYTES:
            size, at = _read_varint(message, at)
        if size is None or size > len(message) - at:
            raise MessageError(at)
        yield tag >> 3, kind, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(message[at : at + VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the high bit says that more bytes follow
            return number & (1 << 64) - 1, at + place + 1
    raise MessageError(at)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
