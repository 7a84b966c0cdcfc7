import base64
import sys
from queue import Queue
from threading import Event

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.web.access import (
    VERDICTS_MAX,
    WAITING_MAX,
    Access,
    Credentials,
    is_available,
    read_credentials,
    verify,
)

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
USERS = {"alice": HASH}
ALICE = Credentials("alice", b"right")
WAIT_S = 5.0


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


def test_credentials_are_read() -> None:
    assert read_credentials(basic(b"alice:a:b")) == ("alice", b"a:b")
    assert read_credentials("bAsIc  " + base64.b64encode(b"a:").decode()) == ("a", b"")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer abc",
        basic(b"nocolon"),
        basic(b"\xff:x"),
        "Basic YTpi YQ==",
    ],
)
def test_other_headers_hold_no_credentials(header: str) -> None:
    assert read_credentials(header) is None


@given(st.text(max_size=60).map("Basic ".__add__))
def test_no_header_raises(header: str) -> None:
    found = read_credentials(header)
    assert found is None or isinstance(found.user, str)


def test_a_password_is_verified_as_the_tools_write_its_hash() -> None:
    assert is_available()
    assert verify(b"right", HASH)
    assert verify(b"right", HASH.replace("$2b$", "$2y$"))
    assert not verify(b"wrong", HASH)
    assert not verify(b"", HASH)


def test_a_missing_bcrypt_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    assert not is_available()


def test_only_72_bytes_of_a_password_count() -> None:
    long_hash = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert verify(b"x" * 100, long_hash)
    assert not verify(b"x" * 71, long_hash)


@pytest.mark.parametrize(
    ("password", "given_hash"), [(b"right\0", HASH), (b"right", "junk")], ids=["nul", "no hash"]
)
def test_what_bcrypt_cannot_take_is_wrong(password: bytes, given_hash: str) -> None:
    assert not verify(password, given_hash)


def judged(access: Access, credentials: Credentials) -> bool:
    verdicts: Queue[bool] = Queue()
    assert access.judge(USERS, credentials, verdicts.put)
    return verdicts.get(timeout=WAIT_S)


def test_right_and_wrong_passwords_and_unknown_users_are_told_apart() -> None:
    access = Access()
    assert judged(access, ALICE)
    assert not judged(access, Credentials("alice", b"wrong"))
    assert not judged(access, Credentials("mallory", b"right"))
    access.stop()


def test_an_unknown_user_costs_the_same_work() -> None:
    asked: list[tuple[bytes, str]] = []

    def note(password: bytes, password_hash: str) -> bool:
        asked.append((password, password_hash))
        return True

    access = Access(verify=note)
    assert not judged(access, Credentials("mallory", b"x"))
    assert asked == [(b"x", HASH)]
    access.stop()


def test_a_verdict_is_remembered_until_the_hash_changes() -> None:
    access = Access()
    assert access.recall(USERS, ALICE) is None
    access.remember(USERS, ALICE, verdict=True)
    assert access.recall(USERS, ALICE) is True
    assert access.recall(USERS, Credentials("alice", b"other")) is None
    assert access.recall({"alice": HASH + "x"}, ALICE) is None
    assert access.recall({}, ALICE) is None
    access.remember(USERS, Credentials("alice", b"other"), verdict=False)
    assert access.recall(USERS, Credentials("alice", b"other")) is False


def test_where_user_and_password_are_cut_matters() -> None:
    access = Access()
    users = {"a": HASH, "ab": HASH}
    access.remember(users, Credentials("a", b"bc"), verdict=True)
    assert access.recall(users, Credentials("ab", b"c")) is None


def test_memory_is_bounded_and_bad_verdicts_push_out_no_good_one() -> None:
    access = Access()
    access.remember(USERS, ALICE, verdict=True)
    for n in range(VERDICTS_MAX * 3):
        access.remember(USERS, Credentials("alice", b"%d" % n), verdict=False)
    assert access.recall(USERS, ALICE) is True
    assert access.recall(USERS, Credentials("alice", b"0")) is None
    assert sum(map(len, access._verdicts.values())) == VERDICTS_MAX + 1


def test_no_password_is_kept() -> None:
    access = Access()
    access.remember(USERS, Credentials("alice", b"canary-password"), verdict=True)
    assert b"canary-password" not in repr(access._verdicts).encode()


def test_so_many_wait_and_the_next_one_is_told_to_come_again() -> None:
    begun, go_on = Event(), Event()

    def hang(_password: bytes, _hash: str) -> bool:
        begun.set()
        return go_on.wait(WAIT_S)

    access = Access(verify=hang)
    verdicts: Queue[bool] = Queue()
    assert access.judge(USERS, ALICE, verdicts.put)
    assert begun.wait(WAIT_S)
    assert all(access.judge(USERS, ALICE, verdicts.put) for _ in range(WAITING_MAX))
    assert not access.judge(USERS, ALICE, verdicts.put)
    go_on.set()
    assert [verdicts.get(timeout=WAIT_S) for _ in range(WAITING_MAX + 1)] == [True] * 17
    access.stop()


def test_who_waits_at_the_end_gets_no_verdict() -> None:
    begun, go_on = Event(), Event()

    def hang(_password: bytes, _hash: str) -> bool:
        begun.set()
        return go_on.wait(WAIT_S)

    access = Access(verify=hang)
    verdicts: Queue[bool] = Queue()
    for _ in range(3):
        access.judge(USERS, ALICE, verdicts.put)
    assert begun.wait(WAIT_S)
    access.stop()
    go_on.set()
    assert access._thread is not None
    access._thread.join(WAIT_S)
    assert not access._thread.is_alive()
    assert verdicts.qsize() == 1
