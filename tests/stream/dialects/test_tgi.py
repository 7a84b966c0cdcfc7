import json

import pytest

from inferometer.stream.dialects.tgi import Tgi
from support.truths import typed


def said(**event: object) -> list[tuple[object, ...]]:
    return typed(Tgi().frame(b"", json.dumps(event).encode()))


def test_an_event_is_one_token_and_its_size_is_known_by_contract() -> None:
    assert said(token={"text": "x"}, generated_text=None) == [("Output", "text", 0, 1)]
    assert Tgi.tokens_per_output == 1


@pytest.mark.parametrize("token", [{"text": ""}, {"text": None}, {}, None, "x", []])
def test_a_token_without_text_is_no_output(token: object) -> None:
    assert said(token=token) == []


def test_tokens_without_text_come_with_the_output_that_completes_them() -> None:
    tgi = Tgi()
    texts = ["Hi", "", "", "🙂", "x", "", "🎉"]
    frames = [json.dumps({"token": {"text": text}}).encode() for text in texts]

    said = [event for frame in frames for event in tgi.frame(b"", frame)]

    assert typed(said) == [("Output", "text", 0, tokens) for tokens in (1, 3, 1, 2)]


def test_the_end_is_told_by_the_generated_text_even_if_it_is_empty() -> None:
    assert said(token={"text": ""}, generated_text="") == [
        ("Finished", "unknown", None),
        ("Ended",),
    ]


def test_events_of_another_server_at_the_same_route_are_skipped() -> None:
    assert said(text="x", meta_info={}) == [("Skipped", "malformed")]


@pytest.mark.req("DC-06")
def test_an_error_fails_whatever_comes_with_it() -> None:
    assert said(error="x", error_type="generation", token={"text": "x"}) == [("Failed",)]
    assert typed(Tgi().frame(b"error", b"x")) == [("Failed",)]


def test_a_body_of_another_shape_says_nothing() -> None:
    assert Tgi().whole(b'{"details":{"generated_tokens":3}}') == []
