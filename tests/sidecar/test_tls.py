import ssl
from pathlib import Path
from typing import Any

import pytest

from inferometer.errors import SettingsError
from inferometer.sidecar.tls import ClientTls, Files, UpstreamTls
from support.certificates import Authority, Pair


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Return the subject of the certificate that a client was shown."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname="localhost")
    theirs = server.wrap_bio(there, back, server_side=True)
    waiting = [ours, theirs]
    for _ in range(10):
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
    shown: Any = ours.getpeercert()
    return str(dict(part[0] for part in shown["subject"])["commonName"])


def put(source: Pair, target: Pair) -> None:
    target.certificate.write_bytes(source.certificate.read_bytes())
    target.key.write_bytes(source.key.read_bytes())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.req("LC-03")
def test_new_handshakes_use_the_latest_pair_that_works(authority: Authority) -> None:
    first, second, expired = (
        authority.issue("first"),
        authority.issue("second"),
        authority.issue("expired", days=-2),
    )
    served = Pair(authority.folder / "tls.pem", authority.folder / "tls.key")
    put(first, served)
    tls = ClientTls(Files(served.certificate, served.key, None))
    trusting = authority.client_context()
    assert shake_hands(tls.context, trusting) == "first"
    assert tls.refresh() is None
    put(expired, served)
    assert tls.refresh() is False
    assert tls.refresh() is None
    served.certificate.write_bytes(second.certificate.read_bytes())
    served.key.write_bytes(b"half")
    assert tls.refresh() is False
    assert shake_hands(tls.context, trusting) == "first"
    put(second, served)
    assert tls.refresh() is True
    assert shake_hands(tls.context, trusting) == "second"
    served.certificate.unlink()
    assert tls.refresh() is False
    assert shake_hands(tls.context, trusting) == "second"


def test_a_certificate_may_hold_its_key_and_clients_may_need_one(authority: Authority) -> None:
    pair, client = authority.issue(), authority.issue("client")
    both = authority.folder / "both.pem"
    both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    tls = ClientTls(Files(both, None, authority.file))
    named = authority.client_context()
    named.load_cert_chain(client.certificate, client.key)
    assert shake_hands(tls.context, named) == "server"
    with pytest.raises(ssl.SSLError):
        shake_hands(tls.context, authority.client_context())


@pytest.mark.parametrize("content", [b"", b"no pem"])
def test_a_pair_that_cannot_be_served_ends_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="--tls-cert: "):
        ClientTls(Files(path, None, None))
    with pytest.raises(SettingsError, match="no such file"):
        ClientTls(Files(tmp_path / "missing", None, None))


def test_the_upstream_is_trusted_by_its_authority_and_files_are_read_again(
    authority: Authority,
) -> None:
    server = authority.issue().server_context()
    trusted = authority.folder / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    tls = UpstreamTls(Files(None, None, trusted))
    assert shake_hands(server, tls()) == "server"
    assert tls.refresh() is None
    trusted.write_bytes(b"half")
    assert tls.refresh() is False
    assert shake_hands(server, tls()) == "server"
    (authority.folder / "other").mkdir()
    trusted.write_bytes(Authority(authority.folder / "other").file.read_bytes())
    assert tls.refresh() is True
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, tls())
    with pytest.raises(SettingsError, match="--upstream-ca: "):
        UpstreamTls(Files(None, None, authority.folder / "missing"))


def test_the_sidecar_can_show_the_upstream_a_certificate(authority: Authority) -> None:
    client = authority.issue("client")
    both = authority.folder / "both.pem"
    both.write_bytes(client.certificate.read_bytes() + client.key.read_bytes())
    server = authority.issue().server_context()
    server.load_verify_locations(authority.file)
    server.verify_mode = ssl.CERT_REQUIRED
    tls = UpstreamTls(Files(both, None, authority.file))
    assert shake_hands(server, tls()) == "server"
