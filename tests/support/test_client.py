import time
from collections.abc import Iterator

import pytest

from support.client import Wire, ask, talk
from support.framing import FramingError
from support.llm import ScriptedServer
from support.script import LAST_CHUNK, Action, chunk, head, plain, request, script

CHUNKED = head(200, ("Transfer-Encoding", "chunked"))


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def test_reads_a_chunked_body_with_its_sizes_and_trailers(server: ScriptedServer) -> None:
    server.scripts[b"/a"] = script(CHUNKED, chunk(b"ab"), b"3;x\r\ncde\r\n0\r\nX-T: 1\r\n\r\n")
    answer = ask(server.address, request("GET", "/a"))
    assert (answer.body, answer.chunks, answer.end) == (b"abcde", [2, 3, 0], "complete")
    assert answer.trailers == [(b"X-T", b"1")]


@pytest.mark.parametrize(
    ("bytes_", "end"),
    [
        (chunk(b"ab"), "short"),
        (b"2\r\nabXX\r\n", "malformed"),
        (b"0x2\r\nab\r\n", "malformed"),
        (b"2\nab\r\n", "malformed"),
        (b"-2\r\nab\r\n", "malformed"),
        (b"2 x\r\nab\r\n", "malformed"),
    ],
)
def test_a_chunked_body_that_is_not_exactly_right_is_not_complete(
    server: ScriptedServer, bytes_: bytes, end: str
) -> None:
    server.scripts[b"/b"] = script(CHUNKED, bytes_, Action.CLOSE)
    assert ask(server.address, request("GET", "/b")).end == end


@pytest.mark.parametrize(
    "head_",
    [
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n b: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
def test_a_head_that_is_not_exactly_right_is_refused(server: ScriptedServer, head_: bytes) -> None:
    server.scripts[b"/c"] = script(head_, Action.CLOSE)
    with pytest.raises(FramingError):
        ask(server.address, request("GET", "/c"))


def test_keeps_interim_answers_apart(server: ScriptedServer) -> None:
    server.scripts[b"/d"] = script(head(103, ("Link", "x"), reason="Early Hints"), plain(b"{}"))
    answer = ask(server.address, request("GET", "/d"))
    assert [i.status for i in answer.interim] == [103]
    assert answer.body == b"{}"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_answers_have_no_body_whatever_they_say(
    server: ScriptedServer, method: str, status: int
) -> None:
    server.scripts[b"/e"] = script(head(status, ("Content-Length", "5")))
    with Wire(server.address) as wire:
        first = wire.ask(request(method, "/e"), method=method)
        assert (first.body, first.end) == (b"", "complete")
        assert wire.ask(request(method, "/e"), method=method).status == status


def test_a_body_without_framing_lasts_to_the_end(server: ScriptedServer) -> None:
    server.scripts[b"/f"] = script(head(200), b"abc", Action.CLOSE)
    answer = ask(server.address, request("GET", "/f"))
    assert (answer.body, answer.end) == (b"abc", "complete")


def test_pieces_carry_the_moments_at_which_they_came(server: ScriptedServer) -> None:
    steps = script(CHUNKED, chunk(b"a"), Action.AWAIT_CUE, chunk(b"b"), LAST_CHUNK)
    server.scripts[b"/g"] = steps
    cued_ns: list[int] = []

    def cue(body_bytes: int) -> None:
        if body_bytes == 1 and not cued_ns:
            cued_ns.append(time.monotonic_ns())
            server.find(b"/g")[-1].cue()

    with Wire(server.address) as wire:
        wire.send(request("GET", "/g"))
        first, second = wire.read_answer(progress=cue).pieces
    assert (first.data, second.data) == (b"a", b"b")
    assert first.moment_ns <= cued_ns[0] <= second.moment_ns


def test_trickle_sends_everything_in_writes_of_its_own(server: ScriptedServer) -> None:
    with Wire(server.address) as wire:
        wire.trickle(request("GET", "/"), [1, 2, 3])
        assert wire.read_answer().status == 200


def test_reset_is_seen_as_a_reset(server: ScriptedServer) -> None:
    server.scripts[b"/h"] = script(CHUNKED, Action.STALL)
    wire = Wire(server.address)
    wire.send(request("GET", "/h"))
    wire.read_head()
    wire.reset()
    server.wait(lambda: isinstance(server.connections[-1].error, ConnectionResetError))


def test_a_half_closed_client_still_reads(server: ScriptedServer) -> None:
    with Wire(server.address) as wire:
        wire.send(request("GET", "/"))
        answer = wire.read_answer()
        wire.half_close()
        assert answer.status == 200
        assert wire.read_until_end() == (b"", "closed")


def test_talk_returns_whatever_comes(server: ScriptedServer) -> None:
    server.scripts[b"/i"] = script(b"nonsense", Action.CLOSE)
    assert talk(server.address, [request("GET", "/i")]) == b"nonsense"
