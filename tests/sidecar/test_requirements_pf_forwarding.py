"""PF-05 to PF-08: what goes on does so byte for byte, but for what belongs to one hop."""

import gzip
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard

from support.pair import Pair, running_pair, unique
from support.process import forget_rss_peak, rss_bytes, rss_peak_bytes
from support.script import LAST_CHUNK, Action, Step, chunk, head, plain, request, script
from support.speakers import CHAT
from support.turns import Turn, brotli_bomb, gzip_bomb

MIB = 1 << 20


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as both:
        yield both


@pytest.mark.req("PF-05")
@pytest.mark.parametrize(
    "target",
    [
        b"/a/../b",
        b"/a/./b//c",
        b"/%2e%2e/%2F%00%zz",
        b"//double",
        b"/?",
        b"/?a=b&a=c;d",
        b"/a?b#c",
        b"/\xff\xfe\x80",
        b"/a+b%20c",
        b'/[]{}|\\^`"<>',
        b"/" + b"x" * 8000,
    ],
    ids=lambda t: repr(t[:20]),
)
def test_the_target_travels_byte_for_byte(pair: Pair, target: bytes) -> None:
    assert pair.ask(request("GET", target)).status == 200
    assert len(pair.server.find(target)) == 2


@pytest.mark.req("PF-05")
def test_options_of_the_server_itself_passes(pair: Pair) -> None:
    assert pair.ask(request("OPTIONS", "*")).status == 200
    assert pair.server.find(b"*")[0].head.method == b"OPTIONS"


@pytest.mark.req("PF-05")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "PROPFIND", "M-SEARCH", "x"])
def test_any_method_passes(pair: Pair, method: str) -> None:
    target = pair.plan(script(plain(b"{}")))
    assert pair.ask(request(method, target), method=method).status == 200
    assert pair.exchange(target).head.method == method.encode()


ODD_FIELDS = (
    b"hOsT: Example.com:81\r\nAccept:  */*\t\r\nCookie: a=1\r\nX-Empty:\r\ncookie: b=2\r\n"
    b'X-Dup: 1\r\nx-dup: 1\r\nX-Dup:2\r\nX-Quote: "a, b" \t; c\r\nContent-Encoding: gzip\r\n'
    b"Authorization: Bearer s\r\nVia: 1.1 someone\r\nX-Forwarded-For: 10.0.0.1\r\n"
    b"Proxy-Authorization: x\r\nMax-Forwards: 3\r\nDate: now\r\n"
)


@pytest.mark.req("PF-05")
def test_request_fields_keep_values_duplicates_and_order_and_nothing_is_invented(
    pair: Pair,
) -> None:
    target = pair.plan(script(plain(b"{}")))
    line = b"POST " + target.encode() + b" HTTP/1.1\r\n"
    raw = line + ODD_FIELDS + b"Content-Length: 2\r\n\r\nhi"
    pair.ask(raw)
    assert pair.exchange(target).head.raw == raw[:-2]


@pytest.mark.req("PF-05")
def test_response_fields_keep_values_duplicates_and_order_and_nothing_is_invented(
    pair: Pair,
) -> None:
    raw = (
        b"HTTP/1.1 299 Odd  reason \r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nX-Empty:\r\n"
        b"x-dup:  1\t\r\nX-Dup: 1\r\nServer: x\r\nContent-Length: 2\r\nVia: 1.1 y\r\n\r\nhi"
    )
    target = pair.plan(script(raw))
    with pair.sidecar.wire() as wire:
        wire.send(request("GET", target))
        assert wire.read_exactly(len(raw)) == raw


@pytest.mark.req("PF-05")
@pytest.mark.parametrize("reason", [b" ", b"", b" caf\xe9"])
def test_the_reason_phrase_is_kept(pair: Pair, reason: bytes) -> None:
    raw = b"HTTP/1.1 200" + reason + b"\r\nContent-Length: 0\r\n\r\n"
    target = pair.plan(script(raw))
    with pair.sidecar.wire() as wire:
        wire.send(request("GET", target))
        assert wire.read_exactly(len(raw)) == raw


@pytest.mark.req("PF-05")
def test_what_belongs_to_one_hop_is_taken_away_in_both_directions(pair: Pair) -> None:
    hop = [
        ("Connection", "X-Named, keep-alive"),
        ("X-Named", "1"),
        ("Keep-Alive", "timeout=5"),
        ("X-Kept", "2"),
    ]
    target = pair.plan(script(plain(b"{}", *hop)))
    with pair.sidecar.wire() as wire:
        sent = [*hop, ("TE", "trailers"), ("Proxy-Connection", "keep-alive"), ("Upgrade", "h2c")]
        answer = wire.ask(request("GET", target, *sent))
        assert wire.ask(request("GET", "/again")).status == 200
    names = {name.lower() for name, _ in pair.exchange(target).fields}
    assert names == {b"host", b"x-kept"}
    relayed = {name.lower() for name, _ in answer.head.fields}
    assert relayed == {b"content-type", b"content-length", b"x-kept"}


@pytest.mark.req("PF-05")
@pytest.mark.parametrize("named", ["Content-Length", "Host", "content-length, host"])
def test_naming_a_field_that_a_message_needs_does_not_take_it_away(pair: Pair, named: str) -> None:
    target = pair.plan(script(plain(b"{}")))
    with pair.sidecar.wire() as wire:
        raw = request("POST", target, ("Connection", named), body=b"body")
        assert wire.ask(raw).status == 200
    exchange = pair.exchange(target)
    assert exchange.body == b"body"
    assert exchange.value(b"Host") == b"h"


@pytest.mark.req("PF-05")
def test_a_client_of_http_1_0_gets_an_answer_that_it_can_read(pair: Pair) -> None:
    streamed = script(head(200, ("Transfer-Encoding", "chunked")), chunk(b"abc"), LAST_CHUNK)
    target = pair.plan(streamed)
    raw = b"GET " + target.encode() + b" HTTP/1.0\r\nHost: h\r\n\r\n"
    with pair.sidecar.wire() as wire:
        answer = wire.ask(raw)
        assert (answer.body, answer.chunks, answer.end) == (b"abc", None, "complete")
        assert answer.head.values(b"transfer-encoding") == []


@pytest.mark.req("PF-06")
@pytest.mark.parametrize("encoding", ["gzip", "br", "bogus"])
def test_encoded_bodies_pass_as_they_are_in_both_directions(pair: Pair, encoding: str) -> None:
    up = gzip.compress(b'{"model": "m"}') if encoding == "gzip" else brotli.compress(b"{}")
    down = gzip.compress(b"{}" * 1000)
    target = pair.plan(script(plain(down, ("Content-Encoding", encoding))))
    answer = pair.ask(request("POST", target, ("Content-Encoding", encoding), body=up))
    assert answer.body == down
    exchange = pair.exchange(target)
    assert exchange.body == up
    assert exchange.value(b"Content-Encoding") == encoding.encode()


def zstd_bomb(size: int) -> bytes:
    return zstandard.compress(bytes(size))


BOMBS: dict[str, Callable[[int], bytes]] = {
    "gzip": gzip_bomb,
    "br": brotli_bomb,
    "zstd": zstd_bomb,
}


@pytest.mark.req("PF-06")
@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_bomb_passes_and_costs_next_to_nothing(
    pair: Pair, content_type: str, encoding: str
) -> None:
    bomb = BOMBS[encoding](100 * MIB)
    raw = plain(bomb, ("Content-Encoding", encoding), content_type=content_type)
    pair.server.scripts[CHAT.target.encode()] = script(raw)
    ask = CHAT.ask(Turn(), stream=content_type == "text/event-stream")
    pair.ask(ask)  # once before, so that code and buffers are there
    seen = pair.sidecar.settle().total("inferometer_sidecar_unparsed_total")
    assert seen > 0
    before = rss_bytes(pair.sidecar.pid)
    forget_rss_peak(pair.sidecar.pid)
    assert pair.ask(ask).body == bomb
    page = pair.sidecar.settle()
    assert page.total("inferometer_sidecar_unparsed_total") == seen + 1
    assert rss_peak_bytes(pair.sidecar.pid) - before < 5 * MIB


@pytest.mark.req("PF-06")
def test_a_bomb_in_a_request_passes_unopened(pair: Pair) -> None:
    bomb = gzip_bomb(100 * MIB)
    target = pair.plan(script(plain(b"{}")), CHAT.target)
    pair.sidecar.settle()
    before = rss_bytes(pair.sidecar.pid)
    forget_rss_peak(pair.sidecar.pid)
    pair.ask(request("POST", target, ("Content-Encoding", "gzip"), body=bomb))
    assert pair.exchange(target).body == bomb
    assert rss_peak_bytes(pair.sidecar.pid) - before < 5 * MIB


CONTINUE = head(100, reason="Continue")


def expecting(target: str, body_bytes: int) -> bytes:
    fields = [("Expect", "100-continue"), ("Content-Length", str(body_bytes))]
    return request("POST", target, *fields)


@pytest.mark.req("PF-07")
def test_a_client_that_expects_gets_exactly_one_100(pair: Pair) -> None:
    target = pair.plan(script(CONTINUE, Action.AWAIT_BODY, plain(b"{}"), starts="head"))
    with pair.sidecar.wire() as wire:
        wire.send(expecting(target, 4))
        assert wire.read_head().status == 100
        wire.send(b"body")
        answer = wire.read_answer()
    assert (answer.status, answer.interim) == (200, [])
    exchange = pair.exchange(target)
    assert exchange.body == b"body"
    assert exchange.value(b"Expect") == b"100-continue"


@pytest.mark.req("PF-07")
def test_a_client_that_does_not_wait_need_not(pair: Pair) -> None:
    target = pair.plan(script(plain(b"{}")))
    with pair.sidecar.wire() as wire:
        answer = wire.ask(expecting(target, 4) + b"body")
    assert answer.status == 200
    assert pair.exchange(target).body == b"body"


@pytest.mark.req("PF-07")
def test_a_final_status_reaches_the_client_without_the_upload(pair: Pair) -> None:
    refusal = plain(b"no", status=401)
    target = pair.plan(script(refusal, starts="head"))
    with pair.sidecar.wire() as wire:
        answer = wire.ask(expecting(target, 1 << 30))
        assert (answer.status, answer.body) == (401, b"no")
    assert pair.exchange(target).body_bytes == 0


@pytest.mark.req("PF-07")
def test_an_early_final_answer_reaches_a_client_that_still_uploads(pair: Pair) -> None:
    target = pair.plan(script(plain(b"no", status=413), starts="head"))
    with pair.sidecar.wire() as wire:
        wire.send(request("POST", target, ("Content-Length", str(1 << 30))), bytes(64 << 10))
        answer = wire.read_answer()
        assert (answer.status, answer.body) == (413, b"no")


@pytest.mark.req("PF-07")
def test_interim_answers_are_relayed_in_order(pair: Pair) -> None:
    hints = [head(103, ("Link", f"</{i}>"), reason="Early Hints") for i in range(3)]
    steps = script(head(102, reason="Processing"), *hints, Step(0.02, CONTINUE), plain(b"{}"))
    target = pair.plan(steps)
    answer = pair.ask(request("POST", target, body=b"x"))
    assert [h.status for h in answer.interim] == [102, 103, 103, 103, 100]
    assert [h.value(b"link") for h in answer.interim[1:4]] == [b"</0>", b"</1>", b"</2>"]


@pytest.mark.req("PF-07")
@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("HEAD", head(200, ("Content-Length", "500"))),
        ("HEAD", head(200, ("Transfer-Encoding", "chunked"))),
        ("HEAD", head(200)),
        ("GET", head(204, reason="No Content")),
        ("DELETE", head(204, ("X-A", "b"), reason="No Content")),
        ("GET", head(304, ("Content-Length", "500"), ("ETag", '"x"'), reason="Not Modified")),
        ("GET", head(304, reason="Not Modified")),
    ],
)
def test_answers_without_a_body_end_with_their_head(pair: Pair, method: str, raw: bytes) -> None:
    target = pair.plan(script(raw))
    with pair.sidecar.wire() as wire:
        first = wire.ask(request(method, target), method=method)
        assert (first.body, first.end) == (b"", "complete")
        assert first.head.values(b"content-length") == ([b"500"] if b"500" in raw else [])
        assert wire.ask(request("GET", "/next")).body == b"{}"


@pytest.mark.req("PF-08")
def test_trailers_are_relayed_with_their_announcement_in_both_directions(pair: Pair) -> None:
    end = b"0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n"
    fields = [("Trailer", "X-Sum"), ("Transfer-Encoding", "chunked")]
    target = pair.plan(script(head(200, *fields), chunk(b"abc"), end))
    answer = pair.ask(request("POST", target, *fields), chunk(b"up") + end)
    assert answer.trailers == [(b"X-Sum", b"1"), (b"x-sum", b"2")]
    assert answer.head.value(b"trailer") == b"X-Sum"
    assert answer.head.values(b"x-sum") == []
    exchange = pair.exchange(target)
    assert exchange.trailers == [(b"X-Sum", b"1"), (b"x-sum", b"2")]
    assert exchange.values(b"X-Sum") == []
    assert exchange.value(b"Trailer") == b"X-Sum"


@pytest.mark.req("PF-08")
@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Connection"])
def test_a_trailer_that_would_frame_or_route_ends_the_answer_unfinished(
    pair: Pair, name: str
) -> None:
    end = f"0\r\n{name}: 1\r\n\r\n".encode()
    target = pair.plan(script(head(200, ("Transfer-Encoding", "chunked")), chunk(b"abc"), end))
    with pair.sidecar.wire() as wire:
        answer = wire.ask(request("GET", target))
    assert answer.end in {"short", "reset"}
    assert answer.trailers == []


@pytest.mark.req("PF-08")
def test_a_trailer_does_not_become_a_field_of_the_next_message(pair: Pair) -> None:
    end = b"0\r\nX-Sum: 1\r\n\r\n"
    target = pair.plan(script(head(200, ("Transfer-Encoding", "chunked")), chunk(b"abc"), end))
    after = unique("/after")
    with pair.sidecar.wire() as wire:
        wire.ask(request("GET", target))
        answer = wire.ask(request("GET", after))
    assert answer.head.values(b"x-sum") == []
    assert pair.exchange(after).values(b"X-Sum") == []


@pytest.mark.req("PF-08")
def test_a_client_of_http_1_0_gets_no_trailers(pair: Pair) -> None:
    end = b"0\r\nX-Sum: 1\r\n\r\n"
    target = pair.plan(script(head(200, ("Transfer-Encoding", "chunked")), chunk(b"abc"), end))
    with pair.sidecar.wire() as wire:
        wire.send(b"GET " + target.encode() + b" HTTP/1.0\r\nHost: h\r\n\r\n")
        data, _ = wire.read_until_end()
    assert data.endswith(b"\r\n\r\nabc")
