"""A server that answers whatever a test scripts, byte for byte: lies, halves, floods, silence."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

POLL_S: Final = 0.05
PATIENCE_S: Final = 30.0
"""How long a client may take over a handshake or an answer, however busy the machine is."""
CLOSE: Final = b""
"""A script that sends this alone closes the connection."""


@dataclass(frozen=True)
class Asked:
    """One request; `form` holds the parameters of the query and of the body."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str] = field(default_factory=dict)


Script = Callable[[Asked], bytes | Iterable[bytes]]


def reply(
    data: object = None, *, status: int = 200, body: bytes | None = None, headers: str = ""
) -> bytes:
    """Return a whole answer: a successful one of the API with `data`, or with any body."""
    text = json.dumps({"status": "success", "data": data}).encode() if body is None else body
    head = (
        f"HTTP/1.1 {status} Reason\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def vector(*series: tuple[dict[str, str], object], at_s: float = 1_700_000_000) -> Any:
    """Return the data of an instant query."""
    result = [{"metric": labels, "value": [at_s, str(value)]} for labels, value in series]
    return {"resultType": "vector", "result": result}


class ScriptedPrometheus:
    """Answers each request as the script says, until it is left; remembers what was asked."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(POLL_S)
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []
        scheme = "https" if tls else "http"
        self.port = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listener.close()

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._done.is_set():
            try:
                link, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._start(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        link.settimeout(POLL_S)
        try:
            if self._tls is not None:
                link.settimeout(PATIENCE_S)
                link = self._tls.wrap_socket(link, server_side=True)
                link.settimeout(POLL_S)
            with link:
                data = b""
                while not self._done.is_set():
                    try:
                        data += self._received(link)
                    except TimeoutError:
                        continue
                    asked, data = _parsed(data)
                    if asked is not None and not self._answer(link, asked):
                        return
        except OSError:
            link.close()

    def _received(self, link: socket.socket) -> bytes:
        data = link.recv(65536)
        if not data:
            raise ConnectionError
        return data

    def _answer(self, link: socket.socket, asked: Asked) -> bool:
        self.asked.append(asked)
        found = self.script(asked)
        link.settimeout(PATIENCE_S)
        for piece in [found] if isinstance(found, bytes) else found:
            if piece == CLOSE:
                return False
            link.sendall(piece)
            if self._done.is_set():
                return False
        link.settimeout(POLL_S)
        return True


def _parsed(data: bytes) -> tuple[Asked | None, bytes]:
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None, data
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    if len(rest) < length:
        return None, data
    parts = urlsplit(target)
    form = dict(parse_qsl(parts.query) + parse_qsl(rest[:length].decode()))
    return Asked(method, parts.path, headers, form), rest[length:]
