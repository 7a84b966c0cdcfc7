import base64
import socket
import threading
from pathlib import Path

import pytest

from inferometer.errors import SettingsError, WorldError
from inferometer.live import target
from inferometer.live.target import BODY_BYTES_MAX, Client, Target, authorization, parse, trust
from support.certificates import Authority
from support.scripted_admin import ScriptedAdmin
from support.sidecar import free_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:9464", Target("http", "127.0.0.1", 9464, "/metrics")),
        ("127.0.0.1:1", Target("http", "127.0.0.1", 1, "/metrics")),
        ("node", Target("http", "node", 9464, "/metrics")),
        ("https://node", Target("https", "node", 443, "/metrics")),
        ("https://[::1]:9/", Target("https", "::1", 9, "/metrics")),
        ("http://node/a?b=1", Target("http", "node", 9464, "/a?b=1")),
    ],
)
def test_a_target_is_read_from_what_people_write(text: str, expected: Target) -> None:
    assert parse(text) == expected
    assert parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["ftp://node", "http://", "http://u:p@node", "node:99999", "http://node/a b", "http://nöde"],
)
def test_what_is_no_admin_url_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ValueError, match="admin URL") as caught:
        parse(text)
    assert len(caught.value.args) == 2


def test_a_name_is_host_and_port() -> None:
    assert parse("https://[::1]:9").name == "[::1]:9"
    assert parse("http://node:1/x").name == "node:1"


def test_an_exposition_is_read_again_and_again_over_one_connection() -> None:
    with ScriptedAdmin(b"a 1\n") as admin:
        client = Client(parse(admin.url))
        assert client.fetch() == b"a 1\n"
        admin.body = b"a 2\n"
        assert client.fetch() == b"a 2\n"
        client.close()
    assert admin.asked == {"/metrics": 2}
    assert admin.authorizations == [None, None]


def served(*answers: bytes) -> tuple[Target, threading.Thread]:
    """Serve one connection for each answer, one after the other, and end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return Target("http", "127.0.0.1", listener.getsockname()[1], "/metrics"), thread


def test_a_connection_that_the_server_closed_is_made_anew() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n"
    where, thread = served(whole, whole.replace(b"a 1", b"a 2"))
    client = Client(where)
    assert client.fetch() == b"a 1\n"
    assert client.fetch() == b"a 2\n"
    client.close()
    thread.join()


def test_a_server_that_went_away_is_tried_once_more_and_then_told() -> None:
    where, thread = served(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n")
    client = Client(where)
    client.fetch()
    thread.join()
    with pytest.raises(WorldError, match="connection refused"):
        client.fetch()


def test_a_status_that_is_not_200_is_named() -> None:
    with ScriptedAdmin(b"secret text of an error page", status=401) as admin:
        client = Client(parse(admin.url))
        with pytest.raises(WorldError, match=r"^answered 401$"):
            client.fetch()
        client.close()


def test_nobody_there_is_connection_refused() -> None:
    client = Client(Target("http", "127.0.0.1", free_port(), "/metrics"))
    with pytest.raises(WorldError, match="connection refused"):
        client.fetch()


def test_a_body_beyond_the_limit_is_refused() -> None:
    with ScriptedAdmin(b"#" * (BODY_BYTES_MAX + 1)) as admin:
        client = Client(parse(admin.url))
        with pytest.raises(WorldError, match="more than 8 MiB"):
            client.fetch()


def test_an_answer_that_trickles_beyond_the_time_is_given_up() -> None:
    moments = iter([0.0, *[target.FETCH_S + 1] * 10])
    with ScriptedAdmin(b"a 1\n") as admin:
        client = Client(parse(admin.url), clock_s=lambda: next(moments))
        with pytest.raises(WorldError, match="no answer within 2 s"):
            client.fetch()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"\x00\x01nonsense\r\n\r\n", "does not speak HTTP"),
        (b"", "connection lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "does not speak HTTP"),
    ],
    ids=["no HTTP", "nothing", "less than promised"],
)
def test_what_is_no_whole_answer_is_told_in_few_words(said: bytes, words: str) -> None:
    where, thread = served(said)
    with pytest.raises(WorldError, match=words):
        Client(where).fetch()
    thread.join()


def test_https_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with ScriptedAdmin(b"a 1\n", tls=authority.issue("server").server_context()) as admin:
        client = Client(parse(admin.url), trusted=trust(authority.file))
        assert client.fetch() == b"a 1\n"
        client.close()
        with pytest.raises(WorldError, match="certificate is not trusted"):
            Client(parse(admin.url), trusted=trust(None)).fetch()


def test_plain_http_at_the_end_of_https_is_tls_failed() -> None:
    with ScriptedAdmin(b"a 1\n") as admin:
        port = parse(admin.url).port
        with pytest.raises(WorldError, match="TLS failed"):
            Client(Target("https", "127.0.0.1", port, "/metrics"), trusted=trust(None)).fetch()


def test_a_password_comes_from_a_file_and_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text("user:pa:ss\n")
    with ScriptedAdmin(b"a 1\n") as admin:
        client = Client(parse(admin.url), authorization=authorization(file))
        client.fetch()
        client.close()
    assert admin.authorizations == ["Basic " + base64.b64encode(b"user:pa:ss").decode()]


@pytest.mark.parametrize(
    "text", ["", "no colon", "a:b\nc:d\n", "a:" + "b" * target.SECRET_BYTES_MAX]
)
def test_a_file_without_one_password_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    file = tmp_path / "auth"
    file.write_text(text)
    with pytest.raises(SettingsError, match="holds no user and password"):
        authorization(file)


def test_files_that_cannot_be_used_are_told_with_their_path(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(SettingsError, match="none: cannot be read"):
        authorization(missing)
    with pytest.raises(SettingsError, match="none: cannot be used"):
        trust(missing)
