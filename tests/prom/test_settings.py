from pathlib import Path

import pytest

from inferometer.errors import SettingsError
from inferometer.prom.endpoint import parse
from inferometer.prom.settings import Access
from support.certificates import Authority
from support.scripted_prometheus import ScriptedPrometheus, reply, vector


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("user:word")
    return file


def headers(access: Access) -> dict[str, str]:
    with (
        ScriptedPrometheus(lambda _: reply(vector())) as server,
        access.client(parse(server.url)) as client,
    ):
        client.instant("up")
    return server.asked[0].headers


def test_without_files_nobody_is_named() -> None:
    assert "authorization" not in headers(Access())


def test_a_password_and_a_token_go_along(secret: Path) -> None:
    assert headers(Access(prometheus_auth_file=secret))["authorization"].startswith("Basic ")
    token = headers(Access(prometheus_token_file=secret))["authorization"]
    assert token == "Bearer user:word"


def test_both_are_one_too_many(secret: Path) -> None:
    access = Access(prometheus_auth_file=secret, prometheus_token_file=secret)
    with pytest.raises(SettingsError, match="take one of them"):
        access.client(parse("http://p"))


def test_a_tenant_is_one_word() -> None:
    assert headers(Access(prometheus_tenant="team"))["x-scope-orgid"] == "team"
    with pytest.raises(SettingsError, match="one word"):
        Access(prometheus_tenant="a\r\nb").client(parse("http://p"))


def test_an_authority_is_used_for_https(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.issue("server").server_context()
    with (
        ScriptedPrometheus(lambda _: reply(vector()), tls=context) as server,
        Access(prometheus_ca=authority.file).client(parse(server.url)) as client,
    ):
        assert client.instant("up").series == ()
