import json

import pytest

from inferometer.stream.dialects.anthropic import Messages
from inferometer.stream.events import TOKENS_MAX
from support.truths import typed

Said = list[tuple[object, ...]]


def play(messages: Messages, *events: dict[str, object]) -> Said:
    said = [messages.frame(b"", json.dumps(event).encode()) for event in events]
    return typed(event for events in said for event in events)


def started(**usage: object) -> dict[str, object]:
    return {"type": "message_start", "message": {"model": "m", "usage": usage}}


def changed(reason: str | None = None, **usage: object) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


@pytest.mark.parametrize(
    ("delta", "kind"),
    [
        ({"type": "text_delta", "text": "x"}, "text"),
        ({"type": "input_json_delta", "partial_json": "{"}, "tool"),
        ({"type": "thinking_delta", "thinking": "x"}, "reasoning"),
    ],
)
def test_a_delta_with_payload_is_output(delta: dict[str, str], kind: str) -> None:
    empty = {**delta, **{key: "" for key in delta if key != "type"}}

    said = play(Messages(), {"type": "content_block_delta", "delta": delta})
    assert said == [("Output", kind, 0, None)]
    assert play(Messages(), {"type": "content_block_delta", "delta": empty}) == []


@pytest.mark.parametrize(
    "delta",
    [{"type": "signature_delta", "signature": "x"}, {"type": "new"}, {"type": ["text_delta"]}, 3],
)
def test_other_deltas_are_no_output(delta: object) -> None:
    assert play(Messages(), {"type": "content_block_delta", "delta": delta}) == []


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"type": "tool_use", "name": "f"}, "tool"),
        ({"type": "server_tool_use", "name": "f"}, "tool"),
        ({"type": "redacted_thinking", "data": "x"}, "reasoning"),
        ({"type": "text", "text": "x"}, "text"),
    ],
)
def test_a_block_that_starts_with_payload_is_output(block: object, kind: str) -> None:
    assert play(Messages(), {"type": "content_block_start", "content_block": block}) == [
        ("Output", kind, 0, None)
    ]


@pytest.mark.parametrize(
    "block", [{"type": "text", "text": ""}, {"type": "web_search_tool_result", "content": []}, None]
)
def test_a_block_that_starts_empty_is_no_output(block: object) -> None:
    assert play(Messages(), {"type": "content_block_start", "content_block": block}) == []


def test_input_is_the_sum_of_fresh_and_cached_input() -> None:
    said = play(
        Messages(),
        started(input_tokens=1, cache_read_input_tokens=20, cache_creation_input_tokens=300),
    )

    assert said[1:] == [("Usage", 321, None, 20, None, False)]


def test_each_field_keeps_its_maximum_and_may_come_late() -> None:
    said = play(
        Messages(),
        started(input_tokens=50, output_tokens=1),
        changed(cache_read_input_tokens=7, output_tokens=30),
        changed("end_turn", input_tokens=0, output_tokens=20),
    )

    assert [event for event in said if event[0] == "Usage"] == [
        ("Usage", 50, 1, None, None, False),
        ("Usage", 57, 30, 7, None, False),
        ("Usage", 57, 30, 7, None, True),
    ]


def test_input_is_unknown_while_only_its_cached_part_is_known() -> None:
    said = play(Messages(), changed("end_turn", cache_read_input_tokens=7))

    assert said[0] == ("Usage", None, None, 7, None, True)


@pytest.mark.req("DC-06")
def test_an_impossible_field_is_rejected_and_the_others_count() -> None:
    said = play(Messages(), changed(output_tokens=2, input_tokens=-1, cache_read_input_tokens=1.5))

    assert said == [("Usage", None, 2, None, None, False), ("Rejected",)]


def test_a_sum_that_is_too_large_is_rejected() -> None:
    said = play(Messages(), changed(input_tokens=TOKENS_MAX, cache_creation_input_tokens=1))

    assert said == [("Rejected",)]


@pytest.mark.parametrize("usage", [None, [], 3])
def test_usage_of_the_wrong_type_says_nothing(usage: object) -> None:
    assert play(Messages(), {"type": "message_delta", "delta": {}, "usage": usage}) == []


@pytest.mark.req("DC-06")
def test_an_error_fails_by_type_by_name_and_by_member() -> None:
    assert typed(Messages().frame(b"error", b'{"message":"x"}')) == [("Failed",)]
    assert play(Messages(), {"type": "error"}) == [("Failed",)]
    assert play(Messages(), {"error": {"message": "x"}}) == [("Failed",)]
    assert typed(Messages().whole(b'{"error":{"message":"x"}}')) == [("Failed",)]


def test_a_ping_and_done_say_nothing() -> None:
    assert Messages().frame(b"ping", b'{"type":"ping"}') == []
    assert Messages().frame(b"", b"[DONE]") == []


def test_a_body_without_a_reason_has_not_finished() -> None:
    assert typed(Messages().whole(b'{"type":"message","model":"m","stop_reason":null}')) == [
        ("Named", "m")
    ]
