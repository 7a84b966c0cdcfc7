"""One request to a stranger over HTTP, bounded in time, size and patience.

Redirects are refused, since credentials would follow them. Whatever goes wrong becomes one
`PrometheusError`. What the bytes mean does not belong here.
"""

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from inferometer.prom.endpoint import Endpoint
from inferometer.prom.errors import PrometheusError

PART_BYTES: Final = 65_536
_EXPLAINED: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE}
)
"""Codes with which Prometheus explains itself in JSON."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may cost."""

    answer_s: float = 30.0
    """From connecting to the last byte. Prometheus itself gives up after two minutes."""
    body_bytes_max: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `status` is 200, or one with which Prometheus explains an error."""

    status: int
    body: bytes


class Wire:
    """Asks one server again and again over one connection; used by one thread."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        trusted: ssl.SSLContext | None = None,
        bounds: Bounds | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect at the first request. `trusted` is needed for https only."""
        self.endpoint = endpoint
        self._trusted = trusted
        self._bounds = bounds or Bounds()
        self._clock_s = clock_s
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Return the answer to a request of `path`, which begins below the prefix."""
        deadline_s = self._clock_s() + self._bounds.answer_s
        reused = self._connection is not None
        request = (method, f"{self.endpoint.prefix}{path}", headers, body)
        try:
            return self._ask(request, deadline_s)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            if not reused or isinstance(error, TimeoutError):
                raise self._unreachable(error) from None
        try:  # an idle connection that the server had closed tells nothing about the server
            return self._ask(request, deadline_s)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise self._unreachable(error) from None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _ask(self, request: tuple[str, str, Mapping[str, str], bytes], deadline_s: float) -> Reply:
        if self._connection is None:
            self._connection = self._connect()
        method, path, headers, sent = request
        self._connection.request(method, path, body=sent or None, headers=dict(headers))
        with self._connection.getresponse() as answer:
            self._check(answer)
            body = self._body(answer, deadline_s)
        if body.lstrip()[:1] != b"{":
            self.close()
            message = f"{self.endpoint} answers something else than a Prometheus"
            raise PrometheusError(message, reason="bad_answer")
        return Reply(answer.status, body)

    def _connect(self) -> http.client.HTTPConnection:
        host, port, answer_s = self.endpoint.host, self.endpoint.port, self._bounds.answer_s
        if self.endpoint.tls:
            return http.client.HTTPSConnection(host, port, timeout=answer_s, context=self._trusted)
        return http.client.HTTPConnection(host, port, timeout=answer_s)

    def _check(self, answer: http.client.HTTPResponse) -> None:
        """Raise PrometheusError for an answer that nobody has to read."""
        status = answer.status
        readable = status == HTTPStatus.OK or status in _EXPLAINED
        if readable and answer.getheader("Content-Encoding", "identity").lower() == "identity":
            return
        self.close()
        hint = ""
        if readable:
            message = f"{self.endpoint} answers compressed, which was not asked for"
            raise PrometheusError(message, reason="bad_answer")
        message = f"{self.endpoint} answers {status}"
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            hint = "give --prometheus-auth-file or --prometheus-token-file"
        elif status == HTTPStatus.NOT_FOUND:
            hint = "is it a Prometheus, and is the prefix of the path right?"
        elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            hint = "give the URL that it redirects to: credentials follow no redirect"
        raise PrometheusError(message, reason="unreachable", hint=hint, status=status)

    def _body(self, answer: http.client.HTTPResponse, deadline_s: float) -> bytes:
        body, most = bytearray(), self._bounds.body_bytes_max
        while not answer.isclosed():
            # Not more than is here: reading a whole block could wait for a trickle past any limit.
            body += answer.read(max(1, len(answer.peek(PART_BYTES))))
            if len(body) > most:
                self.close()
                message = f"{self.endpoint} answers more than {most >> 20} MiB"
                raise PrometheusError(message, reason="bad_answer", hint="ask for less at once")
            if self._clock_s() > deadline_s:
                raise TimeoutError
        if answer.length:
            raise http.client.IncompleteRead(bytes(body), answer.length)
        return bytes(body)

    def _unreachable(self, error: Exception) -> PrometheusError:
        message = f"{self.endpoint}: {_words(error, self._bounds.answer_s)}"
        return PrometheusError(message, reason="unreachable")


def _words(error: Exception, answer_s: float) -> str:
    """Return a few words; an answer's own text never gets there."""
    match error:
        case TimeoutError():
            return f"no whole answer within {answer_s:g} s"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "TLS failed"
        case http.client.IncompleteRead():
            return "its answer was cut short"
        case OSError():
            return (error.strerror or "connection lost").lower()
        case _:
            return "does not speak HTTP"
