"""Rules of recognising frames by what stands around their payload."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.dialects.anthropic import Messages
from inferometer.stream.dialects.openai import Chat, Completions
from inferometer.stream.events import Event, Output
from inferometer.stream.template import FRAME_BYTES_MAX, TEMPLATES_MAX, TRIES, Templates


def chat(text: str, **members: object) -> bytes:
    piece = {"index": 0, "delta": {"content": text}, "finish_reason": None, **members}
    return json.dumps({"id": "c1", "choices": [piece], "usage": None}).encode()


class Reader:
    """A chat dialect that counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._chat = Chat()

    def __call__(self, name: bytes, data: bytes) -> list[Event]:
        self.asked += 1
        return self._chat.frame(name, data)


def learnt(data: bytes, name: bytes = b"") -> Templates:
    read = Chat().frame
    templates = Templates(read)
    templates.learn(name, data, read(name, data))
    return templates


def test_a_frame_with_another_payload_is_recognised_without_reading_it() -> None:
    reader = Reader()
    templates = Templates(reader)
    templates.learn(b"", chat("Hello"), [Output()])
    asked = reader.asked
    assert templates.of_frame(b"", chat(" world")) == (Output(),)
    assert templates.of_read(b"data: " + chat(" world") + b"\n\n") == (Output(),)
    assert reader.asked == asked


@pytest.mark.parametrize(
    "payload",
    [b"", b'"', b"\\", b"\\q", b"\\u12", b"a\nb", b"\r", b"\x00", b"\xff", b'x","y":"z'],
)
def test_what_is_no_json_string_is_read_as_ever(payload: bytes) -> None:
    data = chat("PAYLOAD").replace(b"PAYLOAD", payload)
    templates = learnt(chat("Hello"))
    assert templates.of_frame(b"", data) is None
    assert templates.of_read(b"data: " + data + b"\n\n") is None


@pytest.mark.parametrize("payload", ["é", "你好", "\n", '"', "\\", "\ud83d\ude00", "\x7f", " "])
def test_every_json_string_fits(payload: str) -> None:
    templates = learnt(chat("Hello"))
    assert templates.of_frame(b"", chat(payload)) == (Output(),)
    raw = chat("PAYLOAD").replace(b"PAYLOAD", "é你".encode())
    assert templates.of_frame(b"", raw) == (Output(),)


@pytest.mark.parametrize(
    "data",
    [
        chat("x", finish_reason="stop"),
        chat("x", index=1),
        chat("x")[:-1],
        b"[DONE]",
        b"",
    ],
)
def test_what_differs_elsewhere_does_not_fit(data: bytes) -> None:
    assert learnt(chat("Hello")).of_frame(b"", data) is None


def test_the_name_of_an_event_is_part_of_it() -> None:
    read = Messages().frame
    data = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}'
    templates = Templates(read)
    templates.learn(b"content_block_delta", data, read(b"", data))
    assert templates.of_frame(b"content_block_delta", data) == (Output(),)
    assert templates.of_frame(b"", data) is None
    assert templates.of_read(b"event: content_block_delta\ndata: " + data + b"\n\n") == (Output(),)
    assert templates.of_read(b"data: " + data + b"\n\n") is None


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (chat("x"), [Output(), Output()]),
        (chat("x"), []),
        (chat("x"), [Output("text", 0, 1)]),
        (chat("x" * FRAME_BYTES_MAX), [Output()]),
        (chat("x").replace(b", ", b",\n"), [Output()]),
        (b'{"choices":[{"delta":{"content":["parts"]}}]}', [Output()]),
        (b'{"choices":[{"delta":{"content":"a","refusal":"b"}}]}', [Output()]),
    ],
)
def test_what_cannot_be_proven_is_no_template(data: bytes, events: list[Event]) -> None:
    templates = Templates(Chat().frame)
    templates.learn(b"", data, events)
    assert templates.of_frame(b"", data) is None


def test_the_payload_is_found_behind_other_members_of_its_name() -> None:
    read = Completions().frame
    data = b'{"content":"no","choices":[{"text":"yes"}]}'
    templates = Templates(read)
    templates.learn(b"", data, read(b"", data))
    assert templates.of_frame(b"", data.replace(b"yes", b"indeed")) == (Output(),)
    assert templates.of_frame(b"", data.replace(b"no", b"other")) is None


def test_several_templates_live_side_by_side_up_to_a_limit() -> None:
    templates = Templates(Chat().frame)
    for index in range(TEMPLATES_MAX + 1):
        templates.learn(b"", chat("x", index=index), [Output("text", index)])
        if index:
            assert templates.of_frame(b"", chat("y", index=index)) == (Output("text", index),)
    assert templates.of_frame(b"", chat("y", index=1)) == (Output("text", 1),)
    assert templates.of_frame(b"", chat("y", index=0)) is None


def test_where_every_frame_differs_templates_are_soon_not_made_any_more() -> None:
    reader = Reader()
    templates = Templates(reader)
    for token in range(100):
        templates.learn(b"", chat("x", token=token), [Output()])
    assert reader.asked <= 3 * TRIES
    assert templates.of_frame(b"", chat("x", token=99)) is None


TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["", "\\", '"', "\n", "x"]))


@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 2), st.booleans()), max_size=20), st.binary(max_size=4)
)
def test_templates_change_no_result(pieces: list[tuple[str, int, bool]], hostile: bytes) -> None:
    read, plain = Chat().frame, Chat().frame
    templates = Templates(read)
    for text, index, raw in pieces:
        data = chat("PAYLOAD" if raw else text, index=index).replace(b"PAYLOAD", hostile)
        expected = plain(b"", data)
        events = templates.of_frame(b"", data)
        if events is None:
            events = read(b"", data)
            templates.learn(b"", data, events)
        assert list(events) == expected
