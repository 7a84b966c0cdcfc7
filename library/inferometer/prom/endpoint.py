"""Where a Prometheus is: a URL whose path may be the prefix of a Thanos or a Mimir. Pure."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_URL: Final = "the URL of a Prometheus, http://HOST:PORT or https://HOST/PREFIX"
_PORTS: Final = {"http": 80, "https": 443}
API: Final = "/api/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A Prometheus API. `prefix` is the path before `/api/v1`, empty or begins with a slash."""

    tls: bool
    host: str
    port: int
    prefix: str = ""

    def __str__(self) -> str:
        """Return the URL that `parse` reads; it holds no credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{self.prefix}"


def parse(text: str) -> Endpoint:
    """Read a URL; `/api/v1` at its end may be there or not, as in Grafana's data sources.

    Raises ValueError(what the text must be, a hint), as `settings` expects of a parser.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_URL, "a port is a number up to 65535") from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError(_URL, "begin with http:// or https://")
    if "@" in parts.netloc:
        hint = "a password in a URL is seen by everyone, use --prometheus-auth-file"
        raise ValueError(_URL, hint)
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(_URL, "leave out the query: each question brings its own")
    if port == 0:
        raise ValueError(_URL, "port 0 cannot be connected")
    if any(not "!" <= char <= "~" for char in text):
        raise ValueError(_URL, "write what is not ASCII as %XX, host names as punycode")
    prefix = parts.path.rstrip("/").removesuffix(API).rstrip("/")
    return Endpoint(parts.scheme == "https", host, port or _PORTS[parts.scheme], prefix)
