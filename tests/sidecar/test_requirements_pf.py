"""PF-01 to PF-04: whatever could be read in two ways is refused and never forwarded."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.framing import FramingError
from support.llm import ScriptedServer
from support.pair import Pair, running_pair
from support.script import chunk, head, plain, request, script

CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair("--header-timeout-s", "5") as both:
        yield both


def post(*lines: bytes, body: bytes = b"0\r\n\r\n", version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /t " + version + b"\r\nHost: h\r\n" + b"".join(lines) + b"\r\n" + body


def assert_refused(pair: Pair, raw: bytes, statuses: set[int]) -> None:
    """The client is told and the connection closed; not one byte goes upstream."""
    before = pair.upstream_bytes
    with pair.sidecar.wire() as wire:
        answer = wire.ask(raw)
        assert answer.status in statuses, answer.head.raw
        assert wire.rest() == (b"", "closed")
    assert pair.upstream_bytes == before
    with pair.sidecar.wire() as wire:
        assert wire.ask(request("GET", "/alive")).status == 200


@pytest.mark.req("PF-01")
@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\n" + CHUNKED,
        CHUNKED + b"Content-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: 5_0\r\n",
        b"Content-Length: 5.0\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: \xef\xbc\x95\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        CHUNKED + CHUNKED,
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"Transfer-Encoding: chunked,\r\n",
        b"Transfer-Encoding: ,chunked\r\n",
        b"Transfer-Encoding: \r\n",
        b'Transfer-Encoding: "chunked"\r\n',
        b"Transfer-Encoding: chunked;q=1\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding:\x0cchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding\t: chunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
        b"Transfer_Encoding: chunked\r\n",
        b"Content_Length: 5\r\n",
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_refused(pair: Pair, lines: bytes) -> None:
    assert_refused(pair, post(lines), {400})


@pytest.mark.req("PF-01")
@pytest.mark.parametrize("coding", [b"gzip", b"identity", b"gzip, chunked", b"xchunked"])
def test_an_unknown_transfer_coding_is_not_implemented(pair: Pair, coding: bytes) -> None:
    assert_refused(pair, post(b"Transfer-Encoding: " + coding + b"\r\n"), {501})


@pytest.mark.req("PF-01")
def test_a_smuggled_request_behind_an_ambiguous_one_is_never_read(pair: Pair) -> None:
    smuggled = request("GET", "/smuggled")
    lines = b"Content-Length: %d\r\n" % (len(smuggled) + 5) + CHUNKED
    assert_refused(pair, post(lines, body=b"0\r\n\r\n" + smuggled), {400})
    assert pair.server.find(b"/smuggled") == []


@pytest.mark.req("PF-01")
def test_there_is_no_lenient_switch(pair: Pair) -> None:
    assert_refused(pair, post(b"Content-Length: 5\r\n", CHUNKED), {400})
    with running_pair("--http2", "refuse", "--client-half-close", "serve") as other:
        assert_refused(other, post(b"Content-Length: 5\r\n", CHUNKED), {400})


BAD_CHUNKS = [
    b"g\r\nx\r\n",
    b"0x1\r\nx\r\n",
    b"-1\r\nx\r\n",
    b"+1\r\nx\r\n",
    b" 1\r\nx\r\n",
    b"\r\nx\r\n",
    b"1\nx\r\n",
    b"1\r\nx\n",
    b"1\r\nxx\r\n",
    b"1\r\nx0\r\n\r\n",
    b"10000000000000000\r\nx\r\n",
    b"1;a\nb\r\nx\r\n",
    b"1;a\x00\r\nx\r\n",
    b"1;" + b"a" * 20_000 + b"\r\nx\r\n",
    b"0" * 20_000 + b"1\r\nx\r\n",
    b"0\r\n folded\r\n\r\n",
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nA : b\r\n\r\n",
    b"0\r\nContent-Length: 1\r\n\r\n",
    b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"0\r\nHost: h\r\n\r\n",
    b"0\r\nA: b\n\r\n",
    b"0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
]


@pytest.mark.req("PF-02")
@pytest.mark.parametrize("bad", BAD_CHUNKS, ids=lambda b: repr(b[:24]))
def test_a_malformed_chunk_aborts_what_was_begun_upstream(pair: Pair, bad: bytes) -> None:
    target = pair.plan(script(plain(b"{}")))
    with pair.sidecar.wire() as wire:
        wire.send(post(CHUNKED, body=chunk(b"good")).replace(b"/t", target.encode(), 1))
        exchange = pair.exchange(target)
        pair.server.wait(lambda: exchange.body_bytes == 4)
        wire.send(bad)
        assert wire.read_answer().status == 400
        assert wire.rest()[0] == b""
    connection = next(c for c in pair.server.connections if exchange in c.exchanges)
    pair.server.wait(lambda: connection.lost_ns is not None)
    assert exchange.body_ns is None, "it must not look complete"
    assert not exchange.body_malformed, "what is not valid is not forwarded"
    assert exchange.body == b"good"


@pytest.mark.req("PF-02")
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_valid_chunks_arrive_however_they_are_cut(pair: Pair, step: int) -> None:
    target = pair.plan(script(plain(b"{}")))
    body = b'a;x=1;y="z"\r\n0123456789\r\n000001\r\n!\r\n'
    body += b"A\r\n\r\n0\r\n0\r\n\r\n\r\n0;end\r\nX-T: v\r\n\r\n"
    raw = post(CHUNKED, body=body).replace(b"/t", target.encode(), 1)
    with pair.sidecar.wire() as wire:
        wire.trickle(raw, [step] * (len(raw) // step))
        assert wire.read_answer().status == 200
    exchange = pair.exchange(target)
    assert exchange.body == b"0123456789!\r\n0\r\n0\r\n\r\n"
    assert not exchange.body_malformed


BAD_HEADS = [
    b"GET /t HTTP/1.1\r\nHost: h\r\nA: b\r\n folded\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\n A: b\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA(: b\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA\x80: b\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nA: b\x7f\r\n\r\n",
    b"GET /t HTTP/1.1\nHost: h\n\n",
    b"GET /t HTTP/1.1\rHost: h\r\r",
    b"GET /t HTTP/1.2\r\nHost: h\r\n\r\n",
    b"GET /t HTTP/2.0\r\nHost: h\r\n\r\n",
    b"GET /t HTTP/0.9\r\nHost: h\r\n\r\n",
    b"GET /t HTTP/11\r\nHost: h\r\n\r\n",
    b"GET /t http/1.1\r\nHost: h\r\n\r\n",
    b"GET /t\r\nHost: h\r\n\r\n",
    b"GET  /t HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /t  HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /t HTTP/1.1 \r\nHost: h\r\n\r\n",
    b"GET\t/t HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /t\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GE(T /t HTTP/1.1\r\nHost: h\r\n\r\n",
    b" GET /t HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET t HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /t HTTP/1.1\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h\r\nhost: i\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h, i\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h/i\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: u@h\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h:port\r\n\r\n",
    b"GET /t HTTP/1.1\r\nHost: h h\r\n\r\n",
    b"POST /t HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"\x00\x00\x00\x00\r\n\r\n",
]


@pytest.mark.req("PF-03")
@pytest.mark.parametrize("raw", BAD_HEADS, ids=lambda b: repr(b[:48]))
def test_bad_syntax_is_refused(pair: Pair, raw: bytes) -> None:
    assert_refused(pair, raw, {400})


@pytest.mark.req("PF-03")
def test_high_bytes_in_values_pass_as_they_are(pair: Pair) -> None:
    target = pair.plan(script(plain(b"{}", (b"X-High", b"\x80\xff\xe2\x82"))))
    value = bytes(range(0x80, 0x100))
    answer = pair.ask(request("GET", target, (b"X-High", value)))
    assert answer.head.value(b"x-high") == b"\x80\xff\xe2\x82"
    assert pair.exchange(target).value(b"X-High") == value


def mutated(seed: bytes, edits: list[tuple[int, bytes]]) -> bytes:
    for position, data in edits:
        i = position % (len(seed) + 1)
        seed = seed[:i] + data + seed[i + len(data) // 2 :]
    return seed


SEEDS = [
    request("GET", "/t", ("A", "b")),
    request("POST", "/t", ("Content-Type", "application/json"), body=b'{"a": 1}'),
    post(CHUNKED, body=chunk(b"abc") + b"0\r\n\r\n"),
    post(b"Expect: 100-continue\r\n", CHUNKED, body=b"1;e\r\nx\r\n0\r\nT: v\r\n\r\n"),
    request("GET", "/t", ("Connection", "Upgrade"), ("Upgrade", "websocket")),
]
SPLINTERS = [b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\xff", b"0", b"GET", b"chunked"]


@pytest.mark.req("PF-03")
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from(SPLINTERS) | st.binary(max_size=4)),
        min_size=1,
        max_size=4,
    ),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_input_makes_an_error_of_our_own(
    pair: Pair, seed: bytes, edits: list[tuple[int, bytes]]
) -> None:
    with pair.sidecar.wire() as wire:
        wire.send(mutated(seed, edits))
        wire.half_close()
        try:
            answer = wire.read_answer()
        except (FramingError, ConnectionError):
            return  # an unfinished request, and its client has gone: nothing is owed
        assert answer.status in {200, 400, 405, 414, 431, 501, 505}, answer.head.raw
    assert pair.sidecar.health("/healthz") == 200


@pytest.fixture
def elsewhere() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server
    assert server.connections == [], "the sidecar connected to a place that a request named"


@pytest.mark.req("PF-04")
def test_nothing_in_a_request_chooses_where_we_connect(
    pair: Pair, elsewhere: ScriptedServer
) -> None:
    place = f"127.0.0.1:{elsewhere.port}"
    named = [
        ("X-Forwarded-Host", place),
        ("Forwarded", f"host={place}"),
        ("X-Upstream", elsewhere.url),
        ("X-Original-URL", f"{elsewhere.url}/x"),
        ("Destination", f"{elsewhere.url}/x"),
        ("Referer", elsewhere.url),
    ]
    assert pair.ask(request("GET", "/t", *named, host=place)).status == 200
    whole = request("GET", f"http://{place}/absolute", host=place)
    assert pair.ask(whole).status == 200
    assert pair.exchange(f"http://{place}/absolute").value(b"Host") == place.encode()


@pytest.mark.req("PF-04")
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("CONNECT", "{place}", 405),
        ("CONNECT", "/t", 405),
        ("GET", "http://{place}/", 400),
        ("GET", "{place}", 400),
        ("GET", "ftp://h/", 400),
        ("GET", "@{place}/", 400),
        ("GET", "http://u@h/", 400),
    ],
)
def test_a_target_that_leads_elsewhere_is_refused(
    pair: Pair, elsewhere: ScriptedServer, method: str, target: str, status: int
) -> None:
    place = f"127.0.0.1:{elsewhere.port}"
    assert_refused(pair, request(method, target.format(place=place)), {status})


@pytest.mark.req("PF-04")
def test_redirects_are_passed_on_and_not_followed(pair: Pair, elsewhere: ScriptedServer) -> None:
    location = ("Location", f"{elsewhere.url}/x")
    target = pair.plan(script(head(307, location, ("Content-Length", "0"), reason="Moved")))
    answer = pair.ask(request("GET", target))
    assert answer.status == 307
    assert answer.head.value(b"location") == f"{elsewhere.url}/x".encode()
