import socket
import ssl
from selectors import EVENT_READ, EVENT_WRITE
from typing import Self

import pytest

from inferometer.errors import WorldError
from inferometer.web.link import Link, Phase, listen


class ScriptedTls(ssl.SSLSocket):
    """A TLS socket whose next steps are given: an exception is raised, all else is returned."""

    def __new__(cls, *_steps: object) -> Self:
        return socket.socket.__new__(cls)

    def __init__(self, *steps: object) -> None:
        self._steps = iter(steps)

    def step(self) -> object:
        found = next(self._steps)
        if isinstance(found, BaseException):
            raise found
        return found

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - its signature
        assert not block
        self.step()

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        assert (buflen > 0, flags) == (True, 0)
        found = self.step()
        assert isinstance(found, bytes)
        return found

    def send(self, data: object, flags: int = 0) -> int:
        assert (data is not None, flags) == (True, 0)
        found = self.step()
        assert isinstance(found, int)
        return found

    def unwrap(self) -> socket.socket:
        self.step()
        return self

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self.step()

    def getpeercert(self, binary_form: bool = False) -> object:  # type: ignore[override] # noqa: FBT001, FBT002 - its signature
        assert not binary_form
        return self.step()


WANT_READ = ssl.SSLWantReadError()
WANT_WRITE = ssl.SSLWantWriteError()


def scripted(*steps: object) -> Link:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        link = Link(client, tls=None, now_s=5.0)
    link.sock = ScriptedTls(*steps)
    link.wants = 0
    return link


def test_a_new_connection_is_idle_and_waits_for_a_head() -> None:
    link = scripted()
    assert link.phase is Phase.HEAD
    assert link.idle
    link.inbox = b"G"
    assert not link.idle
    link.phase = Phase.HANDSHAKE
    assert link.idle
    assert (link.progress_s, link.deadline_s) == (5.0, 5.0)


def test_a_handshake_says_what_it_waits_for() -> None:
    link = scripted(WANT_READ, WANT_WRITE, None)
    for wanted in (EVENT_READ, EVENT_WRITE):
        assert not link.shake_hands()
        assert link.wants == wanted
    assert link.shake_hands()


def test_receiving_says_what_it_waits_for() -> None:
    link = scripted(BlockingIOError(), WANT_READ, WANT_WRITE, b"data", b"")
    found = [(link.receive(), link.wants) for _ in range(3)]
    assert found == [(None, EVENT_READ), (None, EVENT_READ), (None, EVENT_WRITE)]
    assert [link.receive(), link.receive()] == [b"data", b""]


def test_sending_says_what_it_waits_for_and_keeps_what_is_left() -> None:
    link = scripted(WANT_READ, WANT_WRITE, BlockingIOError(), 3, 2)
    link.outbox = memoryview(b"hello")
    found = [(link.send(), link.wants) for _ in range(5)]
    assert [sent for sent, _ in found] == [0, 0, 0, 3, 2]
    assert [wanted for _, wanted in found] == [EVENT_READ] + [EVENT_WRITE] * 4
    assert not link.outbox


@pytest.mark.parametrize("reply", [None, WANT_READ, OSError(), ValueError()])
def test_the_end_is_announced_whatever_the_client_replies(reply: object) -> None:
    link = scripted(reply, None)
    link.finish()
    assert link.wants == EVENT_READ


def test_the_certificate_of_a_plain_connection_is_unknown() -> None:
    link = scripted({"subject": ()})
    assert link.certificate() == {"subject": ()}
    plain, other = socket.socketpair()
    with plain, other:
        link.sock = plain
        assert link.certificate() is None


def test_a_free_port_is_listened_on_and_a_taken_one_told() -> None:
    with listen(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(WorldError, match="Address already in use") as error:
            listen(("127.0.0.1", port))
        assert error.value.hint == "choose another address for the admin port"
