"""TLS towards clients and towards the upstream, from files that are read again when they change.

New handshakes use the latest pair that works; a pair that is half-written, mismatched or expired
is left alone until it does. Running streams keep what they were opened with.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inferometer.certificates import CertificateError, server_context
from inferometer.errors import Place, Problem, SettingsError

FILE_BYTES_MAX: Final = 1 << 20
UNUSABLE: Final = (OSError, ValueError, CertificateError)
"""What reading files and making a context of them raises; `ssl.SSLError` is an OSError."""

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Files:
    """What one side of the sidecar reads; None where it reads none."""

    certificate: Path | None
    key: Path | None
    authorities: Path | None

    def stamp(self) -> Stamp:
        """Return what changes when a file does, a symbolic link that is switched included."""
        stamps = []
        for path in (self.certificate, self.key, self.authorities):
            if path is not None:
                try:
                    stat = path.stat()
                except OSError:
                    stamps.append((0, 0, 0))
                else:
                    stamps.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(stamps)

    def read(self, path: Path | None) -> bytes:
        """Return the content of one of the files, b"" for None. Raises OSError."""
        if path is None:
            return b""
        with path.open("rb") as stream:
            return stream.read(FILE_BYTES_MAX)


class _Latest:
    """The context of the latest files that work."""

    def __init__(self, files: Files, load: Callable[[Files], ssl.SSLContext]) -> None:
        """Read the files. Raises one of `UNUSABLE` where `load` can't use them."""
        self._files = files
        self._load = load
        self._stamp = files.stamp()
        self.context = load(files)

    def refresh(self) -> bool | None:
        """Take changed files over; None where nothing changed, False where they don't work."""
        stamp = self._files.stamp()
        if stamp == self._stamp:
            return None
        self._stamp = stamp  # files that do not work are tried again when they change again
        try:
            self.context = self._load(self._files)
        except UNUSABLE:
            return False
        return True


class ClientTls:
    """The context that `--listen` serves, whose inside changes with the files."""

    def __init__(self, files: Files) -> None:
        """Read the files; raises SettingsError where they can't be served."""
        try:
            self._latest = _Latest(files, self._load)
        except UNUSABLE as error:
            hint = "give a PEM certificate chain and the key that belongs to it"
            raise SettingsError([Problem(Place("--tls-cert"), _words(error), hint)]) from None
        self.refresh = self._latest.refresh
        """Takes changed files over, see `_Latest.refresh`."""
        # The outer context decides nothing but which inner one a handshake goes on with.
        self.context = self._load(files)
        self.context.sni_callback = self._choose

    def _choose(self, handshake: ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> None:
        handshake.context = self._latest.context

    @staticmethod
    def _load(files: Files) -> ssl.SSLContext:
        certificate = files.read(files.certificate)
        authorities = files.read(files.authorities)
        return server_context(
            certificate,
            files.read(files.key) if files.key is not None else certificate,
            authorities=authorities,
            client_certificate=ssl.CERT_REQUIRED if authorities else ssl.CERT_NONE,
        )


class UpstreamTls:
    """The context for connections to an `https` upstream."""

    def __init__(self, files: Files) -> None:
        """Read the files; raises SettingsError where they can't be used."""
        try:
            self._latest = _Latest(files, self._load)
        except UNUSABLE as error:
            problem = Problem(Place("--upstream-ca"), _words(error), "give files in PEM")
            raise SettingsError([problem]) from None
        self.refresh = self._latest.refresh
        """Takes changed files over, see `_Latest.refresh`."""

    def __call__(self) -> ssl.SSLContext:
        """Return the context of the latest files that work."""
        return self._latest.context

    @staticmethod
    def _load(files: Files) -> ssl.SSLContext:
        authorities = files.read(files.authorities).decode("ascii")
        context = ssl.create_default_context(cadata=authorities or None)
        if files.certificate is not None:
            key = files.key or files.certificate
            context.load_cert_chain(files.certificate, key, password=lambda: "")
        return context


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"unusable certificate: {error.reason or 'no PEM'}".lower()
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}".lower()
    return str(error)
