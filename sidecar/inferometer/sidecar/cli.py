"""`inferometer sidecar`: resolve the settings, run the service, choose the exit code."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from inferometer import log
from inferometer.errors import Place, Problem, SettingsError
from inferometer.metrics.build import Registry
from inferometer.metrics.labels import Names
from inferometer.settings import adopt, reread, resolve
from inferometer.sidecar import process
from inferometer.sidecar.desk import Stages
from inferometer.sidecar.service import Origin, Service, load_documents
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import Answered, Started
from inferometer.sidecar.verdicts import Bench
from inferometer.stream.budget import Budget
from inferometer.stream.decode import Decoder, decoder
from inferometer.stream.dialect import Call
from inferometer.stream.request import read, route

PROGRAM = "sidecar"
UNKNOWN_SERIES: Final = 150
"""Room for requests without a readable model: mostly routes that generate nothing."""
BODIES_BYTES_MAX: Final = 64 << 20
"""What all answers together may keep that are read whole, after their end: at least 16 of them."""


def main(argv: Sequence[str]) -> int:
    """Run a sidecar until it is told to stop. Raises UserError and WorldError."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    _check(settings)
    documents = load_documents(settings.slo)
    writer = log.setup(PROGRAM, level=settings.log_level, form=settings.log_form)

    def fresh() -> Settings:
        again = reread(Settings, argv, environ=os.environ, program=PROGRAM)
        _check(again)
        return adopt(settings, again).settings

    service = Service(
        settings,
        documents,
        origin=Origin(fresh, _watched(argv)),
        stages=make_stages,
        logs_dropped=lambda: writer.dropped,
    )
    process.prepare()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(service.run())


def make_stages(registry: Registry, settings: Settings) -> Stages:
    """Return the stages of measuring that a real sidecar has."""
    registry.reserve("other")
    registry.reserve("unknown", UNKNOWN_SERIES)
    for name in settings.models:
        if not registry.reserve(name):
            hint = "raise series_max, or list fewer models"
            logging.getLogger(__name__).warning(
                "no room for all series of a model", extra={"model": name, "hint": hint}
            )
    return Stages(
        read_call=partial(_read_call, None if settings.dialect == "auto" else settings.dialect),
        make_decoder=partial(_make_decoder, Budget(BODIES_BYTES_MAX)),
        names=Names(settings.models, fits=registry.fits),
        bench=Bench(registry, tenant_header=settings.tenant_header),
    )


def _read_call(dialect: str | None, started: Started, body: bytes) -> Call:
    types = started.fields.values(b"content-type")
    return read(
        route(started.method, started.target),
        body,
        content_type=types[0] if types else None,
        override=dialect,
    )


def _make_decoder(budget: Budget, call: Call, answered: Answered) -> Decoder:
    fields = answered.fields
    types = fields.values(b"content-type")
    packed = b"content-encoding" in fields
    return decoder(
        call,
        status=answered.status,
        content_type=types[-1] if types else b"",
        encoding=b",".join(fields.values(b"content-encoding")) if packed else b"",
        budget=budget,
    )


def _check(settings: Settings) -> None:
    """Raise SettingsError for settings that are right by themselves but not together."""
    problems = []
    for flag, needed, given in (
        ("--tls-key", "--tls-cert", settings.tls_key and not settings.tls_cert),
        ("--tls-client-ca", "--tls-cert", settings.tls_client_ca and not settings.tls_cert),
        (
            "--upstream-ca",
            "an https --upstream",
            settings.upstream_ca and not settings.upstream.tls,
        ),
        (
            "--upstream-cert",
            "an https --upstream",
            settings.upstream_cert and not settings.upstream.tls,
        ),
    ):
        if given:
            problems.append(Problem(Place(flag), f"needs {needed}"))
    if settings.listen == settings.admin and settings.listen.port:
        problems.append(Problem(Place("--admin"), f"is --listen, too: {str(settings.admin)!r}"))
    if settings.admin.path is not None:
        problems.append(Problem(Place("--admin"), "must be HOST:PORT", "scrapers use TCP"))
    if problems:
        raise SettingsError(problems)


def _watched(argv: Sequence[str]) -> tuple[Path, ...]:
    """Return the configuration file, which is looked at for changes."""
    path = os.environ.get("INFEROMETER_SIDECAR_CONFIG", "")
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == "--config":
            path = following
        elif word.startswith("--config="):
            path = word.removeprefix("--config=")
    return (Path(path),) if path else ()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop; asyncio's own works too, for a quarter more time on each chunk."""
    try:
        import uvloop
    except ImportError:
        logging.getLogger(__name__).warning("uvloop is not installed, relaying costs more")
        return None
    return uvloop.new_event_loop
