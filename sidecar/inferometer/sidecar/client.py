"""A connection of a client: heads are read, bodies handed to the exchange, one at a time.

Requests that come before the answer to an earlier one wait in a bounded buffer. Every state has a
deadline; the relay's sweep looks at them, so that no request needs a timer of its own.
"""

import asyncio
import logging
import math
import re
import time
from typing import TYPE_CHECKING, Final, Literal, cast

from inferometer import log
from inferometer.sidecar.answers import answer
from inferometer.sidecar.closing import LINGER_S, Unread, look, reset_at_close
from inferometer.sidecar.exchange import Exchange
from inferometer.sidecar.heads import (
    HTTP2_PREFACE,
    Refused,
    RequestHead,
    check_start,
    find_end,
    parse_request,
    prior_knowledge,
)
from inferometer.sidecar.upstream import (
    READ_BYTES_MAX,
    WRITE_BUFFER_BYTES_MAX,
    set_socket_options,
)

if TYPE_CHECKING:
    from inferometer.sidecar.books import Books

WAITING_BYTES_MAX: Final = 64 << 10
"""Pipelined requests that wait for their turn; then the client is no longer read."""
TOLD_MAX: Final = 256
"""Connections over the limit that are told so; further ones are just closed."""
LINGER_BYTES_MAX: Final = 1 << 20
RATE_WINDOW_S: Final = 10.0
"""Over how long the rate of an upload is looked at."""
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)++")

_READ_BUFFER: Final = bytearray(READ_BYTES_MAX)
_READ_VIEW: Final = memoryview(_READ_BUFFER)

Why = Literal["limit", "head", "body"]

_log = logging.getLogger(__name__)


class Client(asyncio.BufferedProtocol):
    """One connection of a client."""

    def __init__(self, books: "Books", clients: "set[Client]") -> None:
        """Belong to the relay whose `books` these are, one of its `clients`."""
        self.transport: asyncio.Transport
        self.exchange: Exchange | None = None
        self.deadline_s = math.inf
        self._books = books
        self._clients = clients
        self._held = b""
        self._seen = 0  # bytes of `_held` that were searched for the end of the head
        self._read_ns = 0
        self._lingering = False
        self._lingered_bytes = 0
        self._writing_paused = False
        self._reading_paused = False
        self._half_closed = False
        self._window_bytes = 0
        self._unread = Unread()

    # -- connection ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection in, or turn it away."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        set_socket_options(self.transport)
        self._clients.add(self)
        excess = len(self._clients) - self._books.settings.connections_max
        self.deadline_s = self._books.now_s() + self._books.settings.header_timeout_s
        if excess > 0:
            # Whoever connects has something to ask; uncounted, an overload would look well.
            self._books.record_refusal("limit", 503, time.monotonic_ns())
            self._turn_away(503, "too many connections", "limit")
        if excess > TOLD_MAX:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """Pass it on: whoever waits for this client waits no more."""
        self._clients.discard(self)
        self.deadline_s = math.inf
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_left(time.monotonic_ns())

    def eof_received(self) -> bool:
        """Take a FIN before the answer is complete as leaving, unless the setting says otherwise.

        `close()` and `shutdown()` of a client look alike, and a GPU is dear; nginx and Envoy do
        the same.
        """
        exchange = self.exchange
        if exchange is None or self._lingering:
            return False
        if (
            self._books.settings.client_half_close == "serve"
            and exchange.request_done
            and not exchange.is_tunnel
            and self.transport.can_write_eof()
        ):
            self._half_closed = True
            return True
        self.exchange = None
        exchange.client_left(time.monotonic_ns())
        return False

    def pause_writing(self) -> None:
        """Stop reading the upstream: the client does not read."""
        self._writing_paused = True
        if self.exchange is not None:
            self.deadline_s = self._books.now_s() + self._books.settings.client_stall_timeout_s
            self.exchange.stalled(stalled=True)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._writing_paused = False
        if self.exchange is not None:
            if self.exchange.request_done:
                self._await_answer()
            else:
                self.deadline_s = self._books.now_s() + RATE_WINDOW_S
            self.exchange.stalled(stalled=False)
        elif not self._lingering:
            self._await_request()

    # -- reading ---------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  (asyncio's signature)
        """Return the buffer that is shared by all connections."""
        return _READ_BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read: the moment first, before anything is parsed."""
        moment_ns = time.monotonic_ns()
        self._read_ns = moment_ns
        data = _READ_VIEW[:nbytes].tobytes()
        exchange = self.exchange
        try:
            if self._lingering:
                self._discard(nbytes)
            elif exchange is None:
                self._held += data
                self._next(moment_ns)
            elif exchange.takes_data:
                self._window_bytes += nbytes
                self._held += exchange.request_data(data, moment_ns)
                if exchange.request_done:
                    self._await_answer()
            else:
                self._held += data
                if len(self._held) > WAITING_BYTES_MAX:
                    self.reading(on=False)
        except Refused as refused:
            self._refuse(refused, moment_ns)
        except Exception as error:  # noqa: BLE001  (the seam: others are served, and it is counted)
            self._internal_error(error)

    def _discard(self, nbytes: int) -> None:
        self._lingered_bytes += nbytes
        if self._lingered_bytes > LINGER_BYTES_MAX:
            self.transport.abort()

    def reading(self, *, on: bool) -> None:
        """Stop or go on reading this client."""
        if on == self._reading_paused and not self.transport.is_closing():
            self._reading_paused = not on
            if on:
                self._window_bytes = 0
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _next(self, moment_ns: int) -> None:
        """Start the next request, if its head is complete."""
        if self.exchange is not None or self._lingering or self._writing_paused or not self._held:
            return
        empty = _EMPTY_LINES.match(self._held)
        if empty:  # before a request line they are ignored (RFC 9112, section 2.2)
            self._held = self._held[empty.end() :]
            self._seen = 0
        held = self._held
        if not held or (held.startswith(HTTP2_PREFACE[:3]) and self._is_http2()):
            return
        end = find_end(held, self._seen)
        if end < 0:
            check_start(held)
            if not self._seen:
                self.deadline_s = self._books.now_s() + self._books.settings.header_timeout_s
            self._seen = len(held)
            return
        head = parse_request(held[:end])
        self._held = held[end:]
        self._start(head, moment_ns)

    def _is_http2(self) -> bool:
        """Tunnel HTTP/2 with prior knowledge, or refuse it; True while it is or may become so."""
        if not self._held.startswith(HTTP2_PREFACE[: len(self._held)]):
            return False
        if len(self._held) < len(HTTP2_PREFACE):
            soon_s = self._books.now_s() + self._books.settings.header_timeout_s
            self.deadline_s = min(self.deadline_s, soon_s)
            return True
        if self._books.settings.http2 == "refuse":
            raise Refused(505, "http/2 is refused by setting")
        preface, self._held = self._held, b""
        self._start(prior_knowledge(preface), self._read_ns)
        return True

    def _start(self, head: RequestHead, moment_ns: int) -> None:
        self._seen = 0
        self.exchange = exchange = Exchange(self._books, self, head)
        self._held = exchange.start(self._held, moment_ns)
        if exchange.request_done:
            self._await_answer()
        else:
            self.expect_body()
        if len(self._held) > WAITING_BYTES_MAX:
            self.reading(on=False)

    def _await_answer(self) -> None:
        if self._writing_paused:  # that the client reads is waited for first
            return
        settings = self._books.settings
        limited = settings.first_byte_timeout_s or settings.upstream_idle_timeout_s
        self.deadline_s = 0.0 if limited else math.inf

    # -- what the exchange asks for --------------------------------------------------------------

    def exchange_over(self, *, keep: bool) -> None:
        """Read the next request, or close when all is written."""
        self.exchange = None
        if not keep or (self._half_closed and not self._held):
            self._linger()
            return
        self.reading(on=True)
        self._await_request()

    def _await_request(self) -> None:
        """Start the next request, which may have come before the last one was over."""
        settings, stalled = self._books.settings, self._writing_paused
        wait_s = settings.client_stall_timeout_s if stalled else settings.client_idle_timeout_s
        self.deadline_s = self._books.now_s() + wait_s
        try:
            self._next(self._read_ns)
        except Refused as refused:
            self._refuse(refused, self._read_ns)

    def take_waiting(self) -> bytes:
        """Return what came before the answer that made this connection a tunnel."""
        waiting, self._held = self._held, b""
        return waiting

    def close_with(self, raw: bytes) -> None:
        """Send a last answer of our own, then close."""
        self.exchange = None
        self.transport.write(raw)
        self._linger()

    def cut_short(self, *, reset: bool) -> None:
        """Send what was relayed, then close so that the answer can't look complete.

        Where closing is what ends an answer, the close must be a reset.
        """
        self.exchange = None
        if reset:
            reset_at_close(self.transport)
        self._lingering = True
        self.deadline_s = self._books.now_s() + LINGER_S
        self.transport.close()

    def abort(self, *, reset: bool) -> None:
        """Close at once; by a reset where else the answer would look complete."""
        self.exchange = None
        if reset:
            reset_at_close(self.transport)
        self.transport.abort()

    def expect_body(self) -> None:
        """Have the client's time begin: it was told to go on with its body."""
        self._window_bytes = 0
        self.deadline_s = self._books.now_s() + RATE_WINDOW_S

    # -- refusals and deadlines ------------------------------------------------------------------

    def _refuse(self, refused: Refused, moment_ns: int) -> None:
        exchange = self.exchange
        if exchange is not None:
            self._books.refused["body"] += 1
            exchange.fail("client_bad", refused.status, refused.reason)
            return
        self._books.record_refusal("client_bad", refused.status, moment_ns)
        self._turn_away(refused.status, refused.reason, "head")

    def _turn_away(self, status: int, reason: str, why: Why) -> None:
        self._books.refused[why] += 1
        self._held = b""
        self.close_with(answer(status, reason, number=self._books.next_number()))

    def _internal_error(self, error: Exception) -> None:
        exchange = self.exchange
        if exchange is not None:
            exchange.internal_error(error)
        else:
            self._books.internal_errors += 1
            log.once(_log, type(error).__name__, "serving a client failed")
            self._books.record_refusal("proxy_error", 0, self._read_ns)
            self.transport.abort()

    def _linger(self) -> None:
        """Close our side, and read on for a moment, or unread bytes would reset our answer away."""
        if self.transport.is_closing():
            return
        self._lingering = True
        self._held = b""
        self.deadline_s = self._books.now_s() + LINGER_S
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.reading(on=True)
        self.transport.write_eof()

    def busy(self) -> bool:
        """Whether an exchange is under way, or its answer is not written out yet."""
        return self.exchange is not None or self.transport.get_write_buffer_size() > 0

    def finish_idle(self) -> None:
        """Close a connection on which nothing is under way."""
        if not self.busy() and not self._held and not self._lingering:
            self.transport.close()

    def look_for_leaving(self) -> None:
        """Notice that a client left whose bytes are not read for now; the kernel knows."""
        if not self._reading_paused or self.exchange is None:
            return
        seen = look(self.transport)
        if seen == "gone" or (seen == "fin" and not self.eof_received()):
            self.transport.abort()

    def due(self, now_s: float) -> None:
        """Act on a deadline that has passed."""
        exchange = self.exchange
        if self._lingering or exchange is None:
            self._due_without_request(now_s)
        elif self._writing_paused:
            exchange.fail("client_slow", 408, "the client does not read")
        elif exchange.request_done or exchange.is_tunnel:
            self._check_upstream(exchange)
        else:
            self._check_rate(exchange, now_s)

    def _due_without_request(self, now_s: float) -> None:
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes:  # an answer that is over is waited for while it is being read
            if (
                self._unread.still_s(unread_bytes, now_s)
                < self._books.settings.client_stall_timeout_s
            ):
                self.deadline_s = now_s + LINGER_S
            else:
                self.abort(reset=True)
        elif self._lingering:
            self.transport.abort()
        elif not self._held:
            self.transport.close()
        else:
            self._books.record_refusal("client_slow", 408, self._read_ns)
            self._turn_away(408, "the head took too long", "head")

    def _check_rate(self, exchange: Exchange, now_s: float) -> None:
        least = self._books.settings.body_rate_min_bytes * RATE_WINDOW_S
        asked = exchange.invited or exchange.request_bytes
        upstream_s_turn = exchange.head.expects and not asked
        excused = self._reading_paused or exchange.answer_begun or upstream_s_turn
        if excused or self._window_bytes >= least:
            self._window_bytes = 0
            self.deadline_s = now_s + RATE_WINDOW_S
            return
        self._books.refused["body"] += 1
        exchange.fail("client_slow", 408, "the body took too long")

    def _check_upstream(self, exchange: Exchange) -> None:
        settings = self._books.settings
        begun = exchange.answer_begun
        limit_s = settings.upstream_idle_timeout_s if begun else settings.first_byte_timeout_s
        silent_s = (time.monotonic_ns() - exchange.last_ns) / 1e9
        if limit_s and silent_s > limit_s and not exchange.is_tunnel:
            exchange.fail("upstream_timeout", 504, "the upstream was silent for too long")
