import contextlib

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.fields import Fields
from inferometer.sidecar.heads import (
    FIELD_LINE,
    FIELDS_MAX,
    HEAD_BYTES_MAX,
    SPECIAL_LINE,
    SPECIAL_NAMES,
    TARGET_BYTES_MAX,
    Framing,
    Refused,
    check_start,
    find_end,
    parse_request,
    parse_response,
)


def request(*lines: bytes, start: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    return b"\r\n".join((start, b"Host: a", *lines, b"", b""))


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((start, *lines, b"", b""))


def status_of(head: bytes) -> int:
    with pytest.raises(Refused) as caught:
        parse_request(head)
    return caught.value.status


@pytest.mark.req("PF-01")
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400),
        ((b"Content-Length: 1", b"Content-Length: 1"), 400),
        ((b"Content-Length: 1", b"Content-Length: 2"), 400),
        ((b"Content-Length: 1, 1",), 400),
        ((b"Content-Length: +1",), 400),
        ((b"Content-Length: -1",), 400),
        ((b"Content-Length: 0x1",), 400),
        ((b"Content-Length: 1 2",), 400),
        ((b"Content-Length:",), 400),
        ((b"Content-Length: " + b"9" * 19,), 400),
        ((b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        ((b"Transfer-Encoding: chunked, chunked",), 400),
        ((b"Transfer-Encoding: chunked, gzip",), 400),
        ((b"Transfer-Encoding: gzip, chunked",), 501),
        ((b"Transfer-Encoding: identity",), 501),
        ((b"Transfer-Encoding: xchunked",), 501),
        ((b'Transfer-Encoding: "chunked"',), 400),
        ((b"Transfer-Encoding: ",), 400),
        ((b"Transfer_Encoding: chunked",), 400),
        ((b"content_length: 5",), 400),
    ],
)
def test_framing_that_two_parsers_could_read_as_two_lengths_is_refused(
    lines: tuple[bytes, ...], status: int
) -> None:
    assert status_of(request(*lines)) == status


@pytest.mark.req("PF-03")
@pytest.mark.parametrize(
    "head",
    [
        request(b" folded: x"),
        request(b"a: b", b"\tc"),
        request(b"Name : x"),
        request(b": x"),
        request(b"na me: x"),
        request(b"n\x00: x"),
        request(b"n: \x00"),
        request(b"n: a\rb"),
        request(b"n: a\nb"),
        request(b"n\xff: x"),
        request(b"no colon"),
        request(start=b"GET  / HTTP/1.1"),
        request(start=b"GET /\tHTTP/1.1"),
        request(start=b"GET / HTTP/1.1 "),
        request(start=b"GET / http/1.1"),
        request(start=b"GET / HTTP/1.2"),
        request(start=b"GET / HTTP/2.0"),
        request(start=b"GET / HTTP/0.9"),
        request(start=b"GET /"),
        request(start=b"G@T / HTTP/1.1"),
        request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"),
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        request(start=b"GET relative HTTP/1.1"),
        request(start=b"GET * HTTP/1.1"),
        request(start=b"GET http://b/ HTTP/1.1"),
        request(start=b"GET ftp://a/ HTTP/1.1"),
    ],
)
def test_bad_syntax_is_refused_with_400(head: bytes) -> None:
    assert status_of(head) == 400


@pytest.mark.req("PF-03")
def test_bytes_above_ascii_in_values_pass_as_they_are() -> None:
    head = parse_request(request(b"X-Name: \xff\x80 \xe2\x82\xac"))
    assert b"X-Name: \xff\x80 \xe2\x82\xac\r\n" in head.forward


@pytest.mark.req("PF-05")
def test_target_names_values_duplicates_and_order_are_kept() -> None:
    lines = (b"b: 2", b"A:1", b"cookie: x", b"Cookie: y", b"b:  3  ")
    head = parse_request(request(*lines, start=b"GET /e/../f%2f..?q=%zz#x HTTP/1.1"))
    assert head.forward == (
        b"GET /e/../f%2f..?q=%zz#x HTTP/1.1\r\nHost: a\r\n"
        b"b: 2\r\nA:1\r\ncookie: x\r\nCookie: y\r\nb:  3  \r\n\r\n"
    )


@pytest.mark.req("PF-05")
def test_what_belongs_to_one_hop_is_taken_away() -> None:
    head = parse_request(
        request(
            b"Connection: keep-alive, X-Hop, host, content-length",
            b"X-Hop: 1",
            b"Keep-Alive: 5",
            b"TE: trailers",
            b"Proxy-Connection: x-other",
            b"X-Other: 2",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAA",
            b"Content-Length: 03",
        )
    )
    assert head.forward == (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    )
    assert head.framing == Framing("length", 3)
    assert not head.websocket


@pytest.mark.parametrize(("written", "sent"), [(b"010", b"10"), (b"000", b"0"), (b"10", b"10")])
def test_a_length_is_sent_in_a_spelling_that_nobody_takes_for_octal(
    written: bytes, sent: bytes
) -> None:
    head = parse_request(request(b"Content-Length: " + written))
    assert head.forward.endswith(b"\r\nContent-Length: " + sent + b"\r\n\r\n")
    assert (head.framing.length or 0) == int(sent)


def test_a_chunked_request_gets_its_coding_in_the_plainest_spelling() -> None:
    head = parse_request(request(b"transfer-encoding:\t CHUNKED "))
    assert head.framing.kind == "chunked"
    assert head.forward.endswith(b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.req("PF-04")
def test_an_absolute_target_of_the_same_host_passes_and_connect_does_not() -> None:
    assert parse_request(request(start=b"GET HTTP://A/x HTTP/1.1")).target == b"HTTP://A/x"
    assert status_of(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n") == 405
    assert parse_request(request(start=b"OPTIONS * HTTP/1.1")).target == b"*"


@pytest.mark.req("PF-10")
def test_only_a_websocket_without_body_is_an_upgrade() -> None:
    upgrade = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")
    head = parse_request(request(*upgrade, start=b"GET /ws HTTP/1.1"))
    assert head.websocket
    assert head.forward.endswith(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert status_of(request(*upgrade, b"Content-Length: 3")) == 400
    assert not parse_request(request(b"Connection: Upgrade", b"Upgrade: h2c, websocket")).websocket
    assert not parse_request(request(b"Upgrade: websocket")).websocket


@pytest.mark.req("LM-02")
def test_limits_of_a_head_are_kept() -> None:
    many = [b"a: b"] * (FIELDS_MAX - 1)
    assert len([*parse_request(request(*many)).fields]) == FIELDS_MAX
    assert status_of(request(*many, b"a: b")) == 431
    target = b"/" + b"x" * (TARGET_BYTES_MAX - 1)
    parse_request(request(start=b"GET %b HTTP/1.1" % target))
    assert status_of(request(start=b"GET %bx HTTP/1.1" % target)) == 414
    with pytest.raises(Refused) as caught:
        find_end(b"GET /" + b"x" * (TARGET_BYTES_MAX + 64))
    assert caught.value.status == 414
    with pytest.raises(Refused) as caught:
        find_end(b"GET / HTTP/1.1\r\na: " + b"x" * HEAD_BYTES_MAX)
    assert caught.value.status == 431


def test_a_head_that_dribbles_in_is_found_where_it_ends() -> None:
    whole = request(b"a: b") + b"body"
    end = len(whole) - 4
    for size in range(1, end):
        assert find_end(whole[:size], size - 1) == -1
    assert find_end(whole[:end], end - 1) == end
    assert find_end(whole) == end


@pytest.mark.req("PF-03")
@pytest.mark.parametrize("bad", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nHost: a\n", b"G\rE"])
def test_a_bare_line_end_is_refused_before_the_head_is_complete(bad: bytes) -> None:
    with pytest.raises(Refused):
        find_end(bad)


def test_bytes_of_another_protocol_are_refused_at_once() -> None:
    for good in (b"", b"G", b"GET", b"GET ", b"GET /x", b"GET /x ", b"GET /x HTTP/1.1\r"):
        check_start(good)
    for bad in (b"\x16\x03\x01\x02\x00", b"GET /x\x00", b"{", b"GET /x FTP", b"GET  "):
        with pytest.raises(Refused):
            check_start(bad)


@pytest.mark.req("PF-07")
@pytest.mark.parametrize(
    ("method", "start", "lines", "kind"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK", (b"Content-Length: 5",), "none"),
        (b"HEAD", b"HTTP/1.1 200 OK", (b"Transfer-Encoding: chunked",), "none"),
        (b"GET", b"HTTP/1.1 204 No Content", (), "none"),
        (b"GET", b"HTTP/1.1 304 Not Modified", (b"Content-Length: 5",), "none"),
        (b"GET", b"HTTP/1.1 200", (b"Content-Length: 0",), "none"),
        (b"GET", b"HTTP/1.1 200 ", (b"Content-Length: 5",), "length"),
        (b"GET", b"HTTP/1.1 200 OK", (b"Transfer-Encoding: Chunked",), "chunked"),
        (b"GET", b"HTTP/1.1 200 OK", (), "close"),
        (b"GET", b"HTTP/1.0 200 OK", (), "close"),
        (b"GET", b"HTTP/1.1 103 Early Hints", (), "none"),
    ],
)
def test_the_body_of_an_answer_is_framed_as_the_rfc_says(
    method: bytes, start: bytes, lines: tuple[bytes, ...], kind: str
) -> None:
    assert parse_response(response(*lines, start=start), method).framing.kind == kind


@pytest.mark.req("PF-09")
@pytest.mark.parametrize(
    "head",
    [
        response(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        response(b"Content-Length: 1", b"Content-Length: 1"),
        response(b"Transfer-Encoding: gzip"),
        response(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK"),
        response(b"content_length: 1"),
        response(b" folded"),
        response(start=b"HTTP/1.1 600 X"),
        response(start=b"HTTP/1.1 20 X"),
        response(start=b"HTTP/2 200"),
        response(start=b"ICY 200 OK"),
        response(*[b"a: b"] * (FIELDS_MAX + 1)),
    ],
)
def test_the_upstream_is_trusted_no_more_than_a_client(head: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_response(head, b"GET")
    assert caught.value.status == 502


def test_connection_reuse_follows_what_the_answer_says() -> None:
    assert parse_response(response(b"Content-Length: 1"), b"GET").keep_alive
    assert not parse_response(response(b"Content-Length: 1", b"Connection: Close"), b"G").keep_alive
    assert not parse_response(response(), b"GET").keep_alive
    old = response(b"Content-Length: 1", start=b"HTTP/1.0 200 OK")
    assert not parse_response(old, b"GET").keep_alive


@pytest.mark.parametrize("reason", [b" Fine", b"", b" "])
def test_the_line_that_goes_on_names_the_version_of_our_hop(reason: bytes) -> None:
    for version in (b"HTTP/1.0", b"HTTP/1.1"):
        head = parse_response(response(start=version + b" 200" + reason), b"GET")
        assert head.line == b"HTTP/1.1 200" + reason + b"\r\n"


def test_a_switch_of_protocols_keeps_its_upgrade_field() -> None:
    head = parse_response(
        response(b"Upgrade: websocket", b"Connection: Upgrade", start=b"HTTP/1.1 101 S"), b"GET"
    )
    assert head.line + head.block == (
        b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parsers_fail_in_another_way(tail: bytes) -> None:
    for data in (tail, b"GET / HTTP/1.1\r\nHost: a\r\n" + tail + b"\r\n\r\n"):
        for parse in (parse_request, lambda d: parse_response(d, b"GET"), find_end, check_start):
            with contextlib.suppress(Refused):
                parse(data)


LINES = st.tuples(
    st.sampled_from(
        [*(name.decode() for name in sorted(SPECIAL_NAMES)), "Host", "x-te", "t", "hosts"]
    ),
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from(["", "a", "3", "chunked", "host:", "te: host: x", "\xff"]),
).map(lambda parts: "{}:{}{}\r\n".format(*parts).encode("latin-1"))


@given(st.lists(LINES, max_size=8).map(b"".join))
def test_the_lines_that_a_relay_has_to_know_are_found_as_by_reading_all(block: bytes) -> None:
    lines = [(name.lower(), value.lower()) for name, value in FIELD_LINE.findall(block)]
    known = [(name, value) for name, value in lines if name in SPECIAL_NAMES]
    assert SPECIAL_LINE.findall(Fields(block).folded) == known


NAMED = st.sampled_from(["close", "keep-alive", "hosts", "Host", "X-te", "t"])


@given(st.lists(LINES, max_size=6), st.lists(NAMED, max_size=3))
def test_what_goes_on_is_every_line_but_those_of_one_hop(
    lines: list[bytes], named: list[str]
) -> None:
    one_hop = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"}
    one_hop |= {b"http2-settings", *(name.lower().encode() for name in named)} - {b"host"}
    lines.append(f"Connection:{', '.join(named)}\r\n".encode())
    block = b"".join(lines)
    try:
        head = parse_response(b"HTTP/1.1 200 OK\r\n" + block + b"\r\n", b"GET")
    except Refused:
        return
    expected = []
    for name, raw in FIELD_LINE.findall(block):
        if name.lower() == b"content-length":
            expected.append(b"%b: %b\r\n" % (name, raw.strip(b" \t")))
        elif name.lower() not in {*one_hop, b"transfer-encoding"}:
            expected.append(b"%b:%b\r\n" % (name, raw))
    assert head.block == b"".join(expected)


TOKENS = st.text("abcXYZ-_.!1", min_size=1, max_size=8).map(str.encode)
VALUES = st.binary(max_size=12)


@given(st.lists(st.tuples(TOKENS, VALUES), max_size=6))
def test_what_we_accept_another_strict_parser_reads_the_same(
    fields: list[tuple[bytes, bytes]],
) -> None:
    raw = request(*[name + b": " + value for name, value in fields])
    try:
        head = parse_request(raw)
    except Refused:
        return
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(head.forward)
    event = peer.next_event()
    assert isinstance(event, h11.Request)
    ours = [(name.lower(), value) for name, value in head.fields]
    assert [(bytes(n), bytes(v)) for n, v in event.headers if n != b"host"] == [
        field for field in ours if field[0] not in (b"host", b"te", b"upgrade", b"connection")
    ]
