"""PR: nothing of prompts, completions or credentials shows anywhere, whatever goes wrong."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.faulty import FAULTS
from support.llm import ScriptedServer
from support.pair import Pair, running_pair
from support.process import core_limit
from support.script import Action, Script, chunk, head, plain, request, script
from support.sidecar import Sidecar, faulty_sidecar, free_port
from support.speakers import CHAT
from support.turns import Manner, Turn, dumps

CANARY = "c4n4ry"


def canary(place: str) -> str:
    return f"{CANARY}-{place}"


CREDENTIALS = [
    ("Authorization", f"Bearer {canary('bearer')}"),
    ("Proxy-Authorization", f"Basic {canary('proxy')}"),
    ("Cookie", f"session={canary('cookie')}"),
    ("X-Api-Key", canary("key")),
    ("api-key", canary("azure")),
    ("X-Custom", canary("custom")),
    ("User-Agent", canary("agent")),
    ("Referer", f"http://{canary('user')}:{canary('password')}@h/?q={canary('referer')}"),
]


def prompt() -> bytes:
    system = {"role": "system", "content": canary("system")}
    user = {"role": "user", "content": canary("prompt")}
    tools = [{"type": "function", "function": {"name": canary("tool")}}]
    messages = [system, user]
    return dumps({"model": "m", "messages": messages, "tools": tools, "stream": True})


TURN = Turn(
    words=(canary("completion"),), reasoning=(canary("thought"),), tool=(canary("arguments"),)
)
TARGET = f"{CHAT.target}?api_key={canary('query')}#{canary('fragment')}"


def ask(body: bytes | None = None) -> bytes:
    return request("POST", TARGET, *CREDENTIALS, body=prompt() if body is None else body)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair("--log-level", "debug", "--tenant-header", "X-Custom") as both:
        yield both


def assert_silent(sidecar: Sidecar, *more: bytes, marked: bool = True) -> None:
    """No canary in logs, in either metrics page, or in what we said ourselves."""
    sidecar.settle(marked=marked)
    accept = ("Accept", "application/openmetrics-text")
    pages = [sidecar.admin_get("/metrics").body, sidecar.admin_get("/metrics", accept).body]
    for text in (*pages, sidecar.stderr.encode(), *more):
        assert CANARY.encode() not in text, text


@pytest.mark.req("PR-01")
def test_a_request_that_goes_well_leaves_nothing_behind(pair: Pair) -> None:
    pair.server.scripts[TARGET.encode()] = CHAT.script(TURN, Manner(every_s=0.01))
    assert canary("completion").encode() in pair.ask(ask()).body
    assert_silent(pair.sidecar)


@pytest.mark.req("PR-01")
@pytest.mark.parametrize(
    "steps",
    [
        script(plain(dumps({"error": {"message": canary("error")}}), status=500)),
        script(plain(dumps({"error": {"message": canary("error")}}), status=400)),
        script(f"{canary('garbage')}\r\n\r\n".encode()),
        script(head(200, ("X", canary("field")), ("Content-Length", "1"), ("Content-Length", "2"))),
        script(head(200, ("Transfer-Encoding", "chunked")), canary("chunk").encode() + b"\r\n"),
        script(head(200, ("Content-Length", "999")), canary("short").encode(), Action.CLOSE),
        script(
            head(200, ("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")),
            chunk(b"data: " + dumps({"error": canary("stream")}) + b"\n\n"),
            chunk(f"data: {canary('json')}\n\n".encode()),
            Action.RESET,
        ),
    ],
)
def test_a_request_that_fails_leaves_nothing_behind(pair: Pair, steps: Script) -> None:
    pair.server.scripts[TARGET.encode()] = steps
    with pair.sidecar.wire() as wire:
        answer = wire.ask(ask())
    own = answer.body if answer.status == 502 else b""
    assert_silent(pair.sidecar, own)


@pytest.mark.req("PR-01")
@pytest.mark.parametrize(
    "raw",
    [
        f"GET /{canary('path')} HTTP/1.1\r\nX : {canary('space')}\r\n\r\n".encode(),
        f"GET /{canary('path')} HTTP/1.1\r\nHost: {canary('host')} x\r\n\r\n".encode(),
        f"{canary('line')}\r\n\r\n".encode(),
        ask()[:-10].replace(b"Content-Length", b"Content-Length: 1\r\nContent-Length"),
        request("CONNECT", f"{canary('connect')}:443"),
        request("GET", f"http://{canary('absolute')}/"),
        request("GET", "/" + canary("long") * 5000),
        request("POST", "/t", ("Transfer-Encoding", "chunked")) + canary("size").encode() + b"\r\n",
    ],
    ids=lambda r: repr(r[:30]),
)
def test_a_request_that_we_refuse_leaves_nothing_behind(pair: Pair, raw: bytes) -> None:
    with pair.sidecar.wire() as wire:
        answer = wire.ask(raw)
        assert answer.status >= 400
        assert_silent(pair.sidecar, answer.head.raw, answer.body)


@pytest.mark.req("PR-01")
@pytest.mark.parametrize("stage", FAULTS)
def test_a_traceback_quotes_nothing(stage: str) -> None:
    """The faults raise errors that quote their input, as parsers do."""
    with (
        ScriptedServer({TARGET.encode(): CHAT.script(TURN)}) as server,
        faulty_sidecar(server.url, f"{stage}:raise", "--log-level", "debug") as sidecar,
    ):
        assert Pair(server, sidecar).ask(ask()).status == 200
        assert_silent(sidecar, marked=False)


@pytest.mark.req("PR-01")
def test_secrets_in_settings_show_in_no_message() -> None:
    url = f"http://{canary('user')}:{canary('password')}@127.0.0.1:{free_port()}/"
    argv = [*PROGRAM, "--upstream", url]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert canary("password") not in done.stderr + done.stdout


@pytest.mark.req("PR-01")
def test_core_dumps_are_off(pair: Pair) -> None:
    assert core_limit(pair.sidecar.pid) == "0"


PROGRAM = [sys.executable, "-m", "inferometer.cli", "sidecar"]


@pytest.mark.req("PR-02")
def test_content_cannot_be_captured_at_all() -> None:
    done = subprocess.run(
        [*PROGRAM, "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    assert "--upstream" in done.stdout
    for word in ("capture", "content", "redact"):
        assert not re.search(rf"--[a-z-]*{word}", done.stdout)


@pytest.mark.req("PR-02")
def test_asking_for_capture_ends_the_start() -> None:
    done = subprocess.run(
        [*PROGRAM, "--capture-content", "on"],
        env={**os.environ, "INFEROMETER_SIDECAR_CAPTURE": "on"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "--capture-content" in done.stderr
    assert "INFEROMETER_SIDECAR_CAPTURE" in done.stderr


@pytest.mark.req("PR-02")
def test_switches_of_other_tools_capture_nothing_either() -> None:
    environ = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_AND_EVENT"}
    with running_pair("--log-level", "debug", environ=environ) as pair:
        pair.server.scripts[TARGET.encode()] = CHAT.script(TURN)
        assert pair.ask(ask()).status == 200
        assert_silent(pair.sidecar)
