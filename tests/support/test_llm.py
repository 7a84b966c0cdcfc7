import asyncio
import gc
import socket
import ssl
from pathlib import Path

import aiohttp
import httpx
import pytest

from support.certificates import Authority
from support.client import Wire, ask
from support.connection import KEEP_BYTES_MAX
from support.llm import ScriptedServer
from support.script import (
    LAST_CHUNK,
    Action,
    Script,
    Step,
    at,
    chunk,
    head,
    paced,
    plain,
    request,
    script,
)


def test_sends_exactly_the_bytes_of_the_script_and_records_the_request() -> None:
    answer = b"HTTP/1.1 200 Odd  reason\r\nX-a:1\r\nx-A:  2 \r\ncontent-length: 2\r\n\r\nok"
    sent = request("PUT", "/a%2f../b?q=1", ("X-Twice", "1"), ("x-twice", "2"), body=b"\x00\xff")
    with ScriptedServer({b"/a%2f../b": script(answer)}) as server:
        with Wire(server.address) as wire:
            wire.send(sent)
            assert wire.read_exactly(len(answer)) == answer
        (connection,) = server.connections
        assert connection.raw == sent
        (exchange,) = connection.exchanges
        assert exchange.target == b"/a%2f../b?q=1"
        assert exchange.values(b"X-TWICE") == [b"1", b"2"]
        assert exchange.body == b"\x00\xff"


def test_steps_are_done_at_their_offsets_and_not_before() -> None:
    steps = at([(0.0, head(200, ("Content-Length", "3"))), (0.05, b"a"), (0.1, b"b"), (0.1, b"c")])
    with ScriptedServer({b"/": Script(steps)}) as server:
        answer = ask(server.address, request("GET", "/"))
        server.wait(lambda: server.exchanges[0].done_ns is not None)
        (exchange,) = server.exchanges
    assert answer.body == b"abc"
    moments_s = [(s.moment_ns - exchange.head_ns) / 1e9 for s in exchange.sent]
    assert moments_s[1] >= 0.05
    assert moments_s[2] >= 0.1
    assert [s.began_ns <= s.moment_ns for s in exchange.sent] == [True] * 4


def test_a_late_step_does_not_delay_those_after_it() -> None:
    steps = paced([b"x"] * 4, first_s=0.0, every_s=0.05)
    assert Script(steps).offsets_s == pytest.approx((0.0, 0.05, 0.1, 0.15))


def test_serves_requests_of_one_connection_in_order_also_when_they_are_pipelined() -> None:
    scripts = {b"/1": script(Step(0.03, plain(b"one"))), b"/2": script(plain(b"two"))}
    with ScriptedServer(scripts) as server, Wire(server.address) as wire:
        wire.send(request("GET", "/1"), request("GET", "/2"))
        assert wire.read_answer().body == b"one"
        assert wire.read_answer().body == b"two"
        assert len(server.connections) == 1


def test_reads_chunked_bodies_with_their_trailers() -> None:
    head_ = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with ScriptedServer() as server:
        ask(server.address, head_, chunk(b"ab"), b"3;ext=1\r\ncde\r\n0\r\nX-T: v\r\n\r\n")
        (exchange,) = server.exchanges
        assert exchange.body == b"abcde"
        assert exchange.trailers == [(b"X-T", b"v")]


def test_keeps_a_bounded_part_of_a_large_upload_and_counts_all_of_it() -> None:
    body = bytes(KEEP_BYTES_MAX + 5)
    with ScriptedServer() as server:
        assert ask(server.address, request("POST", "/", body=body)).status == 200
        (exchange,) = server.exchanges
        assert exchange.body_bytes == len(body)
        assert len(exchange.body) == KEEP_BYTES_MAX


def test_a_script_may_answer_before_the_body_is_complete() -> None:
    early = script(plain(b"", status=401), starts="head")
    with ScriptedServer({b"/": early}) as server, Wire(server.address) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
        assert wire.read_answer().status == 401
        assert server.exchanges[0].body_ns is None


def test_a_script_waits_for_the_body_where_it_says_so() -> None:
    steps = script(head(100, reason="Continue"), Action.AWAIT_BODY, plain(b"{}"), starts="head")
    with ScriptedServer({b"/": steps}) as server, Wire(server.address) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n")
        assert wire.read_head().status == 100
        wire.send(b"ab")
        assert wire.read_answer().status == 200


@pytest.mark.parametrize(("action", "end"), [(Action.CLOSE, "short"), (Action.RESET, "reset")])
def test_ends_a_connection_as_told(action: Action, end: str) -> None:
    steps = script(head(200, ("Content-Length", "9")), b"abc", Step(0.05, action))
    with ScriptedServer({b"/": steps}) as server:
        answer = ask(server.address, request("GET", "/"))
        assert (answer.end, answer.body) == (end, b"abc")


def test_after_a_half_close_the_server_still_reads() -> None:
    steps = script(b"HTTP/1.1 200 OK\r\n\r\nall", Action.HALF_CLOSE, Action.STALL)
    with ScriptedServer({b"/": steps}) as server, Wire(server.address) as wire:
        answer = wire.ask(request("GET", "/"))
        assert (answer.end, answer.body) == ("complete", b"all")
        wire.send(b"more")
        server.wait(lambda: server.connections[0].raw.endswith(b"more"))


def test_a_paused_server_takes_no_more_than_the_kernel_buffers() -> None:
    steps = script(Action.PAUSE, Step(0.3, Action.RESUME), Action.AWAIT_BODY, plain(b"{}"))
    paused = Script(steps.steps, starts="head")
    body = bytes(16 << 20)
    with ScriptedServer({b"/": paused}) as server, Wire(server.address) as wire:
        wire.send(request("POST", "/", body=body))
        assert wire.read_answer().status == 200
        (exchange,) = server.exchanges
        assert exchange.body_bytes == len(body)
        assert exchange.body_ns is not None
        assert exchange.sent[1].moment_ns < exchange.body_ns


def test_notices_when_the_peer_leaves_and_stops_playing() -> None:
    steps = script(head(200, ("Content-Length", "9")), Step(30.0, b"never"))
    with ScriptedServer({b"/": steps}) as server:
        with Wire(server.address) as wire:
            wire.send(request("GET", "/"))
            wire.read_head()
        left = server.connections[0]
        server.wait(lambda: left.ended_ns is not None and left.lost_ns is not None)
        assert server.exchanges[0].done_ns is None


def test_a_send_is_recorded_when_the_kernel_has_taken_all_of_it() -> None:
    big = bytes(32 << 20)
    steps = script(head(200, ("Content-Length", str(len(big)))), Step(0.0, big))
    with ScriptedServer({b"/": steps}) as server:
        with Wire(server.address, receive_buffer_bytes=1 << 16) as wire:
            wire.send(request("GET", "/"))
            wire.read_head()
            server.wait(lambda: len(server.exchanges[0].sent) == 1)
            moment_ns = wire.received[-1].moment_ns
            wire.read_exactly(len(big))
        server.wait(lambda: server.exchanges[0].done_ns is not None)
        assert server.exchanges[0].sent[1].moment_ns > moment_ns


def test_keeps_what_it_cannot_read() -> None:
    with ScriptedServer() as server:
        with Wire(server.address) as wire:
            wire.send(b"\x00\x01\r\n\r\n")
            server.wait(lambda: [c.junk for c in server.connections] == [b"\x00\x01\r\n\r\n"])
        assert server.exchanges == []


def test_httpx_and_aiohttp_understand_it() -> None:
    events = [b"data: 1\n\n", b"data: 2\n\n"]
    steps = script(
        head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")),
        *[Step(0.01, chunk(event)) for event in events],
        LAST_CHUNK,
    )

    async def with_aiohttp(url: str) -> bytes:
        async with aiohttp.ClientSession() as session, session.post(url, data=b"x") as response:
            return await response.read()

    with ScriptedServer({b"/": steps}) as server:
        assert httpx.post(server.url + "/", content=b"x").content == b"".join(events)
        assert asyncio.run(with_aiohttp(server.url + "/")) == b"".join(events)
        assert [e.body for e in server.exchanges] == [b"x", b"x"]


def test_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.issue().server_context()
    with ScriptedServer({b"/": script(plain(b"{}"))}, tls=context) as server:
        assert server.url.startswith("https://")
        trusting = authority.client_context()
        with Wire(server.address, tls=trusting) as wire:
            assert wire.ask(request("GET", "/")).body == b"{}"
        with pytest.raises(ssl.SSLCertVerificationError):
            Wire(server.address, tls=ssl.create_default_context())


def test_a_client_that_never_shakes_hands_leaves_no_socket_open(tmp_path: Path) -> None:
    context = Authority(tmp_path).issue().server_context()
    with ScriptedServer(tls=context) as server:
        assert isinstance(server.address, tuple)
        with socket.create_connection(server.address, timeout=10) as silent:
            server.wait(lambda: bool(server.connections))
            server.stop()
            assert silent.recv(1) == b""
    gc.collect()  # an open one would be complained of


def test_an_expired_certificate_is_expired(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.issue(days=-1).server_context()
    with (
        ScriptedServer(tls=context) as server,
        pytest.raises(ssl.SSLCertVerificationError, match="expired"),
    ):
        Wire(server.address, tls=authority.client_context())


def test_listens_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with ScriptedServer(unix=path) as server:
        assert server.url == f"http+unix://{path}"
        assert ask(server.address, request("GET", "/")).status == 200


def test_a_port_in_use_is_an_error_at_once() -> None:
    with ScriptedServer() as server:
        second = ScriptedServer(port=server.port)
        with pytest.raises(OSError, match="in use"):
            second.__enter__()


def test_a_plan_may_choose_by_the_request() -> None:
    with ScriptedServer(plan=lambda e: script(plain(bytes(e.body)))) as server:
        assert ask(server.address, request("POST", "/", body=b"echo")).body == b"echo"


def test_a_wait_that_fails_says_so() -> None:
    with ScriptedServer() as server, pytest.raises(AssertionError, match="not within"):
        server.wait(lambda: False, wait_s=0.01)
