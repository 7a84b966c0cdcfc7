import json

import pytest

from inferometer.stream.dialect import CHOICES_MAX
from inferometer.stream.dialects.openai import Chat, Completions, Vectors
from support.truths import typed

Said = list[tuple[object, ...]]


def chunk(delta: object, *, index: object = 0, finish: object = None, **more: object) -> bytes:
    piece = {"index": index, "delta": delta, "finish_reason": finish}
    usage = more.pop("usage", None)
    return json.dumps({"choices": [{**piece, **more}], "usage": usage}).encode()


def play(chat: Chat, *chunks: bytes) -> Said:
    return typed(event for data in chunks for event in chat.frame(b"", data))


def running(tokens: object) -> dict[str, object]:
    return {"prompt_tokens": 3, "completion_tokens": tokens}


@pytest.mark.parametrize(
    "delta",
    [
        {},
        None,
        "text",
        {"role": "assistant"},
        {"content": ""},
        {"content": None},
        {"content": 7},
        {"content": {"text": "x"}},
        {"content": [{"type": "text", "text": ""}, "x"]},
        {"reasoning": "", "reasoning_content": ""},
        {"tool_calls": []},
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {}}]},
        {"tool_calls": [{"index": 0, "function": {"name": "", "arguments": ""}}]},
        {"function_call": {"name": ""}},
        {"refusal": ""},
        {"audio": {"id": "a"}},
    ],
)
def test_a_delta_without_generated_payload_is_no_output(delta: object) -> None:
    assert play(Chat(), chunk(delta)) == []


@pytest.mark.parametrize(
    ("delta", "kind"),
    [
        ({"role": "assistant", "content": " "}, "text"),
        ({"content": "x", "reasoning": "y"}, "text"),
        ({"content": "", "reasoning": "y"}, "reasoning"),
        ({"reasoning_content": "y", "tool_calls": [{"function": {"name": "f"}}]}, "tool"),
        ({"reasoning": "y", "refusal": "no"}, "refusal"),
    ],
)
def test_a_chunk_is_one_output_and_what_a_user_sees_names_it(delta: object, kind: str) -> None:
    assert play(Chat(), chunk(delta)) == [("Output", kind, 0, None)]


def test_empty_choices_say_nothing() -> None:
    assert play(Chat(), b'{"choices":[]}', b'{"choices":null}', b"{}") == []


def test_all_tokens_of_a_stream_are_the_same_event_object() -> None:
    chat = Chat()

    first, second = (chat.frame(b"", chunk({"content": text})) for text in ("a", "b"))

    assert first[0] is second[0]
    assert first is not second


def test_usage_that_comes_once_with_the_finish_is_no_size_of_the_last_chunk() -> None:
    said = play(
        Chat(),
        chunk({"content": "a"}),
        chunk({"content": "b"}, finish="stop", usage=running(50)),
    )

    assert said == [
        ("Output", "text", 0, None),
        ("Output", "text", 0, None),
        ("Finished", "stop", 0),
        ("Usage", 3, 50, None, None, True),
    ]


def test_running_totals_that_pause_tell_no_sizes_any_more() -> None:
    said = play(
        Chat(),
        chunk({"content": "a"}, usage=running(1)),
        chunk({"content": "b"}),
        chunk({"content": "c"}, usage=running(9)),
    )

    assert [event for event in said if event[0] == "Output"] == [
        ("Output", "text", 0, 1),
        ("Output", "text", 0, None),
        ("Output", "text", 0, None),
    ]


def test_a_running_total_that_stands_or_falls_tells_no_size() -> None:
    said = play(
        Chat(),
        chunk({"content": "a"}, usage=running(4)),
        chunk({"content": "b"}, usage=running(4)),
        chunk({"content": "c"}, usage=running(2)),
    )

    assert [event[3] for event in said if event[0] == "Output"] == [4, None, None]


def test_a_running_total_that_is_no_count_is_rejected_and_tells_no_size() -> None:
    assert play(Chat(), chunk({"content": "a"}, usage=running(-1))) == [
        ("Output", "text", 0, None),
        ("Usage", 3, None, None, None, False),
        ("Rejected",),
    ]


def test_running_totals_of_choices_beyond_the_bound_are_not_kept() -> None:
    chat = Chat()
    said = play(
        chat,
        *(
            chunk({"content": "a"}, index=index, usage=running(2))
            for index in range(CHOICES_MAX + 1)
        ),
    )

    sizes = [event[3] for event in said if event[0] == "Output"]
    totals = [event[2] for event in said if event[0] == "Usage"]
    assert sizes == [2] * CHOICES_MAX + [None]
    assert totals == [*range(2, 2 * CHOICES_MAX + 1, 2), 2]


def test_tokens_listed_without_output_are_held_for_the_next_output_of_their_choice() -> None:
    said = play(
        Chat(),
        chunk({"content": ""}, token_ids=[1, 2]),
        chunk({"content": "a"}, index=1, token_ids=[3]),
        chunk({"content": "b"}, token_ids=[4]),
    )

    assert said == [("Output", "text", 1, 1), ("Output", "text", 0, 3)]


def test_tokens_of_choices_beyond_the_bound_are_not_held() -> None:
    said = play(
        Chat(),
        chunk({"content": ""}, index=CHOICES_MAX, token_ids=[1, 2]),
        chunk({"content": "b"}, index=CHOICES_MAX, token_ids=[4]),
    )

    assert said == [("Output", "text", CHOICES_MAX, 1)]


def test_a_chunk_that_lists_no_tokens_does_not_know_its_size() -> None:
    said = play(
        Chat(),
        chunk({"content": ""}, token_ids=[1, 2]),
        chunk({"content": "b"}, logprobs={"content": None}, token_ids=[]),
    )

    assert said == [("Output", "text", 0, None)]


def test_logprobs_count_tokens_in_the_members_of_all_servers() -> None:
    said = play(
        Chat(),
        chunk({"content": "a"}, logprobs={"content": [{}, {}], "refusal": [{}]}),
        chunk({"content": "a"}, logprobs={"tokens": ["a", "b"]}),
        chunk({"content": "a"}, logprobs=[1, 2, 3]),
    )

    assert [event[3] for event in said] == [3, 2, None]


def test_a_choice_finishes_once_however_often_it_is_said() -> None:
    said = play(Chat(), *[chunk({}, finish="stop")] * 3, chunk({}, finish="length", index=1))

    assert said == [("Finished", "stop", 0), ("Finished", "length", 1)]


def test_finishes_beyond_the_bound_are_not_remembered() -> None:
    said = play(Chat(), *[chunk({}, finish="stop", index=CHOICES_MAX)] * 2)

    assert said == [("Finished", "stop", CHOICES_MAX)] * 2


def test_only_a_chunk_without_choices_is_final_where_there_are_several() -> None:
    said = play(
        Chat(),
        chunk({"content": "a"}, index=1),
        chunk({}, index=1, finish="stop", usage=running(7)),
        b'{"choices":[],"usage":{"completion_tokens":12}}',
    )

    assert [event for event in said if event[0] == "Usage"] == [
        ("Usage", 3, 7, None, None, False),
        ("Usage", None, 12, None, None, True),
    ]


def test_usage_beside_several_choices_of_one_chunk_belongs_to_none_of_them() -> None:
    data = {
        "choices": [{"index": i, "delta": {"content": "x"}} for i in range(2)],
        "usage": running(2),
    }

    assert play(Chat(), json.dumps(data).encode()) == [
        ("Output", "text", 0, None),
        ("Output", "text", 1, None),
        ("Usage", 3, 2, None, None, False),
    ]


def test_phases_are_reported_once_and_not_before_the_last_chunks() -> None:
    timings = {"prompt_ms": 10, "predicted_ms": 20}
    early = json.dumps({"choices": [{"index": 0, "delta": {}}], "timings": timings}).encode()
    late = json.dumps({"choices": [], "timings": timings}).encode()

    assert play(Chat(), early, late, late) == [
        ("Reported", "prefill", 0.01),
        ("Reported", "decode", 0.02),
    ]


def test_any_choice_that_finishes_may_bring_the_phases() -> None:
    pieces = [{"index": 0, "delta": {}, "finish_reason": "stop"}, {"index": 1, "delta": {}}]
    data = {"choices": pieces, "metrics": {"queue_time_ms": 10}}

    assert play(Chat(), json.dumps(data).encode())[1:] == [("Reported", "queue", 0.01)]


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("dialect", [Chat, Completions, Vectors])
@pytest.mark.parametrize(
    "data", [b'{"error":{"message":"x"}}', b'{"error":"x","choices":[]}', b'{"object":"error"}']
)
def test_an_error_object_fails_in_a_stream_and_in_a_body(
    dialect: type[Chat | Completions | Vectors], data: bytes
) -> None:
    assert typed(dialect().frame(b"", data)) == [("Failed",)]
    assert typed(dialect().whole(data)) == [("Failed",)]


@pytest.mark.parametrize("value", ["null", "false", '""', "{}"])
def test_an_error_that_is_empty_is_none(value: str) -> None:
    data = f'{{"error":{value},"choices":[]}}'.encode()

    assert Chat().frame(b"", data) == Chat().whole(data) == []


def test_done_is_the_end_however_often_it_comes() -> None:
    assert play(Chat(), b"[DONE]", b"[DONE]") == [("Ended",), ("Ended",)]


def test_a_stream_that_transcribes_yields_no_output() -> None:
    vectors = Vectors()
    data = chunk({"content": "Hello"}, usage=running(4))

    assert typed(vectors.frame(b"", data)) == [("Usage", 3, 4, None, None, True)]


def test_choices_that_are_no_objects_are_passed_over() -> None:
    assert play(Chat(), b'{"choices":[null,1,"x",{"delta":{"content":"a"}}]}') == [
        ("Output", "text", 0, None)
    ]
