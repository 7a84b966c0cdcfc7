import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferometer.gpu.pods import proto
from inferometer.gpu.pods.proto import (
    ClaimedDevice,
    ContainerResources,
    PluginDevices,
    PodResources,
    ProtoError,
    decode_list,
    encode_list,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
devices = st.builds(PluginDevices, texts, st.lists(texts, max_size=3).map(tuple))
claims = st.builds(
    ClaimedDevice, texts, texts, texts, texts, st.lists(texts, max_size=2).map(tuple)
)
containers = st.builds(
    ContainerResources,
    texts,
    st.lists(devices, max_size=3).map(tuple),
    st.lists(claims, max_size=2).map(tuple),
)
pods = st.builds(PodResources, texts, texts, st.lists(containers, max_size=3).map(tuple))


def field(number: int, value: bytes) -> bytes:
    assert number < 16
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def unknown() -> st.SearchStrategy[bytes]:
    """Fields that no version has had yet, of every wire type."""
    return st.sampled_from(
        [
            b"\x78\x96\x01",  # field 15, varint
            b"\x79" + bytes(8),  # fixed64
            b"\x7d" + bytes(4),  # fixed32
            field(15, b"later"),
            b"\x7b\x08\x01\x7c",  # a group of one field
            b"\x7b\x0b\x0c\x7c",  # a group in a group
        ]
    )


@given(st.lists(pods, max_size=4).map(tuple))
def test_what_is_encoded_decodes_to_the_same(found: tuple[PodResources, ...]) -> None:
    assert decode_list(encode_list(found)) == found


@given(st.binary(max_size=300))
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
def test_random_bytes_raise_one_kind_of_error_or_decode(data: bytes) -> None:
    with contextlib.suppress(ProtoError):
        decode_list(data)


@given(st.lists(pods, min_size=1, max_size=2).map(tuple), st.data())
def test_a_message_with_a_broken_byte_never_raises_anything_else(
    found: tuple[PodResources, ...], draw: st.DataObject
) -> None:
    data = bytearray(encode_list(found))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(ProtoError):
        decode_list(bytes(data))


@given(unknown(), unknown())
def test_unknown_fields_of_every_wire_type_are_skipped(before: bytes, after: bytes) -> None:
    inner = before + field(1, b"pod") + after + field(2, b"space")
    (only,) = decode_list(before + field(1, inner) + after)
    assert only == PodResources("pod", "space")


def test_cpus_memory_and_topology_are_skipped() -> None:
    group = field(1, b"nvidia.com/gpu") + field(2, b"GPU-1") + field(3, b"\x0a\x02\x08\x01")
    container = field(1, b"c") + field(2, group) + field(3, b"\x01\x02") + field(4, b"\x08\x01")
    (only,) = decode_list(field(1, field(3, container)))
    assert only.containers == (
        ContainerResources("c", (PluginDevices("nvidia.com/gpu", ("GPU-1",)),)),
    )


def test_a_text_that_occurs_twice_has_its_last_value() -> None:
    assert decode_list(field(1, field(1, b"a") + field(1, b"b"))) == (PodResources("b"),)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # no length
        b"\x0a\x05ab",  # ends early
        b"\x0a\x80",  # a number without an end
        b"\x08\x01",  # field 1 as a number
        b"\x02\x00",  # field number 0
        b"\x7e",  # wire type 6
        b"\x7c",  # the end of a group that never began
        b"\x79\x00",  # half a fixed64
        b"\x7b",  # a group without an end
        b"\x7b\x74",  # a group that ends as another
        b"\x80" * 10 + b"\x01",  # a number of 11 bytes
        field(1, field(1, b"\xff")),  # not UTF-8
        b"not protobuf at all",
    ],
)
def test_garbage_is_told_as_garbage(data: bytes) -> None:
    with pytest.raises(ProtoError) as caught:
        decode_list(data)
    assert not caught.value.too_many


def test_the_size_of_a_message_is_bounded() -> None:
    with pytest.raises(ProtoError, match="above") as caught:
        decode_list(bytes(proto.MESSAGE_BYTES_MAX + 1))
    assert caught.value.too_many


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x0a\x00" * (proto.PODS_MAX + 1), "pods"),
        (
            encode_list((PodResources("p", "n", (ContainerResources(),) * 16_385),)),
            "containers",
        ),
        (
            encode_list(
                (
                    PodResources(
                        "p",
                        "n",
                        (
                            ContainerResources(
                                "c", (PluginDevices("r", ("",) * (proto.DEVICES_MAX + 1)),)
                            ),
                        ),
                    ),
                )
            ),
            "devices",
        ),
        (b"\x78\x01" * (proto.FIELDS_MAX + 1), "fields"),
        (field(1, b"\x7b" * 65), "deep"),
    ],
)
def test_what_a_message_can_make_us_do_is_bounded(data: bytes, kind: str) -> None:
    with pytest.raises(ProtoError, match=kind) as caught:
        decode_list(data)
    assert caught.value.too_many


def test_the_length_of_a_text_is_bounded() -> None:
    longest = PodResources("x" * proto.TEXT_BYTES_MAX)
    assert decode_list(encode_list((longest,))) == (longest,)
    with pytest.raises(ProtoError, match="text") as caught:
        decode_list(encode_list((PodResources("x" * (proto.TEXT_BYTES_MAX + 1)),)))
    assert caught.value.too_many


def test_a_request_for_one_pod_has_its_name_and_namespace() -> None:
    assert proto.encode_get("p", "ns") == field(1, b"p") + field(2, b"ns")
