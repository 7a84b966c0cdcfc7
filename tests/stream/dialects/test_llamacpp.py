import json

import pytest

from inferometer.stream.dialect import CHOICES_MAX
from inferometer.stream.dialects.llamacpp import LlamaCpp
from support.truths import typed


def play(*events: dict[str, object]) -> list[tuple[object, ...]]:
    llamacpp = LlamaCpp()
    said = [llamacpp.frame(b"", json.dumps(event).encode()) for event in events]
    return typed(event for events in said for event in events)


def test_the_length_of_tokens_is_the_size_and_without_it_the_size_is_unknown() -> None:
    said = play({"content": "x", "tokens": [1, 2]}, {"content": "y", "tokens": []})

    assert said == [("Output", "text", 0, 2), ("Output", "text", 0, None)]


def test_tokens_without_content_are_held_for_their_choice() -> None:
    said = play(
        {"content": "", "tokens": [1, 2]},
        {"index": 1, "content": "x", "tokens": [3]},
        {"content": "y", "tokens": [4]},
    )

    assert said == [("Output", "text", 1, 1), ("Output", "text", 0, 3)]


def test_tokens_of_choices_beyond_the_bound_are_not_held() -> None:
    said = play(
        {"index": CHOICES_MAX, "content": "", "tokens": [1, 2]},
        {"index": CHOICES_MAX, "content": "x", "tokens": [1]},
    )

    assert said == [("Output", "text", CHOICES_MAX, 1)]


def test_progress_of_the_prompt_is_no_output() -> None:
    assert play({"content": "", "tokens": [], "prompt_progress": {"processed": 5}}) == []


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"stop_type": "eos"}, "stop"),
        ({"stop_type": "word"}, "stop"),
        ({"stop_type": "limit"}, "length"),
        ({"stop_type": "none"}, "unknown"),
        ({"stopped_limit": True}, "length"),
        ({"stopped_word": True}, "stop"),
        ({"stopped_eos": 1}, "unknown"),
    ],
)
def test_why_it_stopped_is_told_by_new_and_old_builds(
    members: dict[str, object], reason: str
) -> None:
    assert play({"stop": True, **members}) == [("Finished", reason, 0), ("Ended",)]


@pytest.mark.parametrize("stop", [False, 1, "true", None])
def test_only_true_is_the_end(stop: object) -> None:
    assert play({"content": "", "stop": stop}) == []


@pytest.mark.req("DC-06")
def test_an_error_fails_as_member_and_as_the_field_of_old_builds() -> None:
    assert play({"error": {"code": 500}}) == [("Failed",)]
    assert typed(LlamaCpp().frame(b"error", b'{"code":400}')) == [("Failed",)]


def test_a_body_without_stop_has_not_finished() -> None:
    assert typed(LlamaCpp().whole(b'{"tokens_predicted":3}')) == [
        ("Usage", None, 3, None, None, True)
    ]
