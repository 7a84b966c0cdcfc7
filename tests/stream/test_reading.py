import json
import tracemalloc
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.events import TOKENS_MAX, Event, Named, Output, Reported, Skipped
from inferometer.stream.reading import (
    AT_ONCE_BYTES_MAX,
    DIGITS_MAX,
    SECONDS_MAX,
    choice,
    count,
    items,
    length,
    mapping,
    named,
    output,
    read,
    reported,
    text,
    usage,
    whole,
)
from support.truths import typed


@given(st.dictionaries(st.text(), st.integers(-(10**18), 10**18) | st.text() | st.booleans()))
def test_an_object_is_read_as_json_reads_it(value: dict[str, object]) -> None:
    assert read(json.dumps(value).encode()) == value
    assert whole(json.dumps(value).encode()) == value


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(read(data), dict | Skipped | None)
    assert isinstance(whole(data), dict | Skipped)


@pytest.mark.parametrize("data", [b"", b" \t\r\n", b"[DONE]", b" [DONE]\n"])
def test_blank_and_done_frames_have_nothing_to_read(data: bytes) -> None:
    assert read(data) is None


@pytest.mark.parametrize("data", [b" {}", b"{} ", b"\n{}\r\n", b"\xef\xbb\xbf{}"])
def test_white_space_and_a_byte_order_mark_around_an_object_are_ignored(data: bytes) -> None:
    assert read(data) == {}
    assert whole(data) == {}


@pytest.mark.parametrize("data", [b"{", b"{}{}", b"[{}]", b"1", b'"{}"', b"nul", b"[" * 10**5])
def test_a_frame_that_is_no_object_is_skipped(data: bytes) -> None:
    assert read(data) == Skipped("malformed")


@pytest.mark.parametrize("body", [b"", b"[DONE]", b"<html>", b"{", b'{"a":' * 10**5])
def test_a_body_that_is_no_json_is_skipped(body: bytes) -> None:
    assert whole(body) == Skipped("malformed")


@pytest.mark.parametrize("body", [b"[]", b"[1]", b"[[0.5]]", b"[{},{}]", b"3", b'"text"', b"null"])
def test_a_body_that_is_no_object_says_nothing(body: bytes) -> None:
    assert whole(body) == {}


def test_a_list_of_one_object_stands_for_the_object() -> None:
    assert whole(b'[{"a":1}]') == {"a": 1}


@pytest.mark.parametrize(
    ("one", "found"),
    [(b"[],", Skipped("too_large")), (b'"a":[],', Skipped("too_large")), (b"[[]],", None)],
)
def test_brackets_cost_little_more_than_their_bytes(one: bytes, found: Skipped | None) -> None:
    many = one * (4 * AT_ONCE_BYTES_MAX // len(one))
    body = b'{"a":[' + many + b"[]]}" if found is None else b"{" + many + b'"b":[]}'
    tracemalloc.start()
    try:
        assert whole(body) == ({"a": []} if found is None else found)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()


def test_bytes_that_are_no_utf8_and_raw_control_characters_do_not_spoil_a_frame() -> None:
    assert read(b'{"a":"\xff\n","b":2}') == {"a": "\ufffd\n", "b": 2}


def test_an_integer_of_any_length_is_read_but_is_no_count() -> None:
    message = read(b'{"short":' + b"9" * DIGITS_MAX + b',"long":' + b"9" * 5000 + b',"n":7}')

    assert message == {"short": int("9" * DIGITS_MAX), "long": inf, "n": 7}
    assert isinstance(message, dict)
    assert [count(value) for value in message.values()] == [None, None, 7]


def test_a_key_that_comes_twice_has_its_last_value() -> None:
    assert read(b'{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize("value", [0, 1, TOKENS_MAX])
def test_integers_up_to_the_bound_are_counts(value: int) -> None:
    assert count(value) == value


@pytest.mark.req("DC-06")
@pytest.mark.parametrize(
    "value", [-1, TOKENS_MAX + 1, 10**4000, 1.0, nan, inf, True, False, "1", None, [], {}]
)
def test_everything_else_is_no_count(value: object) -> None:
    assert count(value) is None


def test_absent_usage_is_no_event() -> None:
    assert usage() == []


def test_unknown_stays_unknown_and_zero_stays_zero() -> None:
    assert typed(usage(0, None)) == [("Usage", 0, None, None, None, True)]


@pytest.mark.req("DC-06")
def test_an_impossible_number_is_rejected_once_and_the_others_count() -> None:
    assert typed(usage(-1, 2, cached=True, reasoning=1, final=False)) == [
        ("Usage", None, 2, None, 1, False),
        ("Rejected",),
    ]
    assert typed(usage("5")) == [("Rejected",)]


def test_phases_are_reported_in_seconds_and_in_the_order_asked() -> None:
    times: dict[str, object] = {"b_ms": 500, "a_ms": 0.0, "c_ms": 1}

    said = reported(times, (("a_ms", "queue"), ("b_ms", "decode"), ("d_ms", "total")), 0.001)

    assert said == [Reported("queue", 0.0), Reported("decode", 0.5)]


@pytest.mark.parametrize("value", [-1, nan, inf, -inf, True, "1", None, [], 10**400, 1e306])
def test_a_duration_that_cannot_be_true_is_not_reported(value: object) -> None:
    assert reported({"x": value}, (("x", "total"),), 0.001) == []


def test_a_duration_may_be_as_long_as_the_bound_and_no_longer() -> None:
    assert reported({"x": SECONDS_MAX}, (("x", "total"),), 1.0) == [Reported("total", SECONDS_MAX)]
    assert reported({"x": SECONDS_MAX + 1}, (("x", "total"),), 1.0) == []


def test_text_is_a_string_that_is_not_empty() -> None:
    assert text(" ")
    assert not any(text(value) for value in ("", None, 0, 1, ["a"], {"a": 1}, b"a"))


def test_members_of_the_wrong_type_read_as_absent() -> None:
    assert mapping([1]) == mapping(None) == {}
    assert items({"a": 1}) == items("ab") == []
    assert items([{"a": 1}, 2, None]) == [{"a": 1}]
    assert length({"a": 1}) == length("ab") == length(None) == 0
    assert length([None, 2]) == 2


def test_a_model_is_named_by_a_string_that_is_not_empty() -> None:
    assert named("m") == [Named("m")]
    assert [named(value) for value in ("", None, 3, ["m"])] == [[]] * 4


def test_what_is_no_index_is_the_first_choice() -> None:
    assert [choice(value) for value in (3, 0, -1, True, "1", 1.0, None)] == [3, 0, 0, 0, 0, 0, 0]


def test_outputs_of_the_first_choice_without_tokens_are_one_object() -> None:
    assert output("tool") is output("tool", 0, None)
    assert output("tool") == Output("tool")


def test_an_output_that_brought_no_token_does_not_know_its_tokens() -> None:
    assert output("text", 2, 0) == Output("text", 2, None)
    assert output("text", 0, 3) == Output("text", 0, 3)


def test_typed_tells_events_apart_that_are_equal_as_tuples() -> None:
    events: list[Event] = [Named("malformed"), Skipped("malformed")]

    assert events[0] == events[1]
    assert typed(events[:1]) != typed(events[1:])
