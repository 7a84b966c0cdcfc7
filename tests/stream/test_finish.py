from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.events import Finish
from inferometer.stream.finish import FINISHES, finish


@pytest.mark.parametrize("reason", [None, ""])
def test_a_choice_without_a_reason_goes_on(reason: object) -> None:
    assert finish(reason) is None


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("abort", "abort"),
        ("error", "error"),
        ("none", "unknown"),
        ("a new word", "other"),
        ({"type": "length", "length": 8}, "length"),
        ({"type": 3}, "unknown"),
        (["stop"], "unknown"),
        (7, "unknown"),
        (False, "unknown"),
    ],
)
def test_words_of_all_servers_map_to_one_set(reason: object, meaning: Finish) -> None:
    assert finish(reason) == meaning


@given(st.text() | st.integers() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()))
def test_every_value_maps_into_the_closed_set(reason: object) -> None:
    assert finish(reason) in (None, *get_args(Finish))


def test_every_word_of_the_table_is_in_the_closed_set() -> None:
    assert set(FINISHES.values()) <= set(get_args(Finish))
