import json

import pytest

from inferometer.stream.dialects.responses import Responses
from support.truths import typed


def said(kind: object, **more: object) -> list[tuple[object, ...]]:
    return typed(Responses().frame(b"", json.dumps({"type": kind, **more}).encode()))


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("response.output_text.delta", "text"),
        ("response.refusal.delta", "refusal"),
        ("response.function_call_arguments.delta", "tool"),
        ("response.custom_tool_call_input.delta", "tool"),
        ("response.output_audio.delta", "audio"),
        ("response.reasoning_text.delta", "reasoning"),
        ("response.reasoning_summary_text.delta", "reasoning"),
    ],
)
def test_a_delta_is_output_if_it_is_not_empty(kind: str, output: str) -> None:
    assert said(kind, delta="x") == [("Output", output, 0, None)]
    assert said(kind, delta="") == said(kind) == said(kind, delta={"x": 1}) == []


@pytest.mark.parametrize(
    "kind",
    [
        "response.created",
        "response.queued",
        "response.output_text.done",
        "response.content_part.added",
        "response.some_new_event",
    ],
)
def test_other_events_are_no_output_and_no_end(kind: str) -> None:
    assert said(kind, delta="x", text="x", response={"status": "completed"}) == []


@pytest.mark.parametrize(
    "item", [{"type": "message", "name": "f"}, {"type": "function_call", "name": ""}, [], None]
)
def test_an_item_that_names_no_call_is_no_output(item: object) -> None:
    assert said("response.output_item.added", item=item) == []


@pytest.mark.parametrize(
    ("kind", "response", "expected"),
    [
        ("response.completed", None, [("Finished", "stop", None), ("Ended",)]),
        ("response.incomplete", {}, [("Finished", "unknown", None), ("Ended",)]),
        (
            "response.incomplete",
            {"incomplete_details": {"reason": "content_filter"}},
            [("Finished", "content_filter", None), ("Ended",)],
        ),
        ("response.failed", {}, [("Finished", "error", None), ("Failed",), ("Ended",)]),
        (
            "response.completed",
            {"output": [{"type": ["function_call"]}, {"type": "mcp_call"}]},
            [("Finished", "tool_calls", None), ("Ended",)],
        ),
    ],
)
def test_a_terminal_event_ends_the_stream_with_a_reason(
    kind: str, response: object, expected: list[tuple[object, ...]]
) -> None:
    assert said(kind, response=response) == expected


def test_the_model_is_named_by_the_first_event_that_has_it() -> None:
    responses = Responses()
    data = b'{"type":"response.in_progress","response":{"model":"m"}}'

    assert typed(responses.frame(b"", data)) == [("Named", "m")]
    assert responses.frame(b"", data) == []


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("status", ["failed", "completed"])
def test_an_error_in_a_body_fails_it(status: str) -> None:
    body = json.dumps({"status": status, "error": {"code": "server_error"}}).encode()

    assert ("Failed",) in typed(Responses().whole(body))


@pytest.mark.parametrize("status", ["queued", "in_progress", None, 3])
def test_a_response_that_goes_on_has_not_finished(status: object) -> None:
    assert Responses().whole(json.dumps({"status": status}).encode()) == []


def test_done_is_no_end_of_a_typed_stream() -> None:
    assert Responses().frame(b"", b"[DONE]") == []


@pytest.mark.parametrize("name", [b"error", b""])
def test_an_event_without_a_type_is_an_error_if_it_says_so(name: bytes) -> None:
    data = b'{"message":"x"}' if name else b'{"error":"x"}'

    assert typed(Responses().frame(name, data)) == [("Failed",)]
    assert Responses().frame(b"", b'{"message":"x"}') == []
