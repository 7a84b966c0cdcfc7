import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.events import Skipped
from inferometer.stream.reading import AT_ONCE_BYTES_MAX, read, whole
from inferometer.stream.shortening import (
    DEPTH_MAX,
    ITEMS_MAX,
    STRING_CHARACTERS_MAX,
    UnbalancedError,
    shortened,
)

TEXTS = st.text(max_size=12) | st.sampled_from(['é\\"' * 200, "\\u00e9\ud83d" * 90, "x" * 999])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
RECORDS = st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
LONG = st.tuples(SCALARS | RECORDS, st.sampled_from([ITEMS_MAX, ITEMS_MAX + 1]))
VALUES = st.recursive(
    SCALARS | LONG.map(lambda long: [long[0]] * long[1]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def reference(value: object) -> object:
    """What is left of a decoded document, but for the lengths of texts."""
    if isinstance(value, str):
        return value[:20]
    if isinstance(value, dict):
        return {key: reference(each) for key, each in value.items()}
    if isinstance(value, list):
        return [] if len(value) > ITEMS_MAX else [reference(each) for each in value]
    return value


@given(VALUES, st.sampled_from([None, 1]))
def test_lists_of_many_items_are_empty_and_all_else_is_there(
    value: object, indent: int | None
) -> None:
    left = shortened(json.dumps(value, indent=indent).encode())
    assert reference(json.loads(left)) == reference(value)
    assert shortened(left) == left


@given(VALUES)
def test_bytes_beyond_ascii_are_left_decodable(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    json.loads(shortened(text.encode("utf-8", "replace")).decode("utf-8", "replace"))


@given(st.binary(max_size=300) | st.text(alphabet='[]{},:"\\\\1a', max_size=60).map(str.encode))
def test_whatever_it_is_the_answer_is_no_longer_and_no_other_error_comes(data: bytes) -> None:
    with contextlib.suppress(UnbalancedError):
        assert len(shortened(data)) <= len(data)


@pytest.mark.parametrize(
    "text", ["[", "]", "[}", '{"a', '"', '"\\"', "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)]
)
def test_what_does_not_match_is_told(text: str) -> None:
    with pytest.raises(UnbalancedError):
        shortened(text.encode())


def test_of_a_long_text_the_head_is_left_without_half_an_escape() -> None:
    left = json.loads(shortened(json.dumps("\u00e9" * 9999).encode()))
    assert left == "\u00e9" * STRING_CHARACTERS_MAX


def vectors(count: int) -> bytes:
    rows = [{"index": n, "embedding": [0.123456789] * 1536} for n in range(count)]
    return json.dumps({"data": rows, "model": "m", "usage": {"prompt_tokens": 7}}).encode()


def test_the_numbers_of_a_large_answer_are_read() -> None:
    body = vectors(120)
    assert len(body) > 20 * AT_ONCE_BYTES_MAX
    message = whole(body)
    assert isinstance(message, dict)
    assert (message["model"], message["usage"]) == ("m", {"prompt_tokens": 7})


def test_a_long_text_takes_linear_time() -> None:
    body = json.dumps({"text": "a word\n" * 300_000}).encode()
    begun_s = time.thread_time()
    assert isinstance(whole(body), dict)
    assert time.thread_time() - begun_s < 1


def test_what_is_large_all_the_same_is_too_large_and_what_is_broken_malformed() -> None:
    many = json.dumps({f"key {n}": n for n in range(AT_ONCE_BYTES_MAX)}).encode()
    assert whole(many) == read(many) == Skipped("too_large")
    broken = vectors(9)[:-1]
    assert whole(broken) == read(broken) == Skipped("malformed")
