"""Where a sidecar's metrics are, and a client that reads them within limits.

A stranger may answer: size, time and redirects are bounded, and whatever goes wrong becomes one
`WorldError` with a few words for the page.
"""

import base64
import http.client
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from inferometer.errors import Place, Problem, SettingsError, WorldError

BODY_BYTES_MAX: Final = 8 << 20
"""A whole exposition; a sidecar with 2,000 series writes 1.3 MB."""

FETCH_S: Final = 2.0
"""One read of `/metrics`, from connecting to the last byte: a later answer is no live picture."""

PART_BYTES: Final = 65_536

SECRET_BYTES_MAX: Final = 4096

_URL: Final = "the admin URL of a sidecar, http://HOST:PORT or https://HOST:PORT"

PORT_ADMIN: Final = 9464
"""Where a sidecar's admin port is unless it was told otherwise."""


@dataclass(frozen=True, slots=True)
class Target:
    """The address of one exposition."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """Return what a person calls it: host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.scheme}://{self.name}{self.path}"


def parse(text: str) -> Target:
    """Read `http://host:port`, `https://host/path` or `host:port`; without a path it is `/metrics`.

    Raises ValueError(what the text must be, a hint), as `settings` expects of a parser.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_URL, "a port is a number up to 65535") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(_URL, "begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError(_URL, "a password in a URL is seen by everyone, use --auth-file")
    path = parts.path if parts.path not in ("", "/") else "/metrics"
    request = f"{path}?{parts.query}" if parts.query else path
    if any(not "!" <= char <= "~" for char in host + request):
        raise ValueError(_URL, "write what is not ASCII as %XX, host names as punycode")
    tls = parts.scheme == "https"
    return Target("https" if tls else "http", host, port or (443 if tls else PORT_ADMIN), request)


def authorization(path: Path) -> str:
    """Return the Authorization value for a file that holds one line `user:password`."""
    try:
        with path.open("rb") as file:
            line = file.read(SECRET_BYTES_MAX + 1).rstrip(b"\r\n")
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise SettingsError([Problem(Place(str(path)), message)]) from error
    if b":" not in line or b"\n" in line or len(line) > SECRET_BYTES_MAX:
        hint = "write user:password on a line of its own"
        raise SettingsError([Problem(Place(str(path)), "holds no user and password", hint)])
    return "Basic " + base64.b64encode(line).decode("ascii")


def trust(path: Path | None) -> ssl.SSLContext:
    """Return what a TLS server is checked against: one CA file, or the system's."""
    try:
        return ssl.create_default_context(cafile=None if path is None else str(path))
    except OSError as error:  # ssl.SSLError is one
        hint = "the file holds one or more certificates in PEM form"
        message = "cannot be used as certificate authorities"
        raise SettingsError([Problem(Place(str(path)), message, hint)]) from error


class Client:
    """Reads one target again and again over one connection; used by one thread."""

    def __init__(
        self,
        target: Target,
        *,
        trusted: ssl.SSLContext | None = None,
        authorization: str | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect at the first `fetch`. `trusted` is needed for https only."""
        self.target = target
        self._trusted = trusted
        self._clock_s = clock_s
        self._headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}
        if authorization is not None:
            self._headers["Authorization"] = authorization
        self._connection: http.client.HTTPConnection | None = None

    def fetch(self) -> bytes:
        """Return the exposition; raises WorldError with a few words that fit onto the page."""
        reused = self._connection is not None
        try:
            return self._fetch()
        except (http.client.HTTPException, OSError) as error:
            self.close()
            if not reused or isinstance(error, TimeoutError):
                raise WorldError(_words(error)) from error
        try:  # an idle connection that the server had closed tells nothing about the server
            return self._fetch()
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise WorldError(_words(error)) from error

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _fetch(self) -> bytes:
        deadline_s = self._clock_s() + FETCH_S
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("GET", self.target.path, headers=self._headers)
        answer = self._connection.getresponse()
        body = self._body(answer, deadline_s)
        if answer.status != http.client.OK:
            message = f"answered {answer.status}"
            raise WorldError(message)
        return body

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self.target.host, self.target.port
        if self.target.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=FETCH_S, context=self._trusted)
        return http.client.HTTPConnection(host, port, timeout=FETCH_S)

    def _body(self, answer: http.client.HTTPResponse, deadline_s: float) -> bytes:
        body = bytearray()
        while not answer.isclosed():
            # Not more than is here: reading a whole block could wait for a trickle past any limit.
            body += answer.read(max(1, len(answer.peek(PART_BYTES))))
            if len(body) > BODY_BYTES_MAX:
                self.close()
                message = f"answered more than {BODY_BYTES_MAX >> 20} MiB"
                raise WorldError(message)
            if self._clock_s() > deadline_s:
                raise TimeoutError
        if answer.length:
            raise http.client.IncompleteRead(bytes(body), answer.length)
        return bytes(body)


def _words(error: Exception) -> str:
    """Return the few words for the page; an answer's own text never gets there."""
    match error:
        case TimeoutError():
            return f"no answer within {FETCH_S:g} s"
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted"
        case ssl.SSLError():
            return "TLS failed"
        case ConnectionRefusedError():
            return "connection refused"
        case OSError():
            return error.strerror or "connection lost"
        case _:
            return "does not speak HTTP"
