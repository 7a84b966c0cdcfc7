"""The ResourceSlices of our own node, fetched from the Kubernetes API server with our token.

Optional: without it claimed devices are resolved by their names. It is asked only while
claims of GPUs occur, at most every 30 s, for at most 3 s and 16 MiB; failures are kept for as long
as answers. Nothing but slices of this node is asked for.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from inferometer.gpu.pods import dra

if TYPE_CHECKING:
    from http.client import HTTPResponse, HTTPSConnection

TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
CA: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")

TIMEOUT_S: Final = 3.0
"""For all pages together."""
KEEP_S: Final = 30.0
"""How long an answer, or a failure, is believed."""
STALE_S: Final = 600.0
"""How long the last good answer is used while no new one comes; names must do after that."""
ANSWER_BYTES_MAX: Final = 16 << 20
TOKEN_BYTES_MAX: Final = 64 << 10
PAGES_MAX: Final = 16
PAGE_ITEMS: Final = 100
READ_BYTES: Final = 64 << 10

VERSIONS: Final = ("v1", "v1beta2", "v1beta1")
"""Of resource.k8s.io, the newest first: clusters from 1.34, 1.33 and 1.32 on."""


class ApiError(Exception):
    """The API server gave no slices. The message holds no part of the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """Where the API server is, who we are, and on which node."""

    host: str
    port: int
    node: str
    token_path: Path = TOKEN
    ca_path: Path = CA
    timeout_s: float = TIMEOUT_S


class Slices:
    """What ResourceSlices tell, kept for a while; one thread only."""

    def __init__(self, server: ApiServer, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask nothing yet."""
        self._server = server
        self._clock = clock
        self._asked_s: float | None = None
        self._read_s = 0.0
        self._known: dra.Slices = {}

    @property
    def known(self) -> dra.Slices:
        """What was last read, nothing once that is too old."""
        return self._known if self._clock() - self._read_s <= STALE_S else {}

    def refresh(self) -> bool:
        """Ask again if the last answer is old; return whether it did. Raises ApiError."""
        now_s = self._clock()
        if self._asked_s is not None and now_s - self._asked_s < KEEP_S:
            return False
        self._asked_s = now_s
        self._known = dra.read_slices(fetch(self._server, clock=self._clock))
        self._read_s = now_s
        return True


def fetch(server: ApiServer, *, clock: Callable[[], float] = time.monotonic) -> list[object]:
    """Return the ResourceSlice objects of the node. Raises ApiError."""
    import http.client  # these two take 5 MiB, and few nodes have claims
    import ssl

    deadline_s = clock() + server.timeout_s
    try:
        token = _token(server.token_path)
        context = ssl.create_default_context(cafile=str(server.ca_path))
        connection = http.client.HTTPSConnection(
            server.host, server.port, timeout=server.timeout_s, context=context
        )
        try:
            session = _Session(connection, token, _Meter(deadline_s, clock))
            return list(session.slices(server.node))
        finally:
            connection.close()
    except ApiError:
        raise
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        # Of the message nothing is kept: it may quote a header.
        raise ApiError(type(error).__name__) from None


def _token(path: Path) -> str:
    """Return the token as it is now: it is replaced every hour."""
    with path.open("rb") as file:
        token = file.read(TOKEN_BYTES_MAX).strip()
    if not token or not token.isascii() or b"\n" in token or b"\r" in token:
        message = "the token file holds no token"
        raise ApiError(message)
    return token.decode("ascii")


@dataclass(slots=True)
class _Meter:
    """What is left of time and bytes, for all pages together."""

    deadline_s: float
    clock: Callable[[], float]
    bytes_left: int = ANSWER_BYTES_MAX

    def left_s(self) -> float:
        """Return the time that is left. Raises ApiError."""
        left_s = self.deadline_s - self.clock()
        if left_s <= 0:
            message = "no answer in time"
            raise ApiError(message)
        return left_s

    def count(self, size: int) -> None:
        """Count bytes that were read. Raises ApiError."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            message = f"an answer above {ANSWER_BYTES_MAX} bytes"
            raise ApiError(message)


@dataclass(slots=True)
class _Session:
    """Pages over one connection."""

    connection: "HTTPSConnection"
    token: str
    meter: _Meter

    def slices(self, node: str) -> Iterator[object]:
        """Yield the items of every page, in the newest version that the server has."""
        for version in VERSIONS:
            page = self._page(version, node, "")
            if page is not None:
                yield from self._items(page, version, node)
                return
        message = "the server has no resourceslices"
        raise ApiError(message)

    def _items(self, page: dict[str, object], version: str, node: str) -> Iterator[object]:
        for _ in range(PAGES_MAX):
            items, metadata = page.get("items"), page.get("metadata")
            if isinstance(items, list):
                yield from items
            more = metadata.get("continue") if isinstance(metadata, dict) else None
            if not isinstance(more, str) or not more:
                return
            following = self._page(version, node, more)
            if following is None:
                break
            page = following
        message = "pages without an end"
        raise ApiError(message)

    def _page(self, version: str, node: str, more: str) -> dict[str, object] | None:
        """Return one page, None if there is no such version."""
        selector = {"fieldSelector": f"spec.nodeName={node}", "limit": str(PAGE_ITEMS)}
        query = urlencode(selector | ({"continue": more} if more else {}), quote_via=quote)
        path = f"/apis/resource.k8s.io/{version}/resourceslices?{query}"
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        self._hurry()
        self.connection.request("GET", path, headers=headers)
        self._hurry()
        response = self.connection.getresponse()
        body = self._body(response)
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status != HTTPStatus.OK:
            message = f"status {response.status}"
            raise ApiError(message)
        page = json.loads(body)
        if not isinstance(page, dict):
            message = "an answer that is no list of objects"
            raise ApiError(message)
        return page

    def _body(self, response: "HTTPResponse") -> bytes:
        parts = []
        while data := response.read1(READ_BYTES):
            self.meter.count(len(data))
            parts.append(data)
            self._hurry()
        response.close()  # it has been read whole, which `read1` does not notice at its end
        return b"".join(parts)

    def _hurry(self) -> None:
        """Let the next read or write take what is left of the time, and no more."""
        left_s = self.meter.left_s()
        self.connection.timeout = left_s
        if self.connection.sock is not None:
            self.connection.sock.settimeout(left_s)
