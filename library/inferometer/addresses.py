"""Where to listen and where to connect, read from the text that a user writes.

Both parsers raise ValueError(what the text must be, a hint), as `settings` expects of a parser.
Nothing is resolved or connected here.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

SOCKET_PATH_BYTES_MAX: Final = 107
"""What the kernel takes as the path of a unix socket, without the final NUL."""

_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
)
"""Labels as a resolver takes them: none is empty (RFC 1035, section 2.3.4)."""
_ADDRESS: Final = "HOST:PORT, [IPV6]:PORT or unix:/PATH"
_URL: Final = "http://HOST:PORT, https://HOST:PORT or http+unix:///PATH"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a host and port, or the path of a unix socket (then the rest is empty).

    `host` is a name or an IP address without brackets; port 0 takes a free one.
    """

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        """Return the text that `parse_address` reads."""
        return f"unix:{self.path}" if self.path else f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where to connect: a host and port, with TLS or without, or the path of a unix socket."""

    tls: bool = False
    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        """Return the URL that `parse_upstream` reads."""
        if self.path:
            return f"http+unix://{self.path}"
        return f"http{'s' if self.tls else ''}://{_bracketed(self.host)}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `HOST:PORT`, `[::1]:PORT` or `unix:/path`."""
    if text.startswith("unix:"):
        return Address(path=_socket_path(text.removeprefix("unix:"), _ADDRESS))
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(_ADDRESS, "add a port, such as 127.0.0.1:9464")
    if not host:
        raise ValueError(_ADDRESS, f"for every interface write 0.0.0.0:{port} or [::]:{port}")
    return Address(_host(host, _ADDRESS), _port(port, _ADDRESS))


def parse_upstream(text: str) -> Upstream:
    """Read `http://HOST:PORT`, `https://HOST:PORT` or `http+unix:///path`.

    Without a port it is 80 or 443. Path, query and credentials are refused.
    """
    scheme, separator, rest = text.partition("://")
    if scheme == "http+unix" and separator:
        return Upstream(path=_socket_path(rest, _URL))
    if scheme not in ("http", "https") or not separator:
        raise ValueError(_URL, "begin with http:// or https://")
    rest = rest.removesuffix("/")
    if "@" in rest:
        raise ValueError(_URL, "leave out the credentials: clients send their own")
    if set("/?#") & set(rest):
        raise ValueError(_URL, "leave out path and query: each request brings its own")
    tls = scheme == "https"
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        return Upstream(tls, _host(rest, _URL), 443 if tls else 80)
    number = _port(port, _URL)
    if not number:
        raise ValueError(_URL, "port 0 cannot be connected")
    return Upstream(tls, _host(host, _URL), number)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _host(text: str, expected: str) -> str:
    """Return a name or IP address, without the brackets of an IPv6 address."""
    try:
        if text.startswith("[") and text.endswith("]"):
            return str(IPv6Address(text[1:-1]))
        if text and not text.strip("0123456789."):
            return str(IPv4Address(text))
    except ValueError:
        raise ValueError(expected, "this is no IP address") from None
    if ":" in text:
        raise ValueError(expected, "an IPv6 address needs brackets, such as [::1]:9464")
    if not _NAME.fullmatch(text):
        raise ValueError(expected, "a host is a name or an IP address")
    return text


def _port(text: str, expected: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:  # noqa: PLR2004 (16 bits)
        raise ValueError(expected, "a port is a number up to 65535")
    return int(text)


def _socket_path(text: str, expected: str) -> Path:
    if not text.startswith("/") or not text.isprintable() or text.endswith("/"):
        raise ValueError(expected, "the path of a unix socket starts at the root: /run/llm.sock")
    if len(text.encode("utf-8", "surrogateescape")) > SOCKET_PATH_BYTES_MAX:
        raise ValueError(expected, f"a socket path has at most {SOCKET_PATH_BYTES_MAX} bytes")
    return Path(text)
