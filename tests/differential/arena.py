"""A sidecar in front of a real server, and the rule: both see what the reference reader sees.

A case is bytes of one client. Every request that the reference finds in them is seen by the server
as exactly that (method, target, body), or refused by the server itself; what the reference refuses
is refused by us, and the server never sees it. Nothing hangs, no error is ours but a refusal, and
another client is served afterwards.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from differential.origin import Origin, running_origin
from differential.reference import Reading, Request, read_requests
from support.client import Answer, Wire
from support.framing import FramingError
from support.script import request
from support.sidecar import Sidecar, wait_until

BOUND_S: Final = 8.0
REFUSALS: Final = frozenset((400, 405, 414, 431, 501, 505))
PLACE: Final = b"/c000000"
"""Stands in a case for a path of its own, of the same length."""


class Heard(NamedTuple):
    """An answer: the server's, or our own."""

    status: int
    ours: bool


OUR_FIELDS: Final = {b"content-type", b"content-length", b"connection", b"allow", b"retry-after"}


def is_ours(answer: Answer) -> bool:
    """Tell whether an answer was made by the sidecar, also without a body."""
    names = {name.lower() for name, _ in answer.head.fields}
    kind = answer.head.values(b"content-type")
    return names <= OUR_FIELDS and kind == [b"application/json"]


class Arena:
    """One sidecar and one server; cases run one after the other."""

    def __init__(self, origin: Origin, sidecar: Sidecar, alive: Wire) -> None:
        self._origin = origin
        self._sidecar = sidecar
        self._alive = alive
        self._cases = 0
        self._expected = 0
        self._broken = False

    def play(self, raw: bytes, cuts: Sequence[int] = ()) -> Reading:
        """Send a case and judge it; returns what the reference reads. AssertionError shows all."""
        self._cases += 1
        raw = raw.replace(PLACE, b"/c%06d" % self._cases)
        reading = read_requests(raw)
        heard: list[Heard] = []
        seen: list[Request] = []
        try:
            self._talk(raw, cuts, reading, heard)
            self._compare(reading, heard, seen)
            self.check_alive()
        except Exception as error:
            self._broken = True
            parts = (f"sent: {raw!r}", f"reference: {reading}", f"heard: {heard}", f"seen: {seen}")
            message = "\n".join((f"{self._origin.name}: {error!r}", *parts))
            raise AssertionError(message) from error
        return reading

    def check_alive(self) -> None:
        """Ask as another client does."""
        assert self._alive.ask(request("GET", "/alive")).status == 200
        self._expected += 1

    def check_nothing_came_late(self) -> None:
        """After all cases: the server has seen no request beyond those that were expected.

        Nobody knows what to expect after a case that failed.
        """
        if self._broken:
            return
        self.check_alive()
        wait_until(lambda: self._settled() >= self._expected)
        assert self._settled() == self._expected

    def _settled(self) -> int:
        self._origin.look()
        return len(self._origin.seen)

    def _talk(self, raw: bytes, cuts: Sequence[int], reading: Reading, heard: list[Heard]) -> None:
        with self._sidecar.wire(timeout_s=BOUND_S) as wire:
            with contextlib.suppress(ConnectionError):  # refused before all was sent
                self._send(wire, raw, cuts)
            for expected in reading.requests:
                if not self._hear(wire, expected.method, heard):
                    return
            if reading.ending == "refused":
                goes_on = self._hear(wire, reading.begun, heard)
                assert not goes_on, "the connection goes on after what is no request"
                assert heard[-1].status in REFUSALS or not heard[-1].ours, heard
            else:
                wire.socket.settimeout(0.0)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    wire.more()
                assert reading.ending == "partial" or not wire.buffer, bytes(wire.buffer)

    def _send(self, wire: Wire, raw: bytes, cuts: Sequence[int]) -> None:
        """Send pieces of these sizes, and the rest; a round trip makes each a read of its own."""
        for size in cuts:
            if len(raw) > size:
                wire.send(raw[:size])
                raw = raw[size:]
                self.check_alive()
        wire.send(raw)

    @staticmethod
    def _hear(wire: Wire, method: bytes, heard: list[Heard]) -> bool:
        """Read an answer; False where it is the last one."""
        try:
            answer = wire.read_answer(method=method.decode())
        except FramingError:
            if not any(h.status >= 400 for h in heard):
                raise
            return False  # a refusal ended the connection
        heard.append(Heard(answer.status, is_ours(answer)))
        if answer.end != "complete":
            # A server that refuses may reset its connection, with our request unread.
            assert answer.status >= 400, answer.end
            assert not is_ours(answer), answer.end
            return False
        if answer.head.value(b"connection") != b"close":
            return True
        assert wire.rest()[0] == b""
        return False

    def _compare(self, reading: Reading, heard: list[Heard], seen: list[Request]) -> None:
        pairs = list(zip(reading.requests, heard, strict=False))
        for _, answer in pairs:
            assert not answer.ours, f"a request was not forwarded: {answer}"
        taken = [normal(asked) for asked, answer in pairs if answer.status < 400]
        if len(pairs) < len(reading.requests):
            assert len(pairs) > len(taken), "fewer answers than requests"
        wait_until(lambda: self._look(seen) >= len(taken), wait_s=BOUND_S)
        found = [normal(one) for one in seen if one.target != b"/alive"]
        self._expected += len(found)
        # A server may run a request and answer 4xx; it may run none that is not in the bytes.
        spare = len(found) - len(taken)
        for asked, answer in pairs:
            if answer.status < 400:
                assert found[:1] == [normal(asked)], "the server has read another request"
                found.pop(0)
            elif spare and found[0] == normal(asked):
                found.pop(0)
                spare -= 1
        assert not found, "the server has read a further request"

    def _look(self, seen: list[Request]) -> int:
        seen += self._origin.look()
        return len([r for r in seen if r.target != b"/alive"])


def normal(seen: Request) -> Request:
    """Return a request as servers agree to show it: no authority, no empty query, no fragment."""
    target = seen.target
    scheme, found, rest = target.partition(b"://")
    if found and scheme.lower() in (b"http", b"https"):
        start = min([at for at in (rest.find(c) for c in b"/?#") if at >= 0], default=len(rest))
        target = rest[start:]
        target = target if target.startswith(b"/") else b"/" + target
    target = target.partition(b"#")[0].removesuffix(b"?")
    return Request(seen.method.upper(), target, seen.body)


@contextlib.contextmanager
def running_arena(name: str, *flags: str) -> Iterator[Arena]:
    """Run a server and a sidecar for the length of a block."""
    with (
        running_origin(name) as origin,
        Sidecar(origin.url, "--http2", "refuse", *flags) as sidecar,
        sidecar.wire() as alive,
    ):
        arena = Arena(origin, sidecar, alive)
        yield arena
        arena.check_nothing_came_late()
