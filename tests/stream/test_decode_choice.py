"""Rules of choosing how a body is read: whole, as a stream, or not at all."""

import zlib

import pytest

from inferometer.stream.decode import DIALECTS, WHOLE_BYTES_MAX, Decoder
from inferometer.stream.dialect import Call
from inferometer.stream.events import Ended, Event, Failed, Finished, Output, Skipped, Usage
from inferometer.stream.recognise import FRAMES_MAX
from inferometer.stream.summary import Answer
from support.answers import (
    CHAT,
    CHAT_EVENTS,
    JSON,
    NDJSON,
    OLLAMA,
    SSE,
    WHOLE,
    WHOLE_EVENTS,
    call,
    chunk,
    events,
    make,
    sse,
)


@pytest.mark.parametrize("kind", [JSON, b"application/problem+json", b"Application/JSON;x=y", None])
def test_a_body_that_is_not_streamed_tells_usage_and_finish_reason(kind: bytes | None) -> None:
    found = make(kind, call=call(stream="false"))
    assert events(found, [WHOLE[:5], WHOLE[5:]]) == WHOLE_EVENTS
    assert found.answer == Answer(streamed=False, opaque=None, terminated=True)


def test_a_body_that_was_cut_off_is_not_read() -> None:
    assert events(make(JSON), [WHOLE[:60]], clean=False) == []


def test_a_stream_asked_for_but_answered_whole_is_one_output_at_its_end() -> None:
    found = make(JSON, call=call(stream="true"))
    assert found.feed(WHOLE) == ()
    assert found.close(clean=True) == [Output(), *WHOLE_EVENTS]
    assert not found.streamed


def test_a_body_without_generated_tokens_is_no_output() -> None:
    vectors = Call("openai_vectors", "embeddings", "m", "true")
    assert events(make(JSON, call=vectors), [b'{"usage":{"prompt_tokens":3}}']) == [Usage(3)]


def test_an_error_inside_a_whole_body_is_a_failure_and_no_output() -> None:
    assert events(make(JSON), [b'{"error":{"message":"x"}}']) == [Failed()]


def test_a_whole_body_is_read_up_to_a_limit() -> None:
    pad = b" " * (WHOLE_BYTES_MAX - len(WHOLE))
    fits, large = make(JSON, call=call(stream="false")), make(JSON)
    assert events(fits, [pad, WHOLE]) == WHOLE_EVENTS
    assert events(large, [pad, WHOLE, b" ", b"x"]) == []
    assert large.opaque == "too_large"


def test_a_whole_body_that_is_no_json_is_malformed() -> None:
    found = make(JSON)
    assert events(found, [b"{nonsense"]) == [Skipped("malformed")]
    assert found.answer == Answer(streamed=False, opaque="malformed", terminated=True)


@pytest.mark.parametrize("kind", [JSON, None, SSE])
def test_an_empty_body_says_nothing(kind: bytes | None) -> None:
    assert events(make(kind), []) == []
    assert events(make(kind), [b" \n"]) == []


@pytest.mark.parametrize(
    "kind", [b"audio/mpeg", b"text/html", b"application/vnd.amazon.eventstream"]
)
def test_a_type_that_nobody_reads_is_opaque(kind: bytes) -> None:
    found = make(kind)
    assert events(found, [CHAT]) == []
    assert found.answer == Answer(streamed=False, opaque="type", terminated=True)


@pytest.mark.parametrize("encoding", [b"compress", b"gzip"])
def test_an_encoding_that_nobody_reads_is_opaque(encoding: bytes) -> None:
    found = make(encoding=encoding)
    read = events(found, [b"\xffnonsense", b"more"])
    assert read == ([Skipped("encoding")] if encoding == b"gzip" else [])
    assert found.opaque == "encoding"


def test_an_encoding_that_breaks_later_makes_the_stream_partial() -> None:
    body = zlib.compressobj(wbits=31)
    packed = body.compress(sse(chunk("a"))) + body.flush(zlib.Z_SYNC_FLUSH)
    found = make(encoding=b"gzip")
    assert events(found, [packed, b"\xff" * 50, packed]) == [Output(), Skipped("encoding")]
    assert found.answer == Answer(streamed=True, opaque="encoding", terminated=True)


@pytest.mark.parametrize("status", [100, 204, 301, 400, 429, 500])
def test_a_body_of_another_status_is_no_stream(status: int) -> None:
    found = make(status=status, call=call("triton"))
    assert events(found, [sse({"error": "x"})] if status >= 300 else []) == []
    assert found.opaque is None
    assert found.streamed == (status == 204)


def test_a_tunnel_is_opaque() -> None:
    found = make(status=101)
    assert events(found, [CHAT]) == []
    assert found.opaque == "tunnel"


@pytest.mark.parametrize("kind", [None, b"text/plain", b"application/octet-stream"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\n", b": ping\n\n"])
def test_the_first_bytes_tell_a_stream_whose_type_does_not(kind: bytes | None, mark: bytes) -> None:
    body = mark + CHAT
    for at in (1, 3, 9, 60):
        found = make(kind)
        assert events(found, [body[:at], body[at:]]) == CHAT_EVENTS
        assert found.streamed


def test_the_first_bytes_tell_lines_where_they_are_expected() -> None:
    found = make(None, call=call("ollama"))
    whole = make(None, call=call("ollama", stream="false"))
    assert Output() in events(found, [OLLAMA])
    assert found.streamed
    assert events(whole, [b'{"done":true,"done_reason":"stop","eval_count":2}']) != []
    assert not whole.streamed


@pytest.mark.parametrize(
    "body", [b"hello", b"<html>some text</html>", b"\x00\x01\x02\x03\x04\x05\x06\x07\x08"]
)
def test_first_bytes_that_tell_nothing_are_opaque(body: bytes) -> None:
    found = make(None)
    assert events(found, [body]) == []
    assert found.opaque == "type"


def test_a_short_body_is_told_at_its_end() -> None:
    assert events(make(None), [b"data: x"]) == [Skipped("malformed")]
    assert events(make(None), [b"{}"]) == events(make(JSON), [b"{}"])


def test_an_unknown_route_that_streams_a_known_dialect_is_measured() -> None:
    found = make(call=call("opaque"))
    pieces = [b": ping\n\n", sse({"unknown": 1}), CHAT]
    assert events(found, pieces) == CHAT_EVENTS
    assert found.streamed
    assert found.call == Call("openai_chat", "chat", "m", "true")
    assert found.answer == Answer(streamed=True, opaque=None, terminated=True)


def test_an_unknown_route_that_streams_lines_of_a_known_dialect_is_measured() -> None:
    found = make(NDJSON, call=call("opaque"))
    assert events(found, [OLLAMA]).count(Output()) == 2
    assert found.answer.tokens_per_output == 1


def test_an_unknown_stream_is_opaque_after_a_few_frames() -> None:
    found = make(call=call("opaque"))
    for _ in range(FRAMES_MAX):
        assert found.opaque is None
        assert events_of(found, sse({"x": 1})) == []
    assert found.opaque == "route"
    assert events(found, [CHAT]) == []
    assert not found.streamed


def events_of(found: Decoder, piece: bytes) -> list[Event]:
    return list(found.feed(piece))


def test_a_short_unknown_stream_is_opaque_at_its_end() -> None:
    found = make(call=call("opaque"))
    assert events(found, [sse({"x": 1}), b"data: large" + b"x" * (1 << 20)]) == []
    assert found.opaque == "route"


@pytest.mark.parametrize("kind", [JSON, None, b"text/plain"])
def test_an_unknown_route_that_streams_nothing_is_not_read(kind: bytes | None) -> None:
    found = make(kind, call=call("opaque"))
    assert events(found, [WHOLE]) == []
    assert found.opaque == "route"


def test_a_generate_route_that_is_not_tgi_is_not_taken_for_it() -> None:
    found = make(call=call("tgi"))
    body = sse({"text": "a", "meta_info": {}}) + b"data: [DONE]\n\n"
    assert events(found, [body]) == []
    assert found.answer == Answer(
        streamed=False, opaque="type", terminated=True, tokens_per_output=1
    )


def test_tgi_is_recognised_by_its_tokens_and_errors() -> None:
    for message in (
        {"token": {"text": "a"}, "generated_text": None},
        {"error": "x", "error_type": "y"},
    ):
        found = make(call=call("tgi"))
        assert events(found, [sse(message)]) != []
        assert found.streamed
        assert found.call == call("tgi")


def test_raw_chunks_of_torchserve_are_opaque() -> None:
    found = make(None, call=call("torchserve"))
    assert events(found, [b"some", b"text"]) == []
    assert found.opaque == "type"


def test_a_closed_decoder_says_nothing_more() -> None:
    found = make()
    events(found, [CHAT])
    assert found.feed(CHAT) == ()
    assert found.close(clean=True) == ()


def test_a_dialect_that_does_not_exist_is_opaque() -> None:
    assert make(JSON, call=call("nonsense")).opaque == "route"


def test_triton_has_no_terminator() -> None:
    assert not make(call=call("triton")).terminated


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_dialect_answers_to_its_name(name: str) -> None:
    assert DIALECTS[name]().name == name


GUESSED = Call("openai_completions", "text_completion", "m", "true", guessed=True)


def test_a_guessed_route_is_read_as_its_first_frames_tell() -> None:
    llama = sse(
        {"content": "a", "tokens": [1], "stop": False},
        {"content": "", "stop": True, "stop_type": "eos", "tokens_predicted": 1},
    )
    found = make(call=GUESSED)
    assert events(found, [llama]) == [
        Output("text", 0, 1),
        Usage(output_tokens=1),
        Finished("stop", 0),
        Ended(),
    ]
    assert found.call == GUESSED._replace(dialect="llamacpp")
    assert found.answer == Answer(streamed=True, opaque=None, terminated=True)


@pytest.mark.parametrize("first", [b"", sse({"x": 1})])
def test_a_guessed_route_keeps_its_dialect_where_the_frames_say_so_or_nothing(
    first: bytes,
) -> None:
    found = make(call=GUESSED)
    body = first + sse({"choices": [{"text": "a"}]}) + b"data: [DONE]\n\n"
    assert events(found, [body]) == [Output(), Ended()]
    assert found.call == GUESSED
    silent = make(call=GUESSED)
    assert events(silent, [sse({"error": {"message": "x"}})]) == [Failed()]
    assert silent.opaque is None


@pytest.mark.parametrize(
    ("body", "dialect", "said"),
    [
        (b'{"content":"a","stop":true,"tokens_predicted":4}', "llamacpp", [Usage(None, 4)]),
        (b'{"choices":[],"usage":{"completion_tokens":4}}', "openai_completions", [Usage(None, 4)]),
        (b'{"x":1}', "openai_completions", []),
        (b'{"error":"x"}', "openai_completions", [Failed()]),
        (b"{nonsense", "openai_completions", [Skipped("malformed")]),
    ],
)
def test_a_whole_body_at_a_guessed_route_is_read_as_it_tells(
    body: bytes, dialect: str, said: list[Event]
) -> None:
    found = make(JSON, call=GUESSED._replace(stream="false"))
    assert [event for event in events(found, [body]) if type(event) is not Finished] == said
    assert found.call.dialect == dialect
