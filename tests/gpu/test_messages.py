"""Messages of a child, written and read back."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.gpu.child.calls import EDGES_S
from inferometer.gpu.messages import (
    CODES_MAX,
    HEAD_BYTES,
    MESSAGE_BYTES_MAX,
    Bye,
    Condition,
    EventTotals,
    Failure,
    Found,
    Heartbeat,
    Hello,
    Message,
    TooLargeError,
    encode,
)
from inferometer.gpu.quantities import EVENTS, Counter, Gauge, Total
from inferometer.gpu.sample import CallStats, Identity, Instance, Process, Sample, Xid
from inferometer.gpu.supervision.decoding import Decoder, GarbageError, decode

SAMPLE = Sample(uuid="GPU-1", moment_ns=5, time_s=6.5, gauges={}, counters={}, totals={})
INSTANCE = Instance(
    gpu_instance=1, compute_instance=None, uuid="MIG-1", profile="1g", slices=1, slices_max=7
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
counts = st.integers(0, 2**64)
numbers = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**31), 2**31)
gauges = st.dictionaries(st.sampled_from(Gauge), numbers)
totals = st.dictionaries(st.sampled_from(Total), counts)
identities = st.builds(
    Identity, uuid=texts, index=whole, vendor=texts, model=texts, minor=st.none() | whole
)
instances = st.builds(
    Instance,
    gpu_instance=whole,
    compute_instance=st.none() | whole,
    uuid=texts,
    profile=texts,
    slices=counts,
    slices_max=counts,
    gauges=gauges,
    totals=totals,
)
processes = st.builds(
    Process, whole, st.none() | counts, st.none() | counts, st.none() | whole, st.just("client")
)
samples = st.builds(
    Sample,
    uuid=texts,
    moment_ns=counts,
    time_s=numbers,
    gauges=gauges,
    counters=st.dictionaries(st.sampled_from(Counter), counts),
    totals=totals,
    instances=st.lists(instances, max_size=3).map(tuple),
    processes=st.none() | st.lists(processes, max_size=3).map(tuple),
    unsupported=st.dictionaries(texts, st.sampled_from(["no_data", "too_slow"])),
    implausible=st.dictionaries(texts, counts),
)
stats = st.builds(
    CallStats,
    st.dictionaries(texts, counts),
    st.lists(counts, min_size=len(EDGES_S) + 1, max_size=len(EDGES_S) + 1).map(tuple),
    numbers,
)
messages: st.SearchStrategy[Message] = st.one_of(
    samples,
    st.builds(Hello, texts, st.lists(texts).map(tuple), st.none() | counts, st.none() | counts),
    st.builds(Found, identities),
    st.builds(Condition, texts, st.sampled_from(["ok", "lost"]), st.none() | whole, st.booleans()),
    st.builds(
        EventTotals,
        texts,
        st.dictionaries(st.none() | counts, st.builds(Xid, counts, numbers)),
        counts,
        st.dictionaries(st.sampled_from(EVENTS), counts),
        whole,
        st.booleans(),
    ),
    st.builds(
        Heartbeat,
        st.dictionaries(texts, st.tuples(texts, counts)),
        st.dictionaries(texts, st.dictionaries(texts, counts)),
        st.dictionaries(texts, stats),
        st.dictionaries(texts, texts),
        counts,
        whole,
    ),
    st.builds(Failure, texts, texts, st.none() | whole),
    st.just(Bye()),
)


@given(st.lists(messages, max_size=4), st.integers(1, 50))
def test_messages_come_back_as_they_were_however_the_bytes_are_cut(
    sent: list[Message], step: int
) -> None:
    data = b"".join(encode(message) for message in sent)
    decoder = Decoder()
    cut = (data[i : i + step] for i in range(0, len(data), step))
    received = [message for piece in cut for message in decoder.feed(piece)]
    assert received == sent


def test_a_zero_is_not_unknown() -> None:
    first = Found(Identity(uuid="GPU-1", index=0, vendor="", model="", minor=0))
    assert Decoder().feed(encode(first)) == [first]


def test_words_of_a_driver_that_are_no_text_become_question_marks() -> None:
    (message,) = Decoder().feed(encode(Failure("x", "a\ud800b", None)))
    assert message == Failure("x", "a?b", None)


def test_a_sample_that_is_too_large_loses_its_processes_first() -> None:
    many = tuple(Process(pid, 2**60, 2**60) for pid in range(3000))
    large = Sample(
        uuid="GPU-1",
        moment_ns=5,
        time_s=6.0,
        gauges={Gauge.SM_RATIO: 0.5},
        counters={},
        totals={},
        instances=(INSTANCE,),
        processes=many,
    )
    (message,) = Decoder().feed(encode(large))
    assert isinstance(message, Sample)
    assert (message.processes, message.instances) == (None, (INSTANCE,))


def test_then_its_instances() -> None:
    large = Sample(
        uuid="GPU-1",
        moment_ns=5,
        time_s=6.0,
        gauges={Gauge.SM_RATIO: 0.5},
        counters={},
        totals={},
        instances=(INSTANCE,) * 1000,
    )
    (message,) = Decoder().feed(encode(large))
    assert isinstance(message, Sample)
    assert (message.gauges, message.instances) == ({Gauge.SM_RATIO: 0.5}, ())


def test_what_is_still_too_large_is_refused() -> None:
    with pytest.raises(TooLargeError):
        encode(Hello("", tuple("x" * 1000 for _ in range(70)), None))


def test_a_message_may_fill_64_kib_and_no_more() -> None:
    room = MESSAGE_BYTES_MAX - len(encode(Failure("", "", None)))
    data = encode(Failure("", "x" * room, None))
    assert len(data) == MESSAGE_BYTES_MAX
    assert Decoder().feed(data) == [Failure("", "x" * room, None)]
    with pytest.raises(TooLargeError):
        encode(Failure("", "x" * (room + 1), None))


def test_a_length_that_no_message_has_is_garbage() -> None:
    with pytest.raises(GarbageError):
        Decoder().feed((MESSAGE_BYTES_MAX - HEAD_BYTES + 1).to_bytes(HEAD_BYTES, "big"))


def test_a_decoder_holds_one_unfinished_message_at_most() -> None:
    decoder = Decoder()
    size = MESSAGE_BYTES_MAX - HEAD_BYTES
    assert decoder.feed(size.to_bytes(HEAD_BYTES, "big") + b"x" * (size - 1)) == []
    with pytest.raises(GarbageError):
        decoder.feed(b"x" * MESSAGE_BYTES_MAX)


@given(st.binary())
def test_no_bytes_raise_anything_but_garbage(data: bytes) -> None:
    with contextlib.suppress(GarbageError):
        Decoder().feed(data)
    with contextlib.suppress(GarbageError):
        decode(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
names = st.sampled_from(
    ["hello", "found", "sample", "condition", "events", "heartbeat", "failure", "bye"]
)
sample_parts = st.dictionaries(
    st.sampled_from([*SAMPLE.__dataclass_fields__, "other"]), json_values, max_size=4
)


@given(names, json_values | sample_parts)
def test_no_json_raises_anything_but_garbage(name: str, content: object) -> None:
    with contextlib.suppress(GarbageError):
        decode(json.dumps([name, content]).encode())


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60000,
        '["bye",[NaN]]',
        '["unknown",[]]',
        '["bye",[1]]',
        '["bye",{}]',
        '["failure",["\\ud800","",null]]',
        '["failure",["","",true]]',
        '["failure",["","",1.0]]',
        '["condition",["","dead",null,false]]',
        '["condition",["","ok",null,0]]',
        '["hello",["",{"a":1},null,null]]',
        '["hello",["",[],-1,null]]',
        '["hello",["",[],null,-1]]',
        '["hello",["",[],null]]',
        '["events",["",[],0,{"unheard_of":1},-1,true]]',
        '["events",["",[],0,{},-1,1]]',
        '["events",["",[],0,{},null,true]]',
        '["heartbeat",[{},{},{"Call":[{},[1,2],0.5]},{},0,-1]]',
        '["heartbeat",[{},{},{"Call":[{}]},{},0,-1]]',
        '["sample",{"uuid":"","moment_ns":0,"time_s":1e999,"gauges":{},"counters":{},"totals":{}}]',
        '["sample",{"uuid":"","moment_ns":0,"time_s":1,"gauges":{"x":1},"counters":{},"totals":{}}]',
        '["sample",{"uuid":"","moment_ns":0,"time_s":1}]',
        '["sample",{"uuid":"","moment_ns":1' + "0" * 5000 + "}]",
        '["sample",{"uuid":"","moment_ns":0,"time_s":1' + "0" * 50 + "}]",
    ],
)
def test_what_is_not_exactly_a_message_is_garbage(text: str) -> None:
    with pytest.raises(GarbageError):
        decode(text.encode())


def test_more_xids_than_a_child_tells_apart_are_garbage() -> None:
    xids: dict[int | None, Xid] = {code: Xid(1, 0.0) for code in range(CODES_MAX + 2)}
    with pytest.raises(GarbageError):
        Decoder().feed(encode(EventTotals("", xids, 0, {})))
