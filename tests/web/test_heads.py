import gzip
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.web.heads import (
    FIELDS_MAX,
    GZIP_BYTES_MIN,
    PIECE_BYTES,
    Head,
    HeadError,
    Response,
    accepts_gzip,
    answer,
    plain,
    read_head,
)

GET = b"GET /metrics HTTP/1.1\r\nHost: x"
DATE = "Thu, 01 Jan 1970 00:00:00 GMT"
TEXT = "text/plain; charset=utf-8"


def head(*fields: bytes, line: bytes = b"GET /m HTTP/1.1") -> Head:
    return read_head(b"\r\n".join([line, b"Host: x", *fields]))


def split(pieces: Iterator[bytes]) -> tuple[list[str], bytes]:
    start, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    return start.decode().split("\r\n"), body


def unchunk(data: bytes) -> bytes:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert data == b"\r\n"
            return body
        body += data[:length]
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]


def test_a_head_is_read() -> None:
    request, minor, keep_alive = read_head(
        b"GET /metrics?name=a%20b HTTP/1.1\r\nHost: x:1\r\nAccept: a\r\nX-Y:\t b \r\naccept:c"
    )
    assert (request.method, request.path, request.query) == ("GET", "/metrics", "name=a%20b")
    assert request.headers == {"host": "x:1", "accept": "a, c", "x-y": "b"}
    assert (minor, keep_alive) == (1, True)


def test_an_absolute_target_means_its_path() -> None:
    assert head(line=b"GET http://x:1/m?q HTTP/1.1").request[1:3] == ("/m", "q")
    assert head(line=b"GET HTTP://x HTTP/1.1").request.path == "/"
    assert head(line=b"OPTIONS * HTTP/1.1").request.path == "*"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"GET /\r\nHost: x", 400),
        (b"GET  / HTTP/1.1\r\nHost: x", 400),
        (b"GET / HTTP/1.1 \r\nHost: x", 400),
        (b"G\x00T / HTTP/1.1\r\nHost: x", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded", 400),
        (b"GET / HTTP/1.1\r\nHost : x", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nc: d", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon", 400),
        (b"PRI * HTTP/2.0\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: x", 505),
        (GET + b"\r\na: b" * FIELDS_MAX, 431),
    ],
)
def test_what_is_not_plainly_right_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(HeadError) as error:
        read_head(data)
    assert error.value.status == status


def test_as_many_fields_as_allowed_are_read() -> None:
    assert len(read_head(GET + b"\r\na: b" * (FIELDS_MAX - 1)).request.headers) == 2


@given(st.binary(max_size=200) | st.binary(max_size=100).map(GET.__add__))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    try:
        request = read_head(data).request
    except HeadError as error:
        status, path = error.status, "none"
    else:
        status, path = 200, request.path
    assert status in (200, 400, 431, 505)
    assert path


@pytest.mark.parametrize(
    ("found", "stays"),
    [
        (head(), True),
        (head(b"Connection: Close"), False),
        (head(b"Connection: te, close"), False),
        (head(line=b"GET / HTTP/1.0"), False),
        (head(b"Connection: keep-alive", line=b"GET / HTTP/1.0"), True),
        (head(b"Content-Length: 0"), True),
        (head(b"Content-Length: 5", line=b"POST / HTTP/1.1"), False),
        (head(b"Content-Length: 0, 5"), False),
        (head(b"Transfer-Encoding: chunked"), False),
        (read_head(b"GET / HTTP/1.0"), False),
    ],
)
def test_a_connection_stays_unless_a_body_follows(found: Head, *, stays: bool) -> None:
    assert found.keep_alive is stays


@pytest.mark.parametrize(
    "wishes",
    ["gzip", "GZIP", "deflate, gzip;q=0.5", "*", "br, *;q=0.1", "gzip; q=1.0", "gzip;q=.5"],
)
def test_gzip_is_accepted(wishes: str) -> None:
    assert accepts_gzip(wishes)


@pytest.mark.parametrize(
    "wishes",
    ["", "identity", "br", "gzip;q=0", "gzip;q=0.0", "*, gzip;q=0", "gzip;x", "gzip;q=nan"],
)
@pytest.mark.req("GX-07")
def test_gzip_is_not_accepted(wishes: str) -> None:
    assert not accepts_gzip(wishes)


@given(st.text(max_size=50))
def test_no_accept_encoding_raises(wishes: str) -> None:
    assert accepts_gzip(wishes) in (True, False)


def test_a_short_answer_has_its_length() -> None:
    pieces, keep_alive = answer(head(), plain(404, ("X-A", "b")), date=DATE)
    lines, body = split(pieces)
    assert lines[0] == "HTTP/1.1 404 Not Found"
    assert f"Date: {DATE}" in lines
    assert "X-A: b" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert body == b"404 Not Found\n"
    assert keep_alive
    assert not [line for line in lines if line.startswith("Connection")]


def test_an_unregistered_status_has_no_phrase() -> None:
    assert (
        split(answer(head(), Response(299, TEXT, b""), date=DATE).pieces)[0][0] == "HTTP/1.1 299 "
    )


def test_a_body_of_unknown_length_comes_in_chunks() -> None:
    response = Response(200, TEXT, iter([b"a" * 5, b"", b"b" * 20]))
    pieces, keep_alive = answer(head(), response, date=DATE)
    lines, body = split(pieces)
    assert "Transfer-Encoding: chunked" in lines
    assert unchunk(body) == b"a" * 5 + b"b" * 20
    assert keep_alive


def test_an_empty_body_of_unknown_length_ends() -> None:
    assert unchunk(split(answer(head(), Response(200, TEXT, iter(())), date=DATE).pieces)[1]) == b""


def test_http_1_0_reads_to_the_end_of_the_connection() -> None:
    old = head(b"Connection: keep-alive", line=b"GET / HTTP/1.0")
    pieces, keep_alive = answer(old, Response(200, TEXT, iter([b"a", b"b"])), date=DATE)
    lines, body = split(pieces)
    assert body == b"ab"
    assert "Connection: close" in lines
    assert not keep_alive
    lines, _ = split(answer(old, plain(200), date=DATE).pieces)
    assert "Connection: keep-alive" in lines


def test_an_answer_to_a_refused_head_closes() -> None:
    pieces, keep_alive = answer(None, plain(400), date=DATE)
    lines, body = split(pieces)
    assert "Connection: close" in lines
    assert body == b"400 Bad Request\n"
    assert not keep_alive


@pytest.mark.parametrize("size", [GZIP_BYTES_MIN, PIECE_BYTES, PIECE_BYTES + 1, 300_000])
def test_a_body_is_compressed_for_who_can_read_it(size: int) -> None:
    text = bytes(n % 251 for n in range(size))
    lines, body = split(
        answer(head(b"Accept-Encoding: gzip"), Response(200, TEXT, text), date=DATE).pieces
    )
    assert "Content-Encoding: gzip" in lines
    assert "Vary: Accept-Encoding" in lines
    body = unchunk(body) if "Transfer-Encoding: chunked" in lines else body
    assert gzip.decompress(body) == text


def test_pieces_are_compressed_as_they_come() -> None:
    response = Response(200, TEXT, iter([b"a" * 1000] * 50))
    lines, body = split(answer(head(b"Accept-Encoding: gzip"), response, date=DATE).pieces)
    assert "Content-Encoding: gzip" in lines
    assert gzip.decompress(unchunk(body)) == b"a" * 50_000


def test_a_body_that_is_encoded_already_is_sent_as_it_is() -> None:
    packed = gzip.compress(b"a" * 5000)
    coding = (("content-encoding", "gzip"),)
    response = Response(200, TEXT, iter([packed]), coding)
    lines, body = split(answer(head(b"Accept-Encoding: gzip"), response, date=DATE).pieces)
    assert [line.lower() for line in lines].count("content-encoding: gzip") == 1
    assert unchunk(body) == packed


def test_a_body_whose_length_is_told_is_sent_without_chunks() -> None:
    length = (("Content-Length", "9000"),)
    response = Response(200, TEXT, iter([b"a" * 4000, b"b" * 5000]), length)
    pieces, keep_alive = answer(head(b"Accept-Encoding: gzip"), response, date=DATE)
    lines, body = split(pieces)
    assert [line for line in lines if line.startswith("Content-Length")] == ["Content-Length: 9000"]
    assert not [line for line in lines if line.startswith(("Transfer-Encoding", "Content-Enc"))]
    assert body == b"a" * 4000 + b"b" * 5000
    assert keep_alive


@pytest.mark.parametrize(
    "response",
    [Response(200, TEXT, b"a" * (GZIP_BYTES_MIN - 1)), Response(200, "font/woff2", b"a" * 9000)],
)
def test_what_would_not_shrink_stays_as_it_is(response: Response) -> None:
    lines, body = split(answer(head(b"Accept-Encoding: gzip"), response, date=DATE).pieces)
    assert body == response.body
    assert "Content-Encoding: gzip" not in lines


def test_head_gets_the_head_of_get_and_no_body() -> None:
    asked: list[int] = []

    def body() -> Iterator[bytes]:
        asked.append(1)
        yield b"x"

    for response in (plain(200), Response(200, TEXT, body())):
        of_head, rest = split(answer(head(line=b"HEAD /m HTTP/1.1"), response, date=DATE).pieces)
        of_get, _ = split(answer(head(), response, date=DATE).pieces)
        assert of_head == of_get
        assert rest == b""
    assert asked == [1]


def test_a_large_body_is_sent_in_pieces() -> None:
    response = Response(200, "font/woff2", b"a" * (PIECE_BYTES * 3))
    assert len(list(answer(head(), response, date=DATE).pieces)) == 3
