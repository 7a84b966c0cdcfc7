"""Rules of one exchange that no peer can see: what is written in which call."""

import socket

import pytest

from inferometer.sidecar.tap import Finish, RequestBody, RequestEnd, Started
from inferometer.sidecar.upstream import set_socket_options
from support.wires import Transport, Wires, on_a_loop

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Connected(Transport):
    """A transport with a socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._sock if name == "socket" else default


@pytest.mark.req("DC-05")
def test_no_write_waits_for_an_acknowledgement_and_no_silence_for_a_dead_peer() -> None:
    with socket.socket() as sock:
        assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        set_socket_options(Connected(sock))
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_small_request_costs_one_write_each_way() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD + b"body")
        assert wires.to_upstream.writes == [HEAD + b"body"]
        wires.says(wires.upstream, OK + b"done")
        assert wires.to_client.writes == [OK + b"done"]
        kinds = [type(mark) for mark in wires.marks()[:3]]
        assert kinds == [Started, RequestBody, RequestEnd]

    on_a_loop(story)


def test_a_head_without_body_goes_on_at_once() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD)
        assert wires.to_upstream.writes == [HEAD]
        wires.says(wires.client, b"body")
        wires.says(wires.upstream, OK)
        assert wires.to_client.writes == [OK]
        wires.says(wires.upstream, b"done")
        assert wires.to_upstream.writes[1:] == [b"body"]
        assert wires.to_client.writes[1:] == [b"done"]

    on_a_loop(story)


def test_a_head_whose_body_is_no_part_of_its_answer_is_not_held() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD + b"body")
        wires.says(wires.upstream, b"HTTP/1.1 204 No Content\r\n\r\nwhat is this")
        assert wires.to_client.writes == [b"HTTP/1.1 204 No Content\r\n\r\n"]
        assert wires.to_upstream.ended == "abort"

    on_a_loop(story)


def test_an_answer_whose_first_bytes_are_malformed_is_cut_behind_its_head() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, HEAD + b"body")
        wires.says(wires.upstream, CHUNKED + b"no size\r\n")
        assert wires.to_client.writes == [CHUNKED]
        assert wires.to_client.ended == "close"
        finish = wires.marks()[-1]
        assert isinstance(finish, Finish)
        assert (finish.cause, finish.status) == ("upstream_short", 200)

    on_a_loop(story)


@pytest.mark.req("PF-02")
def test_a_request_whose_first_body_bytes_are_malformed_reaches_no_server() -> None:
    def story(wires: Wires) -> None:
        head = b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        wires.says(wires.client, head + b"no size\r\n")
        assert wires.to_upstream.writes == []
        assert not wires.to_upstream.ended
        assert wires.to_client.writes[0].startswith(b"HTTP/1.1 400 ")
        finish = wires.marks()[-1]
        assert isinstance(finish, Finish)
        assert finish.cause == "client_bad"

    on_a_loop(story)
