"""A sidecar's admin port with a scripted exposition, for whatever reads `/metrics`."""

import ssl
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from threading import Thread
from types import TracebackType
from typing import Final, Self

FIRST: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 2.5, inf)
TOKEN: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 1.0, inf)
OVERHEAD: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01, inf)


class Figures:
    """Counters, gauges and histograms that a test sets, written as Prometheus text."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        """Add to a counter."""
        key = f"{name}{_labels(labels)}"
        self.values[key] = self.values.get(key, 0.0) + n

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self.values[f"{name}{_labels(labels)}"] = value

    def observe(
        self, name: str, ladder: Sequence[float], value: float, *, n: int = 1, **labels: str
    ) -> None:
        """Add `n` samples to a histogram."""
        for edge in ladder:
            le = "+Inf" if edge == inf else str(float(edge))
            self.count(f"{name}_bucket", n if value <= edge else 0, **labels, le=le)
        self.count(f"{name}_sum", value * n, **labels)
        self.count(f"{name}_count", n, **labels)

    def text(self) -> bytes:
        """Return the exposition."""
        lines = [f"{key} {value}\n" for key, value in self.values.items()]
        return b"# HELP scripted for a test\n" + "".join(lines).encode()


def _labels(labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave."""


class ScriptedAdmin:
    """Serves `body` with `status` at every path until it is left; counts what was asked."""

    def __init__(
        self, body: bytes = b"", *, status: int = 200, tls: ssl.SSLContext | None = None
    ) -> None:
        self.body = body
        self.status = status
        self.asked: Counter[str] = Counter()
        self.authorizations: list[str | None] = []
        admin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                admin.asked[self.path] += 1
                admin.authorizations.append(self.headers["Authorization"])
                self.send_response(admin.status)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(admin.body)))
                self.end_headers()
                self.wfile.write(admin.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
