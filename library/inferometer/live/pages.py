"""What the live page's server answers: the page, its files, and points as JSON."""

import json
import secrets
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from inferometer.live.history import History
from inferometer.live.watch import ALL, State, Watch
from inferometer.web import server as web

NUMBER_CHARS_MAX: Final = 15
"""Digits of a point's number: more seconds than there have been."""

FIELDS_MAX: Final = 8
"""Parts of a query that are looked at."""

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
        "txt": "text/plain; charset=utf-8",
    }
)
"""The kinds of static files that there are; a file of another kind is not served."""

JSON: Final = "application/json"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page works offline: a browser refuses whatever would come from elsewhere."""

HEADERS: Final = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)


def routes(watch: Watch, *, version: str, points_max: int, host: str) -> Mapping[str, web.Handler]:
    """Return all paths of the page's server, which listens on `host`."""
    life = secrets.token_hex(8)

    def points(request: web.Request) -> web.Response:
        about = {
            "life": life,
            "version": version,
            "interval_s": watch.windows.interval_s,
            "window_s": watch.windows.window_s,
            "slo_window_s": watch.windows.slo_window_s,
            "points_max": points_max,
            "sources": _sources(watch.states()),
        }
        return _points(request, watch.history, about)

    paths: Mapping[str, web.Handler] = {"/api/points": points, **static_routes()}
    return {path: _guarded(handler) for path, handler in paths.items()} if _local(host) else paths


def static_routes() -> Mapping[str, web.Handler]:
    """Return a path for each file of the page; they are read once, no other is reachable."""
    folder = files("inferometer.live") / "static"
    found = {
        f"/static/{file.name}": _file(file.read_bytes(), kind)
        for file in folder.iterdir()
        if (kind := KINDS.get(file.name.rpartition(".")[2]))
    }
    return {"/": found["/static/index.html"], **found}


def _local(host: str) -> bool:
    return host in LOOPBACK


def _guarded(handler: web.Handler) -> web.Handler:
    """Answer only requests that name the loopback.

    Else a page of a stranger could have its own host name resolve to the loopback, and read
    through the browser what it must not see.
    """

    def guarded(request: web.Request) -> web.Response:
        host = request.headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return handler(request) if _local(name.strip("[]")) else web.plain(421)

    return guarded


def _file(body: bytes, kind: str) -> web.Handler:
    return lambda _: web.Response(200, kind, body, HEADERS)


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status, JSON, body, HEADERS)


def _sources(states: list[State]) -> list[dict[str, str | None]]:
    return [
        {"id": str(at), "name": state.name, "error": state.error} for at, state in enumerate(states)
    ]


def _points(request: web.Request, history: History, about: Mapping[str, object]) -> web.Response:
    try:
        query = dict(parse_qsl(request.query, max_num_fields=FIELDS_MAX))
    except ValueError:
        return web.plain(400)
    after = query.get("after", "0")
    if not after.isascii() or not after.isdigit() or len(after) > NUMBER_CHARS_MAX:
        return _json(400, b'{"error":"after must be the number of a point"}')
    try:
        sequence, points = history.since(query.get("source", ALL), int(after))
    except KeyError:
        return _json(404, b'{"error":"there is no such source"}')
    head = json.dumps({**about, "sequence": sequence}, separators=(",", ":")).encode()
    return _json(200, head[:-1] + b',"points":[' + b",".join(points) + b"]}")
