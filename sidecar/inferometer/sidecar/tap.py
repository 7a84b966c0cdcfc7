"""The bounded ring between the serving path and the measuring plane: moments, kinds, bytes.

The relay appends and never waits; the measuring thread drains on a timer. A full ring drops views
of body bytes and counts them. The start and the end of a request always have a slot: a request
reserves its own when it starts, and one that finds none is not observed at all (and counted), so
the ring is bounded even if nobody ever drains it.

One thread appends, one drains. `deque.append` and `deque.popleft` are atomic, and each counter
has one writer, so no lock is needed.
"""

from collections import deque
from typing import Final, Literal, NamedTuple

from inferometer.sidecar.fields import Fields

Cause = Literal[
    "complete",  # the framing of the answer ended as it should, all of it was relayed
    "client_left",  # the client closed or reset before that
    "client_slow",  # our 408: the client took too long over its head or body
    "client_bad",  # our 400, 413, 414, 431, 501: we refused the request
    "limit",  # our 503: too many connections
    "connect_failed",  # our 502 or 503: refused, no route, DNS
    "connect_timeout",  # our 504
    "upstream_failed",  # connected, but reset or broke HTTP before a whole response head: 502
    "upstream_timeout",  # a limit on the upstream's silence that the user had set: 504 or an abort
    "upstream_short",  # after the response head: reset, too few bytes, no last chunk, bad chunk
    "drain_cut",  # we cut it at our drain deadline
    "proxy_error",  # we failed
]


class Started(NamedTuple):
    """The request head is complete."""

    wall_s: float
    method: bytes
    target: bytes
    fields: Fields


class Answered(NamedTuple):
    """The final response head is complete."""

    status: int
    fields: Fields


class Finish(NamedTuple):
    """The exchange is over. `status` is what the client was sent, 0 if nothing was.

    `lost` tells that body parts were dropped after the last part that came through. `sent_ns` is
    when the first byte of the request was written upstream, None if none was; `dial_ns` was spent
    on connecting before that.
    """

    cause: Cause
    status: int
    request_bytes: int
    response_bytes: int
    lost: bool
    sent_ns: int | None = None
    dial_ns: int = 0


class Delay(NamedTuple):
    """How long one sampled chunk took from upstream read to client write (1 chunk in 16)."""

    duration_ns: int


class Stall(NamedTuple):
    """Reading was paused because the client did not read; it ended at the mark's moment."""

    duration_ns: int


class Upgraded(NamedTuple):
    """The exchange became a tunnel: bytes only from here on."""


class Lost(NamedTuple):
    """Body parts were dropped just before this mark, since the ring was full."""


class Lag(NamedTuple):
    """How late a timer of the serving loop was: the error bar of every moment. Has no exchange."""

    duration_ns: int


class RequestBody(NamedTuple):
    """A part of the request body, de-chunked: only the first 256 KiB travel through the ring."""

    data: bytes


class RequestEnd(NamedTuple):
    """The request body is complete. `size` is its length in bytes."""

    size: int


Mark = (
    Started
    | RequestBody
    | RequestEnd
    | Answered
    | Delay
    | Stall
    | Upgraded
    | Finish
    | Lost
    | Lag
    | bytes  # a part of the response body, de-chunked, exactly as one read delivered it
)


class Tapped:
    """The handle of one observed exchange, shared by both planes.

    The relay writes `lost` and `paused` (the client does not read); the measuring plane writes
    `muted` (further bodies tell it nothing) and keeps its own state in `watch`.
    """

    __slots__ = ("lost", "muted", "paused", "watch")

    def __init__(self) -> None:
        """Start with nothing lost, and everything of interest."""
        self.lost = False
        self.paused = False
        self.muted = False
        self.watch: object = None


Entry = tuple[Tapped, int, Mark]
"""Whose, when (monotonic nanoseconds), what. A plain tuple: one is made for each chunk."""

_RESERVED: Final = frozenset((Started, RequestEnd, Answered, Upgraded, Finish, Lost))
"""Marks that compete for no room: they have slots of their own, or come with a part of a body."""

MARKS_PER_EXCHANGE: Final = 5
"""Marks that always have a slot: Started, RequestEnd, Answered, Upgraded, Finish."""
REQUEST_BYTES_MAX: Final = 256 << 10
"""How much of a request body is copied: enough for the model name of any sane request."""


class Ring:
    """A queue bounded in entries and bytes; never more than `length_max` entries."""

    def __init__(
        self,
        *,
        entries_max: int = 65_536,
        bytes_max: int = 8 << 20,
        exchanges_max: int = 16_384,
    ) -> None:
        """Start empty.

        `entries_max` and `bytes_max` bound body parts and samples; the marks of at most
        `exchanges_max` exchanges come on top.
        """
        self.entries_max = entries_max
        self.bytes_max = bytes_max
        self.exchanges_max = exchanges_max
        self.dropped = 0
        self.unobserved = 0
        self._queue: deque[Entry] = deque()
        # What came in, written by the relay only, and how far that may go, written by the
        # measuring plane only: no lock is needed.
        self._in, self._bytes_in, self._admitted = 0, 0, 0
        self._in_max, self._bytes_in_max, self._admitted_max = entries_max, bytes_max, exchanges_max

    @property
    def length_max(self) -> int:
        """The most entries that the queue can hold, whoever drains it or does not."""
        return 2 * self.entries_max + self.exchanges_max * MARKS_PER_EXCHANGE

    @property
    def fill_ratio(self) -> float:
        """How full the droppable part is, between 0 and 1; by entries or bytes, the higher."""
        return max(
            1 - (self._in_max - self._in) / self.entries_max,
            1 - (self._bytes_in_max - self._bytes_in) / self.bytes_max,
        )

    def __len__(self) -> int:
        """Return how many entries wait."""
        return len(self._queue)

    def admit(self) -> Tapped | None:
        """Reserve the slots of one exchange; None (and counted) where all are taken."""
        if self._admitted >= self._admitted_max:
            self.unobserved += 1
            return None
        self._admitted += 1
        return Tapped()

    def mark(self, tapped: Tapped, moment_ns: int, mark: Mark) -> None:
        """Append a mark that has a reserved slot."""
        self._queue.append((tapped, moment_ns, mark))

    def offer(self, tapped: Tapped, moment_ns: int, mark: Mark, size: int) -> None:
        """Append a body part or a sample of `size` bytes; drop and count it where it does not fit.

        The first part that fits again is preceded by Lost, so that the stream is known as partial.
        """
        if self._in >= self._in_max or self._bytes_in + size > self._bytes_in_max:
            self.dropped += 1
            tapped.lost = True
            return
        if tapped.lost:
            tapped.lost = False
            self._queue.append((tapped, moment_ns, Lost()))
        self._in += 1
        self._bytes_in += size
        self._queue.append((tapped, moment_ns, mark))

    def drain(self, limit: int) -> list[Entry]:
        """Return at most `limit` entries, oldest first. Called by the measuring plane only."""
        take = self._queue.popleft
        entries = [take() for _ in range(min(limit, len(self._queue)))]
        offered, size, released = 0, 0, 0
        for _, _, mark in entries:
            if type(mark) is bytes:
                offered += 1
                size += len(mark)
            elif type(mark) in _RESERVED:
                released += type(mark) is Finish
            else:
                offered += 1
                size += len(mark.data) if type(mark) is RequestBody else 0
        self._in_max += offered
        self._bytes_in_max += size
        self._admitted_max += released
        return entries
