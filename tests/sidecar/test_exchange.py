"""Rules of one exchange that no peer can see: what is written in which call."""

import asyncio
from collections.abc import Callable

import pytest

from inferometer.sidecar.client import Client
from inferometer.sidecar.proxy import Relay
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import Finish, Mark, RequestBody, RequestEnd, Ring, Started
from inferometer.sidecar.upstream import Connection

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:  # an empty write is none
            self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.ended)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = "eof"

    def close(self) -> None:
        self.ended = "close"

    def abort(self) -> None:
        self.ended = "abort"


class Wires:
    """A client's connection and one idle upstream connection of a relay."""

    def __init__(self) -> None:
        self.ring = Ring()
        relay = Relay(Settings(), self.ring, server_tls=lambda: None)
        self.client, self.to_client = Client(relay.books, relay.clients), Transport()
        self.client.connection_made(self.to_client)
        self.upstream, self.to_upstream = Connection(relay.pool), Transport()
        self.upstream.connection_made(self.to_upstream)
        self.upstream.release()

    def says(self, protocol: Client | Connection, data: bytes) -> None:
        protocol.get_buffer(-1)[: len(data)] = data
        protocol.buffer_updated(len(data))

    def marks(self) -> list[Mark]:
        return [mark for _, _, mark in self.ring.drain(99)]


def on_a_loop(story: Callable[[Wires], None]) -> None:
    async def tell() -> None:
        story(Wires())

    asyncio.run(tell())


def test_a_small_request_costs_one_write_each_way() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD + b"body")
        assert wires.to_upstream.writes == [HEAD + b"body"]
        wires.says(wires.upstream, OK + b"done")
        assert wires.to_client.writes == [OK + b"done"]
        kinds = [type(mark) for mark in wires.marks()[:3]]
        assert kinds == [Started, RequestBody, RequestEnd]

    on_a_loop(story)


def test_a_head_without_body_goes_on_at_once() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD)
        assert wires.to_upstream.writes == [HEAD]
        wires.says(wires.client, b"body")
        wires.says(wires.upstream, OK)
        assert wires.to_client.writes == [OK]
        wires.says(wires.upstream, b"done")
        assert wires.to_upstream.writes[1:] == [b"body"]
        assert wires.to_client.writes[1:] == [b"done"]

    on_a_loop(story)


def test_a_head_whose_body_is_no_part_of_its_answer_is_not_held() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD + b"body")
        wires.says(wires.upstream, b"HTTP/1.1 204 No Content\r\n\r\nwhat is this")
        assert wires.to_client.writes == [b"HTTP/1.1 204 No Content\r\n\r\n"]
        assert wires.to_upstream.ended == "abort"

    on_a_loop(story)


def test_an_answer_whose_first_bytes_are_malformed_is_cut_behind_its_head() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD + b"body")
        wires.says(wires.upstream, CHUNKED + b"no size\r\n")
        assert wires.to_client.writes == [CHUNKED]
        assert wires.to_client.ended == "close"
        finish = wires.marks()[-1]
        assert isinstance(finish, Finish)
        assert (finish.cause, finish.status) == ("upstream_short", 200)

    on_a_loop(story)


@pytest.mark.req("PF-02")
def test_a_request_whose_first_body_bytes_are_malformed_reaches_no_server() -> None:
    def story(wires: Wires) -> None:
        head = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        wires.says(wires.client, head + b"no size\r\n")
        assert wires.to_upstream.writes == []
        assert not wires.to_upstream.ended
        assert wires.to_client.writes[0].startswith(b"HTTP/1.1 400 ")
        finish = wires.marks()[-1]
        assert isinstance(finish, Finish)
        assert finish.cause == "client_bad"

    on_a_loop(story)
