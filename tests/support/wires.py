"""A relay whose two connections are fakes: what is written, who is read, who waits."""

import asyncio
from collections.abc import Callable

from inferometer.sidecar.client import Client
from inferometer.sidecar.proxy import Relay
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import Mark, Ring
from inferometer.sidecar.upstream import Connection


class Transport(asyncio.Transport):
    """Keeps what is written, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = ""
        self.unread = 0  # bytes that are written and that the peer has not taken
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:  # an empty write is none
            self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return bool(self.ended)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unread

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

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

    def __init__(self, settings: Settings) -> None:
        self.ring = Ring()
        self.relay = relay = Relay(settings, self.ring, server_tls=lambda: None)
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


def on_a_loop(story: Callable[[Wires], None], settings: Settings | None = None) -> None:
    """Let a story happen between two connections that have no peers."""

    async def tell() -> None:
        story(Wires(settings or Settings()))

    asyncio.run(tell())
