import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.tpu.messages import (
    BYTES_MAX,
    METRICS_MAX,
    MessageError,
    Metric,
    request,
    response,
)
from support.tpu_runtime import CLASSES, encode

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
PAIRS = st.lists(
    st.tuples(INT64 | st.none(), st.none() | INT64 | st.floats(allow_nan=False)), max_size=50
)


@given(st.text(max_size=300))
def test_a_request_is_what_protocol_buffers_read(name: str) -> None:
    assert CLASSES["MetricRequest"].FromString(request(name)).metric_name == name


@given(st.text(max_size=50), PAIRS)
def test_a_response_of_protocol_buffers_is_read_as_it_was_meant(
    name: str, pairs: list[tuple[int | None, float | None]]
) -> None:
    assert response(encode(name, pairs)) == [Metric(*pair) for pair in pairs]


@given(st.binary(max_size=200))
def test_any_bytes_are_metrics_or_an_error(message: bytes) -> None:
    try:
        metrics = response(message)
    except MessageError:
        return
    assert len(metrics) <= len(message)


@given(PAIRS, st.data())
def test_a_response_that_is_cut_or_changed_is_metrics_or_an_error(
    pairs: list[tuple[int | None, float | None]], data: st.DataObject
) -> None:
    whole = bytearray(encode("x", pairs))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    for message in (bytes(whole), bytes(whole[:at])):
        try:
            response(message)
        except MessageError:
            continue


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a\x05abc",  # shorter than it says
        b"\x0a",
        b"\x08" + b"\xff" * 11,  # a number without an end
        b"\x0b",  # a group
        b"\x0f",  # no such wire type
        b"\x0d\x00",  # four bytes, of which one is there
    ],
)
def test_bytes_that_are_no_message_are_an_error(message: bytes) -> None:
    with pytest.raises(MessageError):
        response(message)


def test_unknown_fields_of_every_kind_are_skipped() -> None:
    unknown = b"\x78\x01" + b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x7a\x01x"
    known = encode("x", {3: 1.5})
    assert response(unknown + known + unknown) == [Metric(3, 1.5)]


def test_a_field_of_another_kind_than_its_own_is_no_value() -> None:
    gauge = b"\x1a\x02\x08\x07"  # as_double as a varint
    attribute = b"\x0a\x02\x12\x00"  # a value without any
    metric = b"\x1a" + bytes([len(gauge + attribute)]) + attribute + gauge
    assert response(b"\x0a" + bytes([len(metric)]) + metric) == [Metric(None, None)]


def test_a_double_is_eight_bytes_little_endian() -> None:
    assert struct.pack("<d", 12.5) in encode("x", {0: 12.5})


def test_more_metrics_than_any_machine_has_are_an_error() -> None:
    pairs = [(number, 1) for number in range(METRICS_MAX)]
    assert len(response(encode("x", pairs))) == METRICS_MAX
    with pytest.raises(MessageError):
        response(encode("x", [*pairs, (0, 1)]))


def test_a_response_larger_than_its_limit_is_an_error() -> None:
    whole = b"\x7a" + b"\x80\x80\x40" + bytes(BYTES_MAX)
    with pytest.raises(MessageError):
        response(whole)
