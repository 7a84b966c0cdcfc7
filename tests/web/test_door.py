import base64
from collections.abc import Callable, Mapping
from queue import Queue

import bcrypt
import pytest

from inferometer.web.config import Watch, WebConfig
from inferometer.web.door import Door, Pending, Tally
from inferometer.web.heads import HEAD_BYTES_MAX, Answer, Handler, Head, Request, Response, plain

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
USERS = {"alice": HASH}
WAIT_S = 5.0


def fail(_request: Request) -> Response:
    message = "canary"
    raise RuntimeError(message)


ROUTES: Mapping[str, Handler] = {
    "/metrics": lambda request: Response(200, "text/plain", request.query.encode()),
    "/healthz": lambda _: plain(200),
    "/fail": fail,
}


class Clock:
    """A clock that stands until it is moved."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def make(config: WebConfig | None = None, clock: Callable[[], float] | None = None) -> Door:
    clock = clock or Clock()
    watch = Watch(lambda: config or WebConfig(), clock_s=clock)
    return Door(ROUTES, watch, tally=Tally(), clock_s=clock, wall_s=lambda: 0.0)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def head(path: str, method: str = "GET", **headers: str) -> Head:
    return Head(Request(method, path, "", headers), 1, keep_alive=True)


def ask(door: Door, path: str, method: str = "GET", **headers: str) -> str:
    """Return the bytes of the answer, after the verdict if there has to be one."""
    reply = door.admit(head(path, method, **headers))
    if isinstance(reply, Pending):
        verdicts: Queue[bool] = Queue()
        refusal = door.ask(reply, verdicts.put)
        reply = refusal or door.decide(reply, verdict=verdicts.get(timeout=WAIT_S))
    return b"".join(reply.pieces).decode()


def test_a_route_is_answered_by_its_handler() -> None:
    found = make().read(b"GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\nmore")
    assert not isinstance(found, Answer)
    asked, rest = found
    assert rest == b"more"
    assert asked is not None
    reply = make().admit(asked)
    assert isinstance(reply, Answer)
    assert b"".join(reply.pieces).endswith(b"\r\n\r\na=b")
    assert reply.keep_alive


def test_every_answer_has_a_date() -> None:
    assert "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n" in ask(make(), "/healthz")


def test_an_incomplete_head_is_waited_for_up_to_its_bound() -> None:
    door = make()
    assert door.read(b"GET / HT") == (None, b"GET / HT")
    assert door.read(b"x" * (HEAD_BYTES_MAX - 1)) == (None, b"x" * (HEAD_BYTES_MAX - 1))
    refused = door.read(b"x" * HEAD_BYTES_MAX)
    assert isinstance(refused, Answer)
    assert b"".join(refused.pieces).startswith(b"HTTP/1.1 431 ")
    assert not refused.keep_alive


def test_a_wrong_head_is_refused_and_counted() -> None:
    tally = Tally()
    door = Door(ROUTES, Watch(WebConfig), tally=tally)
    refused = door.read(b"GET /\r\n\r\n")
    assert isinstance(refused, Answer)
    assert b"".join(refused.pieces).startswith(b"HTTP/1.1 400 ")
    assert tally.refused == {"head": 1}


@pytest.mark.req("GX-07")
def test_other_methods_and_paths_are_told_what_there_is() -> None:
    door = make()
    assert ask(door, "/nowhere").startswith("HTTP/1.1 404 ")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        answer = ask(door, "/metrics", method)
        assert answer.startswith("HTTP/1.1 405 ")
        assert "\r\nAllow: GET, HEAD\r\n" in answer
    assert ask(door, "/metrics", "HEAD").startswith("HTTP/1.1 200 ")


@pytest.mark.req("PR-01")
def test_a_handler_that_raises_is_a_500_that_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tally = Tally()
    door = Door(ROUTES, Watch(WebConfig), tally=tally)
    answer = ask(door, "/fail", authorization="canary")
    assert answer.startswith("HTTP/1.1 500 ")
    assert "canary" not in answer
    assert tally.errors == 1
    assert [r.getMessage() for r in caplog.records] == ["a handler of the admin port failed"]


def test_headers_of_the_configuration_are_in_every_answer() -> None:
    door = make(WebConfig(headers=(("X-Frame-Options", "deny"),)))
    for path in ("/metrics", "/nowhere"):
        assert "\r\nX-Frame-Options: deny\r\n" in ask(door, path)


def test_without_a_password_only_health_is_shown() -> None:
    door = make(WebConfig(users=USERS))
    answer = ask(door, "/metrics")
    assert answer.startswith("HTTP/1.1 401 ")
    assert '\r\nWWW-Authenticate: Basic realm="inferometer", charset="UTF-8"\r\n' in answer
    assert ask(door, "/nowhere").startswith("HTTP/1.1 401 ")
    assert ask(door, "/healthz").startswith("HTTP/1.1 200 ")


def test_the_right_password_opens_and_wrong_ones_do_not() -> None:
    door = make(WebConfig(users=USERS))
    for _ in range(2):  # verified, then remembered
        assert ask(door, "/metrics", authorization=basic("alice", "right")).startswith(
            "HTTP/1.1 200 "
        )
        for user, password in (("alice", "wrong"), ("bob", "right"), ("", "")):
            answer = ask(door, "/metrics", authorization=basic(user, password))
            assert answer.startswith("HTTP/1.1 401 ")
    door.close()


def test_a_remembered_password_needs_no_verdict() -> None:
    door = make(WebConfig(users=USERS))
    right = basic("alice", "right")
    ask(door, "/metrics", authorization=right)
    assert isinstance(door.admit(head("/metrics", authorization=right)), Answer)
    door.close()


def test_when_too_many_passwords_wait_the_next_is_told_to_come_again() -> None:
    slow = {"alice": bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()}
    door = make(WebConfig(users=slow))
    answers: list[Answer | None] = []
    for n in range(30):
        reply = door.admit(head("/metrics", authorization=basic("alice", str(n))))
        assert isinstance(reply, Pending)
        answers.append(door.ask(reply, lambda _: None))
    door.close()
    assert answers[0] is None
    assert answers[-1] is not None
    text = b"".join(answers[-1].pieces).decode()
    assert text.startswith("HTTP/1.1 503 ")
    assert "\r\nRetry-After: 1\r\n" in text


def test_requests_are_limited_to_a_burst_and_then_one_each_interval() -> None:
    clock = Clock()
    door = make(WebConfig(interval_s=2.0, burst=3), clock)
    statuses = [ask(door, "/metrics")[9:12] for _ in range(5)]
    assert statuses == ["200"] * 3 + ["429"] * 2
    assert ask(door, "/healthz")[9:12] == "200"
    clock.now_s += 2.0
    assert [ask(door, "/metrics")[9:12] for _ in range(2)] == ["200", "429"]
    clock.now_s += 3600
    statuses = [ask(door, "/metrics")[9:12] for _ in range(5)]
    assert statuses == ["200"] * 3 + ["429"] * 2


def test_who_finds_no_room_is_told_to_come_again() -> None:
    assert b"".join(make().busy().pieces).startswith(b"HTTP/1.1 503 ")
