import http.client
import socket
import threading
import time

import pytest

from inferometer.errors import WorldError
from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import write
from inferometer.web.server import Server
from support.admin import ROUTES, WAIT_S, connect, get, number, read_all, serving, wait_until


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
