import json

import pytest

from inferometer.stream.dialects.ollama import Ollama
from support.truths import typed


def said(**line: object) -> list[tuple[object, ...]]:
    return typed(Ollama().frame(b"", json.dumps(line).encode()))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"message": {"content": "x"}}, "text"),
        ({"message": {"content": "", "thinking": "x"}}, "reasoning"),
        ({"message": {"content": "x", "thinking": "y"}}, "text"),
        ({"message": {"content": "", "tool_calls": [{"function": {"name": "f"}}]}}, "tool"),
        ({"response": "x"}, "text"),
        ({"response": "", "thinking": "x"}, "reasoning"),
    ],
)
def test_a_line_with_payload_is_output(line: dict[str, object], kind: str) -> None:
    assert said(**line, done=False) == [("Output", kind, 0, None)]


@pytest.mark.parametrize(
    "line",
    [
        {"message": {"role": "assistant", "content": ""}},
        {"message": {"tool_calls": []}},
        {"message": "x"},
        {"response": "", "thinking": ""},
        {"response": None},
    ],
)
def test_a_line_without_payload_is_no_output(line: dict[str, object]) -> None:
    assert said(**line, done=False) == []


def test_a_line_that_lists_logprobs_tells_its_tokens() -> None:
    assert said(response="x", logprobs=[{}, {}]) == [("Output", "text", 0, 2)]
    assert said(response="x", logprobs=[]) == [("Output", "text", 0, None)]


def test_a_count_that_is_left_out_is_unknown_not_zero() -> None:
    assert said(done=True, eval_count=4)[0] == ("Usage", None, 4, None, None, True)
    assert said(done=True)[0] == ("Finished", "unknown", None)


@pytest.mark.parametrize("done", ["true", 1, None, False])
def test_only_true_is_done(done: object) -> None:
    assert said(done=done, eval_duration="x") == []


@pytest.mark.req("DC-06")
def test_an_error_line_fails_the_stream() -> None:
    assert said(error="x", response="y") == [("Failed",)]


def test_a_body_that_is_not_done_has_not_finished() -> None:
    assert typed(Ollama().whole(b'{"model":"m","prompt_eval_count":3}')) == [
        ("Named", "m"),
        ("Usage", 3, None, None, None, True),
    ]
