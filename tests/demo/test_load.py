import asyncio
import contextlib
from collections.abc import Callable, Iterable
from itertools import count

import pytest

from inferometer.demo.load import Load, Manners
from inferometer.demo.trace import Arrival
from support.listening import close_listener
from support.sidecar import free_port, wait_until

PATIENT = Manners(leaving_share=0.0)

COMPLETE = b"HTTP/1.1 200 OK\r\n\r\ndata: x\n\n" + b"data: y\n\n" * 9000 + b"data: [DONE]\n\n"


class Server:
    """Answers every connection with the same bytes, or never."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.left = asyncio.Event()
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self.open -= 1

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.answer is None:
                while await reader.read(65536):
                    pass
                self.left.set()
            else:
                writer.write(self.answer)
        finally:
            writer.close()
            await writer.wait_closed()


def replayed(
    answer: bytes | None,
    arrivals: Iterable[Arrival],
    *,
    until: Callable[[Server], bool] | None = None,
    manners: Manners = PATIENT,
    clients_max: int = 256,
) -> tuple[Load, Server]:
    """Replay against a server, until told to stop."""

    async def both() -> tuple[Load, Server]:
        server = Server(answer)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        async with listening, asyncio.timeout(20):
            port = listening.sockets[0].getsockname()[1]
            made = Load(port=port, seed=1, manners=manners, clients_max=clients_max)
            stopping = asyncio.Event()
            task = asyncio.create_task(made.replay(arrivals, stopping))
            if until is not None:
                await asyncio.to_thread(wait_until, lambda: until(server))
                stopping.set()
            await task
            await close_listener(listening)
            await asyncio.to_thread(wait_until, lambda: server.open == 0)
        return made, server

    return asyncio.run(both())


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (COMPLETE, "complete"),
        (COMPLETE[:-20], "broken"),
        (b"HTTP/1.1 429 Busy\r\n\r\n", "429"),
        (b"", "broken"),
    ],
)
def test_each_request_ends_as_its_client_sees_it(answer: bytes, end: str) -> None:
    made, server = replayed(answer, [Arrival(0, 3, 4)] * 3)
    assert made.ends == {end: 3}
    assert b"Connection: close" in server.requests[0]


def test_some_clients_leave_early() -> None:
    hasty = Manners(leaving_share=1.0, leaving_s=(0.2, 0.3))  # time to ask is needed
    made, server = replayed(
        None, [Arrival(0, 3, 4)], manners=hasty, until=lambda server: server.left.is_set()
    )
    assert made.ends == {"left": 1}
    assert server.left.is_set()


def test_arrivals_end_when_told_and_those_in_flight_get_their_time() -> None:
    made, server = replayed(
        None,
        (Arrival(at * 0.01, 3, 4) for at in count()),
        until=lambda server: len(server.requests) >= 3,
        manners=Manners(leaving_share=0.0, finish_s=0.05),
    )
    assert len(server.requests) >= 3
    assert made.ends == {}


def test_requests_at_a_time_are_bounded_and_what_is_left_out_is_counted() -> None:
    made, server = replayed(
        None,
        [Arrival(0, 3, 4)] * 10,
        manners=Manners(leaving_share=0.0, finish_s=1.0),
        clients_max=4,
    )
    assert made.ends == {"not_sent": 6}
    assert len(server.requests) == 4


def test_nobody_there_is_broken() -> None:
    made = Load(port=free_port(), seed=1, manners=Manners(leaving_share=0.0))
    asyncio.run(made.replay([Arrival(0, 1, 1)], asyncio.Event()))
    assert made.ends == {"broken": 1}
