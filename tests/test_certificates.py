import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from inferometer.certificates import CertificateError, Terms, alternative_names, server_context
from support.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def read(authority: Authority, name: str = "server", *, days: int = 1) -> tuple[bytes, bytes]:
    pair = authority.issue(name, days=days)
    return pair.certificate.read_bytes(), pair.key.read_bytes()


def test_a_pair_that_works_is_taken(authority: Authority) -> None:
    context = server_context(*read(authority))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


@pytest.mark.req("LC-03")
def test_a_pair_that_does_not_match_is_refused(authority: Authority) -> None:
    certificate, _ = read(authority)
    _, key = read(authority, "other")
    with pytest.raises(CertificateError, match="key values mismatch"):
        server_context(certificate, key)


@pytest.mark.req("LC-03")
def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    with pytest.raises(CertificateError, match="certificate has expired"):
        server_context(*read(authority, days=-1))


@pytest.mark.req("LC-03")
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_half_a_file_is_refused(authority: Authority, kept: float) -> None:
    certificate, key = read(authority)
    with pytest.raises(CertificateError):
        server_context(certificate[: int(len(certificate) * kept)], key)
    with pytest.raises(CertificateError):
        server_context(certificate, key[: int(len(key) * kept)])


@pytest.mark.parametrize("junk", [b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\n", b"\0" * 9])
def test_junk_is_refused_in_words_that_do_not_quote_it(authority: Authority, junk: bytes) -> None:
    _, key = read(authority)
    with pytest.raises(CertificateError) as error:
        server_context(junk, key)
    assert "BEGIN" not in str(error.value)


def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked_for_it(
    authority: Authority,
) -> None:
    certificate, key = read(authority)
    locked = load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(CertificateError):
        server_context(certificate, locked)


def test_terms_that_no_client_can_meet_are_refused(authority: Authority) -> None:
    pair = read(authority)
    only_rsa = Terms(maximum=ssl.TLSVersion.TLSv1_2, ciphers=("ECDHE-RSA-AES128-GCM-SHA256",))
    with pytest.raises(CertificateError, match="no shared cipher"):
        server_context(*pair, terms=only_rsa)


def test_terms_are_kept(authority: Authority) -> None:
    terms = Terms(
        minimum=ssl.TLSVersion.TLSv1_3,
        ciphers=("ECDHE-ECDSA-AES256-GCM-SHA384",),
        server_order=False,
        curve="X25519",
    )
    context = server_context(*read(authority), terms=terms)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    names = {cipher["name"] for cipher in context.get_ciphers()}
    assert "ECDHE-ECDSA-AES256-GCM-SHA384" in names
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" not in names


def test_authorities_that_cannot_be_read_are_refused(authority: Authority) -> None:
    with pytest.raises(CertificateError):
        server_context(*read(authority), authorities=b"junk")


def test_client_certificates_are_asked_for(authority: Authority) -> None:
    context = server_context(
        *read(authority),
        authorities=authority.file.read_bytes(),
        client_certificate=ssl.CERT_REQUIRED,
    )
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_alternative_names_are_read_from_what_the_socket_tells() -> None:
    told = {"subjectAltName": (("DNS", "localhost"), ("IP Address", "127.0.0.1"))}
    assert alternative_names(told) == {"localhost", "127.0.0.1"}
    assert alternative_names({}) == alternative_names(None) == frozenset()
