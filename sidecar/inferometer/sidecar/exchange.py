"""One exchange: a request on its way up, its answer on its way down, and all ways to end.

Nothing outlives it, and the data path has no task: the two connections call it, and it writes to
the other one. Whatever happens first ends it; everything later finds it over. Each end is told to
the ring exactly once, which is all that measuring gets to know.
"""

import logging
import time
from typing import TYPE_CHECKING, Final

from inferometer import log
from inferometer.sidecar.answers import answer
from inferometer.sidecar.asking import Asking
from inferometer.sidecar.chunks import walker
from inferometer.sidecar.heads import UNTIL_CLOSE, RequestHead, ResponseHead
from inferometer.sidecar.inject import wanted
from inferometer.sidecar.tap import (
    REQUEST_BYTES_MAX,
    Answered,
    Cause,
    Delay,
    Finish,
    RequestBody,
    RequestEnd,
    Stall,
    Started,
    Tapped,
    Upgraded,
)

if TYPE_CHECKING:
    import asyncio

    from inferometer.sidecar.books import Books, Peer
    from inferometer.sidecar.upstream import Connection

PENDING_BYTES_MAX: Final = 64 << 10
"""Request body kept while the upstream is dialled; then the client is no longer read."""
DELAY_EVERY: Final = 16
"""One chunk in so many has its way through the relay timed."""

_log = logging.getLogger(__name__)


class Exchange:
    """One request and its answer."""

    def __init__(self, books: "Books", client: "Peer", head: RequestHead) -> None:
        """Belong to `client`; nothing happens before `start`."""
        self._books = books
        self.client = client
        self.head = head
        self.method = head.method
        self.number = books.next_number()
        self.over = False
        self.detached = False  # the client left, and the answer is read to its end for the server
        self.answer_begun = False
        self.request_done = False
        self.invited = False  # by a 100, to send its body
        self.request_bytes = 0
        self.response_bytes = 0
        self.last_ns = 0
        self.status = 0
        self._walker = walker(head.framing)
        self._upstream: Connection | None = None
        self._dial: asyncio.Task[None] | None = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._tapped: Tapped | None = None
        self._parts = 0
        self._strip_chunks = False
        self._ends_by_close = False
        self._unsent = b""  # the response head, while the body that came with it is looked at
        self._closing = False
        self._tunnel_at_once = head.method == b"PRI"
        self._tunnel = False
        self._stalled_since_ns: int | None = None
        self._sent_ns: int | None = None
        self._dial_ns = 0
        mode = books.settings.usage_injection
        self._asking = Asking(mode) if mode != "off" and wanted(head) else None

    # -- the request -----------------------------------------------------------------------------

    def start(self, data: bytes, moment_ns: int) -> bytes:
        """Observe the request, and look for a connection to write it to.

        `data` is what was read with the head, at `moment_ns`: what there is of the body goes
        upstream in the same write. Returns those bytes behind the end of the body. Raises Refused.
        """
        head = self.head
        self.last_ns = moment_ns
        self._tapped = self._books.ring.admit()
        if self._tapped is not None:
            started = Started(time.time(), head.method, head.target, head.fields)
            self._books.ring.mark(self._tapped, moment_ns, started)
        if self._walker is None:
            self._request_complete(moment_ns)
        elif data:
            data = self.request_data(data, moment_ns)
        if self._asking is None:
            self._connect()
        return data

    def _connect(self) -> None:
        # Another protocol needs a connection that has served none yet.
        connection = None if self._tunnel_at_once else self._books.pool.take()
        if connection is None:
            self._dial = self._books.pool.dial(self)
        else:
            self.connected(connection, 0)

    def connected(self, connection: "Connection", dial_ns: int) -> None:
        """Write the head, and what of the body came meanwhile."""
        self._dial = None
        if self.over:
            connection.release()
            return
        connection.exchange = self
        self._upstream = connection
        parts = [self.head.forward] if self._asking is None else [self._asking.whole(self.head)]
        parts += self._pending
        self._pending = []
        self.client.reading(on=True)  # before the write, which may find that the upstream is full
        connection.transport.write(b"".join(parts))
        self._sent_ns = time.monotonic_ns()
        self._dial_ns = dial_ns
        if self._tunnel_at_once:
            self._open_tunnel(connection)

    def _open_tunnel(self, connection: "Connection") -> None:
        self._tunnel = True
        connection.tunnel = True
        self.answer_begun = True
        if self._tapped is not None:
            self._books.ring.mark(self._tapped, time.monotonic_ns(), Upgraded())

    def unreachable(self, *, timed_out: bool, exhausted: bool) -> None:
        """Answer 504 where connecting took too long, 503 where we ran out, else 502."""
        self._dial = None
        if timed_out:
            self.fail("connect_timeout", 504, "the upstream could not be connected in time")
        elif exhausted or self._books.draining:
            self._books.refused["draining"] += self._books.draining
            self.fail("connect_failed", 503, "the upstream cannot be reached now")
        else:
            self.fail("connect_failed", 502, "the upstream refused the connection")

    def request_data(self, data: bytes, moment_ns: int) -> bytes:
        """Pass request bytes on; return those behind the end of the body. Raises Refused."""
        if self._tunnel or self._tunnel_at_once:
            self.request_bytes += len(data)
            self._send(data)
            return b""
        body = self._walker
        assert body is not None
        raw, payload = body.feed(data)
        if self._asking is not None:
            self._asking.hold(payload)
        elif raw:
            self._send(raw)
        before = self.request_bytes
        self.request_bytes += len(payload)
        if self._tapped is not None and before < REQUEST_BYTES_MAX:
            copy = payload[: REQUEST_BYTES_MAX - before]
            self._books.ring.offer(self._tapped, moment_ns, RequestBody(copy), len(copy))
        if not body.done:
            return b""
        self._request_complete(moment_ns)
        if self._asking is not None:
            self._connect()
        return body.rest

    def _request_complete(self, moment_ns: int) -> None:
        self.request_done = True
        if self._tapped is not None:
            self._books.ring.mark(self._tapped, moment_ns, RequestEnd(self.request_bytes))

    def _send(self, data: bytes) -> None:
        if self._upstream is not None:
            self._upstream.transport.write(data)
            return
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > PENDING_BYTES_MAX:
            self.client.reading(on=False)

    @property
    def takes_data(self) -> bool:
        """Whether bytes of the client belong to this exchange, and not to the next request."""
        return not self.request_done or self._tunnel or self._tunnel_at_once

    @property
    def is_tunnel(self) -> bool:
        """Whether only bytes are passed, until one side closes."""
        return self._tunnel

    def upstream_full(self, *, full: bool) -> None:
        """Read no more of the client while the upstream does not keep up."""
        if not self.detached:
            self.client.reading(on=not full)

    # -- the answer ------------------------------------------------------------------------------

    def interim(self, raw: bytes) -> None:
        """Pass a 1xx answer on; HTTP/1.0 knows none."""
        if self.detached or not self.head.minor:
            return
        self.client.transport.write(raw)
        if raw.startswith(b"HTTP/1.1 100 ") and not self.request_done:
            self.invited = True
            self.client.expect_body()

    def answered(self, head: ResponseHead, moment_ns: int, *, followed: bool) -> None:
        """Send the response head: as it came, but for what belongs to one hop.

        Where it is `followed` by a part of the body, which came with it, they go in one write.
        """
        upstream = self._upstream
        assert upstream is not None
        self.last_ns = moment_ns
        if head.status == 101 and not self.head.websocket:  # noqa: PLR2004
            upstream.abort()
            self.broken(moment_ns)
            return
        self.status = head.status
        self.answer_begun = True
        if self._tapped is not None:
            self._books.ring.mark(self._tapped, moment_ns, Answered(head.status, head.fields))
        block = head.block if self._asking is None else self._asking.answered(head)
        if head.status == 101:  # noqa: PLR2004
            self._open_tunnel(upstream)
            upstream.transport.write(self.client.take_waiting())
        self._strip_chunks = head.framing.kind == "chunked" and not self.head.minor
        self._ends_by_close = head.framing is UNTIL_CLOSE or self._strip_chunks
        self._closing = head.status != 101 and (  # noqa: PLR2004
            not self.head.keep_alive
            or self._ends_by_close
            or not self.request_done
            or self._books.draining
        )
        if self.detached:
            return
        chunked = head.framing.kind == "chunked" and not self._strip_chunks
        raw = head.written(block, chunked=chunked, closing=self._closing)
        if followed:
            self._unsent = raw
        else:
            self.client.transport.write(raw)

    def body(self, raw: bytes, payload: bytes, moment_ns: int) -> None:
        """Pass a part of the body on, then leave a view of it in the ring."""
        if not self.detached:
            if self._asking is not None and self._asking.filters:
                raw = self._asking.filtered(payload, bare=self._strip_chunks)
            elif self._strip_chunks:
                raw = payload
            if self._unsent:
                raw = self._take_unsent() + raw
            self.client.transport.write(raw)
        self.last_ns = moment_ns
        self.response_bytes += len(payload)
        tapped = self._tapped
        if tapped is None or tapped.muted or not payload:
            return
        self._books.ring.offer(tapped, moment_ns, payload, len(payload))
        self._parts += 1
        if self._parts % DELAY_EVERY == 0:
            self._books.ring.offer(tapped, moment_ns, Delay(time.monotonic_ns() - moment_ns), 0)

    def _take_unsent(self) -> bytes:
        unsent, self._unsent = self._unsent, b""
        return unsent

    def tunnelled(self, data: bytes, moment_ns: int) -> None:
        """Pass bytes of a tunnel on."""
        self.last_ns = moment_ns
        self.response_bytes += len(data)
        self.client.transport.write(data)

    def stalled(self, *, stalled: bool) -> None:
        """Read no more of the upstream while the client does not read; tell how long that was."""
        upstream = self._upstream
        if upstream is None or upstream.closed or upstream.transport.is_closing():
            return
        now_ns = time.monotonic_ns()
        if self._tapped is not None:
            self._tapped.paused = stalled
        if stalled:
            self._stalled_since_ns = now_ns
            upstream.transport.pause_reading()
            return
        upstream.transport.resume_reading()
        since_ns, self._stalled_since_ns = self._stalled_since_ns, None
        if self._tapped is not None and since_ns is not None:
            self._books.ring.offer(self._tapped, now_ns, Stall(now_ns - since_ns), 0)

    # -- the ends --------------------------------------------------------------------------------

    def complete(self, moment_ns: int) -> None:
        """End well; go on with the next request where both sides can."""
        if self.over:
            return
        if self._asking is not None and self._asking.filters and not self.detached:
            self.client.transport.write(self._asking.rest(bare=self._strip_chunks))
        self._finish("complete", moment_ns)
        upstream, self._upstream = self._upstream, None
        if upstream is not None and not upstream.closed:
            if self.request_done and not self._tunnel:
                if self._stalled_since_ns is not None and not upstream.transport.is_closing():
                    upstream.transport.resume_reading()  # the last bytes were too many for now
                upstream.release()
            else:
                upstream.exchange = None
                upstream.abort()
        if not self.detached:
            self.client.exchange_over(keep=not self._closing and not self._tunnel)

    def broken(self, moment_ns: int) -> None:
        """End an exchange whose upstream failed: never as if the answer were complete."""
        if self.over:
            return
        if self._tunnel:
            self._drop_upstream()
            self._finish("upstream_short", moment_ns)
            self.client.abort(reset=False)
        elif self.answer_begun:
            self._drop_upstream()
            self._finish("upstream_short", moment_ns)
            if not self.detached:
                self.client.transport.write(self._take_unsent())
                self.client.cut_short(reset=self._ends_by_close)
        else:
            self.fail("upstream_failed", 502, "the upstream broke off")

    def internal_error(self, error: Exception) -> None:
        """Our own code failed: end this exchange, count it, serve the others."""
        self._books.internal_errors += 1
        log.once(_log, type(error).__name__, "serving a request failed")
        self.fail("proxy_error", 502, "the sidecar failed")

    def fail(self, cause: Cause, status: int, reason: str) -> None:
        """End with an answer of our own, or by cutting the answer that has begun."""
        if self.over:
            return
        self._drop_upstream()
        if self.answer_begun or self.detached:
            self._finish(cause, time.monotonic_ns())
            if not self.detached:
                self.client.abort(reset=self._ends_by_close)
            return
        self.status = status
        self._finish(cause, time.monotonic_ns())
        raw = answer(status, reason, number=self.number, head_only=self.method == b"HEAD")
        self.client.close_with(raw)

    def client_left(self, moment_ns: int) -> None:
        """Close the upstream at once, or read its answer to the end where the setting says so."""
        if self.over:
            return
        upstream = self._upstream
        if (
            upstream is not None
            and self.request_done
            and not self._tunnel
            and self._books.detach(self)
        ):
            self._finish("client_left", moment_ns)
            self.over = False
            self.detached = True
            upstream.transport.resume_reading()
            return
        self._drop_upstream()
        self._finish("complete" if self._tunnel else "client_left", moment_ns)

    def _drop_upstream(self) -> None:
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.exchange = None
            upstream.abort()

    def _finish(self, cause: Cause, moment_ns: int) -> None:
        self.over = True
        counted = self._asking.counted if self._asking is not None else None
        if counted is not None and self._tapped is not None:
            self._books.injected[counted] = self._books.injected.get(counted, 0) + 1
        if self.detached:
            self._books.detached.pop(self, None)
        tapped, self._tapped = self._tapped, None
        if tapped is None:
            return
        if self._stalled_since_ns is not None:
            self._books.ring.offer(tapped, moment_ns, Stall(moment_ns - self._stalled_since_ns), 0)
        sizes, sent = (self.request_bytes, self.response_bytes), (self._sent_ns, self._dial_ns)
        finish = Finish(cause, self.status, *sizes, tapped.lost, *sent)
        self._books.ring.mark(tapped, moment_ns, finish)
