"""TLS of an admin port: `tls_server_config` of its configuration, and what its sockets need.

The only module here that imports `ssl`, which takes 4 MiB. It is imported where there is TLS.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final

from inferometer.certificates import CertificateError, Terms, server_context
from inferometer.documents import Report, Scalar
from inferometer.schema import Record, Value, boolean, listed, one_of, text

LIST_MAX: Final = 64
FILE_BYTES_MAX: Final = 1 << 20

_PEM: Final = ("cert", "key", "client_ca")
_VERSIONS: Final = {  # older ones are deprecated by RFC 8996 and refused by name
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_VERIFIES: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_DOES_NOT_VERIFY: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_KEY_EXCHANGES: Final = ("ECDHE_RSA", "ECDHE_ECDSA")
_BULK: Final = {
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
}
_SUITES: Final = {
    f"TLS_{exchange}_WITH_{bulk}": f"{exchange.replace('_', '-')}-{name}"
    for exchange in _KEY_EXCHANGES
    for bulk, name in _BULK.items()
}
_SUITES_13: Final = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)
"""Always on with TLS 1.3, as in the toolkit; naming them changes nothing."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A context, the names that a client certificate may carry, and the files behind it."""

    context: ssl.SSLContext
    client_names: frozenset[str]
    files: tuple[Path, ...]


def read_tls(folder: Path) -> Callable[[Value], Tls | None]:
    """Return a reader of `tls_server_config`; file names are relative to `folder`."""

    def read(value: Value) -> Tls | None:
        before = len(value.report.problems)
        record = Record(value)
        files = _Files(folder, value.report)
        pem = {name: _take_pem(record, name, files=files) for name in _PEM}
        terms = _read_terms(record)
        mode = record.take("client_auth_type", _read_client_auth) or ssl.CERT_NONE
        names = record.take("client_allowed_sans", listed(text, maximum=LIST_MAX)) or ()
        record.close()
        for problem, hint in _contradictions(pem, mode, names, terms):
            value.report.add(record.place, problem, hint=hint)
        if len(value.report.problems) > before:
            return None
        try:
            context = server_context(
                pem["cert"] or b"",
                pem["key"] or b"",
                terms=terms,
                authorities=pem["client_ca"] or b"",
                client_certificate=mode,
            )
        except CertificateError as error:
            value.report.add(record.place, f"the certificate cannot be used: {error}")
            return None
        return Tls(context, frozenset(names), tuple(files.paths))

    return read


def shake_hands(sock: socket.socket) -> int:
    """Go on with a handshake; returns what it waits for, 0 when complete. Raises OSError."""
    assert isinstance(sock, ssl.SSLSocket)
    try:
        sock.do_handshake()
    except OSError as error:
        return wanted(error)
    return 0


def wanted(error: OSError) -> int:
    """Return what a TLS socket waits for before it can go on. Raises any other error again."""
    if isinstance(error, ssl.SSLWantReadError):
        return EVENT_READ
    if isinstance(error, ssl.SSLWantWriteError):
        return EVENT_WRITE
    raise error


def certificate(sock: socket.socket) -> object:
    """Return what is known of the client's certificate."""
    assert isinstance(sock, ssl.SSLSocket)
    return sock.getpeercert()


def say_goodbye(sock: socket.socket) -> None:
    """Tell the client that nothing more comes, without waiting for the reply."""
    assert isinstance(sock, ssl.SSLSocket)
    with contextlib.suppress(OSError, ValueError):
        sock.unwrap()


def _contradictions(
    pem: Mapping[str, bytes | None], mode: ssl.VerifyMode, names: tuple[str, ...], terms: Terms
) -> Iterator[tuple[str, str]]:
    """Return what is wrong with fields that are right by themselves, each with a hint."""
    for name in ("cert", "key"):
        if pem[name] is None:
            yield f"tls_server_config needs {name}_file or {name}", f"add `{name}_file: ...`"
    if pem["client_ca"] is not None and mode == ssl.CERT_NONE:
        hint = "add `client_auth_type: RequireAndVerifyClientCert`"
        yield "client_ca is given, but no client certificate is asked for", hint
    if mode != ssl.CERT_NONE and pem["client_ca"] is None:
        yield "client certificates cannot be verified without client_ca_file", "add it"
    if names and mode != ssl.CERT_REQUIRED:
        hint = "add `client_auth_type: RequireAndVerifyClientCert`"
        yield "client_allowed_sans needs a client certificate to match against", hint
    if terms.minimum > terms.maximum:
        yield "min_version is above max_version", "leave out one of them"


@dataclass(frozen=True, slots=True)
class _Files:
    """Where files are looked for, and those that were named."""

    folder: Path
    report: Report
    paths: list[Path] = field(default_factory=list)


def _take_pem(record: Record, name: str, *, files: _Files) -> bytes | None:
    """Return what `name` or `name_file` gives; b"" after a problem, None if neither is there."""
    inline = record.take(name, _read_inline, secret=True)
    read = record.take(f"{name}_file", _read_file(files))
    if name in record and f"{name}_file" in record:
        message = f"{name} and {name}_file are given both"
        files.report.add(record.place, message, hint="leave out one of them")
    if name not in record and f"{name}_file" not in record:
        return None
    return inline or read or b""


def _read_inline(value: Value) -> bytes | None:
    found = text(value)
    return None if found is None else found.encode()


def _read_file(files: _Files) -> Callable[[Value], bytes | None]:
    def read(value: Value) -> bytes | None:
        name = text(value)
        if name is None:
            return None
        path = files.folder / name
        files.paths.append(path)
        try:
            with path.open("rb") as stream:
                content = stream.read(FILE_BYTES_MAX + 1)
        except (OSError, ValueError):
            value.refuse("a file that can be read")
            return None
        if len(content) > FILE_BYTES_MAX:
            value.refuse(f"a file of at most {FILE_BYTES_MAX} bytes")
            return None
        return content

    return read


def _read_terms(record: Record) -> Terms:
    minimum = record.take("min_version", one_of(*_VERSIONS))
    maximum = record.take("max_version", one_of(*_VERSIONS))
    suites = record.take("cipher_suites", listed(one_of(*_SUITES, *_SUITES_13), maximum=LIST_MAX))
    server_order = record.take("prefer_server_cipher_suites", boolean)
    curve = record.take("curve_preferences", _read_curve)
    return Terms(
        minimum=_VERSIONS[minimum or "TLS12"],
        maximum=_VERSIONS[maximum or "TLS13"],
        ciphers=tuple(_SUITES[name] for name in suites or () if name in _SUITES),
        server_order=server_order is not False,
        curve=_CURVES[curve] if curve else "",
    )


def _read_curve(value: Value) -> str | None:
    found = listed(one_of(*_CURVES), maximum=len(_CURVES))(value)
    if found is None or len(found) == 1:
        return found[0] if found else None
    value.refuse("one curve", hint="Python cannot order several: name one, or leave it out")
    return None


def _read_client_auth(value: Value) -> ssl.VerifyMode | None:
    if isinstance(value.node, Scalar) and value.node.text in _DOES_NOT_VERIFY:
        value.refuse("a policy that verifies certificates", hint="write RequireAndVerifyClientCert")
        return None
    name = one_of(*_VERIFIES)(value)
    return None if name is None else _VERIFIES[name]
