import base64
import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest

from inferometer.errors import SettingsError
from inferometer.web.access import Credentials
from inferometer.web.config import LOOK_EVERY_S
from inferometer.web.server import Handler, Limits, Request, Response, Server, plain
from support.admin import (
    QUICK,
    WAIT_S,
    connect,
    get,
    number,
    read_all,
    serving,
    wait_until,
)
from support.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.issue()
    return authority


def configure(authority: Authority, text: str = "") -> Path:
    file = authority.folder / "web.yaml"
    lines = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
    file.write_text(lines + text, encoding="utf-8")
    return file


def get_tls(server: Server, context: ssl.SSLContext, path: str = "/pieces") -> tuple[int, bytes]:
    client = http.client.HTTPSConnection("localhost", server.port, timeout=WAIT_S, context=context)
    with contextlib.closing(client):
        client.request("GET", path)
        response = client.getresponse()
        return response.status, response.read()


def serial(server: Server, authority: Authority) -> str:
    with (
        connect(server) as sock,
        authority.client_context().wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        certificate = tls.getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


def test_tls_is_spoken(authority: Authority) -> None:
    with serving(web_config=configure(authority)) as server:
        status, body = get_tls(server, authority.client_context())
        assert (status, len(body)) == (200, 890)
        sock = authority.client_context().wrap_socket(connect(server), server_hostname="localhost")
        with sock:
            sock.sendall(b"GET /pieces HTTP/1.0\r\n\r\n")
            assert read_all(sock).endswith(b"piece 99\n")  # and the end is announced


def test_large_answers_pass_through_tls(authority: Authority) -> None:
    size = 3_000_000
    routes: Mapping[str, Handler] = {"/large": lambda _: Response(200, "font/woff2", b"x" * size)}
    with serving(routes, web_config=configure(authority)) as server:
        assert get_tls(server, authority.client_context(), "/large") == (200, b"x" * size)


def test_plain_http_to_a_tls_port_is_refused(authority: Authority) -> None:
    with serving(web_config=configure(authority)) as server, connect(server) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in read_all(sock)
        assert number(server, "refused_total", "handshake") == 1


def test_a_handshake_that_stops_is_cut_and_blocks_nobody(authority: Authority) -> None:
    file = configure(authority)
    limits = replace(QUICK, head_s=1.0)  # for the handshake, too
    with serving(web_config=file, limits=limits) as server, connect(server) as sock:
        assert get_tls(server, authority.client_context())[0] == 200
        assert read_all(sock) == b""


def test_a_tls_client_that_is_gone_before_it_is_accepted_costs_nothing(
    authority: Authority,
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(_request: Request) -> Response:
        begun.set()
        go_on.wait(WAIT_S)
        return plain(200)

    with serving({"/hold": hold}, web_config=configure(authority)) as server:
        context = authority.client_context()
        with context.wrap_socket(connect(server), server_hostname="localhost") as busy:
            busy.sendall(b"GET /hold HTTP/1.0\r\n\r\n")
            assert begun.wait(WAIT_S)
            with connect(server) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" * 2)
            go_on.set()
            assert read_all(busy).endswith(b"200 OK\n")
        wait_until(lambda: number(server, "connections") == 0)
        assert number(server, "errors_total") == 0


def test_when_all_are_busy_a_tls_client_is_closed(authority: Authority) -> None:
    file = configure(authority)
    with serving(web_config=file, limits=Limits(connections_max=1)) as server:
        context = authority.client_context()
        with context.wrap_socket(connect(server), server_hostname="localhost") as busy:
            busy.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert busy.recv(10)
            with connect(server) as late:
                assert read_all(late) == b""


def test_only_clients_with_an_allowed_name_are_served(authority: Authority) -> None:
    verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
    client = authority.issue("client")
    known = authority.client_context()
    known.load_cert_chain(client.certificate, client.key)
    with serving(web_config=configure(authority, verify)) as server:
        assert get_tls(server, known)[0] == 200
        with pytest.raises((OSError, http.client.HTTPException)):
            get_tls(server, authority.client_context())
    for name, allowed in (("localhost", True), ("somebody", False)):
        file = configure(authority, f"{verify}  client_allowed_sans: [{name}]\n")
        with serving(web_config=file) as server:
            if allowed:
                assert get_tls(server, known)[0] == 200
                continue
            with pytest.raises((OSError, http.client.HTTPException)):
                get_tls(server, known)
            assert number(server, "refused_total", "unauthorized") == 1


@pytest.mark.req("LC-03")
def test_a_new_certificate_is_served_and_a_wrong_one_is_not(authority: Authority) -> None:
    ahead_s = [0.0]
    file = configure(authority)
    with serving(web_config=file, clock_s=lambda: time.monotonic() + ahead_s[0]) as server:
        first = serial(server, authority)
        running = authority.client_context().wrap_socket(
            connect(server), server_hostname="localhost"
        )
        authority.issue()
        ahead_s[0] += LOOK_EVERY_S
        second = serial(server, authority)
        assert second != first
        pair = authority.issue()
        pair.key.write_bytes(pair.key.read_bytes()[:60])
        ahead_s[0] += LOOK_EVERY_S
        assert serial(server, authority) == second
        assert number(server, "config_failures_total") == 1
        authority.issue(days=-1)
        ahead_s[0] += LOOK_EVERY_S
        assert serial(server, authority) == second
        running.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert read_all(running).endswith(b"200 OK\n")
        running.close()


@pytest.mark.req("LC-03")
def test_a_wrong_web_config_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("tls_server_confg: {}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"web.yaml:1:1: unknown field 'tls_server_confg'"):
        Server(("127.0.0.1", 0), {}, web_config=file)


def test_passwords_guard_everything_but_health(tmp_path: Path) -> None:
    password_hash = bcrypt.hashpw(b"right", bcrypt.gensalt(11)).decode()
    file = tmp_path / "web.yaml"
    file.write_text(f"basic_auth_users: {{alice: {password_hash}}}\n", encoding="utf-8")
    right, wrong = (
        "Basic " + base64.b64encode(b"alice:" + word).decode() for word in (b"right", b"wrong")
    )
    with serving(web_config=file) as server:
        assert get(server, "/metrics")[0] == 401
        assert get(server, "/metrics", authorization=wrong)[0] == 401
        assert get(server, "/healthz")[0] == 200
        assert get(server, "/metrics?a", authorization=right) == (200, b"a")
        begun_s = time.process_time()
        for _ in range(10):
            assert get(server, "/metrics?a", authorization=right)[0] == 200
        assert time.process_time() - begun_s < 0.5  # ten verifications would take more


def test_health_answers_while_passwords_are_verified(tmp_path: Path) -> None:
    file, request = guarded(tmp_path, cost=12)
    request %= base64.b64encode(b"alice:wrong")
    with serving(web_config=file) as server, connect(server) as sock, connect(server) as gone:
        gone.sendall(request)
        sock.sendall(request)
        assert get(server, "/healthz")[0] == 200
        assert select.select([sock, gone], [], [], 0)[0] == []  # each takes its time
        gone.close()
        assert sock.recv(12) == b"HTTP/1.1 401"


def guarded(folder: Path, cost: int) -> tuple[Path, bytes]:
    """Return a file with a user, and a request with a wrong password."""
    password_hash = bcrypt.hashpw(b"right", bcrypt.gensalt(cost)).decode()
    file = folder / "web.yaml"
    file.write_text(f"basic_auth_users: {{alice: {password_hash}}}\n", encoding="utf-8")
    return file, b"GET /metrics HTTP/1.0\r\nAuthorization: Basic %b\r\n\r\n"


def test_a_flood_of_passwords_is_told_to_come_again(tmp_path: Path) -> None:
    file, request = guarded(tmp_path, cost=10)
    with serving(web_config=file) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server)) for _ in range(30)]
        for n, sock in enumerate(socks):
            sock.sendall(request % base64.b64encode(b"alice:wrong%d" % n))
        answers = [read_all(sock)[9:12] for sock in socks]
    assert set(answers) == {b"401", b"503"}
    assert answers.count(b"401") >= 16


def test_who_has_waited_too_long_for_a_verdict_gets_none(tmp_path: Path) -> None:
    file, request = guarded(tmp_path, cost=13)  # takes half a second
    with (
        serving(web_config=file, limits=Limits(answer_s=0.01)) as server,
        connect(server) as sock,
    ):
        sock.sendall(request % base64.b64encode(b"alice:wrong"))
        assert read_all(sock) == b""
        users, credentials = server._watch.current.users, Credentials("alice", b"wrong")
        wait_until(lambda: server._door._access.recall(users, credentials) is False)
        assert number(server, "errors_total") == 0
        assert get(server, "/healthz")[0] == 200


@pytest.mark.req("PR-01")
def test_no_header_value_and_no_query_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class UnheardError(Exception):
        """Of a kind that no other test has raised, since the first of a kind is logged."""

    def show(_request: Request) -> Response:
        raise UnheardError

    caplog.set_level("DEBUG")
    with serving({"/show": show}) as server:
        status, body = get(server, "/show?key=canary", authorization="canary", cookie="canary")
    assert status == 500
    assert len(caplog.records) == 1
    assert "canary" not in caplog.text + body.decode()
