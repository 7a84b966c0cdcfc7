"""Certificates of a server, taken over only if they work.

A pair of certificate and key is given as bytes, so that what was checked is what is used, however
the files change meanwhile. Before it is used it shakes hands with itself in memory: a pair that
does not match, has expired or is too weak fails here and not in front of a client.
"""

import os
import ssl
from dataclasses import dataclass
from typing import Final

from inferometer.errors import InferometerError

_ROUNDS_MAX: Final = 10
"""Turns of a handshake in memory; it takes three."""


class CertificateError(InferometerError):
    """A certificate, key or list of authorities that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a server agrees to. Cipher suites (OpenSSL's names) are those up to TLS 1.2."""

    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: tuple[str, ...] = ()
    server_order: bool = True
    curve: str = ""


def server_context(
    certificate: bytes,
    key: bytes,
    *,
    terms: Terms | None = None,
    authorities: bytes = b"",
    client_certificate: ssl.VerifyMode = ssl.CERT_NONE,
) -> ssl.SSLContext:
    """Return a context that serves a certificate chain and its key, both PEM.

    `authorities` (PEM) are those whose client certificates are accepted. Raises CertificateError.
    """
    context = _context(terms or Terms())
    try:
        _load(context, certificate + b"\n" + key)
        _shake_hands(context, certificate)
        if authorities:
            context.load_verify_locations(cadata=authorities.decode("ascii"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise CertificateError(_words(error)) from None
    context.verify_mode = client_certificate
    return context


def alternative_names(certificate: object) -> frozenset[str]:
    """Return the subject alternative names of what `SSLSocket.getpeercert()` tells."""
    if not isinstance(certificate, dict):
        return frozenset()
    return frozenset(str(value) for _, value in certificate.get("subjectAltName", ()))


def _context(terms: Terms) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = terms.minimum
    context.maximum_version = terms.maximum
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not terms.server_order:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if terms.ciphers:
        context.set_ciphers(":".join(terms.ciphers))
    if terms.curve:
        context.set_ecdh_curve(terms.curve)
    return context


def _load(context: ssl.SSLContext, pair: bytes) -> None:
    """Load a pair from memory; the ssl module reads it from files only, and there may be none."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(pair)
        # A key with a pass phrase must fail, not ask at the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    finally:
        os.close(descriptor)


def _shake_hands(server: ssl.SSLContext, certificate: bytes) -> None:
    """Raise ssl.SSLError if no client could be served, one that trusts the certificate itself."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=certificate.decode("ascii"))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    waiting = [
        client.wrap_bio(back, there),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(_ROUNDS_MAX):
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue


def _words(error: Exception) -> str:
    """Return what is wrong in the words of OpenSSL, without its numbers and places."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return "not in PEM, or incomplete"
