"""Rules of telling a dialect by its frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.decode import DIALECTS
from inferometer.stream.recognise import OPERATIONS, recognise


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"object":"chat.completion.chunk","choices":[]}', "openai_chat"),
        (b'{"choices":[{"delta":{"role":"assistant"}}]}', "openai_chat"),
        (b'{"object":"text_completion","choices":[{"text":"a"}]}', "openai_completions"),
        (b'{"type":"response.created","response":{}}', "openai_responses"),
        (b'{"type":"message_start","message":{}}', "anthropic"),
        (b'{"token":{"id":1,"text":"a"},"generated_text":null}', "tgi"),
        (b'{"error":"x","error_type":"overloaded"}', "tgi"),
        (b'{"model_name":"m","text_output":"a"}', "triton"),
        (b'{"model":"m","message":{"content":"a"},"done":false}', "ollama"),
        (b'{"model":"m","response":"a","done":true}', "ollama"),
        (b'{"content":"a","stop":false}', "llamacpp"),
        (b'{"text":"a","meta_info":{}}', None),
        (b'{"type":7,"choices":3,"done":"no","token":[]}', None),
        (b'{"error":{"message":"x"}}', None),
        (b"[DONE]", None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_only_certain_members_tell(data: bytes, name: str | None) -> None:
    assert recognise(data) == name


def test_every_dialect_that_is_recognised_exists() -> None:
    assert set(OPERATIONS) <= set(DIALECTS)


@given(st.binary())
def test_any_bytes_are_looked_at_without_raising(data: bytes) -> None:
    assert recognise(data) is None or recognise(data) in OPERATIONS
