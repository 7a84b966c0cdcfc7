import itertools
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.chunks import ChunkWalker
from inferometer.sidecar.heads import ResponseHead, parse_response
from inferometer.sidecar.inject import (
    HELD_BYTES_MAX,
    LAST_CHUNK,
    Result,
    Stripper,
    rechunk,
    strippable,
)

TOKEN: Final = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
RUNNING: Final = b'data: {"choices":[{"delta":{}}],"usage":{"completion_tokens":3}}\n\n'
OURS: Final = b'data: {"id":"a","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
DONE: Final = b"data: [DONE]\n\n"


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response(b"\r\n".join((start, *lines, b"", b"")), b"POST")


def strip(*parts: bytes) -> tuple[bytes, Result]:
    stripper = Stripper()
    passed = b"".join([stripper.feed(part) for part in parts])
    return passed + stripper.close(), stripper.result


def cut(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


# -- which answers an event can be taken out of ------------------------------------------------


EVENTS: Final = b"Content-Type: text/event-stream"


@pytest.mark.parametrize(
    "lines",
    [
        (EVENTS, b"Transfer-Encoding: chunked"),
        (EVENTS,),
        (b"content-type:Text/Event-Stream ; charset=utf-8", b"Transfer-Encoding: chunked"),
    ],
)
def test_a_stream_of_events_can_be_stripped(lines: tuple[bytes, ...]) -> None:
    assert strippable(response(*lines))


@pytest.mark.parametrize(
    "head",
    [
        response(EVENTS, start=b"HTTP/1.1 201 Created"),
        response(EVENTS, start=b"HTTP/1.1 500 No"),
        response(EVENTS, b"Content-Length: 9"),
        response(EVENTS, b"Content-Length: 0"),
        response(EVENTS, b"Content-Encoding: gzip"),
        response(EVENTS, b"Content-Encoding: identity"),
        response(EVENTS, EVENTS),
        response(b"Content-Type: application/json"),
        response(b"Content-Type: text/event-streams"),
        response(),
    ],
)
def test_any_other_answer_passes_as_it_came(head: ResponseHead) -> None:
    assert not strippable(head)


# -- taking the event out ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "ours",
    [
        OURS,
        OURS.replace(b"\n", b"\r\n"),
        b'data:{"choices":[],"usage":{}}\n\n',
        b'data: { "usage" : { } , "choices" : [] } \n\n',
        b'data: {"usage":{"prompt_tokens":1},"x":[],"choices":[]}\r\n\n',
        b'data: {"usage":null,"choices":[],"usage":{"a":[{}]}}\n\r\n',
        b'data: {"choices":[],"usage":{},"x":"%b"}\n\n' % (b"x" * (HELD_BYTES_MAX - 43)),
    ],
)
def test_our_event_is_taken_out_and_nothing_else(ours: bytes) -> None:
    assert len(ours) <= HELD_BYTES_MAX
    assert strip(TOKEN, ours, DONE) == (TOKEN + DONE, "stripped")
    assert strip(TOKEN + ours + DONE) == (TOKEN + DONE, "stripped")
    assert strip(ours) == (b"", "stripped")


def test_however_it_is_cut_our_event_is_taken_out() -> None:
    for ours in (OURS, OURS.replace(b"\n", b"\r\n")):
        stream = TOKEN + ours + DONE
        for first, second in itertools.combinations(range(0, len(stream) + 1, 3), 2):
            parts = (stream[:first], stream[first:second], stream[second:])
            assert strip(*parts) == (TOKEN + DONE, "stripped")
        single = [stream[at : at + 1] for at in range(len(stream))]
        assert strip(*single) == (TOKEN + DONE, "stripped")


def test_only_the_first_such_event_is_ours() -> None:
    assert strip(OURS, OURS) == (OURS, "stripped")
    assert strip(OURS + OURS[:20], OURS[20:] + DONE) == (OURS + DONE, "stripped")


@pytest.mark.parametrize(
    "event",
    [
        TOKEN,
        RUNNING,
        DONE,
        b": ping\n\n",
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[],"usage":[]}\n\n',
        b'data: {"choices":[],"usage":3}\n\n',
        b'data: {"choices":[{}],"choices":[],"usage":{}}\n\n',
        b'data: {"choices":null,"usage":{}}\n\n',
        b'data: {"choices":[ ],"usage":{}}\n\n',
        b'data: {"choices":  [],"usage":{}}\n\n',
        b'data:  {"choices":[],"usage":{}}\n\n',
        b'data: {"x":"choices","choices":[],"usage":{}}\n\n',
        b'data: {"choices":{},"usage":{}}\n\n',
        b'data: {"usage":{}}\n\n',
        b'data: {"cho\\u0069ces":[],"usage":{}}\n\n',
        b'event: x\ndata: {"choices":[],"usage":{}}\n\n',
        b'data: {"choices":[],"usage":{}}\nid: 1\n\n',
        b'data: {"choices":[],\ndata: "usage":{}}\n\n',
        b'data: {"choices":\ndata: [],"usage":{}}\n\n',
        b'data: {"choices":[],\r"usage":{}}\n\n',
        b'data: {"choices":[],"usage":{}}\r\r',
        b'datum: {"choices":[],"usage":{}}\n\n',
        b' data: {"choices":[],"usage":{}}\n\n',
        b'data: [{"choices":[],"usage":{}}]\n\n',
        b"\xef\xbb\xbf" + OURS,
    ],
)
def test_any_other_event_passes_and_ours_is_still_found_behind_it(event: bytes) -> None:
    assert strip(event) == (event, "not_seen")
    assert strip(*cut(event, list(range(len(event))))) == (event, "not_seen")
    if not event.endswith(b"\r"):
        assert strip(event + OURS) == (event, "stripped")


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[],"usage":{},"error":{}}\n\n',
        b'data: {"choices":[],"choices":[{}],"usage":{}}\n\n',
        b'data: {"choices":[],"usage":{}\n\n',
        b'data: {"choices":[],"usage":{},"x":NaN}\n\n',
        b'data: {"choices":[],"usage":{},"x":"\xff"}\n\n',
        b'data: {"choices":[],"usage":{},"x":' + b"9" * 5000 + b"}\n\n",
        b'data: {"choices":[],"usage":{},"x":' + b"[" * 60_000 + b"\n\n",
    ],
)
def test_an_event_that_is_nearly_ours_passes_and_is_told(event: bytes) -> None:
    assert strip(TOKEN + event, DONE) == (TOKEN + event + DONE, "kept")
    assert strip(event[:30], event[30:]) == (event, "kept")
    assert strip(event + OURS) == (event, "stripped")


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\n\n"])
def test_blank_lines_between_events_change_nothing(blank: bytes) -> None:
    stream = blank + TOKEN + blank + OURS + blank
    expected = (blank + TOKEN + blank + blank, "stripped")
    assert strip(stream) == expected
    assert strip(*cut(stream, list(range(len(stream))))) == expected


@pytest.mark.parametrize("event", [TOKEN, RUNNING])
def test_an_event_with_output_is_passed_as_soon_as_that_is_seen(event: bytes) -> None:
    stripper = Stripper()
    begun = event.index(b"[{") + 2
    assert stripper.feed(event[: begun - 1]) == b""
    assert stripper.feed(event[begun - 1 : begun]) == event[:begun]
    assert stripper.feed(event[begun:-1]) == event[begun:-1]
    assert stripper.feed(b"") == b""
    assert stripper.feed(event[-1:]) == event[-1:]
    assert stripper.feed(OURS) == b""


@pytest.mark.parametrize(
    "begun", [b": pi", b"event: x", b"\r", b"data: [", b"id", b"data: {\r\r", b"data: {\rx"]
)
def test_what_cannot_become_our_event_is_never_held(begun: bytes) -> None:
    stripper = Stripper()
    assert stripper.feed(begun) == begun


@pytest.mark.parametrize("begun", [b": x", b"event: x\n", b"data: [\r\n"])
def test_the_rest_of_an_event_is_not_taken_for_ours(begun: bytes) -> None:
    assert strip(begun + OURS) == strip(begun, OURS) == (begun + OURS, "not_seen")


def test_whole_events_ahead_of_an_incomplete_one_are_not_held() -> None:
    stripper = Stripper()
    assert stripper.feed(TOKEN + OURS[:50]) == TOKEN
    assert stripper.feed(b"") == b""
    assert stripper.feed(OURS[50:] + DONE) == DONE


@pytest.mark.parametrize("step", [1 << 10, 1000, HELD_BYTES_MAX, HELD_BYTES_MAX + 1, 1 << 20])
@pytest.mark.parametrize("over", [0, 1, 2, 1000])
def test_an_event_larger_than_the_bound_passes_and_is_told(step: int, over: int) -> None:
    head = b'data: {"choices":[],"usage":{},"x":"'
    event = head + b"x" * (HELD_BYTES_MAX - len(head) - 4 + over) + b'"}\n\n'
    assert len(event) == HELD_BYTES_MAX + over
    stream = TOKEN + event + DONE
    parts = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert strip(*parts) == ((TOKEN + DONE, "stripped") if not over else (stream, "kept"))


def test_no_more_than_the_bound_is_held() -> None:
    stripper = Stripper()
    begun = b'data: {"x":"'
    assert stripper.feed(begun + b"x" * (HELD_BYTES_MAX - len(begun))) == b""
    assert len(stripper.feed(b"x")) == HELD_BYTES_MAX + 1
    assert stripper.feed(b"x") == b"x"
    assert stripper.result == "kept"
    assert stripper.close() == b""
    assert stripper.result == "kept"


def test_a_large_event_with_output_is_not_told() -> None:
    event = TOKEN.replace(b'"x"', b'"' + b"x" * (1 << 17) + b'"')
    assert strip(event, OURS) == (event, "stripped")
    assert strip(event) == (event, "not_seen")


@pytest.mark.parametrize(
    ("end", "result"),
    [(OURS[:-1], "kept"), (OURS[:40], "kept"), (OURS[:20], "not_seen"), (b"", "not_seen")],
)
def test_what_is_held_at_the_end_passes(end: bytes, result: Result) -> None:
    assert strip(TOKEN, end) == (TOKEN + end, result)


def test_what_comes_after_the_end_passes() -> None:
    stripper = Stripper()
    assert stripper.feed(OURS[:30]) == b""
    assert stripper.close() == OURS[:30]
    assert stripper.close() == b""
    assert stripper.feed(OURS) == OURS


PIECES = st.sampled_from(
    [
        TOKEN,
        RUNNING,
        DONE,
        TOKEN.replace(b"\n", b"\r\n"),
        b": ping\n\n",
        b'event: x\ndata: {"choices":[],"usage":{}}\n\n',
        b'data: {"choices":[],"usage":null}\n\n',
        b'data: {"choices":[]\ndata: ,"usage":{}}\n\n',
        b"\n",
        b"\r\n",
        b'data: {"error":{}}\r\n\n',
    ]
)
CUTS = st.lists(st.integers(0, 2000), max_size=12)


@pytest.mark.req("DC-04")
@given(st.lists(PIECES, max_size=5), st.lists(PIECES, max_size=3), CUTS)
def test_however_a_stream_is_cut_only_our_event_is_missing(
    before: list[bytes], after: list[bytes], cuts: list[int]
) -> None:
    head, tail = b"".join(before), b"".join(after)
    assert strip(*cut(head + OURS + tail, cuts)) == (head + tail, "stripped")
    assert strip(*cut(head + tail, cuts)) == (head + tail, "not_seen")


SCRAPS = st.sampled_from(
    [
        *(b"data: ", b"data:", b"{", b"}", b'"choices":', b'"choices"', b"[]", b"[", b"]", b":"),
        *(b'"usage":{}', b'"usage":', b",", b"\n", b"\r", b"\r\n", b"\n\n", b" ", b"[{}]", b"x"),
        *(OURS, OURS[:-2], OURS[6:], TOKEN, b'data: {"choices":[],"usage":{', b'"error":1'),
    ]
)


@pytest.mark.req("DC-04")
@given(st.lists(SCRAPS, max_size=14), CUTS, CUTS)
def test_the_cut_of_any_bytes_changes_nothing(
    scraps: list[bytes], one: list[int], other: list[int]
) -> None:
    stream = b"".join(scraps)
    whole = strip(stream)
    assert strip(*cut(stream, one)) == whole
    assert strip(*cut(stream, other)) == whole
    if whole[1] != "stripped":
        assert whole[0] == stream
    else:
        assert len(whole[0]) < len(stream)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_bytes_that_are_no_events_pass_as_they_came(parts: list[bytes]) -> None:
    assert strip(*parts) == (b"".join(parts), "not_seen")


# -- chunks ------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_payloads_framed_anew_are_a_chunked_body(payloads: list[bytes]) -> None:
    body = b"".join([rechunk(payload) for payload in payloads]) + LAST_CHUNK
    walker = ChunkWalker()
    assert walker.feed(body) == (body, b"".join(payloads))
    assert walker.done
    assert walker.rest == b""


def test_an_empty_payload_is_no_chunk_since_that_would_end_the_body() -> None:
    assert rechunk(b"") == b""
    assert rechunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
