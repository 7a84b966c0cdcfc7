"""An admin server in this process, and clients of it."""

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from inferometer.web.server import Handler, Limits, Request, Response, Server, plain

WAIT_S = 20.0
QUICK = Limits(head_s=0.2, idle_s=0.2, stall_s=0.2, answer_s=5.0, linger_s=0.2)
Get = Callable[[str], tuple[int, bytes]]


def endless(_request: Request) -> Response:
    return Response(200, "font/woff2", iter(lambda: b"x" * 65536, b""))


def broken(_request: Request) -> Response:
    def body() -> Iterator[bytes]:
        yield b"begun"
        message = "canary"
        raise RuntimeError(message)

    return Response(200, "text/plain", body())


ROUTES: Mapping[str, Handler] = {
    "/healthz": lambda _: plain(200),
    "/metrics": lambda request: Response(200, "text/plain", request.query.encode()),
    "/pieces": lambda _: Response(200, "text/plain", (b"piece %d\n" % n for n in range(100))),
    "/endless": endless,
    "/broken": broken,
}


@contextlib.contextmanager
def serving(
    routes: Mapping[str, Handler] = ROUTES,
    *,
    limits: Limits | None = None,
    web_config: Path | None = None,
    clock_s: Callable[[], float] = time.monotonic,
) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), routes, limits=limits, web_config=web_config, clock_s=clock_s)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S)


def get(server: Server, path: str, **headers: str) -> tuple[int, bytes]:
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
    ) as client:
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        return response.status, response.read()


def read_all(sock: socket.socket) -> bytes:
    """Return everything up to the end, however the end comes."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            data += piece
    return data


def number(server: Server, name: str, *values: str) -> float:
    return dict(server.metrics()[f"inferometer_web_{name}"]()).get(values, 0)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.005)


# Requests
