"""The judge itself: what it must find, on examples that need no second thought."""

import pytest

from differential.reference import Answer, Reading, Request, read_answer, read_requests

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;x=1\r\nab\r\n1\r\nc\r\n0\r\nT: v\r\n\r\n"
)
FOUND = (
    Request(b"GET", b"/a", b""),
    Request(b"POST", b"/b", b"abc"),
    Request(b"POST", b"/c", b"abc"),
)


def test_a_pipeline_is_read_to_its_end() -> None:
    assert read_requests(GET + POST + CHUNKED) == Reading(FOUND, "complete")


def test_what_is_behind_a_close_is_no_request() -> None:
    closing = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert read_requests(closing + POST) == Reading(FOUND[:1], "complete")
    old = GET.replace(b"1.1", b"1.0")
    assert read_requests(old + POST) == Reading(FOUND[:1], "complete")


@pytest.mark.parametrize("at", range(1, len(POST)))
def test_every_beginning_of_a_request_is_a_part_of_one(at: int) -> None:
    assert read_requests(GET + POST[:at]).requests == FOUND[:1]
    assert read_requests(GET + POST[:at]).ending == "partial"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Length: 3", b"Content-Length: 3\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 3", b"Content-Length: 3\r\nContent-Length: 3"),
        (b"Content-Length: 3", b"Content-Length: +3"),
        (b"Content-Length: 3", b"Content-Length : 3"),
        (b"Content-Length: 3", b"Transfer-Encoding: xchunked"),
        (b"Host: h", b"Host: h\r\nHost: h"),
        (b"Host: h", b"X: h"),
        (b"Host: h", b"Host: h\r\n folded"),
        (b"Host: h\r\n", b"Host: h\n"),
        (b"/b ", b"/b\x00 "),
        (b"/b ", b"http://other/b "),
        (b"POST ", b"CONNECT "),
        (b" HTTP/1.1", b"  HTTP/1.1"),
        (b"HTTP/1.1", b"HTTP/1.2"),
    ],
)
def test_what_can_be_read_in_two_ways_is_no_request(old: bytes, new: bytes) -> None:
    reading = read_requests(GET + POST.replace(old, new))
    assert (reading.requests, reading.ending) == (FOUND[:1], "refused")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", Answer(200, b"ab", whole=True)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", Answer(200, b"abc", whole=False)),
        (b"HTTP/1.0 404 \r\n\r\nabc", Answer(404, b"abc", whole=True, by_close=True)),
        (b"HTTP/1.1 304\r\nContent-Length: 9\r\n\r\n", Answer(304, b"", whole=True)),
        (
            b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
            Answer(200, b"x", whole=True, by_close=True),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nz",
            Answer(200, b"x", whole=False),
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", None),
        (b"HTTP/1.1 2000 OK\r\n\r\n", None),
        (b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n", None),
    ],
)
def test_an_answer_is_read_strictly(raw: bytes, expected: Answer | None) -> None:
    assert read_answer(raw) == expected
