"""How connections of clients end: noticed, waited for, or forced."""

import asyncio
import select
import socket
import struct
from typing import Final, Literal

LINGER_S: Final = 2.0
"""How long a closed connection is still read, so that our last answer is not reset away."""
_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)


def reset_at_close(transport: asyncio.Transport) -> None:
    """Have the connection end with a reset, where an orderly end would say that all was sent."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)


def look(transport: asyncio.Transport) -> Literal["", "fin", "gone"]:
    """Say what the kernel knows of a peer whose bytes are not read for now."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return ""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLRDHUP)
    events = sum(event for _, event in poll.poll(0))
    if events & (select.POLLHUP | select.POLLERR):
        return "gone"
    return "fin" if events & select.POLLRDHUP else ""


class Unread:
    """Bytes of an answer that is over, while its client is still reading them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._bytes = 0
        self._since_s = 0.0

    def still_s(self, unread_bytes: int, now_s: float) -> float:
        """Return for how long they have been as many as now, to the look before at least."""
        if unread_bytes != self._bytes:
            self._bytes, self._since_s = unread_bytes, now_s
        return now_s - self._since_s
