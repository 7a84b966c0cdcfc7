"""FO-05 and FO-06: floods are bounded, and a saturated relay can still be seen."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from support.client import Wire
from support.connection import Exchange
from support.llm import ScriptedServer
from support.pair import Pair, running_pair, unique
from support.process import rss_bytes
from support.samples import promtool_complaints
from support.script import LAST_CHUNK, Action, Script, Step, chunk, head, plain, request, script
from support.sidecar import Sidecar
from support.speakers import CHAT
from support.turns import Turn, dumps

MIB = 1 << 20
SERIES_MAX = 1000


def answer_at_once(_: Exchange) -> Script:
    """A short stream in one send: a flood must not be slowed by the server."""
    return script(b"".join(s.what for s in CHAT.script(Turn()).steps if isinstance(s.what, bytes)))


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    flags = ("--series-max", str(SERIES_MAX), "--models", "vip", "--tenant-header", "X-Tenant")
    with ScriptedServer(plan=answer_at_once) as server, Sidecar(server.url, *flags) as sidecar:
        yield Pair(server, sidecar)


def flood(wire: Wire, start: int, count: int) -> None:
    for i in range(start, start + count):
        body = dumps({"model": f"model-{i}", "stream": True})
        fields = [("X-Tenant", f"tenant-{i}"), ("User-Agent", f"agent-{i}")]
        paths = (CHAT.target, f"/v1/models/m{i}:predict", f"/v2/models/m{i}/generate_stream")
        wire.send(request("POST", paths[0], *fields, body=body))
        wire.read_answer()
        if i % 10 == 0:
            wire.send(request(f"M{i}", paths[1 + i % 20 // 10], body=b"{}"))
            wire.read_answer()


@pytest.mark.req("FO-05")
def test_a_flood_of_names_is_folded_and_counted_and_costs_little(pair: Pair) -> None:
    with pair.sidecar.wire() as wire:
        flood(wire, 0, 300)
        pair.sidecar.settle()
        before = rss_bytes(pair.sidecar.pid)
        flood(wire, 300, 2000)
    page = pair.sidecar.settle()
    assert rss_bytes(pair.sidecar.pid) - before < 20 * MIB
    models = page.labels("inferometer_requests_total", "model")
    assert len(models) <= 16 + 3  # unknown, other, and vip if it was seen
    assert "other" in models
    assert page.total("inferometer_requests_total") >= 2300, "every request is counted"
    series = page.value("inferometer_sidecar_series")
    assert series is not None
    assert series <= SERIES_MAX
    overflow = page.total("inferometer_sidecar_label_overflow_total")
    assert overflow > 1500
    for word in ("tenant-", "agent-", "M10"):
        assert word not in page.text
    assert promtool_complaints(page.text) == ""


@pytest.mark.req("FO-05")
@pytest.mark.alone
def test_after_a_flood_a_scrape_is_quick_and_listed_names_get_their_label(pair: Pair) -> None:
    with pair.sidecar.wire() as wire:
        flood(wire, 0, 40)
        wire.send(request("POST", CHAT.target, body=dumps({"model": "vip", "stream": True})))
        wire.read_answer()
    page = pair.sidecar.settle()
    assert page.total("inferometer_requests_total", model="vip") == 1
    waits_s = []
    for _ in range(5):
        begun_s = time.monotonic()
        pair.sidecar.admin_get("/metrics")
        waits_s.append(time.monotonic() - begun_s)
    assert min(waits_s) < 0.2, waits_s


@contextlib.contextmanager
def saturated(pair: Pair, blasts: int) -> Iterator[None]:
    """Keep the relay busy: downloads without an end, read as fast as they come."""
    part = chunk(bytes(64 << 10))
    target = pair.plan(script(head(200, ("Transfer-Encoding", "chunked")), Step(0, part, 10**6)))
    stop = threading.Event()

    def pull() -> None:
        with pair.sidecar.wire() as wire, contextlib.suppress(OSError):
            wire.send(request("GET", target))
            while not stop.is_set():
                wire.socket.recv(1 << 20)

    threads = [threading.Thread(target=pull) for _ in range(blasts)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


@pytest.mark.req("FO-06")
@pytest.mark.alone
def test_metrics_answer_while_the_relay_is_saturated_with_many_streams_open() -> None:
    with running_pair() as pair, contextlib.ExitStack() as stack:
        pair.server.scripts[CHAT.target.encode()] = script(
            head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")),
            chunk(b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'),
            Action.STALL,
        )
        for _ in range(500):
            wire = stack.enter_context(pair.sidecar.wire())
            wire.send(CHAT.ask(Turn()))
        pair.sidecar.wait_samples(
            lambda s: s.total("inferometer_requests_in_flight", state="streaming") == 500,
            wait_s=30.0,
        )
        with saturated(pair, blasts=2):
            waits_s = []
            for _ in range(10):
                begun_s = time.monotonic()
                assert pair.sidecar.admin_get("/metrics").status == 200
                waits_s.append(time.monotonic() - begun_s)
            assert sorted(waits_s)[5] < 1.0, waits_s
            assert pair.sidecar.health("/healthz") == 200


@pytest.mark.req("FO-06")
def test_a_stalled_scraper_blocks_nobody(pair: Pair) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            wire = stack.enter_context(
                Wire(pair.sidecar.admin, timeout_s=10, receive_buffer_bytes=4096)
            )
            wire.send(request("GET", "/metrics"), b"GET /metrics HTTP/1.1\r\n")
        begun_s = time.monotonic()
        assert pair.sidecar.admin_get("/metrics").status == 200
        with pair.sidecar.wire() as wire:
            assert wire.ask(request("GET", unique())).status == 200
        assert time.monotonic() - begun_s < 2


@pytest.mark.req("FO-05")
def test_the_page_at_the_cap_is_whole(pair: Pair) -> None:
    pair.server.scripts[b"/t"] = script(plain(b"{}"), LAST_CHUNK)
    page = pair.sidecar.scrape()
    assert promtool_complaints(page.text) == ""
