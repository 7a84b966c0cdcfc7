"""DC-03: an upstream that cannot be reached is told apart by how, and forgotten once it is back."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import Authority
from support.llm import ScriptedServer
from support.pair import running_pair
from support.script import Action, request, script
from support.sidecar import Outcomes, Sidecar, free_port, wait_until
from support.speakers import CHAT
from support.toxics import Down, ToxicProxy
from support.turns import Manner, Turn


def asked(sidecar: Sidecar) -> tuple[int, float]:
    start_s = time.monotonic()
    with sidecar.wire() as wire:
        return wire.ask(CHAT.ask(Turn())).status, time.monotonic() - start_s


@pytest.mark.req("DC-03")
def test_a_refusing_upstream_is_a_bad_gateway_and_forgotten_once_it_is_back() -> None:
    port = free_port()
    with Sidecar(f"http://127.0.0.1:{port}") as sidecar:
        outcomes = Outcomes(sidecar, marked=False)
        for _ in range(3):
            assert asked(sidecar)[0] == 502
        outcomes.wait({"upstream_error": 3})
        with ScriptedServer({CHAT.target.encode(): CHAT.script(Turn())}, port=port):
            assert asked(sidecar)[0] == 200
        assert asked(sidecar)[0] == 502
        with ScriptedServer({CHAT.target.encode(): CHAT.script(Turn())}, port=port):
            assert asked(sidecar)[0] == 200
        outcomes.wait({"upstream_error": 4, "success": 2})


@pytest.mark.req("DC-03")
def test_a_name_that_does_not_resolve_is_a_bad_gateway() -> None:
    with Sidecar("http://no-such-host.invalid:80", "--connect-timeout-s", "5") as sidecar:
        outcomes = Outcomes(sidecar, marked=False)
        assert asked(sidecar)[0] in {502, 503}
        outcomes.wait({"upstream_error": 1})


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose SYNs are dropped: its listener never accepts and its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@pytest.mark.req("DC-03")
def test_an_upstream_that_does_not_answer_the_connect_is_a_timeout() -> None:
    with (
        full_backlog() as port,
        Sidecar(f"http://127.0.0.1:{port}", "--connect-timeout-s", "0.5") as sidecar,
    ):
        outcomes = Outcomes(sidecar, marked=False)
        status, took_s = asked(sidecar)
        assert status == 504
        assert 0.4 < took_s < 5
        outcomes.wait({"timeout": 1})


@pytest.mark.req("DC-03")
def test_an_upstream_that_accepts_and_never_shakes_hands_is_a_timeout() -> None:
    with (
        ScriptedServer() as silent,
        Sidecar(f"https://127.0.0.1:{silent.port}", "--connect-timeout-s", "0.5") as sidecar,
    ):
        outcomes = Outcomes(sidecar, marked=False)
        status, took_s = asked(sidecar)
        assert status == 504
        assert took_s < 5
        outcomes.wait({"timeout": 1})


@pytest.mark.req("DC-03")
def test_an_upstream_that_accepts_and_is_silent_is_a_timeout_where_a_limit_is_set() -> None:
    with running_pair("--first-byte-timeout-s", "0.5") as pair:
        pair.server.scripts[CHAT.target.encode()] = script(Action.STALL)
        outcomes = Outcomes(pair.sidecar)
        status, took_s = asked(pair.sidecar)
        assert status == 504
        assert 0.4 < took_s < 5
        outcomes.wait({"timeout": 1})
        (exchange,) = pair.server.find(CHAT.target.encode())
        connection = next(c for c in pair.server.connections if exchange in c.exchanges)
        pair.server.wait(lambda: connection.ended_ns is not None)


@pytest.mark.req("DC-03")
def test_silence_inside_an_answer_is_cut_where_a_limit_is_set() -> None:
    with running_pair("--upstream-idle-timeout-s", "0.5") as pair:
        turn = Turn(words=("a", "b"))
        pair.server.scripts[CHAT.target.encode()] = CHAT.script(turn, Manner(waits_s=((2, 60),)))
        outcomes = Outcomes(pair.sidecar)
        with pair.sidecar.wire() as wire:
            assert wire.ask(CHAT.ask(turn)).end in {"short", "reset"}
        outcomes.wait({"timeout": 1})


@pytest.mark.req("DC-03")
def test_an_idle_connection_to_the_upstream_is_closed_before_the_upstream_does_it() -> None:
    with running_pair("--upstream-keepalive-s", "0.3") as pair, pair.sidecar.wire() as wire:
        assert wire.ask(request("GET", "/t")).status == 200
        (connection,) = pair.server.connections
        pair.server.wait(lambda: connection.eof_ns is not None)
        assert wire.ask(request("GET", "/t")).status == 200
        assert len(pair.server.connections) == 2


@pytest.mark.req("DC-03")
def test_a_silent_prefill_outlives_every_other_limit() -> None:
    limits = ("header-timeout-s", "connect-timeout-s", "client-idle-timeout-s")
    flags = [part for name in limits for part in (f"--{name}", "1")]
    with running_pair(*flags) as pair:
        pair.server.scripts[CHAT.target.encode()] = CHAT.script(Turn(), Manner(first_s=2.0))
        assert asked(pair.sidecar)[0] == 200


@pytest.mark.req("DC-03")
def test_an_untrusted_certificate_is_a_bad_gateway(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    trusted, other = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    for authority, status in ((trusted, 200), (other, 502)):
        with (
            ScriptedServer(tls=authority.issue().server_context()) as server,
            Sidecar(server.url, "--upstream-ca", str(trusted.file)) as sidecar,
        ):
            assert asked(sidecar)[0] == status


@pytest.mark.req("DC-03")
def test_an_outage_of_the_network_ends_with_it() -> None:
    with (
        ScriptedServer({CHAT.target.encode(): CHAT.script(Turn())}) as server,
        ToxicProxy(("127.0.0.1", server.port)) as toxic,
        Sidecar(toxic.url) as sidecar,
    ):
        assert asked(sidecar)[0] == 200
        toxic.poison("down", Down())
        assert asked(sidecar)[0] == 502
        toxic.heal()
        wait_until(lambda: asked(sidecar)[0] == 200, what="served again")
        up = sidecar.scrape().value("inferometer_sidecar_upstream_up")
        assert up == 1
