"""Real clients that read an answer: (status, body), or None where they report an error."""

import asyncio
import contextlib
import http.client
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import httpx
import pytest

TIMEOUT_S: Final = 8.0
SCRIPT: Final = Path(__file__).parent / "origins" / "client.js"


class Heard(NamedTuple):
    """What a client hands to its user."""

    status: int
    body: bytes


Ask = Callable[[int, str], Heard | None]
"""Asks a port for a path. A timeout is an error of the test."""


@contextlib.contextmanager
def _http_client() -> Iterator[Ask]:
    def ask(port: int, path: str) -> Heard | None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return Heard(answer.status, answer.read())
        except (http.client.HTTPException, ConnectionError):
            return None
        finally:
            connection.close()

    yield ask


@contextlib.contextmanager
def _httpx() -> Iterator[Ask]:
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:

        def ask(port: int, path: str) -> Heard | None:
            try:
                answer = client.get(f"http://127.0.0.1:{port}{path}")
            except (httpx.ProtocolError, httpx.NetworkError):
                return None
            return Heard(answer.status_code, answer.content)

        yield ask


@contextlib.contextmanager
def _aiohttp() -> Iterator[Ask]:
    with asyncio.Runner() as runner:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)

        async def start() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())

        session = runner.run(start())

        async def get(url: str) -> Heard | None:
            try:
                async with session.get(url, allow_redirects=False) as answer:
                    return Heard(answer.status, await answer.read())
            except (TimeoutError, aiohttp.ServerTimeoutError):
                raise
            except aiohttp.ClientError:
                return None

        yield lambda port, path: runner.run(get(f"http://127.0.0.1:{port}{path}"))
        runner.run(session.close())


@contextlib.contextmanager
def _node() -> Iterator[Ask]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    with subprocess.Popen(
        [node, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        asking, answers = process.stdin, process.stdout
        assert asking is not None
        assert answers is not None

        def ask(port: int, path: str) -> Heard | None:
            asking.write(json.dumps({"port": port, "path": path}) + "\n")
            asking.flush()
            found = json.loads(answers.readline())
            return Heard(found["status"], found["body"].encode("latin-1")) if found else None

        yield ask
        asking.close()


CLIENTS: Final = {"http.client": _http_client, "httpx": _httpx, "aiohttp": _aiohttp, "node": _node}
