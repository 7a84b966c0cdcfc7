"""LC-01 and LC-02: how a sidecar starts, stops, and lives without an upstream."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from inferometer.sidecar.drain import ECHO_S
from inferometer.sidecar.service import FORCED_EXIT
from support.client import Wire
from support.framing import FramingError
from support.llm import ScriptedServer
from support.pair import Pair, running_pair, unique
from support.script import Action, Step, chunk, head, plain, request, script
from support.sidecar import Sidecar, free_port, wait_until
from support.speakers import CHAT
from support.turns import Manner, Turn

IDLE_EXIT_WITHIN_S = 10.0
"""Generous: a second on a machine that has nothing else to do, a minute where it waits in vain."""


def answers(sidecar: Sidecar) -> int | None:
    """Return the status of a fresh request, None where nobody listens."""
    try:
        with sidecar.wire() as wire:
            return wire.ask(request("GET", unique())).status
    except (OSError, FramingError):
        return None


@contextlib.contextmanager
def streaming(pair: Pair, *, words: int, every_s: float) -> Iterator[Wire]:
    """A stream that is under way."""
    turn = Turn(words=("w",) * words)
    pair.server.scripts[CHAT.target.encode()] = CHAT.script(turn, Manner(every_s=every_s))
    with pair.sidecar.wire() as wire:
        wire.send(CHAT.ask(turn))
        while wire.buffer.count(b"data:") < 2:
            wire.more()
        yield wire


@pytest.mark.req("LC-01")
def test_after_sigterm_it_is_not_ready_and_still_serves_for_a_while() -> None:
    flags = ("--drain-delay-s", "60", "--drain-timeout-s", "60")
    with running_pair(*flags) as pair, pair.sidecar.wire() as idle:
        assert idle.ask(request("GET", unique())).head.values(b"connection") == []
        begun_s = pair.sidecar.terminate()
        wait_until(lambda: pair.sidecar.health("/readyz") == 503, what="not ready")
        assert pair.sidecar.health("/healthz") == 200
        with pair.sidecar.wire() as fresh:
            answer = fresh.ask(request("GET", unique()))
            assert answer.status == 200
            assert answer.head.value(b"connection") == b"close"
            assert fresh.rest() == (b"", "closed")
        assert idle.ask(request("GET", unique())).head.value(b"connection") == b"close"
        assert pair.sidecar.scrape().value("inferometer_sidecar_draining") == 1
        assert end_now(pair.sidecar, begun_s) == FORCED_EXIT


def end_now(sidecar: Sidecar, begun_s: float) -> int:
    """Send a second signal, late enough not to be taken for the first; return the exit code."""
    time.sleep(max(0.0, begun_s + 2 * ECHO_S - time.monotonic()))
    sidecar.terminate()
    return sidecar.wait_exit()


@pytest.mark.req("LC-01")
def test_when_the_listener_is_closed_streams_run_on_to_their_end() -> None:
    flags = ("--drain-delay-s", "0.2", "--drain-timeout-s", "30")
    with running_pair(*flags) as pair, streaming(pair, words=40, every_s=0.025) as wire:
        pair.sidecar.terminate()
        wait_until(lambda: answers(pair.sidecar) is None, what="listener closed")
        assert wire.read_answer().body.endswith(b"[DONE]\n\n"), "the stream runs on"
        assert pair.sidecar.wait_exit() == 0


@pytest.mark.req("LC-01")
def test_streams_are_cut_at_the_deadline() -> None:
    with running_pair("--drain-timeout-s", "1") as pair:
        with streaming(pair, words=2000, every_s=0.02) as wire:
            begun_s = time.monotonic()
            pair.sidecar.terminate()
            answer = wire.read_answer()
            assert answer.end in {"short", "reset"}
            assert pair.sidecar.wait_exit() == 0
            assert 0.9 < time.monotonic() - begun_s < 10
        pair.server.wait(lambda: all(c.ended_ns for c in pair.server.connections))


@pytest.mark.req("LC-01")
def test_the_log_tells_how_many_streams_were_cut() -> None:
    flags = ("--drain-timeout-s", "0.5")
    with running_pair(*flags) as pair, streaming(pair, words=2000, every_s=0.02):
        pair.sidecar.terminate()
        assert pair.sidecar.wait_exit() == 0
        assert "streams were cut streams=1" in pair.sidecar.stderr


@pytest.mark.req("LC-01")
def test_a_second_signal_ends_it_now() -> None:
    flags = ("--drain-timeout-s", "60")
    with running_pair(*flags) as pair, streaming(pair, words=2000, every_s=0.02):
        begun_s = pair.sidecar.terminate()
        wait_until(lambda: pair.sidecar.health("/readyz") == 503, what="draining")
        assert end_now(pair.sidecar, time.monotonic()) == FORCED_EXIT
        assert time.monotonic() - begun_s < IDLE_EXIT_WITHIN_S


@pytest.mark.req("LC-01")
def test_a_signal_to_the_process_and_its_group_is_one() -> None:
    with running_pair("--drain-timeout-s", "1") as pair, streaming(pair, words=2000, every_s=0.02):
        pair.sidecar.terminate()
        pair.sidecar.terminate()
        assert pair.sidecar.wait_exit() == 0


@pytest.mark.req("LC-01")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_sidecar_goes_at_once(number: int) -> None:
    with running_pair("--drain-timeout-s", "60") as pair, pair.sidecar.wire() as idle:
        idle.ask(request("GET", unique()))
        begun_s = time.monotonic()
        pair.sidecar.signal(number)
        assert pair.sidecar.wait_exit() == 0
        assert time.monotonic() - begun_s < IDLE_EXIT_WITHIN_S
        assert idle.rest()[0] == b""


def is_not_ready(sidecar: Sidecar) -> bool:
    return sidecar.health("/readyz") != 200


class Load:
    """Clients that ask without a pause whoever is ready, as a Service sends them."""

    def __init__(self, clients: int) -> None:
        self.ready: tuple[Sidecar, ...] = ()
        self.served = 0
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            sidecars = self.ready
            try:
                self._use(sidecars[turn % len(sidecars)])
            except (OSError, FramingError) as error:
                self.failed.append(repr(error))

    def _use(self, sidecar: Sidecar) -> None:
        """Keep a connection for a while, until told to close it."""
        with sidecar.wire() as wire:
            for _ in range(20):
                answer = wire.ask(request("POST", "/load", body=b"x"))
                if (answer.status, answer.end, answer.body) != (200, "complete", b"{}"):
                    self.failed.append(repr(answer))
                self.served += 1
                if answer.head.values(b"connection"):
                    return


def replace_oldest(load: Load, fresh: Sidecar) -> None:
    """Stop one as a Deployment does: endpoints are told apart by readiness."""
    old, other = load.ready
    served = load.served
    wait_until(lambda: load.served > served, what="requests before")
    old.terminate()
    wait_until(partial(is_not_ready, old), what="not ready")
    load.ready = (other, fresh)


@pytest.mark.req("LC-01")
def test_rolling_restarts_under_load_fail_no_request() -> None:
    load = Load(clients=3)
    flags = ("--drain-delay-s", "2", "--drain-timeout-s", "20")
    with ScriptedServer({b"/load": script(Step(0.003, plain(b"{}")))}) as server:
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(Sidecar(server.url, *flags)) for _ in range(4)]
            load.ready = (running[0], running[1])
            load.start()
            try:
                for fresh in running[2:]:
                    replace_oldest(load, fresh)
                assert [old.wait_exit() for old in running[:2]] == [0, 0]
                wait_until(lambda: load.served > 200, what="many requests")
            finally:
                load.stop()
        assert load.failed == []


@pytest.mark.req("LC-02")
def test_starts_and_is_ready_without_an_upstream() -> None:
    with Sidecar(f"http://127.0.0.1:{free_port()}") as sidecar:
        assert sidecar.health("/readyz") == 200
        assert sidecar.health("/healthz") == 200
        assert answers(sidecar) == 502
        assert sidecar.health("/healthz") == 200, "liveness never depends on the upstream"
        assert sidecar.scrape().value("inferometer_sidecar_upstream_up") == 0


@pytest.mark.req("LC-02")
def test_whether_the_upstream_is_up_is_unknown_before_it_was_tried() -> None:
    with Sidecar(f"http://127.0.0.1:{free_port()}") as sidecar:
        assert sidecar.scrape().value("inferometer_sidecar_upstream_up") is None


@pytest.mark.req("LC-02")
def test_readiness_may_depend_on_the_upstream_and_liveness_does_not() -> None:
    port = free_port()
    sidecar = Sidecar(f"http://127.0.0.1:{port}", "--readiness", "upstream")
    sidecar.spawn()
    try:
        wait_until(lambda: sidecar.health("/healthz") == 200, what="alive")
        assert sidecar.health("/readyz") == 503
        with ScriptedServer(port=port):
            wait_until(lambda: sidecar.health("/readyz") == 200, what="ready")
        wait_until(lambda: sidecar.health("/readyz") == 503, what="not ready")
        assert sidecar.health("/healthz") == 200
        sidecar.terminate()
        assert sidecar.wait_exit() == 0
    finally:
        sidecar.kill()


@pytest.mark.req("LC-02")
def test_with_the_upstream_gone_while_draining_requests_get_503() -> None:
    flags = ("--drain-delay-s", "60", "--drain-timeout-s", "60")
    with ScriptedServer() as server, Sidecar(server.url, *flags) as sidecar:
        stalled = script(head(200, ("Transfer-Encoding", "chunked")), chunk(b"a"), Action.STALL)
        server.scripts[b"/held"] = stalled
        with sidecar.wire() as busy, sidecar.wire() as fresh:
            busy.send(request("GET", "/held"))
            busy.read_head()
            sidecar.terminate()
            wait_until(lambda: sidecar.health("/readyz") == 503, what="draining")
            server.refuse()  # its end would let a sidecar that is idle then go before it is asked
            fresh.send(request("GET", unique()))
            answer = fresh.read_answer()
            assert answer.status == 503
        assert sidecar.wait_exit() == 0


@pytest.mark.req("LC-02")
def test_with_the_upstream_gone_an_idle_sidecar_does_not_wait_out_its_delay() -> None:
    flags = ("--drain-delay-s", "60", "--drain-timeout-s", "60")
    with Sidecar(f"http://127.0.0.1:{free_port()}", *flags) as sidecar:
        assert answers(sidecar) == 502
        begun_s = sidecar.terminate()
        assert sidecar.wait_exit() == 0
        assert time.monotonic() - begun_s < IDLE_EXIT_WITHIN_S
