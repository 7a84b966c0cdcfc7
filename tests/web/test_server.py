import base64
import contextlib
import http.client
import os
import resource
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest

from inferometer.errors import SettingsError, WorldError
from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import TEXT, write
from inferometer.web.access import Credentials
from inferometer.web.config import LOOK_EVERY_S
from inferometer.web.server import Handler, Limits, Request, Response, Server, plain
from support.certificates import Authority

WAIT_S = 5.0
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


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


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


def test_requests_are_answered_on_one_connection(server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
    for path, body in (("/metrics?a=b", b"a=b"), ("/healthz", b"200 OK\n")) * 2:
        client.request("GET", path)
        response = client.getresponse()
        assert (response.status, response.read()) == (200, body)
        assert not response.will_close
    assert number(server, "connections") == 1
    client.close()
    wait_until(lambda: number(server, "connections") == 0)


def test_a_body_in_pieces_arrives_whole(server: Server) -> None:
    status, body = get(server, "/pieces")
    assert status == 200
    assert body == b"".join(b"piece %d\n" % n for n in range(100))


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with connect(server) as sock:
        one = b"GET /metrics?%d HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /metrics?3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        sock.sendall(one % 1 + one % 2 + last)
        data = read_all(sock)
    assert data.count(b"HTTP/1.1 200 OK") == 3
    assert data.index(b"\r\n\r\n1") < data.index(b"\r\n\r\n2") < data.index(b"\r\n\r\n3")


def test_a_head_may_come_byte_by_byte(server: Server) -> None:
    with connect(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /healthz HTTP/1.0\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert read_all(sock).endswith(b"200 OK\n")


@pytest.mark.req("GX-07")
def test_a_body_is_not_read_and_the_refusal_still_arrives(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
        sock.sendall(b"x" * 200_000)
        assert read_all(sock).startswith(b"HTTP/1.1 405 ")
    wait_until(lambda: number(server, "connections") == 0)


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"])
def test_another_protocol_is_refused(server: Server, junk: bytes) -> None:
    with connect(server) as sock:
        sock.sendall(junk)
        assert read_all(sock)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 505")
    assert number(server, "refused_total", "head") == 1


def test_a_body_that_raises_is_cut_and_does_not_look_complete(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
        data = read_all(sock)
    assert data.endswith(b"begun\r\n")
    assert number(server, "errors_total") == 1
    assert get(server, "/healthz")[0] == 200


def test_its_own_numbers_can_be_registered(server: Server) -> None:
    registry = Registry()
    for name, read in server.metrics().items():
        registry.callback(name, read)
    with connect(server) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        read_all(sock)
    page = b"".join(write(registry, openmetrics=False)).decode()
    assert 'inferometer_web_refused_total{reason="head"} 1\n' in page
    assert "inferometer_web_config_failures_total 0\n" in page
    assert "inferometer_web_errors_total 0\n" in page


# Bounds


def test_half_a_head_is_cut_in_time() -> None:
    with serving(limits=QUICK) as server, connect(server) as sock:
        sock.sendall(b"GET / HT")
        assert read_all(sock) == b""
        assert number(server, "refused_total", "slow") == 1


def test_an_idle_connection_is_closed_in_time() -> None:
    with serving(limits=QUICK) as server, connect(server) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(sock).endswith(b"200 OK\n")
        assert number(server, "refused_total", "slow") == 0


@pytest.mark.req("FO-06")
def test_a_stalled_scraper_blocks_nobody_and_is_cut() -> None:
    with serving(limits=QUICK) as server, connect(server) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        begun_s = time.monotonic()
        while number(server, "refused_total", "slow") == 0:
            assert get(server, "/healthz")[0] == 200
            assert time.monotonic() - begun_s < WAIT_S
        assert get(server, "/healthz")[0] == 200


def test_an_answer_that_never_ends_is_cut_however_well_it_is_read() -> None:
    with serving(limits=replace(QUICK, answer_s=0.2)) as server, connect(server) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not read_all(sock).endswith(b"0\r\n\r\n")


def test_a_client_that_never_closes_is_closed_after_the_last_answer() -> None:
    with serving(limits=QUICK) as server, connect(server) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        wait_until(lambda: number(server, "refused_total", "head") == 1)
        wait_until(lambda: number(server, "connections") == 0)
        assert number(server, "refused_total", "slow") == 0


def test_idle_connections_make_room_for_the_next_one() -> None:
    with serving(limits=Limits(connections_max=4)) as server:
        idle = [connect(server) for _ in range(4)]
        wait_until(lambda: number(server, "connections") == 4)
        assert get(server, "/healthz")[0] == 200
        assert read_all(idle[0]) == b""
        assert number(server, "refused_total", "limit") == 1
        for sock in idle:
            sock.close()


@pytest.mark.req("LM-05")
def test_when_all_are_busy_the_next_one_is_told_to_come_again() -> None:
    with serving(limits=Limits(connections_max=2)) as server:
        busy = [connect(server) for _ in range(2)]
        for sock in busy:
            sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(10)
        with connect(server) as late:
            answer = read_all(late)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in answer
        assert number(server, "refused_total", "limit") == 1
        for sock in busy:
            sock.close()


def test_a_stalled_scraper_makes_room_for_the_next_one() -> None:
    limits = Limits(connections_max=1, stall_s=2.0)
    with serving(limits=limits) as server, connect(server) as stalled:
        stalled.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: number(server, "connections") == 1)

        def served() -> bool:
            with connect(server) as sock, contextlib.suppress(ConnectionError):
                sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                return read_all(sock).endswith(b"200 OK\n")
            return False

        wait_until(served)
        assert number(server, "refused_total", "slow") == 1


def test_a_client_that_resets_costs_its_own_connection_only(server: Server) -> None:
    with connect(server) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" * 2)
    wait_until(lambda: number(server, "connections") == 0)
    assert number(server, "errors_total") == 0
    assert get(server, "/healthz")[0] == 200


def test_a_connection_that_has_just_made_room_is_not_read_any_more() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(_request: Request) -> Response:
        begun.set()
        go_on.wait(WAIT_S)
        return plain(200)

    with serving({"/hold": hold}, limits=Limits(connections_max=2)) as server:
        idle, busy = connect(server), connect(server)
        wait_until(lambda: number(server, "connections") == 2)
        busy.sendall(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(WAIT_S)
        with connect(server) as late:  # first in the queue of the selector, and then the idle one
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            go_on.set()
            late.sendall(b"GET /hold HTTP/1.0\r\n\r\n")
            assert read_all(late).endswith(b"200 OK\n")
        assert read_all(idle) == b""
        idle.close()
        busy.close()


@contextlib.contextmanager
def descriptors(wanted: int) -> Iterator[int]:
    """Raise the limit on open files as far as may be; yields how many sockets can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = hard if hard != resource.RLIM_INFINITY else wanted + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        yield min(wanted, allowed - 500)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.req("GX-07")
def test_ten_thousand_idle_sockets_keep_nobody_out(server: Server) -> None:
    with descriptors(10_000) as count, contextlib.ExitStack() as stack:
        for n in range(count):
            stack.enter_context(connect(server))
            if n % 1000 == 999:
                begun_s = time.monotonic()
                assert get(server, "/metrics?x") == (200, b"x")
                assert time.monotonic() - begun_s < 1
        assert number(server, "connections") <= Limits().connections_max
        assert count >= 500


def fill_holes() -> list[int]:
    """Open files until the next descriptor is the highest one."""
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    opened: list[int] = []
    while not opened or opened[-1] < highest:
        opened.append(os.open(os.devnull, os.O_RDONLY))
    return opened


@pytest.mark.req("LM-05")
def test_running_out_of_descriptors_is_a_state_to_recover_from(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [socket.socket(), socket.socket()]
    opened = fill_holes()
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[-1] + 2, hard))  # room for one more
    try:
        for n, client in enumerate(clients):
            client.settimeout(WAIT_S)
            client.connect(("127.0.0.1", server.port))
            wait_until(lambda: number(server, "connections") == 1)
            assert n or number(server, "refused_total", "resources") == 0
        wait_until(lambda: number(server, "refused_total", "resources") > 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in opened:
            os.close(descriptor)
    first, second = clients
    assert read_all(first) == b""  # it idled and made room
    second.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert read_all(second).endswith(b"200 OK\n")
    first.close()
    second.close()


@pytest.mark.req("GX-07")
def test_a_thousand_scrapes_leave_threads_and_descriptors_as_they_were(server: Server) -> None:
    get(server, "/pieces")
    wait_until(lambda: number(server, "connections") == 0)
    before = threading.active_count(), open_files()
    for _ in range(1000):
        assert get(server, "/metrics?x")[0] == 200
    wait_until(lambda: number(server, "connections") == 0)
    assert (threading.active_count(), open_files()) == before


@pytest.mark.req("FO-06")
def test_metrics_answer_within_a_second_while_another_thread_computes() -> None:
    registry = Registry(series_max=20_000)
    for n in range(500):
        registry.histogram("inferometer_request_read_seconds", "sidecar", f"m{n}").add(1)
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    def show(_request: Request) -> Response:
        return Response(200, TEXT, write(registry, openmetrics=False))

    worker = threading.Thread(target=compute)
    interval_s = sys.getswitchinterval()
    with serving({"/metrics": show}) as server:
        sys.setswitchinterval(0.0005)  # as the measuring plane has it
        worker.start()
        try:
            begun_s = time.monotonic()
            status, body = get(server, "/metrics")
            took_s = time.monotonic() - begun_s
        finally:
            stop.set()
            worker.join()
            sys.setswitchinterval(interval_s)
    assert status == 200
    assert body.count(b"\n") > 10_000
    assert took_s < 1


# Life


def test_an_address_in_use_is_told_in_words(server: Server) -> None:
    other = Server(("127.0.0.1", server.port), {})
    with pytest.raises(WorldError, match=f"cannot listen on 127.0.0.1:{server.port}: Address al"):
        other.start()
    other.stop()


def test_a_host_that_does_not_exist_is_told_in_words() -> None:
    server = Server(("no-such-host.invalid", 0), {})
    with pytest.raises(WorldError, match=r"cannot listen on no-such-host\.invalid:0: "):
        server.start()
    server.stop()


def test_after_the_stop_the_port_is_free_and_connections_are_closed() -> None:
    with serving() as server:
        sock = connect(server)
        wait_until(lambda: number(server, "connections") == 1)
        port = server.port
    assert read_all(sock) == b""
    sock.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_ipv6_is_served() -> None:
    server = Server(("::1", 0), ROUTES)
    try:
        server.start()
    except WorldError:
        server.stop()
        pytest.skip("IPv6 is not available")
    with socket.create_connection(("::1", server.port), timeout=WAIT_S) as sock:
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert read_all(sock).endswith(b"200 OK\n")
    server.stop()


def test_a_fault_of_ours_does_not_end_the_port() -> None:
    broken = threading.Event()

    def clock_s() -> float:
        if broken.is_set():
            raise ArithmeticError
        return time.monotonic()

    with serving(clock_s=clock_s) as server:
        broken.set()
        with connect(server):
            wait_until(lambda: number(server, "errors_total") > 0)
        broken.clear()
        assert get(server, "/healthz")[0] == 200


def test_an_accepted_socket_that_is_gone_already_is_closed() -> None:
    server = Server(("127.0.0.1", 0), {})
    gone = socket.socket()
    gone.close()
    server._greet(gone)
    assert number(server, "connections") == 0
    server.stop()


# TLS and passwords


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
    with serving(web_config=file, limits=QUICK) as server, connect(server) as sock:
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
        begun_s = time.monotonic()
        for _ in range(10):
            assert get(server, "/metrics?a", authorization=right)[0] == 200
        assert time.monotonic() - begun_s < 1  # ten verifications would take more


def test_health_answers_while_passwords_are_verified(tmp_path: Path) -> None:
    password_hash = bcrypt.hashpw(b"right", bcrypt.gensalt(12)).decode()
    file = tmp_path / "web.yaml"
    file.write_text(f"basic_auth_users: {{alice: {password_hash}}}\n", encoding="utf-8")
    credentials = base64.b64encode(b"alice:wrong").decode()
    request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\r\n"
    with serving(web_config=file) as server, connect(server) as sock, connect(server) as gone:
        gone.sendall(request.encode())
        sock.sendall(request.encode())
        begun_s = time.monotonic()
        assert get(server, "/healthz")[0] == 200
        assert time.monotonic() - begun_s < 0.2
        gone.close()
        assert sock.recv(12) == b"HTTP/1.1 401"


def guarded(folder: Path, cost: int) -> tuple[Path, bytes]:
    """Return a file with a user, and a request with a wrong password."""
    password_hash = bcrypt.hashpw(b"right", bcrypt.gensalt(cost)).decode()
    file = folder / "web.yaml"
    file.write_text(f"basic_auth_users: {{alice: {password_hash}}}\n", encoding="utf-8")
    return file, b"GET /metrics HTTP/1.0\r\nAuthorization: Basic %b\r\n\r\n"


def test_a_flood_of_passwords_is_told_to_come_again(tmp_path: Path) -> None:
    file, request = guarded(tmp_path, cost=11)
    with serving(web_config=file) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server)) for _ in range(30)]
        for n, sock in enumerate(socks):
            sock.sendall(request % base64.b64encode(b"alice:wrong%d" % n))
        answers = [read_all(sock)[9:12] for sock in socks]
    assert set(answers) == {b"401", b"503"}
    assert answers.count(b"401") >= 16


def test_who_has_waited_too_long_for_a_verdict_gets_none(tmp_path: Path) -> None:
    file, request = guarded(tmp_path, cost=12)
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
