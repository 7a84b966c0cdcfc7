"""What all connections share: settings, ring, upstream pool, and the books of who is there.

The books are plain numbers and sets that a scrape reads; nothing here acts on a connection.
"""

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from inferometer.sidecar.fields import NO_FIELDS
from inferometer.sidecar.tap import Cause, Finish, Ring, Started

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from inferometer.sidecar.settings import Settings
    from inferometer.sidecar.upstream import Pool


class Detached(Protocol):
    """An exchange whose client left, and whose answer is read to its end for the server."""

    def fail(self, cause: Cause, status: int, reason: str) -> None:
        """End it."""
        ...


class Peer(Protocol):
    """What an exchange asks of the connection of its client."""

    transport: "asyncio.Transport"

    def reading(self, *, on: bool) -> None:
        """Stop or go on reading the client."""
        ...

    def take_waiting(self) -> bytes:
        """Return what was read behind the request."""
        ...

    def exchange_over(self, *, keep: bool) -> None:
        """Go on with the next request, or close when all is written."""
        ...

    def close_with(self, raw: bytes) -> None:
        """Send a last answer of our own, then close."""
        ...

    def cut_short(self, *, reset: bool) -> None:
        """Close such that the answer can't look complete."""
        ...

    def abort(self, *, reset: bool) -> None:
        """Close at once; by a reset where else the answer would look complete."""
        ...

    def expect_body(self) -> None:
        """Have the client's time begin: it was told to go on with its body."""
        ...


@dataclass(slots=True, eq=False)
class Books:
    """One of these belongs to a relay and all its connections."""

    settings: "Settings"
    ring: Ring
    pool: "Pool"
    now_s: "Callable[[], float]"
    draining: bool = False
    internal_errors: int = 0
    refused: dict[str, int] = field(
        default_factory=lambda: {"limit": 0, "head": 0, "body": 0, "draining": 0}
    )
    injected: dict[tuple[str, str], int] = field(default_factory=dict)
    detached: dict[Detached, float] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(
        default_factory=lambda: itertools.count(int(time.time() * 1e6) & 0xFFFFFFFF)
    )

    def next_number(self) -> int:
        """Return the number by which answers and logs call a request."""
        return next(self._numbers)

    def record_refusal(self, cause: Cause, status: int, moment_ns: int) -> None:
        """Let a request that was refused before it had a head be counted."""
        tapped = self.ring.admit()
        if tapped is not None:
            self.ring.mark(tapped, moment_ns, Started(time.time(), b"", b"", NO_FIELDS))
            self.ring.mark(tapped, moment_ns, Finish(cause, status, 0, 0, lost=False))

    def detach(self, exchange: Detached) -> bool:
        """Let an answer be read to its end without its client, where the setting asks for it."""
        full = len(self.detached) >= self.settings.connections_max
        if self.settings.client_abort != "drain" or full:
            return False
        self.detached[exchange] = self.now_s() + self.settings.client_abort_drain_s
        return True
