"""How an exchange and its connections end when a peer is slow to read, or never does."""

from dataclasses import replace

import pytest

from inferometer.sidecar.closing import LINGER_S
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import Finish
from support.wires import Transport, Wires, on_a_loop

GET = b"GET /t HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET /t HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
UPLOAD = b"POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nsome of it"
SETTINGS = Settings()
LOOKS = int(SETTINGS.client_stall_timeout_s / LINGER_S) + 2


def pooled(wires: Wires) -> bool:
    return wires.relay.pool.take() is wires.upstream


def look(wires: Wires) -> float:
    """Let the client's deadline pass, and return that moment."""
    now_s = max(wires.client.deadline_s, wires.relay.books.now_s())
    wires.client.due(now_s)
    return now_s


@pytest.mark.req("LM-03")
def test_a_connection_that_was_paused_with_its_last_bytes_is_read_for_the_next_request() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, GET)
        wires.says(wires.upstream, OK + b"do")
        wires.client.pause_writing()
        assert not wires.to_upstream.reads
        wires.says(wires.upstream, b"ne")
        assert wires.to_upstream.reads
        assert pooled(wires)

    on_a_loop(story)


@pytest.mark.req("LM-03")
def test_a_connection_that_has_not_read_its_request_serves_no_other() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, UPLOAD + b"a lot....")
        wires.to_upstream.unread = 5
        wires.says(wires.upstream, OK + b"done")
        assert not pooled(wires)
        assert wires.to_upstream.ended == "abort"

    on_a_loop(story)


def test_without_keepalive_no_connection_serves_twice() -> None:
    def story(wires: Wires) -> None:
        assert not pooled(wires)

    on_a_loop(story, replace(SETTINGS, upstream_keepalive_s=0.0))


@pytest.mark.req("DC-02")
@pytest.mark.parametrize("answer", [OK + b"done", UNTIL_CLOSE])
def test_a_last_answer_is_waited_for_as_long_as_it_is_being_read(answer: bytes) -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, LAST)
        wires.says(wires.upstream, answer)
        wires.upstream.connection_lost(None)
        assert wires.to_client.ended == "eof"
        for unread in (90, 60, 30):
            wires.to_client.unread = unread
            for _ in range(LOOKS - 4):
                look(wires)
            assert wires.to_client.ended == "eof"
        wires.to_client.unread = 0
        look(wires)
        assert wires.to_client.ended == "abort"

    on_a_loop(story)


@pytest.mark.req("LM-03")
@pytest.mark.parametrize("request_", [GET, LAST])
def test_an_answer_that_is_over_and_not_read_any_more_is_let_go(request_: bytes) -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, request_)
        wires.says(wires.upstream, OK + b"done")
        wires.to_client.unread = 90
        begun_s = look(wires)
        looks = [look(wires) for _ in range(LOOKS)]
        assert wires.to_client.ended == "abort"
        assert max(looks) < begun_s + SETTINGS.client_stall_timeout_s + LINGER_S + 1

    on_a_loop(story)


@pytest.mark.req("LM-03")
def test_an_answer_that_was_cut_short_is_not_waited_for_without_end() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, GET)
        wires.says(wires.upstream, OK + b"do")
        wires.to_client.unread = 90
        wires.upstream.connection_lost(ConnectionResetError())
        assert wires.to_client.ended == "close"
        for _ in range(LOOKS):
            look(wires)
        assert wires.to_client.ended == "abort"

    on_a_loop(story)


@pytest.mark.req("LC-01")
def test_while_draining_an_answer_that_is_being_read_is_under_way() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, GET)
        wires.says(wires.upstream, OK + b"done")
        wires.to_client.unread = 90
        wires.relay.close_idle()
        assert wires.relay.busy == 1
        assert not wires.to_client.ended
        wires.client.transport.close()
        assert wires.relay.busy == 1
        wires.to_client.unread = 0
        assert wires.relay.busy == 0

    on_a_loop(story)


@pytest.mark.req("LM-03")
def test_the_end_of_an_upload_gives_a_client_that_does_not_read_no_more_time() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, UPLOAD + b"a lot")
        wires.says(wires.upstream, OK + b"do")
        wires.client.pause_writing()
        deadline_s = wires.client.deadline_s
        wires.says(wires.client, b"....")
        assert wires.client.deadline_s == deadline_s
        look(wires)
        assert wires.to_client.ended == "abort"
        causes = [mark.cause for mark in wires.marks() if isinstance(mark, Finish)]
        assert causes == ["client_slow"]

    on_a_loop(story)


@pytest.mark.req("LM-01")
def test_a_client_that_was_told_to_go_on_has_the_time_of_any_other() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, UPLOAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        for _ in range(9):
            look(wires)  # it is the upstream's turn
        wires.says(wires.upstream, b"HTTP/1.1 103 Early Hints\r\n\r\n")
        look(wires)
        assert not wires.to_client.ended
        wires.says(wires.upstream, b"HTTP/1.1 100 Continue\r\n\r\n")
        look(wires)
        assert wires.to_client.writes[-1].startswith(b"HTTP/1.1 408 ")

    on_a_loop(story, replace(SETTINGS, body_rate_min_bytes=100))


def test_a_client_that_has_said_all_is_closed_behind_its_answer() -> None:
    def story(wires: Wires) -> None:
        wires.says(wires.client, GET)
        assert wires.client.eof_received()
        wires.says(wires.upstream, OK + b"done")
        assert wires.to_client.writes == [OK + b"done"]
        assert wires.to_client.ended == "eof"

    on_a_loop(story, replace(SETTINGS, client_half_close="serve"))


@pytest.mark.req("LM-05")
def test_connections_over_the_limit_are_counted_as_requests_that_were_turned_away() -> None:
    def story(wires: Wires) -> None:
        ends = [mark for mark in wires.marks() if isinstance(mark, Finish)]
        assert [(end.cause, end.status) for end in ends] == [("limit", 503)]
        assert wires.relay.books.refused["limit"] == 1
        assert wires.to_client.writes[0].startswith(b"HTTP/1.1 503 ")

    on_a_loop(story, replace(SETTINGS, connections_max=0))


def test_many_empty_lines_are_passed_over_at_once() -> None:
    def story(wires: Wires) -> None:
        for _ in range(9):
            wires.says(wires.client, b"\r\n" * 20_000)
        wires.says(wires.client, b"\r\n\r" + b"\n" + GET)
        assert wires.to_upstream.writes == [GET]

    on_a_loop(story)


def test_a_fault_of_ours_is_counted_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Transport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            raise ZeroDivisionError(data)

    def story(wires: Wires) -> None:
        wires.upstream.transport = Faulty()
        wires.says(wires.client, GET)
        assert wires.to_client.writes[0].startswith(b"HTTP/1.1 502 ")
        assert wires.relay.books.internal_errors == 1

    on_a_loop(story)
    assert "failed" in caplog.text
