"""PF-09 to PF-11: the upstream is trusted no more than a client, and exchanges never mix."""

from collections.abc import Iterator
from functools import partial

import pytest

from support.client import Wire
from support.connection import Connection
from support.pair import Pair, running_pair, unique
from support.script import (
    LAST_CHUNK,
    Action,
    Step,
    chunk,
    head,
    plain,
    request,
    script,
)
from support.sidecar import Outcomes

CHUNKED = head(200, ("Transfer-Encoding", "chunked"))


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as both:
        yield both


@pytest.mark.req("PF-09")
@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * (64 << 10) + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 201 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    ],
    ids=lambda b: repr(b[:40]),
)
def test_an_upstream_that_breaks_http_is_a_bad_gateway(pair: Pair, raw: bytes) -> None:
    target = pair.plan(script(raw, Action.STALL))
    outcomes = Outcomes(pair.sidecar)
    with pair.sidecar.wire() as wire:
        answer = wire.ask(request("GET", target))
        assert answer.status == 502, answer.head.raw
        assert b"garbage" not in answer.body
    exchange = pair.exchange(target)
    connection = next(c for c in pair.server.connections if exchange in c.exchanges)
    pair.server.wait(lambda: connection.ended_ns is not None)
    outcomes.wait({"upstream_error": 1})


@pytest.mark.req("PF-09")
@pytest.mark.parametrize(
    "bad",
    [
        b"x\r\na\r\n",
        b"1\r\naa\r\n",
        b"1\na\r\n",
        b"-1\r\n",
        b"1;" + b"a" * 20_000 + b"\r\na\r\n",
        b"0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"0\r\nno colon\r\n\r\n",
    ],
    ids=lambda b: repr(b[:16]),
)
def test_a_malformed_chunk_of_the_upstream_never_looks_complete(pair: Pair, bad: bytes) -> None:
    target = pair.plan(script(CHUNKED, chunk(b"good"), Step(0.02, bad), Action.STALL))
    outcomes = Outcomes(pair.sidecar)
    with pair.sidecar.wire() as wire:
        answer = wire.ask(request("GET", target))
    assert answer.end in {"short", "reset"}
    assert answer.body == b"good"
    outcomes.wait({"truncated": 1})


@pytest.mark.req("PF-09")
@pytest.mark.parametrize("delay_s", [0.0, 0.05])
def test_bytes_behind_an_answer_never_reach_the_next_exchange(pair: Pair, delay_s: float) -> None:
    evil = plain(b"evil")
    target = pair.plan(script(plain(b"good"), Step(delay_s, evil)))
    with pair.sidecar.wire() as wire:
        assert wire.ask(request("GET", target)).body == b"good"
        pair.server.wait(lambda: pair.exchange(target).done_ns is not None)
        for _ in range(3):
            assert wire.ask(request("GET", unique("/next"))).body == b"{}"


@pytest.mark.req("PF-09")
@pytest.mark.parametrize(
    ("method", "raw"),
    [("GET", head(204) + b"body"), ("GET", head(304) + b"body"), ("HEAD", plain(b"body"))],
)
def test_a_body_where_none_may_be_never_reaches_the_next_exchange(
    pair: Pair, method: str, raw: bytes
) -> None:
    target = pair.plan(script(raw))
    with pair.sidecar.wire() as wire:
        assert wire.ask(request(method, target), method=method).body == b""
        assert wire.ask(request("GET", unique("/next"))).body == b"{}"


@pytest.mark.req("PF-09")
def test_an_upstream_of_http_1_0_is_understood(pair: Pair) -> None:
    for raw in (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", b"HTTP/1.0 200 OK\r\n\r\nold"):
        target = pair.plan(script(raw, Action.CLOSE))
        with pair.sidecar.wire() as wire:
            answer = wire.ask(request("GET", target))
        assert (answer.status, answer.body, answer.end) == (200, b"old", "complete")


@pytest.mark.req("PF-09")
@pytest.mark.parametrize("lasting", [b"", b"Connection: keep-alive\r\n"])
def test_the_version_of_the_upstream_says_nothing_of_the_clients_connection(
    pair: Pair, lasting: bytes
) -> None:
    """Each hop has its own version and its own persistence (RFC 9112, sections 2.3 and 9.3)."""
    raw = b"HTTP/1.0 200 Fine\r\n" + lasting + b"Content-Length: 3\r\n\r\nold"
    target = pair.plan(script(raw, Action.HALF_CLOSE))
    with pair.sidecar.wire() as wire:
        wire.send(request("GET", target))
        expected = b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\nold"
        assert wire.read_exactly(len(expected)) == expected
        assert wire.ask(request("GET", unique("/next"))).body == b"{}"
    with pair.sidecar.wire() as wire:
        wire.send(request("GET", target, ("Connection", "close")))
        answer = wire.read_answer()
        assert (answer.head.version, answer.body) == (b"HTTP/1.1", b"old")
        assert answer.head.value(b"connection") == b"close"


@pytest.mark.req("PF-09")
def test_exchanges_at_the_same_time_do_not_mix(pair: Pair) -> None:
    targets = [unique(f"/mix{i}") for i in range(30)]
    for target in targets:
        pair.server.scripts[target.encode()] = script(
            CHUNKED, *[Step(0.002, chunk(target.encode())) for _ in range(20)], LAST_CHUNK
        )
    wires = [pair.sidecar.wire() for _ in targets]
    for wire, target in zip(wires, targets, strict=True):
        wire.send(request("GET", target))
    for wire, target in zip(wires, targets, strict=True):
        assert wire.read_answer().body == target.encode() * 20
        wire.close()


def upgrade(target: str, protocol: str = "websocket", *more: tuple[str, str]) -> bytes:
    return request("GET", target, ("Connection", "Upgrade"), ("Upgrade", protocol), *more)


SWITCHING = head(
    101, ("Upgrade", "websocket"), ("Connection", "Upgrade"), reason="Switching Protocols"
)


@pytest.mark.req("PF-10")
def test_a_websocket_is_tunnelled_and_measured_as_bytes(pair: Pair) -> None:
    target = pair.plan(script(SWITCHING, Step(0.05, b"\x81\x02hi"), Action.STALL))
    outcomes = Outcomes(pair.sidecar)
    with pair.sidecar.wire() as wire:
        wire.send(upgrade(target, "websocket", ("Sec-WebSocket-Key", "k")))
        switched = wire.read_head()
        assert switched.status == 101
        assert switched.value(b"upgrade") == b"websocket"
        assert wire.read_exactly(4) == b"\x81\x02hi"
        wire.send(b"\x81\x82mask\x00\x01")
        exchange = pair.exchange(target)
        connection = next(c for c in pair.server.connections if exchange in c.exchanges)
        pair.server.wait(lambda: connection.raw.endswith(b"\x81\x82mask\x00\x01"))
        assert exchange.value(b"Upgrade") == b"websocket"
        assert exchange.value(b"Sec-WebSocket-Key") == b"k"
    pair.server.wait(lambda: connection.ended_ns is not None)
    samples = outcomes.wait({"success": 1})
    assert samples.total("inferometer_sidecar_unparsed_total", reason="tunnel") >= 1


@pytest.mark.req("PF-10")
def test_bytes_that_follow_the_switch_at_once_are_not_lost(pair: Pair) -> None:
    target = pair.plan(script(SWITCHING + b"first", Action.STALL))
    with pair.sidecar.wire() as wire:
        wire.send(upgrade(target))
        assert wire.read_head().status == 101
        assert wire.read_exactly(5) == b"first"


@pytest.mark.req("PF-10")
@pytest.mark.parametrize("status", [200, 403, 426])
def test_a_refused_upgrade_leaves_no_desync(pair: Pair, status: int) -> None:
    target = pair.plan(script(plain(b"no", status=status)))
    with pair.sidecar.wire() as wire:
        assert wire.ask(upgrade(target)).body == b"no"
        assert wire.ask(request("GET", unique("/next"))).body == b"{}"


@pytest.mark.req("PF-10")
@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
def test_an_upgrade_with_a_body_is_refused(pair: Pair, body: bytes) -> None:
    before = pair.upstream_bytes
    with pair.sidecar.wire() as wire:
        assert wire.ask(upgrade("/t")[:-2] + body).status == 400
        assert wire.rest() == (b"", "closed")
    assert pair.upstream_bytes == before


@pytest.mark.req("PF-10")
@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "websocket, h2c", "foo"])
def test_an_upgrade_to_another_protocol_is_an_ordinary_request(pair: Pair, protocol: str) -> None:
    target = pair.plan(script(plain(b"plain")))
    with pair.sidecar.wire() as wire:
        raw = upgrade(target, protocol, ("HTTP2-Settings", "AAMAAABkAAQAAP__"))
        assert wire.ask(raw).body == b"plain"
        assert wire.ask(request("GET", unique("/next"))).body == b"{}"
    exchange = pair.exchange(target)
    assert exchange.values(b"Upgrade") == exchange.values(b"HTTP2-Settings") == []


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.req("PF-10")
def test_http_2_with_prior_knowledge_is_tunnelled(pair: Pair) -> None:
    settings_frame = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    with pair.sidecar.wire() as wire:
        wire.trickle(PREFACE + settings_frame, [3, 15, 2])
        pair.server.wait(
            lambda: any(c.raw == PREFACE + settings_frame for c in pair.server.connections)
        )
        (connection,) = (c for c in pair.server.connections if c.raw.startswith(PREFACE))
        assert connection.exchanges == []
    pair.server.wait(lambda: connection.ended_ns is not None)


@pytest.mark.req("PF-10")
def test_http_2_is_refused_cleanly_by_setting() -> None:
    with running_pair("--http2", "refuse") as pair:
        with pair.sidecar.wire() as wire:
            wire.send(PREFACE)
            assert wire.read_answer().status in {400, 505}
            assert wire.rest() == (b"", "closed")
        assert pair.upstream_bytes == 0


@pytest.mark.req("PF-11")
def test_pipelined_requests_are_answered_in_order(pair: Pair) -> None:
    slow = pair.plan(script(Step(0.1, plain(b"slow"))))
    fast = [pair.plan(script(plain(b"%d" % i))) for i in range(50)]
    with pair.sidecar.wire() as wire:
        wire.send(request("POST", slow, body=b"b"), *[request("GET", t) for t in fast])
        assert wire.read_answer().body == b"slow"
        assert [wire.read_answer().body for _ in fast] == [b"%d" % i for i in range(50)]
    assert all(len(pair.server.find(t.encode())) == 1 for t in fast)


def sent_until_blocked(wire: Wire, data: bytes, *, times: int) -> int:
    for i in range(times):
        try:
            wire.send(data)
        except TimeoutError:
            return i
    return times


@pytest.mark.req("PF-11")
def test_the_queue_of_pipelined_requests_is_bounded(pair: Pair) -> None:
    stalled = pair.plan(script(Action.STALL))
    outcomes = Outcomes(pair.sidecar)
    with pair.sidecar.wire(timeout_s=0.5) as wire:
        wire.send(request("GET", stalled))
        pair.exchange(stalled)
        flood = request("GET", unique("/flood"), ("X", "y" * 1000)) * 64
        assert sent_until_blocked(wire, flood, times=1000) < 1000
        wire.reset()  # a FIN would lie behind all of it, where nobody can see it
    outcomes.wait({"client_cancel": 1})  # it is not read, so only the sweep sees that it left


@pytest.mark.req("PF-11")
def test_pipelined_requests_behind_a_refused_one_are_not_served(pair: Pair) -> None:
    behind = unique("/behind")
    with pair.sidecar.wire() as wire:
        wire.send(b"GET /t HTTP/1.1\r\n\r\n", request("GET", behind))
        assert wire.read_answer().status == 400
        assert wire.rest()[0] == b""
    assert pair.server.find(behind.encode()) == []


@pytest.mark.req("PF-11")
@pytest.mark.parametrize("action", [Action.CLOSE, Action.RESET])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_request_runs_twice(pair: Pair, action: Action, method: str) -> None:
    target = pair.plan(script(Step(0.02, action)))
    with pair.sidecar.wire() as wire:
        assert wire.ask(request("GET", unique())).status == 200  # now a connection is pooled
        assert wire.ask(request(method, target, body=b"b")).status == 502
    assert len(pair.server.find(target.encode())) == 1


def has_left(connection: Connection) -> bool:
    return connection.eof_ns is not None


@pytest.mark.req("PF-11")
def test_a_pooled_connection_that_the_upstream_has_closed_costs_no_request(pair: Pair) -> None:
    target = pair.plan(script(plain(b"last"), Action.HALF_CLOSE))
    with pair.sidecar.wire() as wire:
        for _ in range(20):
            assert wire.ask(request("GET", target)).body == b"last"
            # A request that crosses the FIN would fail, and rightly so: it must not run twice.
            exchange = pair.server.find(target.encode())[-1]
            used = next(c for c in pair.server.connections if exchange in c.exchanges)
            pair.server.wait(partial(has_left, used))


@pytest.mark.req("PF-11")
def test_connections_are_reused_and_closed_as_either_side_asks(pair: Pair) -> None:
    before = len(pair.server.connections)
    with pair.sidecar.wire() as wire:
        for _ in range(10):
            wire.ask(request("GET", unique()))
        assert wire.ask(request("GET", unique(), ("Connection", "close"))).status == 200
        assert wire.rest() == (b"", "closed")
    assert len(pair.server.connections) - before <= 1


@pytest.mark.req("PF-11")
@pytest.mark.parametrize("path", ["/metrics", "/health", "/healthz", "/readyz", "/signals"])
def test_our_own_paths_do_not_shadow_those_of_the_upstream(pair: Pair, path: str) -> None:
    pair.server.scripts[path.encode()] = script(plain(b"the upstream's " + path.encode()))
    assert pair.ask(request("GET", path)).body == b"the upstream's " + path.encode()


@pytest.mark.req("PF-11")
def test_a_client_that_leaves_between_requests_is_no_request(pair: Pair) -> None:
    outcomes = Outcomes(pair.sidecar)
    with pair.sidecar.wire():
        pass
    with pair.sidecar.wire() as wire:
        wire.send(b"GET /unfinished HTTP/1.1\r\n")
        wire.half_close()
        assert wire.rest() == (b"", "closed")
    with pair.sidecar.wire() as wire:
        wire.ask(request("GET", unique()))
    outcomes.wait({"success": 1})
