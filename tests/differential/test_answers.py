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

    def play(self, raw: bytes, pieces: list[bytes]) -> Heard | None:
        """Return what the client gets for these bytes, then see that the next answer is right."""
        target = unique()
        sends = [Step(0.0, piece) for piece in pieces if piece]
        self.server.scripts[target.encode()] = script(*sends, Action.CLOSE)
        heard = self.ask(self.sidecar.port, target)
        self._check_alive(raw)
        return heard

    def _check_alive(self, raw: bytes) -> None:
        """Ask for another answer; it is the right one, or ours that a connection was closing."""
        for _ in range(3):
            alive = self.ask(self.sidecar.port, "/alive")
            if alive == ALIVE:
                return
            assert alive is not None, raw
            assert is_ours(alive), raw
        raise AssertionError(raw)


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
    assert arena.play(raw, [raw]) == Heard(200, b"abc")


@pytest.mark.parametrize("at", [1, 4, 20, 40, -1])
def test_an_answer_that_is_cut_is_an_error(arena: Arena, at: int) -> None:
    for name in ("length", "chunked"):
        raw = RIGHT[name][:at]
        heard = arena.play(raw, [raw])
        assert heard is None or is_ours(heard)


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_what_follows_an_answer_is_nobodys_answer(arena: Arena, name: str) -> None:
    raw = RIGHT[name] + ALIEN
    for pieces in ([raw], [RIGHT[name], ALIEN]):
        assert arena.play(raw, pieces) == Heard(200, b"abc")


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
    heard = arena.play(raw, [raw] if at is None else [raw[:at], raw[at:]])
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
