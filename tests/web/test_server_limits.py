import contextlib
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import TEXT, write
from inferometer.web.server import Limits, Request, Response, Server, plain
from support.admin import (
    QUICK,
    WAIT_S,
    connect,
    get,
    number,
    open_files,
    read_all,
    serving,
    wait_until,
)

UNHURRIED = replace(QUICK, head_s=WAIT_S)
"""For clients that send all they have to: between connecting and that a busy machine may pause."""


def test_half_a_head_is_cut_in_time() -> None:
    with serving(limits=replace(QUICK, head_s=0.5)) as server, connect(server) as sock:
        sock.sendall(b"GET / HT")
        assert read_all(sock) == b""
        assert number(server, "refused_total", "slow") == 1


def test_an_idle_connection_is_closed_in_time() -> None:
    with serving(limits=UNHURRIED) as server, connect(server) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(sock).endswith(b"200 OK\n")
        assert number(server, "refused_total", "slow") == 0


@pytest.mark.req("FO-06")
def test_a_stalled_scraper_blocks_nobody_and_is_cut() -> None:
    with serving(limits=UNHURRIED) as server, connect(server) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        begun_s = time.monotonic()
        while number(server, "refused_total", "slow") == 0:
            assert get(server, "/healthz")[0] == 200
            assert time.monotonic() - begun_s < WAIT_S
        assert get(server, "/healthz")[0] == 200


def test_an_answer_that_never_ends_is_cut_however_well_it_is_read() -> None:
    with serving(limits=replace(UNHURRIED, answer_s=0.2)) as server, connect(server) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not read_all(sock).endswith(b"0\r\n\r\n")


def test_a_client_that_never_closes_is_closed_after_the_last_answer() -> None:
    with serving(limits=UNHURRIED) as server, connect(server) as sock:
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
