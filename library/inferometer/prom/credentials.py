"""What proves to a Prometheus who asks, and to us whom we ask: files, read when they are needed.

Tokens of Kubernetes change within the hour, so a file is read again for each question. What a
file holds is never shown.
"""

import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from inferometer.errors import Place, Problem, SettingsError
from inferometer.prom.errors import PrometheusError

SECRET_BYTES_MAX: Final = 65_536
"""Tokens of some providers have several KiB."""

Authorization = Callable[[], str | None]
"""Returns the value of the Authorization header, None for none. Raises PrometheusError."""


def nobody() -> str | None:
    """Return no credentials."""
    return None


def basic(path: Path) -> Authorization:
    """Return what reads one line `user:password`."""

    def read() -> str:
        line = _line(path)
        if b":" not in line:
            raise _useless(path, "holds no user and password", "write user:password on one line")
        return "Basic " + base64.b64encode(line).decode("ascii")

    return read


def bearer(path: Path) -> Authorization:
    """Return what reads one line with a token."""

    def read() -> str:
        line = _line(path)
        if not line or any(not 0x21 <= byte <= 0x7E for byte in line):  # noqa: PLR2004 (ASCII)
            raise _useless(path, "holds no token", "a token is one word")
        return "Bearer " + line.decode("ascii")

    return read


def trust(path: Path | None) -> ssl.SSLContext:
    """Return what a server is checked against: one CA file, or the system's authorities."""
    try:
        return ssl.create_default_context(cafile=None if path is None else str(path))
    except OSError as error:  # ssl.SSLError is one
        hint = "the file holds one or more certificates in PEM form"
        message = "cannot be used as certificate authorities"
        raise SettingsError([Problem(Place(str(path)), message, hint)]) from error


def _line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            line = file.read(SECRET_BYTES_MAX + 1).rstrip(b"\r\n")
    except OSError as error:
        raise _useless(path, f"cannot be read: {error.strerror}", "") from None
    if b"\n" in line or b"\r" in line or len(line) > SECRET_BYTES_MAX:
        raise _useless(path, "holds more than one line", "")
    return line


def _useless(path: Path, message: str, hint: str) -> PrometheusError:
    return PrometheusError(f"{path}: {message}", reason="unreachable", hint=hint)
