import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from inferometer.demo.engine import QUEUE_MAX, Shape
from inferometer.demo.model import BODY_BYTES_MAX, HEAD_BYTES_MAX, Connection, Server
from inferometer.demo.truth import End
from support.listening import close_listener
from support.sidecar import wait_until

FAST = Shape(
    step_s=0.0005,
    step_s_per_sequence=0,
    step_s_per_prefill_token=0,
    pause_every_s=1e9,
    slow_every_s=1e9,
)
POST = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
STUCK = Shape(step_s=30.0, pause_every_s=1e9, slow_every_s=1e9)
Talk = Callable[[Server, int], Awaitable[None]]


class Noted(Connection):
    """A connection that is in a set while it is open."""

    def __init__(self, server: Server, open_: set[Connection]) -> None:
        super().__init__(server)
        self._open = open_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        super().connection_lost(exc)


def serve(talk: Talk, *, shape: Shape = FAST, faults: Mapping[End, float] | None = None) -> Server:
    """Run a model server, and a client against its port."""

    async def both() -> Server:
        server = Server(seed=1, shape=shape, faults=faults or {})
        loop = asyncio.get_running_loop()
        open_: set[Connection] = set()
        listening = await loop.create_server(lambda: Noted(server, open_), "127.0.0.1", 0)
        engine = asyncio.create_task(server.run())
        try:
            async with listening, asyncio.timeout(10):
                await talk(server, listening.sockets[0].getsockname()[1])
                await close_listener(listening)
                await asyncio.to_thread(wait_until, lambda: not open_)
        finally:
            engine.cancel()
        return server

    return asyncio.run(both())


def post(body: object, *, close: bool = True) -> bytes:
    data = json.dumps(body).encode()
    last = "Connection: close\r\n" if close else ""
    return f"{POST}{last}Content-Length: {len(data)}\r\n\r\n".encode() + data


def chat(tokens: int = 5, prompt: str = "a b c", *, usage: bool = True) -> dict[str, Any]:
    return {
        "stream": True,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": prompt}],
        "stream_options": {"include_usage": usage},
    }


def events(answer: bytes) -> list[Any]:
    """Return the JSON of each event of a chunked answer; `[DONE]` is left as it is."""
    _, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    return [line if line == b"[DONE]" else json.loads(line) for line in lines]


def exchanged(
    request: bytes, *, shape: Shape = FAST, faults: Mapping[End, float] | None = None
) -> tuple[bytes, Server]:
    answers = []

    async def talk(_: Server, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        try:
            while part := await reader.read(65536):
                answers.append(part)
        except ConnectionResetError:
            pass
        writer.close()

    server = serve(talk, shape=shape, faults=faults)
    return b"".join(answers), server


def test_an_answer_has_a_role_its_tokens_a_reason_usage_and_an_end() -> None:
    answer, server = exchanged(post(chat(tokens=4)))
    role, *tokens, reason, usage, done = events(answer)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [bool(one["choices"][0]["delta"]["content"]) for one in tokens] == [True] * 4
    assert reason["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert done == b"[DONE]"
    told = server.truth.told()
    assert told["ends"] == {"success": 1}
    assert (told["input_tokens"], told["output_tokens"], told["gaps"]["count"]) == (3, 4, 3)


def test_usage_is_told_only_if_it_was_asked_for() -> None:
    answer, _ = exchanged(post(chat(usage=False)))
    assert not any("usage" in one for one in events(answer)[:-1])


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"messages": 7},
        {"messages": [7, {"content": 8}, {}]},
        {"messages": [], "max_tokens": "many", "stream_options": 7},
        {"max_tokens": -5},
    ],
)
def test_a_strange_request_gets_an_answer_all_the_same(body: object) -> None:
    answer, _ = exchanged(post(body))
    assert events(answer)[-1] == b"[DONE]"


def test_a_body_that_is_no_json_gets_an_answer_all_the_same() -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"
    assert events(exchanged(head + b"{")[0])[-1] == b"[DONE]"


def test_one_connection_serves_one_request_after_the_other() -> None:
    first = post(chat(tokens=2), close=False)
    answer, server = exchanged(first + post(chat(tokens=3)))
    assert answer.count(b"[DONE]") == 2
    assert server.truth.ends == {"success": 2}


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /v1/models", b'"demo-8b"'),
        ("GET /health", b"200"),
        ("GET /demo/truth", b'"verdicts"'),
        ("GET /other", b"404"),
    ],
)
def test_other_routes_answer(request_line: str, expected: bytes) -> None:
    answer, _ = exchanged(f"{request_line} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert expected in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        f"{POST}Content-Length: x\r\n\r\n".encode(),
        f"{POST}Content-Length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode(),
        b"x" * (HEAD_BYTES_MAX + BODY_BYTES_MAX + 1),
    ],
    ids=["no head", "no length", "too long", "endless"],
)
def test_what_is_no_request_ends_the_connection(request_: bytes) -> None:
    assert exchanged(request_)[0] == b""


def test_a_client_that_leaves_stops_its_request_in_any_phase() -> None:
    async def talk(server: Server, port: int) -> None:
        for phase in ("running", "waiting"):  # the engine's only step never ends
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(chat(tokens=1000)))
            await asyncio.to_thread(wait_until, lambda: bool(server.works))
            assert [job.state for job in server.works] == [phase]
            writer.transport.abort()
            await asyncio.to_thread(wait_until, lambda: not server.works)
        assert not server.engine.busy

    assert serve(talk, shape=STUCK).truth.ends == {"client_left": 2}


@pytest.mark.parametrize(
    ("fault", "seen"),
    [("error", b" 500 "), ("stream_error", b'"error"'), ("aborted", b"200 OK")],
)
def test_faults_look_to_the_client_as_they_should(fault: End, seen: bytes) -> None:
    answer, server = exchanged(post(chat()), faults={fault: 1.0})
    assert seen in answer
    assert (b"[DONE]" in answer) == (fault == "stream_error")
    assert server.truth.ends == {fault: 1}


def test_a_full_queue_is_429() -> None:
    async def talk(_: Server, port: int) -> None:
        writers = []
        for _turn in range(QUEUE_MAX + STUCK.slots + 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post(chat(tokens=1)))
            writers.append(writer)
        assert b" 429 " in await reader.read(100)
        for writer in writers:
            writer.transport.abort()

    assert serve(talk, shape=STUCK).truth.ends["rejected"] > 0
