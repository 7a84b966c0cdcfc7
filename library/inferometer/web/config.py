"""The web configuration file: TLS, users and headers of an admin port.

The format is that of the Prometheus exporter-toolkit, so that one file serves all exporters of a
machine. What cannot be honoured here is refused with its place instead of being ignored. Files are
read again when they change; if that fails, the last good state stays.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inferometer import documents
from inferometer.documents import Report, Scalar, Table, shown
from inferometer.errors import Place, SettingsError, UserError
from inferometer.schema import Record, Value, boolean, duration_ns, integer, one_of

if TYPE_CHECKING:
    from ssl import SSLContext

    from inferometer.web.tls import Tls

USERS_MAX: Final = 256
COST_MIN: Final = 4
COST_MAX: Final = 16
"""Cost of a bcrypt hash; at 16 a password takes seconds, and each step doubles it."""

LOOK_EVERY_S: Final = 1.0
"""How often the files are looked at."""

TRY_AGAIN_S: Final = 30.0
"""How often files that failed are tried again though they did not change: a certificate that is
not yet valid becomes so by itself."""

_log: Final = logging.getLogger(__name__)
_HASH: Final = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Strict-Transport-Security": (),
        "X-Content-Type-Options": ("nosniff",),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-XSS-Protection": (),
        "Content-Security-Policy": (),
    }
)
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]{0,2000}")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What an admin port is to do. `interval_s` 0 means that requests are not limited."""

    tls: "SSLContext | None" = None
    client_names: frozenset[str] = frozenset()
    users: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    interval_s: float = 0.0
    burst: int = 0
    files: tuple[Path, ...] = ()


def load(path: Path, *, can_verify: Callable[[], bool] = lambda: True) -> WebConfig:
    """Read a file and the certificates it names. Raises SettingsError with all Problems.

    `can_verify` tells whether passwords can be verified at all on this installation.
    """
    try:
        nodes = documents.read(path)
    except UserError as error:
        raise SettingsError(error.problems) from None
    report = Report()
    place = Place(str(path), 1, 1)
    if len(nodes) > 1:
        report.add(place, "one document expected", hint="take out the lines `---`")
    empty = Table((), place)
    node = nodes[0] if nodes else empty
    record = Record(Value("the web configuration", node, report))
    tls = record.take("tls_server_config", _read_tls(path.parent))
    http = record.take("http_server_config", _read_http) or ()
    users = record.take("basic_auth_users", _read_users) or {}
    rate = record.take("rate_limit", _read_rate) or (0.0, 0)
    record.close()
    if users and not can_verify():
        hint = "pip install 'inferometer[sidecar]'"
        report.add(place, "basic_auth_users needs the package bcrypt", hint=hint)
    if report.problems:
        raise SettingsError(report.problems)
    files = (path, *(tls.files if tls else ()))
    context, names = (tls.context, tls.client_names) if tls else (None, frozenset[str]())
    return WebConfig(context, names, users, http, *rate, files)


def _read_tls(folder: Path) -> "Callable[[Value], Tls | None]":
    def read(value: Value) -> "Tls | None":
        from inferometer.web.tls import read_tls  # it takes 4 MiB, and few ports have TLS

        return read_tls(folder)(value)

    return read


class Watch:
    """The present configuration, read again when a file has changed."""

    def __init__(
        self,
        read: Callable[[], WebConfig],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read for the first time; raises SettingsError."""
        self.failures = 0
        self._read = read
        self._clock_s = clock_s
        self.current = read()
        self._seen = _signature(self.current.files)
        self._look_s = clock_s() + LOOK_EVERY_S
        self._again_s = float("inf")

    def refresh(self) -> WebConfig:
        """Return the configuration, after a look at the files if the last one was a while ago."""
        now_s = self._clock_s()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_EVERY_S
            seen = _signature(self.current.files)
            if seen != self._seen or now_s >= self._again_s:
                self._seen = seen
                self._take_over(now_s)
        return self.current

    def _take_over(self, now_s: float) -> None:
        try:
            self.current = self._read()
        except SettingsError as error:
            self.failures += 1
            self._again_s = now_s + TRY_AGAIN_S
            problem = str(error.problems[0])
            _log.warning("the changed web configuration is not used", extra={"problem": problem})
            return
        self._seen = _signature(self.current.files)
        self._again_s = float("inf")
        _log.info("the changed web configuration is used")


def _signature(files: tuple[Path, ...]) -> tuple[tuple[int, ...], ...]:
    """Return what changes when a file changes, also behind a symbolic link."""
    return tuple(_stat(path) for path in files)


def _stat(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_http(value: Value) -> tuple[tuple[str, str], ...] | None:
    record = Record(value)
    record.take("http2", boolean)  # known to the format; this server speaks HTTP/1.1 either way
    headers = record.take("headers", _read_headers)
    record.close()
    return headers


def _read_headers(value: Value) -> tuple[tuple[str, str], ...] | None:
    record = Record(value)
    found = tuple((name, record.take(name, _read_header(name)) or "") for name in _HEADERS)
    record.close()
    return tuple((name, text) for name, text in found if text)


def _read_header(name: str) -> Callable[[Value], str | None]:
    def read(value: Value) -> str | None:
        if _HEADERS[name]:
            return one_of(*_HEADERS[name])(value)
        found = value.node.text if isinstance(value.node, Scalar) else "\n"
        if _HEADER_VALUE.fullmatch(found):
            return found
        value.refuse("a text of printable ASCII characters")
        return None

    return read


def _read_users(value: Value) -> dict[str, str] | None:
    record = Record(value)
    users: dict[str, str] = {}
    for key, node in record.pairs():
        name = f"the password of {shown(key.text)}"
        password_hash = _read_hash(Value(name, node, value.report, secret=True))
        if password_hash is not None:
            users[key.text] = password_hash
    if len(users) > USERS_MAX:
        value.refuse(f"a mapping of at most {USERS_MAX} users")
    return users


def _read_hash(value: Value) -> str | None:
    found = value.node.text if isinstance(value.node, Scalar) else ""
    match = _HASH.fullmatch(found)
    if match and COST_MIN <= int(match[1]) <= COST_MAX:
        return found
    hint = "make one with `htpasswd -nBC 10 USER`"
    value.refuse(f"a bcrypt hash of cost {COST_MIN} to {COST_MAX}", hint=hint)
    return None


def _read_rate(value: Value) -> tuple[float, int] | None:
    record = Record(value)
    interval_ns = record.take("interval", _read_interval) or 0
    burst = record.take("burst", integer(minimum=0, maximum=1_000_000)) or 0
    record.close()
    if interval_ns and not burst:
        value.refuse("a mapping with a burst of 1 or more", hint="no request would ever pass")
    return interval_ns / 1e9, burst


def _read_interval(value: Value) -> int | None:
    if isinstance(value.node, Scalar) and value.node.text == "0":
        return 0
    return duration_ns(minimum="0s", maximum="1h")(value)
