"""`inferometer slo ledger`: keep error budgets for longer than Prometheus keeps samples."""

import logging
import os
import select
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from inferometer import log
from inferometer.errors import Place, Problem, SettingsError
from inferometer.metrics.build import Registry
from inferometer.metrics.exposition import OPENMETRICS, TEXT, wants_openmetrics, write
from inferometer.metrics.labels import clean
from inferometer.prom.endpoint import Endpoint, parse
from inferometer.prom.settings import Access
from inferometer.settings import Address, parse_address, resolve
from inferometer.slo import table
from inferometer.slo.commands.reading import load
from inferometer.slo.ledger.keeper import Keeper, Reader
from inferometer.slo.ledger.ledger import Standing
from inferometer.slo.ledger.store import FileStore
from inferometer.slo.ledger.tallies import Recorded
from inferometer.slo.shown import known, percent, span
from inferometer.slo.table import Cell, Row
from inferometer.web import server as web

PROGRAM: Final = "slo ledger"

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Access):
    """Keep error budgets for longer than Prometheus keeps samples.

    Counts once and ends, or with `--listen` every minute until it is told to stop. Exit code 0 if
    it ended as it should, 1 if Prometheus or the file failed, 2 if the command or a document is
    wrong.
    """

    files: tuple[Path, ...] = field(
        metadata={"positional": True, "metavar": "FILE (repeatable)", "group": "settings"}
    )
    """SLO documents, also as plain words. With `--listen` they are read again when they change."""

    prometheus: Endpoint = field(metadata={"parse": parse, "metavar": "URL"})
    """The Prometheus, Thanos or Mimir that evaluates the rules, with the prefix of its path."""

    store: Path
    """The file that keeps the counts. It is always whole; `FILE.last` is the version before it."""

    listen: Address | None = field(default=None, metadata={"parse": parse_address})
    """Where `/metrics`, `/healthz` and `/readyz` answer, as HOST:PORT; the program then goes on.
    A scrape must keep its labels as they are (`honor_labels: true`)."""

    interval_s: float = field(default=60.0, metadata={"minimum": 1.0, "maximum": 3600.0})
    """How often it counts with `--listen`: as often as rules are evaluated."""

    cluster: str = ""
    """Value of the label `cluster`, where many clusters write to one Thanos or Mimir; it is a label
    of what is exported, too."""

    web_config: Path | None = None
    """TLS and basic authentication of the address, in the format of Prometheus'
    exporter-toolkit."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged: this and worse."""

    log_form: Literal["text", "json"] = "text"
    """How logs are written."""


def main(argv: Sequence[str]) -> int:
    """Count once, or until a signal comes. Raises UserError and WorldError."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    if settings.listen is not None and settings.listen.path is not None:
        problem = Problem(Place("--listen"), "must be HOST:PORT", "scrapers use TCP")
        raise SettingsError([problem])
    if settings.cluster != clean(settings.cluster):
        problem = Problem(Place("--cluster"), "must be printable, and 128 bytes at most")
        raise SettingsError([problem])
    reader = Reader(settings.files, load)
    wanted = reader.first()
    store = FileStore(settings.store)
    with settings.client(settings.prometheus) as client, store.alone():
        source = Recorded(client, cluster=settings.cluster)
        keeper = Keeper(store, source, cluster=settings.cluster)
        store.load()  # a file that is damaged is told before anything else
        if settings.listen is not None:
            return _serve(keeper, reader, settings)
        standings = keeper.run(wanted)
    colours = table.coloured(sys.stdout, os.environ)
    sys.stdout.write("\n".join(_told(standings, colours=colours)) + "\n")
    return 0


def _serve(keeper: Keeper, reader: Reader, settings: Settings) -> int:
    """Count again and again, and show it, until SIGTERM or SIGINT; the file is always whole."""
    log.setup(PROGRAM, level=settings.log_level, form=settings.log_form)
    assert settings.listen is not None
    registry = Registry(metrics=keeper.metrics)
    keeper.show(registry)
    address = (settings.listen.host, settings.listen.port)
    server = web.Server(address, _routes(keeper, registry), web_config=settings.web_config)
    for name, read in server.metrics().items():
        registry.callback(name, read)
    server.start()
    _log.info("ledger is listening", extra={"port": server.port, "store": str(settings.store)})
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            wrong = reader.again()
            if wrong:
                keeper.failed("documents", wrong)
            keeper.try_run(reader.wanted)
            select.select([], [], [], settings.interval_s)
    except KeyboardInterrupt:
        _log.info("ledger is stopping")
    finally:
        signal.signal(signal.SIGTERM, before)
        server.stop()
    return 0


def _routes(keeper: Keeper, registry: Registry) -> Mapping[str, web.Handler]:
    def metrics(request: web.Request) -> web.Response:
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        kind = OPENMETRICS if openmetrics else TEXT
        return web.Response(200, kind, write(registry, openmetrics=openmetrics))

    def ready(_: web.Request) -> web.Response:
        return web.plain(200 if keeper.is_fresh else 503)

    return {"/metrics": metrics, "/healthz": lambda _: web.plain(200), "/readyz": ready}


def _told(standings: Iterable[Standing], *, colours: bool) -> Iterable[str]:
    rows = []
    for one in standings:
        slo = "/".join(filter(None, one.subject.key))
        covered = f"{span(one.covered_s)} of {span(one.elapsed_s)}"
        attained = known(one.attainment, percent)
        left = known(one.remaining, percent)
        rows.append(Row([Cell(slo), Cell(attained), Cell(left), Cell(covered)]))
    return table.lines(("SLO", "good", "budget left", "known"), rows, colours=colours)
