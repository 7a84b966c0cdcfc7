import base64
import ssl
from pathlib import Path

import pytest

from inferometer.errors import SettingsError
from inferometer.prom.credentials import SECRET_BYTES_MAX, basic, bearer, nobody, trust
from inferometer.prom.errors import PrometheusError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_nobody_has_none() -> None:
    assert nobody() is None


def test_a_password_is_read_as_it_is(file: Path) -> None:
    file.write_bytes("user:pä:ss \r\n".encode())
    assert basic(file)() == "Basic " + base64.b64encode("user:pä:ss ".encode()).decode()


def test_a_token_is_read_again_when_it_changes(file: Path) -> None:
    read = bearer(file)
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        assert read() == f"Bearer {token}"


@pytest.mark.parametrize("text", ["", "no colon", "a:b\nc:d", "a" * (SECRET_BYTES_MAX + 1)])
@pytest.mark.req("SC-02")
def test_a_file_without_a_password_is_told_without_what_it_holds(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(PrometheusError, match="secret: holds") as caught:
        basic(file)()
    assert text == "" or text not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("text", ["", "two words", "cr\rlf", "ä"])
def test_a_file_without_a_token_is_told(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    with pytest.raises(PrometheusError, match="secret: holds"):
        bearer(file)()


def test_a_file_that_is_gone_is_told(file: Path) -> None:
    with pytest.raises(PrometheusError, match="cannot be read: No such file"):
        bearer(file)()


def test_authorities_come_from_a_file_or_the_system(file: Path) -> None:
    assert trust(None).verify_mode is ssl.CERT_REQUIRED
    file.write_text("nothing")
    with pytest.raises(SettingsError, match="certificate authorities"):
        trust(file)
