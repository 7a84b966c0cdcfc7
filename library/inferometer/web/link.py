"""A connection of the admin port: a socket that never waits, plain or TLS, and what is under way.

It moves bytes and knows what it waits for; what they mean and when to give up is for the server.
"""

import socket
from enum import Enum, auto
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Final

from inferometer.errors import WorldError
from inferometer.web.heads import Answer

if TYPE_CHECKING:
    from ssl import SSLContext

    from inferometer.web.door import Pending

BACKLOG: Final = 4096
"""Connections that the kernel keeps before they are accepted."""

READ_BYTES: Final = 16 << 10


class Phase(Enum):
    """What a connection is waiting for."""

    HANDSHAKE = auto()
    HEAD = auto()
    VERDICT = auto()
    """On the credentials of its request; the socket is not watched meanwhile."""
    ANSWER = auto()
    LINGER = auto()
    """For the client to read what it was told: closing at once could take it away again."""


class Link:
    """One connection. `wants` is what the selector is to watch its socket for."""

    def __init__(self, sock: socket.socket, *, tls: "SSLContext | None", now_s: float) -> None:
        """Take over an accepted socket; raises OSError if it is gone already."""
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.phase = Phase.HEAD
        if tls is not None:
            self.phase = Phase.HANDSHAKE
            sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.sock = sock
        self.wants = EVENT_READ
        self.watched = 0
        self.inbox = b""
        self.pending: Pending | None = None
        self.answer = Answer(iter(()), keep_alive=False)
        self.outbox = memoryview(b"")
        self.progress_s = now_s
        self.deadline_s = now_s

    @property
    def idle(self) -> bool:
        """Tell whether nothing is lost by closing it."""
        return self.phase in (Phase.HANDSHAKE, Phase.LINGER) or (
            self.phase is Phase.HEAD and not self.inbox
        )

    @property
    def plain(self) -> bool:
        """Tell whether there is no TLS, so that `web.tls` is not to be imported."""
        return type(self.sock) is socket.socket

    def certificate(self) -> object:
        """Return what is known of the client's certificate."""
        if self.plain:
            return None
        from inferometer.web import tls

        return tls.certificate(self.sock)

    def shake_hands(self) -> bool:
        """Go on with the TLS handshake; True when it is complete. Raises OSError."""
        from inferometer.web import tls

        wanted = tls.shake_hands(self.sock)
        self.wants = wanted or self.wants
        return not wanted

    def receive(self) -> bytes | None:
        """Return bytes, b"" at the end, or None if there is nothing now. Raises OSError."""
        try:
            return self.sock.recv(READ_BYTES)
        except BlockingIOError:
            self.wants = EVENT_READ
        except OSError as error:
            self.wants = self._wanted(error)
        return None

    def send(self) -> int:
        """Send from the outbox and return how many bytes were taken. Raises OSError."""
        self.wants = EVENT_WRITE
        try:
            sent = self.sock.send(self.outbox)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.wants = self._wanted(error)
            return 0
        self.outbox = self.outbox[sent:]
        return sent

    def finish(self) -> None:
        """Tell the client that nothing more comes. Raises OSError."""
        if not self.plain:
            from inferometer.web import tls

            tls.say_goodbye(self.sock)
        self.sock.shutdown(socket.SHUT_WR)
        self.wants = EVENT_READ

    def _wanted(self, error: OSError) -> int:
        """Return what TLS waits for. Raises any other error again."""
        if self.plain:
            raise error
        from inferometer.web import tls

        return tls.wanted(error)


def listen(address: tuple[str, int]) -> socket.socket:
    """Return a listening socket. Raises WorldError if the address cannot be had."""
    host, port = address
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror}"
        raise WorldError(message, "choose another address for the admin port") from None
    return listener
