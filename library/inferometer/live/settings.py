"""What a user may set of `inferometer watch`; the text below each field is what `--help` says."""

from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Final

from inferometer.addresses import Address, parse_address
from inferometer.errors import Place, Problem, SettingsError
from inferometer.live.target import Target, parse
from inferometer.live.watch import TARGETS_MAX, Windows

LISTEN: Final = Address("127.0.0.1", 9470)
"""Where the page is unless told otherwise; a free port is taken if this one is in use."""


def _parse_listen(text: str) -> Address:
    address = parse_address(text)
    if address.path is not None:
        expected = "HOST:PORT"
        raise ValueError(expected, "a browser needs a port")
    return address


POINTS_MAX: Final = 1800
"""Points of one source: with 32 sidecars they take some 70 MB."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Show running sidecars as a live page in the browser.

    `inferometer watch http://127.0.0.1:9464 https://other:9464`
    """

    admin: tuple[Target, ...] = field(
        default=(parse("http://127.0.0.1:9464"),),
        metadata={"parse": parse, "positional": True, "metavar": "ADMIN-URL (repeatable)"},
    )
    """The admin addresses of up to 32 sidecars, also as plain words. `/metrics` is read where a
    URL has no path."""

    listen: Address = field(default=LISTEN, metadata={"parse": _parse_listen})
    """Where the page answers: the loopback, since it shows what a service does to whoever asks.
    If the port is the default one and in use, a free port is taken."""

    ca: Path | None = None
    """Authorities (PEM) that vouch for https sidecars, instead of the system's."""

    auth_file: Path | None = None
    """A file with one line `user:password` for sidecars that want basic authentication; in a flag
    a password would be seen by everyone on the machine."""

    interval_s: float = field(default=1.0, metadata={"minimum": 0.5, "maximum": 60.0})
    """How often sidecars are read and points are drawn. One second moves, and costs a sidecar
    some milliseconds a minute."""

    window_s: float = field(default=10.0, metadata={"minimum": 1.0, "maximum": 300.0})
    """Over how long latencies and rates are counted: long enough for a quantile, short enough to
    see a change."""

    slo_window_s: float = field(default=60.0, metadata={"minimum": 1.0, "maximum": 300.0})
    """Over how long verdicts are counted: longer, since one bad request in ten says little."""

    history_s: float = field(default=900.0, metadata={"minimum": 60.0, "maximum": 3600.0})
    """How much of the past a newly opened page shows; at most 1,800 points are kept."""

    def __post_init__(self) -> None:
        """Raise SettingsError for sidecars that are too many or named twice."""
        problems = []
        if not 1 <= len(self.admin) <= TARGETS_MAX:
            message = f"1 to {TARGETS_MAX} sidecars fit onto a page, got {len(self.admin)}"
            problems.append(Problem(Place("--admin"), message))
        doubles = {str(one) for one in self.admin if self.admin.count(one) > 1}
        problems += [Problem(Place("--admin"), f"{double!r} is given twice") for double in doubles]
        if problems:
            raise SettingsError(problems)

    @property
    def points_max(self) -> int:
        """How many points are kept of each source."""
        return min(ceil(self.history_s / self.interval_s), POINTS_MAX)

    @property
    def windows(self) -> Windows:
        """How often to look, and over how long to count."""
        return Windows(self.interval_s, self.window_s, self.slo_window_s)
