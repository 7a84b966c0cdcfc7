"""The admin port: `/metrics`, health and whatever else a program shows, on a thread of its own.

One thread serves all connections and none of them can hold it up: sockets never block, an answer
is made and sent in small pieces, and the thread lets others run between them. So a scraper that
does not read holds only its own connection, and a program whose main loop is saturated can still
be seen. Every wait has a limit, and when all connections are taken the one that has idled longest
makes room. What is shown is for the handlers to say; who may see it, for `web_config`.
"""

import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from threading import Thread
from typing import Final

from inferometer import log
from inferometer.web.access import is_available
from inferometer.web.config import Watch, WebConfig, load
from inferometer.web.door import Door, Pending, Tally
from inferometer.web.heads import Answer, Handler, Request, Response, plain
from inferometer.web.link import Link, Phase, listen

__all__ = ["Handler", "Limits", "Request", "Response", "Server", "plain"]

LOOK_EVERY_S: Final = 0.1
"""How often connections are looked at for having waited too long."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a server."""

    connections_max: int = 128
    """Scrapers are a handful; each connection costs some 20 KiB."""
    head_s: float = 10.0
    """From the connection, or the first byte of a later request, to the end of the head."""
    idle_s: float = 120.0
    """Between two requests: longer than anybody's scrape interval."""
    stall_s: float = 10.0
    """Without a byte taken by the client, until it is cut."""
    answer_s: float = 60.0
    """For a whole answer, however steadily it is read."""
    linger_s: float = 1.0
    """After the last answer, for the client to close."""
    accepts_per_turn: int = 32
    """So that those that came before are read before they could have to make room."""
    pause_s: float = 0.0001
    """Between pieces: a real sleep, since nothing less gives the interpreter to other threads."""


class Server:
    """Serves routes on a port."""

    def __init__(
        self,
        address: tuple[str, int],
        routes: Mapping[str, Handler],
        *,
        web_config: Path | None = None,
        limits: Limits | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to serve; port 0 takes a free one. Raises SettingsError for `web_config`."""
        self._address = address
        self._limits = limits or Limits()
        self._clock_s = clock_s
        self._tally = Tally()
        self._watch = Watch(lambda: _read_config(web_config), clock_s=clock_s)
        self._door = Door(routes, self._watch, tally=self._tally, clock_s=clock_s)
        self._links: dict[Link, None] = {}  # those that wait, in the order in which they began to
        self._verdicts: deque[tuple[Link, bool]] = deque()
        self._stopping = False
        self._thread = Thread(target=self._run, name="web", daemon=True)
        self._steps: Mapping[Phase, Callable[[Link], None]] = {
            Phase.HANDSHAKE: self._handshake,
            Phase.HEAD: self._read,
            Phase.ANSWER: self._write,
            Phase.LINGER: self._linger,
        }
        self._listener: socket.socket | None = None
        self._listen_again_s: float | None = None
        self._look_s = clock_s()
        self._selector = DefaultSelector()
        self._waker, self._woken = socket.socketpair()

    @property
    def port(self) -> int:
        """The port it listens on; known after `start`."""
        assert self._listener is not None, "not started"
        return int(self._listener.getsockname()[1])

    def metrics(self) -> Mapping[str, Callable[[], Iterable[tuple[tuple[str, ...], float]]]]:
        """Return its own numbers, as callbacks for a registry by the name of the metric."""
        return {
            "inferometer_web_connections": lambda: [((), len(self._links))],
            "inferometer_web_errors_total": lambda: [((), self._tally.errors)],
            "inferometer_web_config_failures_total": lambda: [((), self._watch.failures)],
            "inferometer_web_refused_total": lambda: [
                ((reason,), count) for reason, count in tuple(self._tally.refused.items())
            ],
        }

    def start(self) -> None:
        """Listen and begin to serve. Raises WorldError if the address cannot be had."""
        self._listener = listen(self._address)
        for sock in (self._listener, self._waker, self._woken):
            sock.settimeout(0)
        self._selector.register(self._listener, EVENT_READ)
        self._selector.register(self._woken, EVENT_READ)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Close everything and end the thread; may be called without a start."""
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._door.close()
        for sock in (self._listener, self._waker, self._woken):
            if sock is not None:
                sock.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - the port outlives whatever went wrong
                self._tally.errors += 1
                log.once(_log, type(error).__name__, "a turn of the admin port failed")
                time.sleep(self._limits.pause_s)
        for link in tuple(self._links):
            self._close(link)

    def _turn(self) -> None:
        """Wait for sockets, and do one step for each that is ready."""
        waits = self._links or self._listen_again_s is not None
        patience_s = max(0.0, self._look_s - self._clock_s()) if waits else None
        for key, _ in self._selector.select(patience_s):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                self._take_verdicts()
            elif key.data in self._links:  # it may have made room for another one
                self._step(key.data)
        now_s = self._clock_s()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_EVERY_S
            self._expire(now_s)

    def _step(self, link: Link) -> None:
        """Do one step for a connection; whatever goes wrong ends this connection only."""
        try:
            self._steps[link.phase](link)
        except OSError:  # the client is gone, or does not speak TLS
            if link.phase is Phase.HANDSHAKE:
                self._tally.refuse("handshake")
            self._close(link)
        except Exception as error:  # noqa: BLE001 - the body of an answer may raise anything
            self._tally.errors += 1
            log.once(_log, type(error).__name__, "an answer of the admin port was cut")
            self._close(link)
        self._watch_socket(link)

    def _watch_socket(self, link: Link) -> None:
        """Have the selector watch for what the connection waits for."""
        wanted = 0 if link.phase is Phase.VERDICT else link.wants
        if link not in self._links or link.watched == wanted:
            return
        if not link.watched:
            self._selector.register(link.sock, wanted, link)
        elif wanted:
            self._selector.modify(link.sock, wanted, link)
        else:
            self._selector.unregister(link.sock)
        link.watched = wanted

    def _accept(self) -> None:
        assert self._listener is not None
        for taken in range(self._limits.accepts_per_turn):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # out of descriptors or memory, even if nobody waits any more
                if not taken:
                    self._run_short()
                return
            try:
                if len(self._links) < self._limits.connections_max or self._make_room():
                    self._greet(sock)
                else:
                    self._refuse(sock)
            except BaseException:
                sock.close()
                raise

    def _run_short(self) -> None:
        """Make room where the operating system has none, and try again soon."""
        assert self._listener is not None
        self._tally.refuse("resources")
        self._make_room()
        self._selector.unregister(self._listener)
        self._listen_again_s = self._clock_s() + self._limits.linger_s / 10

    def _greet(self, sock: socket.socket) -> None:
        now_s = self._clock_s()
        try:
            link = Link(sock, tls=self._watch.refresh().tls, now_s=now_s)
        except OSError:  # it is gone already
            sock.close()
            return
        link.deadline_s = now_s + self._limits.head_s
        self._links[link] = None
        self._watch_socket(link)

    def _make_room(self) -> bool:
        """Close the connection that has idled longest, else one whose client does not read."""
        for link in self._links:
            if link.idle:
                self._tally.refuse("limit")
                self._close(link)
                return True
        stalled = min(self._links, key=lambda link: link.progress_s, default=None)
        if stalled and self._clock_s() - stalled.progress_s >= self._limits.stall_s / 10:
            self._tally.refuse("slow")
            self._close(stalled)
            return True
        return False

    def _refuse(self, sock: socket.socket) -> None:
        self._tally.refuse("limit")
        with sock, suppress(OSError):
            if self._watch.current.tls is None:
                sock.settimeout(0)
                sock.send(b"".join(self._door.busy().pieces))

    def _handshake(self, link: Link) -> None:
        if not link.shake_hands():
            return
        names = self._watch.current.client_names
        if names:
            from inferometer.certificates import alternative_names  # it is for TLS alone

            if not names & alternative_names(link.certificate()):
                self._tally.refuse("unauthorized")
                self._close(link)
                return
        link.phase = Phase.HEAD
        link.wants = EVENT_READ
        self._read(link)  # TLS may hold bytes that the selector does not see

    def _read(self, link: Link) -> None:
        data = link.receive()
        if data is None:
            return
        if not data:
            self._close(link)
            return
        link.progress_s = self._clock_s()
        if not link.inbox:
            link.deadline_s = link.progress_s + self._limits.head_s
        link.inbox += data
        self._take_request(link)

    def _take_request(self, link: Link) -> None:
        """Answer the request at the start of the inbox, if its head is complete."""
        found = self._door.read(link.inbox)
        if isinstance(found, Answer):
            self._answer(link, found)
            return
        head, link.inbox = found
        if head is None:
            link.wants = EVENT_READ
            return
        reply = self._door.admit(head)
        if isinstance(reply, Pending):
            self._await_verdict(link, reply)
        else:
            self._answer(link, reply)

    def _await_verdict(self, link: Link, pending: Pending) -> None:
        def done(verdict: bool) -> None:  # noqa: FBT001 - a callback, on another thread
            self._verdicts.append((link, verdict))
            self._wake()

        link.pending = pending
        link.phase = Phase.VERDICT
        link.deadline_s = self._clock_s() + self._limits.answer_s
        refusal = self._door.ask(pending, done)
        if refusal is not None:
            self._answer(link, refusal)

    def _take_verdicts(self) -> None:
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        while self._verdicts:
            link, verdict = self._verdicts.popleft()
            assert link.pending is not None
            answer = self._door.decide(link.pending, verdict=verdict)
            if link in self._links:
                self._answer(link, answer)
                self._watch_socket(link)

    def _answer(self, link: Link, answer: Answer) -> None:
        link.answer = answer
        link.pending = None
        link.phase = Phase.ANSWER
        link.wants = EVENT_WRITE
        link.progress_s = self._clock_s()
        link.deadline_s = link.progress_s + self._limits.answer_s
        link.outbox = memoryview(next(answer.pieces, b""))

    def _write(self, link: Link) -> None:
        """Send what is left of a piece, or make the next one."""
        if not link.outbox:
            time.sleep(self._limits.pause_s)
            piece = next(link.answer.pieces, None)
            if piece is None:
                self._end(link)
                return
            link.outbox = memoryview(piece)
        if link.outbox and link.send():
            link.progress_s = self._clock_s()

    def _end(self, link: Link) -> None:
        """Wait for the next request, or for the client to close."""
        now_s = self._clock_s()
        if not link.answer.keep_alive:
            link.phase = Phase.LINGER
            link.deadline_s = now_s + self._limits.linger_s
            link.finish()
            return
        self._links[link] = self._links.pop(link)
        link.phase = Phase.HEAD
        link.wants = EVENT_READ
        link.deadline_s = now_s + (self._limits.head_s if link.inbox else self._limits.idle_s)
        if link.inbox:
            self._take_request(link)

    def _linger(self, link: Link) -> None:
        if link.receive() == b"":
            self._close(link)

    def _expire(self, now_s: float) -> None:
        """Close what has waited too long, and listen again after a shortage."""
        for link in tuple(self._links):
            stalled = link.phase is Phase.ANSWER and (
                now_s - link.progress_s >= self._limits.stall_s
            )
            if stalled or now_s >= link.deadline_s:
                if not link.idle:
                    self._tally.refuse("slow")
                self._close(link)
        if self._listen_again_s is not None and now_s >= self._listen_again_s:
            assert self._listener is not None
            self._listen_again_s = None
            self._selector.register(self._listener, EVENT_READ)

    def _close(self, link: Link) -> None:
        del self._links[link]
        if link.watched:
            self._selector.unregister(link.sock)
        link.sock.close()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake already; closed: it has ended
            self._waker.send(b"\0")


def _read_config(path: Path | None) -> WebConfig:
    return WebConfig() if path is None else load(path, can_verify=is_available)
