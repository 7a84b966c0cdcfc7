"""LM: every limit is reached here, and slow or greedy peers cost no one else anything."""

import contextlib
import resource
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from support.client import Answer, Wire
from support.pair import Pair, running_pair, unique
from support.process import forget_rss_peak, rss_bytes, rss_peak_bytes
from support.script import LAST_CHUNK, Script, Step, chunk, head, plain, request, script
from support.sidecar import Outcomes, Sidecar, wait_until
from support.speakers import CHAT
from support.turns import Turn, dumps

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
STALLED_BYTES = 32 * MIB
HASTY_S = 0.6
"""Longer than anybody is kept from sending what comes next, on a machine that is busy."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as both:
        yield both


@pytest.fixture(scope="module")
def hasty() -> Iterator[Pair]:
    with running_pair("--header-timeout-s", f"{HASTY_S}") as both:
        yield both


class Background:
    """A client that takes its time while other tests run; `result` waits for it."""

    def __init__(self, work: Callable[[], Answer]) -> None:
        self._answers: list[Answer] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(work()), daemon=True)
        self._thread.start()

    def result(self) -> Answer:
        self._thread.join(40)
        (answer,) = self._answers
        return answer


@pytest.fixture(scope="module", autouse=True)
def slow_uploads() -> Iterator[tuple[Pair, Background, Background]]:
    """Start what needs the ten seconds over which the rate of an upload is looked at."""
    with running_pair("--body-rate-min-bytes", "100") as pair:
        trickle = Background(lambda: slow_upload(pair, "/trickle", bytes_per_s=20))
        prompt = Background(lambda: slow_upload(pair, "/prompt", bytes_per_s=400))
        yield pair, trickle, prompt


def slow_upload(pair: Pair, path: str, *, bytes_per_s: int) -> Answer:
    """Upload for twelve seconds, unless an answer comes first."""
    with pair.sidecar.wire(timeout_s=30) as wire:
        wire.send(request("POST", path, ("Content-Length", str(12 * bytes_per_s))))
        pause = threading.Event()
        try:
            for _ in range(12):
                wire.send(b"x" * bytes_per_s)
                pause.wait(1.0)
        except ConnectionError:
            pass  # it was refused meanwhile; the answer is still to be read
        return wire.read_answer()


@pytest.mark.req("LM-01")
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nA: b"])
def test_a_head_that_is_not_complete_in_time_is_refused(hasty: Pair, sent: bytes) -> None:
    start_s = time.monotonic()
    with hasty.sidecar.wire() as wire:
        wire.send(sent)
        data, end = wire.read_until_end()
        assert time.monotonic() - start_s > 0.9 * HASTY_S  # its clock counts milliseconds
        assert end == "closed"
        assert data.startswith(b"HTTP/1.1 408 ") == bool(sent)
        assert hasty.upstream_bytes == 0


@pytest.mark.req("LM-01")
def test_a_head_that_dribbles_in_gets_no_more_time(hasty: Pair) -> None:
    with hasty.sidecar.wire() as wire:
        start_s = time.monotonic()
        wire.send(b"GET / HTTP/1.1\r\nX: ")
        while not data_waits(wire, 0.1):
            with contextlib.suppress(ConnectionError):
                wire.send(b"y")
            assert time.monotonic() - start_s < 20 * HASTY_S
        assert wire.read_answer().status == 408


def data_waits(wire: Wire, wait_s: float) -> bool:
    wire.socket.settimeout(wait_s)
    try:
        return wire.more() is not None
    except TimeoutError:
        return False
    finally:
        wire.socket.settimeout(10)


@pytest.mark.req("LM-01")
def test_an_idle_connection_is_closed_in_time() -> None:
    with running_pair("--client-idle-timeout-s", "1") as pair, pair.sidecar.wire() as wire:
        start_s = time.monotonic()
        assert wire.ask(request("GET", unique())).status == 200
        assert wire.rest() == (b"", "closed")
        assert time.monotonic() - start_s > 0.9


@pytest.mark.req("LM-01")
@pytest.mark.alone
def test_half_sent_heads_do_not_delay_others(pair: Pair) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            wire = stack.enter_context(pair.sidecar.wire())
            wire.send(b"POST /t HTTP/1.1\r\nHost: h\r\nX-Half")
        waits_s = []
        for _ in range(10):
            start_s = time.monotonic()
            with pair.sidecar.wire() as wire:
                assert wire.ask(request("GET", unique())).status == 200
            waits_s.append(time.monotonic() - start_s)
    assert sorted(waits_s)[5] <= 0.1, waits_s


@pytest.mark.req("LM-02")
def test_a_head_that_is_too_large_is_refused(pair: Pair) -> None:
    with pair.sidecar.wire() as wire:
        assert wire.ask(request("GET", "/t", ("X", "y" * 64 * KIB))).status == 431
        assert wire.rest()[0] == b""


@pytest.mark.req("LM-02")
def test_too_many_fields_are_refused(pair: Pair) -> None:
    fields = [(f"X-{i}", "y") for i in range(200)]  # and Host
    with pair.sidecar.wire() as wire:
        assert wire.ask(request("GET", "/t", *fields)).status == 431
    assert pair.ask(request("GET", "/t", *fields[1:])).status == 200


@pytest.mark.req("LM-02")
@pytest.mark.parametrize("ended", [True, False])
def test_a_target_that_is_too_long_is_refused(pair: Pair, *, ended: bool) -> None:
    raw = request("GET", "/" + "t" * 17 * KIB) if ended else b"GET /" + b"t" * 17 * KIB
    with pair.sidecar.wire() as wire:
        assert wire.ask(raw).status == 414


@pytest.mark.req("LM-02")
def test_long_tokens_and_long_targets_fit(pair: Pair) -> None:
    target = "/" + "t" * (16 * KIB - 1)
    raw = request("GET", target, ("Authorization", "Bearer " + "j" * 40 * KIB))
    assert pair.ask(raw).status == 200


def endless(part_bytes: int, times: int, content_type: str = "text/event-stream") -> Script:
    fields = [("Content-Type", content_type), ("Transfer-Encoding", "chunked")]
    part = chunk(b": " + b"x" * (part_bytes - 4) + b"\n\n")
    return script(head(200, *fields), Step(0.0, part, times=times), LAST_CHUNK)


def stalled_readers(pair: Pair, stack: contextlib.ExitStack, *, count: int) -> list[Wire]:
    """Open streams that nobody reads, and wait until all of them are at rest."""
    targets = [pair.plan(endless(64 * KIB, STALLED_BYTES // (64 * KIB))) for _ in range(count)]
    wires = []
    for target in targets:
        wire = stack.enter_context(pair.sidecar.wire(receive_buffer_bytes=16 * KIB))
        wire.send(request("GET", target))
        wires.append(wire)
    exchanges = [pair.exchange(target) for target in targets]
    wait_until(lambda: at_rest(lambda: [e.sent_bytes for e in exchanges]), what="a pause")
    assert all(e.done_ns is None and e.sent_bytes < STALLED_BYTES for e in exchanges)
    return wires


@pytest.mark.req("LM-03")
def test_a_stalled_reader_costs_little_and_pauses_its_upstream(pair: Pair) -> None:
    with contextlib.ExitStack() as stack:
        stalled_readers(pair, stack, count=20)
        costs = []
        for _ in range(2):  # what is allocated once, such as the ring, may still be so in the first
            before = rss_bytes(pair.sidecar.pid)
            wires = stalled_readers(pair, stack, count=40)
            costs.append((rss_bytes(pair.sidecar.pid) - before) / 40)
        assert min(costs) <= 256 * KIB, costs
        assert len(wires[0].read_answer().body) == STALLED_BYTES


def at_rest(read: Callable[[], object]) -> bool:
    """Whether a value stays the same for a moment."""
    before = read()
    threading.Event().wait(0.3)
    return read() == before


@pytest.mark.req("LM-03")
def test_the_stall_of_a_client_is_not_the_servers(pair: Pair) -> None:
    turn = Turn(words=("x" * 60_000,) * 200)
    target = f"{CHAT.target}?case=stalled"
    pair.server.scripts[target.encode()] = CHAT.script(turn)
    before = pair.sidecar.settle()
    with pair.sidecar.wire(receive_buffer_bytes=16 * KIB) as wire:
        wire.send(CHAT.ask(turn, case="stalled"))
        exchange = pair.exchange(target)
        wait_until(lambda: at_rest(lambda: exchange.sent_bytes), what="a pause")
        threading.Event().wait(1.2)
        assert wire.read_answer().end == "complete"
    name = "inferometer_longest_gap_seconds_count"
    after = pair.sidecar.wait_samples(lambda s: s.total(name) > before.total(name))
    stalled = "inferometer_client_stall_seconds_total"
    assert after.total(stalled) - before.total(stalled) > 1.0
    assert after.total("inferometer_stalls_total") == before.total("inferometer_stalls_total")
    longest = "inferometer_longest_gap_seconds"
    assert after.buckets(longest)[1.0] - before.buckets(longest).get(1.0, 0) == 1


@pytest.mark.req("LM-03")
def test_a_client_that_never_reads_again_is_cut() -> None:
    with running_pair("--client-stall-timeout-s", "1") as other:
        target = other.plan(endless(64 * KIB, 1000))
        outcomes = Outcomes(other.sidecar)
        with other.sidecar.wire(receive_buffer_bytes=16 * KIB) as wire:
            wire.send(request("GET", target))
            exchange = other.exchange(target)
            connection = next(c for c in other.server.connections if exchange in c.exchanges)
            other.server.wait(lambda: connection.ended_ns is not None)
        outcomes.wait({"client_error": 1})


@pytest.mark.req("LM-04")
def test_a_gigabyte_streams_through_little_memory(pair: Pair) -> None:
    target = pair.plan(script(plain(b"{}")))
    block = bytes(MIB)
    pair.sidecar.settle()
    before = rss_bytes(pair.sidecar.pid)
    forget_rss_peak(pair.sidecar.pid)
    with pair.sidecar.wire(timeout_s=60) as wire:
        wire.send(request("POST", target, ("Content-Length", str(GIB))))
        for _ in range(GIB // MIB):
            wire.send(block)
        assert wire.read_answer().status == 200
    assert pair.exchange(target).body_bytes == GIB
    assert rss_peak_bytes(pair.sidecar.pid) - before < 10 * MIB


@pytest.mark.req("LM-04")
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_first_byte_goes_upstream_before_the_last_has_come(pair: Pair, framing: str) -> None:
    target = pair.plan(script(plain(b"{}")))
    chunked = framing == "chunked"
    field = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "8")
    with pair.sidecar.wire() as wire:
        wire.send(request("POST", target, field), chunk(b"half") if chunked else b"half")
        exchange = pair.exchange(target)
        pair.server.wait(lambda: exchange.body == b"half")
        wire.send(chunk(b"rest") + LAST_CHUNK if chunked else b"rest")
        assert wire.read_answer().status == 200
    assert exchange.body == b"halfrest"


@pytest.mark.req("LM-04")
@pytest.mark.parametrize(
    ("body", "model"),
    [
        (dumps({"model": "early", "stream": True, "prompt": "x" * MIB}), "early"),
        (dumps({"prompt": "x" * 300 * KIB, "stream": True, "model": "late"}), "unknown"),
        (b'{"model": "one", "stream": true, "model": "two"}', "unknown"),
    ],
)
def test_the_model_is_read_from_a_bounded_prefix(pair: Pair, body: bytes, model: str) -> None:
    pair.server.scripts[CHAT.target.encode()] = CHAT.script(Turn(model=""))
    raw = request("POST", CHAT.target, ("Content-Type", "application/json"), body=body)
    before = pair.sidecar.settle().total("inferometer_requests_total", model=model)
    assert pair.ask(raw).status == 200
    pair.sidecar.wait_samples(
        lambda s: s.total("inferometer_requests_total", model=model) == before + 1
    )


@pytest.mark.req("LM-05")
def test_one_connection_too_many_is_told_to_come_back() -> None:
    with running_pair("--connections-max", "5") as pair, contextlib.ExitStack() as stack:
        for _ in range(5):
            wire = stack.enter_context(pair.sidecar.wire())
            assert wire.ask(request("GET", unique())).status == 200
        with pair.sidecar.wire() as wire:
            answer = wire.read_answer()
            assert answer.status == 503
            assert answer.head.value(b"retry-after") is not None
            assert wire.rest()[0] == b""
        waits_s = []
        for _ in range(3):
            start_s = time.monotonic()
            assert pair.sidecar.health("/healthz") == 200
            page = pair.sidecar.scrape()
            waits_s.append(time.monotonic() - start_s)
        assert min(waits_s) < 1, waits_s
        assert page.total("inferometer_sidecar_refused_total", reason="limit") == 1
        stack.close()
        wait_until(lambda: status_of(pair.sidecar) == 200, what="room again")


def status_of(sidecar: Sidecar) -> int | None:
    try:
        with sidecar.wire() as wire:
            return wire.ask(request("GET", unique())).status
    except OSError:
        return None


@pytest.mark.req("LM-05")
def test_running_out_of_descriptors_is_survived() -> None:
    with running_pair() as pair:
        pid = pair.sidecar.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (48, 48))
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                wire = stack.enter_context(pair.sidecar.wire())
                with contextlib.suppress(OSError):
                    wire.send(request("GET", unique()))
            assert pair.sidecar.process.poll() is None
        wait_until(lambda: status_of(pair.sidecar) == 200, what="served again")
        wait_until(lambda: pair.sidecar.health("/healthz") == 200, what="alive")


@pytest.mark.req("LM-01")
def test_a_body_below_the_least_rate_is_refused(
    slow_uploads: tuple[Pair, Background, Background],
) -> None:
    pair, trickle, _ = slow_uploads
    assert trickle.result().status == 408
    exchange = pair.exchange("/trickle")
    assert exchange.body_ns is None
    samples = pair.sidecar.wait_samples(
        lambda s: s.total("inferometer_requests_total", outcome="client_error") == 1
    )
    assert samples.total("inferometer_sidecar_refused_total", reason="body") == 1


@pytest.mark.req("LM-01")
def test_a_slow_prompt_above_the_least_rate_passes(
    slow_uploads: tuple[Pair, Background, Background],
) -> None:
    _, _, prompt = slow_uploads
    assert prompt.result().status == 200
