"""PF-09: no answer is read in two ways, and nothing of one exchange reaches another."""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from differential.answer_grammar import ALIEN, answers
from differential.clients import CLIENTS, Ask, Heard
from differential.reference import Answer, read_answer
from support.llm import ScriptedServer
from support.pair import unique
from support.script import Action, Step, plain, script
from support.sidecar import Sidecar

EXAMPLES: Final = int(os.environ.get("INFEROMETER_DIFFERENTIAL_EXAMPLES", "70"))
ALIVE: Final = Heard(200, b"alive")


class Arena(NamedTuple):
    """A hostile server, the sidecar and a real client."""

    server: ScriptedServer
    sidecar: Sidecar
    ask: Ask
    client: str

    def play(self, *pieces: bytes, stays: bool = False) -> Heard | None:
        """Return what the client gets for these bytes, then see that the next answer is right.

        The server ends its side behind them, unless it `stays`. Before the next request the
        sidecar has closed a connection that must not be used again.
        """
        target = unique()
        sends = [Step(0.0, piece) for piece in pieces if piece]
        last = () if stays else (Action.HALF_CLOSE,)
        self.server.scripts[target.encode()] = script(*sends, *last)
        heard = self.ask(self.sidecar.port, target)
        if not stays:
            self._await_end(target.encode())
        assert self.ask(self.sidecar.port, "/alive") == ALIVE
        return heard

    def play_alien(self, *pieces: bytes) -> Heard | None:
        """Let the server stay behind bytes that nobody asked for; the sidecar must not."""
        target = unique()
        self.server.scripts[target.encode()] = script(*pieces)
        heard = self.ask(self.sidecar.port, target)
        self._await_end(target.encode())
        assert self.ask(self.sidecar.port, "/alive") == ALIVE
        return heard

    def _await_end(self, target: bytes) -> None:
        connection = next(
            connection
            for connection in reversed(self.server.connections)
            if any(exchange.target == target for exchange in connection.exchanges)
        )
        self.server.wait(lambda: connection.ended_ns is not None)


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[ScriptedServer, Sidecar]]:
    with ScriptedServer({b"/alive": script(plain(b"alive"))}) as server, Sidecar(server.url) as car:
        yield server, car


@pytest.fixture(scope="module", params=CLIENTS)
def arena(
    request: pytest.FixtureRequest, behind: tuple[ScriptedServer, Sidecar]
) -> Iterator[Arena]:
    with CLIENTS[request.param]() as ask:
        yield Arena(*behind, ask, request.param)


OK = b"HTTP/1.1 200 OK\r\n"
RIGHT = {
    "length": OK + b"Content-Length: 3\r\n\r\nabc",
    "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\nT: v\r\n\r\n",
    "close": OK + b"Content-Type: text/plain\r\n\r\nabc",
    "old": b"HTTP/1.0 200 OK\r\n\r\nabc",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
}


@pytest.mark.parametrize("raw", RIGHT.values(), ids=list(RIGHT))
def test_a_right_answer_is_read_as_it_was_sent(arena: Arena, raw: bytes) -> None:
    assert arena.play(raw) == Heard(200, b"abc")


@pytest.mark.parametrize("at", [1, 4, 20, 40, -1])
def test_an_answer_that_is_cut_is_an_error(arena: Arena, at: int) -> None:
    for name in ("length", "chunked"):
        raw = RIGHT[name][:at]
        heard = arena.play(raw)
        assert heard is None or is_ours(heard)


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_what_follows_an_answer_is_nobodys_answer(arena: Arena, name: str) -> None:
    assert arena.play_alien(RIGHT[name] + ALIEN) == Heard(200, b"abc")
    assert arena.play_alien(RIGHT[name], ALIEN) == Heard(200, b"abc")


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_a_connection_is_used_again_for_the_next_answer_only(arena: Arena, name: str) -> None:
    for _ in range(3):
        assert arena.play(RIGHT[name], stays=True) == Heard(200, b"abc")


@pytest.mark.req("PF-09")
@given(raw=answers(), at=st.none() | st.integers(0, 300))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_is_read_in_two_ways(arena: Arena, raw: bytes, at: int | None) -> None:
    expected = read_answer(raw)
    stays = expected is not None and expected.whole and not expected.by_close
    pieces = [raw] if at is None else [raw[:at], raw[at:]]
    heard = arena.play(*pieces, stays=stays and at is None)
    told = f"{arena.client}\nsent: {raw!r}\nreference: {expected}\nheard: {heard}"
    if arena.client == "http.client" and heard is not None and 101 <= heard.status < 200:
        return  # it takes an interim answer other than 100 for the final one, also without us
    assert is_fair(heard, expected), told


def is_ours(heard: Heard) -> bool:
    """Tell whether this is the sidecar's answer for a server that breaks HTTP."""
    return heard.status == 502 and b"inferometer_sidecar" in heard.body


def is_fair(heard: Heard | None, expected: Answer | None) -> bool:
    """Tell whether a client got the answer, an error, or our 502 for what is no answer."""
    if heard is None:
        return True
    if expected is None:
        return is_ours(heard)
    return expected.whole and heard == (expected.status, expected.body)
