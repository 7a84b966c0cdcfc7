"""Real servers that tell which requests they have seen: the second opinion behind the sidecar.

Each runs in a process of its own, on a port of its own, and writes a line for each request whose
body is complete. A missing server skips the test and is named.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from differential.reference import Request
from support.sidecar import free_port, wait_until

TESTS: Final = Path(__file__).parents[1]
HERE: Final = Path(__file__).parent / "origins"

NGINX: Final = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  # What was read is known only of a request that was passed on, so it goes to the second server.
  log_format seen escape=json '["$request_method","$request_uri","$request_body",$status]';
  client_body_buffer_size 256k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    access_log {log} seen;
    location / {{ proxy_pass http://unix:{folder}/behind; }}
  }}
  server {{
    listen unix:{folder}/behind;
    access_log off;
    location / {{ return 200 "seen"; }}
  }}
}}
"""


class Origin:
    """One running server."""

    def __init__(self, name: str, port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._log = log
        self._read = 0
        self.seen: list[Request] = []

    @property
    def url(self) -> str:
        """The address as `--upstream` takes it."""
        return f"http://127.0.0.1:{self.port}"

    def look(self) -> list[Request]:
        """Return what was seen since the last look."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            lines = log.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        new = [entry for line in whole.splitlines() for entry in _entries(line)]
        self.seen += new
        return new


def _entries(line: bytes) -> list[Request]:
    method, target, body, *status = json.loads(line.decode("latin-1"))
    if status not in ([], [200]):
        return []  # nginx's line about a request that it refused
    return [Request(*(text.encode("latin-1") for text in (method, target, body)))]


class Start(NamedTuple):
    """How to start a server."""

    command: list[str]
    environ: dict[str, str]


def _need(program: str) -> str:
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def _aiohttp(port: int, log: Path) -> Start:
    return Start([sys.executable, str(HERE / "echo_aiohttp.py"), str(port), str(log)], {})


def _asgi(log: Path) -> dict[str, str]:
    return {"ECHO_LOG": str(log)}


def _uvicorn(parser: str) -> Callable[[int, Path], Start]:
    def start(port: int, log: Path) -> Start:
        if importlib.util.find_spec(parser) is None:
            pytest.skip(f"{parser} is not installed")
        command = [sys.executable, "-m", "uvicorn", "--http", parser, "--port", str(port)]
        command += ["--log-level", "critical", "--ws", "none", "--timeout-keep-alive", "30"]
        return Start([*command, "differential.origins.echo_asgi:app"], _asgi(log))

    return start


def _hypercorn(port: int, log: Path) -> Start:
    command = [sys.executable, "-m", "hypercorn", "--workers", "0", "--bind", f"127.0.0.1:{port}"]
    command += ["--keep-alive", "30"]
    return Start([*command, "differential.origins.echo_asgi:app"], _asgi(log))


def _nginx(port: int, log: Path) -> Start:
    conf = log.with_name("nginx.conf")
    conf.write_text(NGINX.format(folder=log.parent, port=port, log=log))
    error_log = str(log.with_name("error.log"))
    return Start([_need("nginx"), "-p", str(log.parent), "-c", str(conf), "-e", error_log], {})


def _node(port: int, log: Path) -> Start:
    return Start([_need("node"), str(HERE / "echo.js"), str(port), str(log)], {})


ORIGINS: Final = {
    "aiohttp": _aiohttp,
    "uvicorn-h11": _uvicorn("h11"),
    "uvicorn-httptools": _uvicorn("httptools"),
    "hypercorn": _hypercorn,
    "nginx": _nginx,
    "node": _node,
}


@contextlib.contextmanager
def running_origin(name: str) -> Iterator[Origin]:
    """Run a server for the length of a block."""
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        log = Path(folder, "seen.jsonl")
        log.touch()
        port = free_port()
        start = ORIGINS[name](port, log)
        environ = {**os.environ, "PYTHONPATH": str(TESTS), **start.environ}
        process = subprocess.Popen(
            start.command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: _listens(process, port), wait_s=20, what=f"{name} listens")
            yield Origin(name, port, log)
        finally:
            process.kill()
            process.wait(10)


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    assert process.poll() is None, f"ended with {process.returncode} at the start"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
