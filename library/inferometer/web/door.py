"""From the bytes of a request to its answer: what it asks for, who may ask, which handler answers.

No socket is touched here: the server reads and writes, this decides what.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from inferometer import log
from inferometer.web.access import Access, Credentials, read_credentials
from inferometer.web.config import Watch, WebConfig
from inferometer.web.heads import (
    HEAD_BYTES_MAX,
    HEAD_END,
    Answer,
    Handler,
    Head,
    HeadError,
    Request,
    Response,
    answer,
    date,
    plain,
    read_head,
)

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Answered without a password and without a limit: the kubelet has none and must always know."""

Reason = Literal["limit", "head", "slow", "handshake", "unauthorized", "rate", "resources"]

_CHALLENGE: Final = ("WWW-Authenticate", 'Basic realm="inferometer", charset="UTF-8"')
_AGAIN: Final = ("Retry-After", "1")
_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What a server counts, as plain integers that any thread may read."""

    errors: int = 0
    refused: dict[Reason, int] = field(default_factory=dict)

    def refuse(self, reason: Reason) -> None:
        """Count a refusal."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for the verdict on its credentials."""

    head: Head
    credentials: Credentials
    config: WebConfig


class Door:
    """Decides on requests by routes, configuration and credentials."""

    def __init__(
        self,
        routes: Mapping[str, Handler],
        watch: Watch,
        *,
        tally: Tally,
        clock_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Start with no verdict known and a full allowance of requests."""
        self._routes = routes
        self._watch = watch
        self._tally = tally
        self._clock_s = clock_s
        self._wall_s = wall_s
        self._access = Access()
        self._allowance = float("inf")
        self._allowed_s = clock_s()

    def read(self, inbox: bytes) -> tuple[Head | None, bytes] | Answer:
        """Return the head at the start of `inbox` and what follows it, or a refusal.

        The head is None while it is incomplete.
        """
        end = inbox.find(HEAD_END, 0, HEAD_BYTES_MAX)
        try:
            if end >= 0:
                return read_head(inbox[:end]), inbox[end + len(HEAD_END) :]
            if len(inbox) < HEAD_BYTES_MAX:
                return None, inbox
            status = 431
        except HeadError as error:
            status = error.status
        self._tally.refuse("head")
        return self.frame(plain(status))

    def admit(self, head: Head) -> Answer | Pending:
        """Return the answer to a request, or that its password has to be verified first."""
        config = self._watch.refresh()
        if head.request.path in OPEN_PATHS:
            return self._respond(head)
        if not self._allows(config):
            self._tally.refuse("rate")
            return self.frame(plain(429, _AGAIN), head)
        if not config.users:
            return self._respond(head)
        credentials = read_credentials(head.request.headers.get("authorization", ""))
        if credentials is None:
            return self._deny(head)
        pending = Pending(head, credentials, config)
        verdict = self._access.recall(config.users, credentials)
        return pending if verdict is None else self._judged(pending, verdict=verdict)

    def ask(self, pending: Pending, done: Callable[[bool], None]) -> Answer | None:
        """Have the credentials verified, `done` being called on another thread.

        Returns a refusal if too many others wait already.
        """
        if self._access.judge(pending.config.users, pending.credentials, done):
            return None
        self._tally.refuse("limit")
        return self.frame(plain(503, _AGAIN), pending.head)

    def decide(self, pending: Pending, *, verdict: bool) -> Answer:
        """Return the answer after the verdict, which is remembered."""
        self._access.remember(pending.config.users, pending.credentials, verdict=verdict)
        return self._judged(pending, verdict=verdict)

    def busy(self) -> Answer:
        """Return what a connection is told for which there is no room."""
        return self.frame(plain(503, _AGAIN))

    def close(self) -> None:
        """Stop to verify."""
        self._access.stop()

    def frame(self, response: Response, head: Head | None = None) -> Answer:
        """Return the bytes of a response, with the headers that the configuration adds."""
        headers = (*response.headers, *self._watch.current.headers)
        said = replace(response, headers=headers)
        return answer(head, said, date=date(self._wall_s()))

    def _judged(self, pending: Pending, *, verdict: bool) -> Answer:
        return self._respond(pending.head) if verdict else self._deny(pending.head)

    def _deny(self, head: Head) -> Answer:
        self._tally.refuse("unauthorized")
        return self.frame(plain(401, _CHALLENGE), head)

    def _respond(self, head: Head) -> Answer:
        return self.frame(self._handle(head.request), head)

    def _handle(self, request: Request) -> Response:
        handler = self._routes.get(request.path)
        if handler is None:
            return plain(404)
        if request.method not in ("GET", "HEAD"):
            return plain(405, ("Allow", "GET, HEAD"))
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - whatever a handler does, others are served
            self._tally.errors += 1
            log.once(
                _log, (request.path, type(error).__name__), "a handler of the admin port failed"
            )
            return plain(500)

    def _allows(self, config: WebConfig) -> bool:
        """Take one request off the allowance: `burst` at once, one more each interval."""
        if not config.interval_s:
            return True
        now_s = self._clock_s()
        earned = (now_s - self._allowed_s) / config.interval_s
        self._allowance = min(config.burst, self._allowance + earned)
        self._allowed_s = now_s
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
