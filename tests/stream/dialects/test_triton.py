import json

import pytest

from inferometer.stream.dialect import CHOICES_MAX
from inferometer.stream.dialects.triton import Triton
from support.truths import typed


def play(*events: dict[str, object]) -> list[tuple[object, ...]]:
    triton = Triton()
    said = [triton.frame(b"", json.dumps(event).encode()) for event in events]
    return typed(event for events in said for event in events)


def test_a_stream_has_no_terminator() -> None:
    assert Triton.terminated is False
    assert Triton().frame(b"", b"[DONE]") == []


@pytest.mark.parametrize("text", ["", None, [], [""], 7, {"text": "x"}])
def test_a_response_without_text_is_no_output(text: object) -> None:
    assert play({"text_output": text}) == []


def test_outputs_with_names_of_the_models_own_are_skipped() -> None:
    event: dict[str, object] = {"model_name": "m", "OUTPUT_0": "x"}
    assert play(event, event) == [
        ("Skipped", "malformed"),
        ("Named", "m"),
        ("Skipped", "malformed"),
    ]


def test_an_event_without_outputs_says_nothing_once_the_model_is_known_to_be_read() -> None:
    assert play({"text_output": "x"}, {"sequence_id": 0})[1:] == []


def test_tokens_without_text_are_held_for_the_next_output() -> None:
    said = play(
        {"text_output": "", "num_output_tokens": 2},
        {"text_output": "", "num_output_tokens": 1},
        {"text_output": "x", "num_output_tokens": 1},
    )

    assert [event for event in said if event[0] == "Output"] == [("Output", "text", 0, 4)]
    assert said[-1] == ("Usage", None, 4, None, None, False)


def test_outputs_beyond_the_bound_of_choices_are_left_out_but_their_tokens_count() -> None:
    n = CHOICES_MAX + 1
    said = play({"text_output": ["x"] * n, "num_output_tokens": [1] * n})

    assert sum(event[0] == "Output" for event in said) == CHOICES_MAX
    assert said[-1] == ("Usage", None, n, None, None, False)


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("tokens", [-1, 1.5, [True], "1"])
def test_impossible_token_numbers_are_rejected_and_the_output_counts(tokens: object) -> None:
    assert play({"text_output": "x", "num_output_tokens": tokens}) == [
        ("Output", "text", 0, None),
        ("Rejected",),
    ]


def test_fewer_token_numbers_than_outputs_leave_the_rest_unknown() -> None:
    said = play({"text_output": ["x", "y"], "num_output_tokens": [2]})

    assert said[:2] == [("Output", "text", 0, 2), ("Output", "text", 1, None)]


def test_the_word_none_means_that_a_choice_goes_on() -> None:
    assert play({"finish_reason": "None"}) == []
    assert play({"finish_reason": ["None", "stop"]}) == [("Finished", "stop", 1)]


def test_a_body_may_know_its_input_alone() -> None:
    assert typed(Triton().whole(b'{"num_input_tokens":3}')) == [
        ("Usage", 3, None, None, None, True)
    ]
