"""A running live page: probes, history and web server together. `watch` and the demo start one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from inferometer.addresses import Address
from inferometer.errors import WorldError
from inferometer.live import pages, reading
from inferometer.live.history import History
from inferometer.live.reading import Reading
from inferometer.live.settings import LISTEN, Settings
from inferometer.live.target import Client, Target, authorization, trust
from inferometer.live.watch import Watch, names
from inferometer.metrics.reader import parse
from inferometer.web import server as web


@dataclass(frozen=True, slots=True)
class Scrape:
    """Reads a sidecar over HTTP: a `watch.Source`."""

    client: Client

    def fetch(self) -> Reading:
        """Return what the sidecar says now."""
        page = parse(self.client.fetch())
        return reading.read(page.samples, moment_s=monotonic())

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


class Page:
    """The live page of some sidecars, from `start` to `stop`."""

    def __init__(self, settings: Settings, *, version: str) -> None:
        """Prepare. Raises SettingsError for files that cannot be used."""
        self._settings = settings
        sources = scrapes(settings.admin, ca=settings.ca, auth_file=settings.auth_file)
        self._watch = Watch(
            sources,
            windows=settings.windows,
            history=History(names(len(sources)), points_max=settings.points_max),
        )
        self._routes = pages.routes(
            self._watch, version=version, points_max=settings.points_max, host=settings.listen.host
        )
        self._server: web.Server | None = None

    @property
    def url(self) -> str:
        """Where a browser finds it; only after `start`."""
        assert self._server is not None
        host = self._settings.listen.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self._server.port}/"

    def start(self) -> None:
        """Listen and begin to look. Raises WorldError if the address cannot be listened at."""
        self._server = listening(self._settings.listen, self._routes)
        self._watch.start()

    def stop(self) -> None:
        """End it."""
        self._watch.stop()
        if self._server is not None:
            self._server.stop()


def scrapes(
    targets: Sequence[Target], *, ca: Path | None, auth_file: Path | None
) -> Mapping[str, Scrape]:
    """Return a source for each sidecar, by its name; by its whole URL where others share that."""
    trusted = trust(ca) if any(target.scheme == "https" for target in targets) else None
    authorized = None if auth_file is None else authorization(auth_file)
    shared = Counter(target.name for target in targets)
    called = [one.name if shared[one.name] == 1 else str(one) for one in targets]
    return {
        name: Scrape(Client(target, trusted=trusted, authorization=authorized))
        for name, target in zip(called, targets, strict=True)
    }


def listening(
    address: Address, routes: Mapping[str, web.Handler], *, default: Address = LISTEN
) -> web.Server:
    """Return a started server; the default port gives way to a free one.

    Raises WorldError if another address cannot be listened at.
    """
    try:
        return _started(address, routes)
    except WorldError:
        if address != default:
            raise
    return _started(Address(address.host, 0), routes)


def _started(address: Address, routes: Mapping[str, web.Handler]) -> web.Server:
    server = web.Server((address.host, address.port), routes)
    try:
        server.start()
    except WorldError:
        server.stop()
        raise
    return server
