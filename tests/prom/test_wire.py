import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.prom.credentials import trust
from inferometer.prom.endpoint import parse
from inferometer.prom.errors import PrometheusError
from inferometer.prom.wire import Bounds, Wire
from support.certificates import Authority
from support.scripted_admin import ScriptedAdmin
from support.scripted_prometheus import CLOSE, Asked, Script, ScriptedPrometheus, reply

PATIENT = Bounds(answer_s=30.0, body_bytes_max=1 << 20)
QUICK = Bounds(answer_s=1.0)


def ask(server: ScriptedPrometheus, wire: Wire | None = None) -> bytes:
    wire = wire or Wire(parse(server.url), bounds=PATIENT)
    try:
        return wire.ask("GET", "/api/v1/query", {}).body
    finally:
        wire.close()


def failure(script: Script, bounds: Bounds = PATIENT) -> PrometheusError:
    with ScriptedPrometheus(script) as server, pytest.raises(PrometheusError) as caught:
        ask(server, Wire(parse(server.url), bounds=bounds))
    return caught.value


def test_a_prefix_is_part_of_every_path() -> None:
    with ScriptedPrometheus(lambda _: reply({})) as server:
        wire = Wire(parse(f"{server.url}/prometheus/api/v1"))
        wire.ask("GET", "/api/v1/query", {})
        wire.close()
    assert server.asked[0].path == "/prometheus/api/v1/query"


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (301, "credentials follow no redirect"),
        (302, "credentials follow no redirect"),
        (401, "--prometheus-auth-file"),
        (403, "--prometheus-auth-file"),
        (404, "prefix"),
        (500, ""),
        (204, ""),
    ],
)
@pytest.mark.req("AD-01")
def test_a_status_that_is_no_answer_is_refused(status: int, hint: str) -> None:
    location = "Location: http://127.0.0.1:1/elsewhere\r\n"
    error = failure(lambda _: reply({}, status=status, headers=location))
    assert (error.reason, error.status) == ("unreachable", status)
    assert f"answers {status}" in str(error)
    assert hint in error.hint
    assert "elsewhere" not in f"{error} {error.hint}"


@pytest.mark.parametrize("status", [400, 422, 503])
def test_a_status_with_which_prometheus_explains_itself_is_read(status: int) -> None:
    with ScriptedPrometheus(lambda _: reply(body=b'{"status": "error"}', status=status)) as server:
        assert ask(server) == b'{"status": "error"}'


@pytest.mark.req("AD-01")
def test_a_page_for_people_is_no_answer() -> None:
    error = failure(lambda _: reply(body=b"<html>busy</html>", status=503))
    assert (error.reason, error.status) == ("bad_answer", None)
    assert "something else" in str(error)


def test_what_was_not_asked_for_compressed_is_refused() -> None:
    error = failure(lambda _: reply({}, headers="Content-Encoding: gzip\r\n"))
    assert error.reason == "bad_answer"


@pytest.mark.req("AD-01")
def test_an_answer_that_is_cut_short_is_told() -> None:
    error = failure(lambda _: [reply({"a": "b" * 100})[:-20], CLOSE])
    assert str(error).endswith("its answer was cut short")


@pytest.mark.req("AD-01")
def test_an_answer_that_is_too_large_is_left() -> None:
    def flood(_: Asked) -> Iterator[bytes]:
        yield b'HTTP/1.1 200 OK\r\n\r\n{"a": "'
        for _piece in range(10_000):
            yield b"x" * 65_536

    error = failure(flood)
    assert error.reason == "bad_answer"
    assert "more than 1 MiB" in str(error)


@pytest.mark.req("AD-01")
def test_a_server_that_says_nothing_is_left_in_time() -> None:
    def silence(_: Asked) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

    error = failure(silence, QUICK)
    assert str(error).endswith("no whole answer within 1 s")


@pytest.mark.req("AD-01")
def test_a_trickle_is_left_in_time() -> None:
    now_s = iter(range(1000))

    def trickle(_: Asked) -> Iterator[bytes]:
        yield b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"'
        for _piece in range(10_000):
            yield b"x"

    with ScriptedPrometheus(trickle) as server:
        # Each look at the clock is a second later: the bound depends on no machine.
        bounds, clock_s = Bounds(answer_s=20), lambda: float(next(now_s))
        wire = Wire(parse(server.url), bounds=bounds, clock_s=clock_s)
        with pytest.raises(PrometheusError) as caught:
            ask(server, wire)
    assert str(caught.value).endswith("no whole answer within 20 s")


def test_what_speaks_no_http_is_told() -> None:
    assert str(failure(lambda _: b"SSH-2.0-x\r\n\r\n")).endswith("does not speak HTTP")
    assert failure(lambda _: CLOSE).reason == "unreachable"


@pytest.mark.req("AD-01")
def test_a_refused_connection_is_told() -> None:
    with socket.socket() as silent:  # it keeps the port from others, and does not listen
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(PrometheusError, match=f"http://127.0.0.1:{port}: connection refused"):
            Wire(parse(f"http://127.0.0.1:{port}")).ask("GET", "/", {})


def test_one_connection_serves_many_questions() -> None:
    with ScriptedPrometheus(lambda _: reply({})) as server:
        wire = Wire(parse(server.url), bounds=PATIENT)
        for _ in range(3):
            wire.ask("POST", "/api/v1/query", {}, b"query=up")
        wire.close()
        wire.close()
    assert server.connections == 1


def test_a_connection_that_was_closed_while_idle_is_opened_anew_once() -> None:
    with ScriptedPrometheus(lambda _: [reply({}), CLOSE]) as server:
        wire = Wire(parse(server.url), bounds=PATIENT)
        for _ in range(3):
            wire.ask("GET", "/", {})
        wire.close()
    assert server.connections == 3


def test_a_server_that_closes_each_time_is_not_asked_for_ever() -> None:
    answers = iter([[reply({}), CLOSE], [CLOSE], [CLOSE], [CLOSE]])
    with ScriptedPrometheus(lambda _: next(answers)) as server:
        wire = Wire(parse(server.url), bounds=PATIENT)
        wire.ask("GET", "/", {})
        with pytest.raises(PrometheusError):
            wire.ask("GET", "/", {})
    assert len(server.asked) == 2


def test_a_server_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.issue("server").server_context()
    with ScriptedPrometheus(lambda _: reply({}), tls=context) as server:
        wire = Wire(parse(server.url), trusted=trust(authority.file), bounds=PATIENT)
        assert ask(server, wire)
        with pytest.raises(PrometheusError, match="certificate is not trusted"):
            ask(server, Wire(parse(server.url), trusted=trust(None), bounds=PATIENT))


def test_plain_http_behind_https_is_told() -> None:
    with ScriptedAdmin() as server:
        endpoint = parse(server.url.replace("http:", "https:"))
        wire = Wire(endpoint, trusted=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), bounds=PATIENT)
        with pytest.raises(PrometheusError, match="TLS failed"):
            wire.ask("GET", "/", {})
