import ssl
from pathlib import Path

import pytest

from inferometer.errors import SettingsError
from inferometer.web.config import WebConfig, load
from inferometer.web.tls import FILE_BYTES_MAX
from support.certificates import Authority

FILES = "  cert_file: server.pem\n  key_file: server.key\n"
VERIFY = "  client_auth_type: RequireAndVerifyClientCert\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Authority(tmp_path).issue()
    return tmp_path


def read(folder: Path, text: str) -> WebConfig:
    file = folder / "web.yaml"
    file.write_text(f"tls_server_config:\n{text}", encoding="utf-8")
    return load(file)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        read(folder, text)
    return [str(p).removeprefix(f"{folder / 'web.yaml'}:") for p in error.value.problems]


def test_files_are_found_beside_the_configuration_and_watched(folder: Path) -> None:
    config = read(folder, FILES)
    assert config.tls is not None
    assert config.tls.verify_mode == ssl.CERT_NONE
    assert config.tls.minimum_version == ssl.TLSVersion.TLSv1_2
    assert config.files == (folder / "web.yaml", folder / "server.pem", folder / "server.key")


def test_certificate_and_key_may_stand_in_the_file_itself(folder: Path) -> None:
    lines: list[str] = []
    for name, source in (("cert", "server.pem"), ("key", "server.key")):
        text = (folder / source).read_text()
        lines += [f"  {name}: |\n", *(f"    {line}\n" for line in text.splitlines())]
    config = read(folder, "".join(lines))
    assert config.tls is not None
    assert config.files == (folder / "web.yaml",)


def test_every_field_of_the_format_is_honoured(folder: Path) -> None:
    config = read(
        folder,
        FILES
        + VERIFY
        + """\
  client_ca_file: ca.pem
  client_allowed_sans: [localhost, 127.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
""",
    )
    assert config.tls is not None
    assert config.tls.verify_mode == ssl.CERT_REQUIRED
    assert config.client_names == {"localhost", "127.0.0.1"}
    assert not config.tls.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    old = [c["name"] for c in config.tls.get_ciphers() if c["protocol"] != "TLSv1.3"]
    assert old == ["ECDHE-ECDSA-AES128-GCM-SHA256"]


def test_a_client_certificate_may_be_verified_only_if_given(folder: Path) -> None:
    text = FILES + "  client_ca_file: ca.pem\n  client_auth_type: VerifyClientCertIfGiven\n"
    config = read(folder, text)
    assert config.tls is not None
    assert config.tls.verify_mode == ssl.CERT_OPTIONAL


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("  min_version: TLS12\n", "2:3", "needs cert_file or cert"),
        (FILES + "  cert: x\n", "2:3", "cert and cert_file are given both"),
        (FILES + "  min_version: TLS10\n", "4:16", "must be one of TLS12, TLS13, got 'TLS10'"),
        (FILES + "  min_version: TLS13\n  max_version: TLS12\n", "2:3", "above max_version"),
        (FILES + "  cipher_suites: [RC4]\n", "4:19", "must be one of TLS_ECDHE_RSA"),
        (FILES + "  curve_preferences: [X25519, CurveP256]\n", "4:22", "must be one curve"),
        (FILES + "  curve_preferences: [P256]\n", "4:23", "must be one of CurveP256"),
        (FILES + "  client_auth_type: RequireAnyClientCert\n", "4:21", "policy that verifies"),
        (FILES + "  client_auth_type: Always\n", "4:21", "must be one of NoClientCert"),
        (FILES + "  client_ca_file: ca.pem\n", "2:3", "no client certificate is asked for"),
        (FILES + VERIFY, "2:3", "cannot be verified without client_ca_file"),
        (FILES + "  client_allowed_sans: [a]\n", "2:3", "needs a client certificate"),
        (FILES + "  certfile: x\n", "4:3", "unknown field 'certfile'"),
        ("  cert_file: nowhere.pem\n  key_file: server.key\n", "2:14", "a file that can be read"),
        ("  cert_file: [a]\n  key_file: server.key\n", "2:14", "must be a text"),
        ("  cert: [a]\n  key_file: server.key\n", "2:9", "must be a text"),
        ('  cert_file: "a\\0b"\n  key_file: server.key\n', "2:14", "is not allowed"),
        ("  cert_file: server.pem\n  key_file: ca.pem\n", "2:3", "the certificate cannot be used"),
    ],
)
@pytest.mark.req("LC-03")
def test_what_cannot_be_honoured_is_refused_with_its_place(
    folder: Path, text: str, place: str, words: str
) -> None:
    found = problems(folder, text)
    assert any(line.startswith(f"{place}: ") and words in line for line in found), found


def test_a_key_in_the_file_is_never_shown(folder: Path) -> None:
    found = problems(folder, "  cert_file: server.pem\n  key: [canary]\n  kei: canary\n")
    assert "canary" not in "".join(found)


def test_a_certificate_file_has_a_bound(folder: Path) -> None:
    (folder / "server.pem").write_bytes(b"\n" * (FILE_BYTES_MAX + 1))
    assert "a file of at most 1048576 bytes" in problems(folder, FILES)[0]


def test_a_section_that_is_no_mapping_is_a_problem(folder: Path) -> None:
    assert "must be a mapping" in problems(folder, "  - x\n")[0]
