"""An echo application for ASGI servers; the environment variable ECHO_LOG names its record."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from differential.origins.record import Record

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

record = Record(os.environ["ECHO_LOG"])


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Record a request when its body is complete; refuse WebSockets."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    target = scope["raw_path"]
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    if scope["type"] == "websocket":
        await receive()
        record.add(b"GET", target, b"")
        await send({"type": "websocket.close"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    record.add(scope["method"].encode("latin-1"), target, body)
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"seen"})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
