"""Rules of reading the body of an answer: streams."""

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.stream.decode import DIALECTS, decoder
from inferometer.stream.events import Ended, Output, Skipped
from inferometer.stream.summary import Answer
from support.answers import (
    CALL,
    CHAT,
    CHAT_EVENTS,
    JSON,
    NDJSON,
    SSE,
    STREAMS,
    call,
    chunk,
    events,
    make,
    sse,
)


def test_a_stream_is_read_to_its_end() -> None:
    found = make()
    assert events(found, [CHAT]) == CHAT_EVENTS
    assert found.answer == Answer(streamed=True, opaque=None, terminated=True)
    assert found.terminated


def test_reads_are_compared_with_a_template_only_while_that_is_certain() -> None:
    found = make()
    assert found.usual is None
    found.feed(sse(chunk("a")))  # its start may be a byte order mark
    found.feed(sse(chunk("b")))
    assert found.usual is not None
    assert found.usual.fits_read(sse(chunk("c")))
    found.feed(b"data: {")
    assert found.usual is None
    for other in (make(JSON), make(encoding=b"gzip"), make(status=404)):
        other.feed(sse(chunk("a")))
        assert other.usual is None
    unproven = make(call=call("opaque"))
    unproven.feed(b": ping\n\n")
    assert unproven.usual is None


def test_encodings_are_known_by_any_case_and_may_be_several() -> None:
    plain = decoder(CALL, status=200, content_type=SSE, encoding=b"identity")
    assert events(plain, [CHAT]) == CHAT_EVENTS
    packed = decoder(CALL, status=200, content_type=SSE, encoding=b"identity,GZIP")
    assert events(packed, [gzip.compress(CHAT)]) == CHAT_EVENTS


@pytest.mark.req("DC-04")
@pytest.mark.parametrize(("dialect", "kind", "body"), STREAMS)
def test_any_cut_of_a_body_reads_as_the_uncut_one(dialect: str, kind: bytes, body: bytes) -> None:
    whole = events(make(kind, call=call(dialect)), [body])
    assert any(isinstance(event, Output) for event in whole)
    for at in range(len(body)):
        assert events(make(kind, call=call(dialect)), [body[:at], body[at:]]) == whole


@pytest.mark.parametrize(("dialect", "kind", "body"), STREAMS)
@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_any_cuts_of_a_body_read_as_the_uncut_one(
    dialect: str, kind: bytes, body: bytes, cuts: list[int]
) -> None:
    places = [0, *sorted(cut % len(body) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    whole = events(make(kind, call=call(dialect)), [body])
    assert events(make(kind, call=call(dialect)), pieces) == whole


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_compression_changes_nothing(encode: type, step: int) -> None:
    body: bytes = encode(CHAT)
    found = make(encoding=b"gzip" if encode is gzip.compress else b"deflate")
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    assert events(found, pieces) == CHAT_EVENTS


@given(st.lists(st.sampled_from([chunk("a"), chunk("b"), chunk(""), chunk('"'), {"x": 1}])))
def test_reading_event_by_event_finds_what_reading_all_at_once_finds(
    messages: list[object],
) -> None:
    pieces = [sse(message) for message in messages]
    assert events(make(), pieces) == events(make(), [b"".join(pieces)])


def test_a_read_that_looks_like_one_event_may_be_the_rest_of_another_line() -> None:
    token = sse(chunk("a"))
    found = make()
    assert list(found.feed(token)) == list(found.feed(token)) == [Output()]
    assert list(found.feed(b"x")) == []
    assert list(found.feed(token)) == []  # a field named `xdata`
    assert list(found.feed(token)) == [Output()]


@pytest.mark.req("DC-06")
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("kind", [SSE, NDJSON, JSON, None, b"text/plain", b"audio/mpeg"])
@settings(max_examples=20)
@given(pieces=st.lists(st.binary(max_size=20), max_size=6), clean=st.booleans())
def test_any_bytes_are_read_without_raising(
    dialect: str, kind: bytes | None, pieces: list[bytes], *, clean: bool
) -> None:
    for start in (b"", b"data: {", b"{", b'data: {"choices":[{"delta":{"content":"'):
        found = make(kind, call=call(dialect))
        assert all(isinstance(e, tuple) for e in events(found, [start, *pieces], clean=clean))


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_last_event_without_its_blank_line_counts_at_a_clean_end_only(end: bytes) -> None:
    body = sse(chunk("a")) + b"data: [DONE]" + end
    assert events(make(), [body], clean=True) == [Output(), Ended()]
    assert events(make(), [body], clean=False) == [Output()]


def test_an_event_that_is_too_large_makes_the_stream_partial_and_no_more() -> None:
    large = sse(chunk("x" * (1 << 20)))
    assert events(make(), [large[:1000], large[1000:], CHAT]) == [
        Skipped("too_large"),
        *CHAT_EVENTS,
    ]


def test_after_a_loss_reading_goes_on_with_the_next_event() -> None:
    found = make()
    found.feed(CHAT[:100])
    found.dropped()
    assert events(found, [b'"}}]}\n\n' + sse(chunk("a")) + b"data: [DONE]\n\n"]) == [
        Output(),
        Ended(),
    ]


def test_after_a_loss_a_compressed_or_whole_body_is_not_read_on() -> None:
    packed, whole, unsure = make(encoding=b"gzip"), make(JSON), make(None)
    for found in (packed, whole, unsure):
        found.feed(b"{")
        found.dropped()
        assert events(found, [b"{}", gzip.compress(CHAT)]) == []
