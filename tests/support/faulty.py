"""A sidecar one of whose measuring stages is broken: `python -m support.faulty FAULT FLAGS...`.

FAULT is `STAGE:WAY`: a key of `FAULTS`, and `raise` or `sleep`. Everything else is the real thing,
wired as `inferometer sidecar` wires it; only the stages that it is given differ. An exception
quotes what it was given, as those of parsers do, so that a leak into a log would show.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NoReturn

from inferometer import log
from inferometer.metrics.build import Registry
from inferometer.settings import resolve
from inferometer.sidecar import process
from inferometer.sidecar.cli import make_stages
from inferometer.sidecar.desk import Stages
from inferometer.sidecar.service import Origin, Service, load_documents
from inferometer.sidecar.settings import Settings
from inferometer.stream.summary import Answer

SLEEP_S: Final = 0.2
Fault = Callable[..., NoReturn]


class BrokenError(Exception):
    """What a broken stage raises; its message quotes its input."""


def fault(way: str) -> Callable[..., Any]:
    """Return a call that breaks in this way, whatever it is called with."""

    def raises(*args: object, **more: object) -> NoReturn:
        raise BrokenError(repr((args, more)))

    def sleeps(*_args: object, **_more: object) -> None:
        time.sleep(SLEEP_S)

    return {"raise": raises, "sleep": sleeps}[way]


class BrokenNames:
    """A label rule that breaks."""

    def __init__(self, way: str) -> None:
        self.overflow = 0
        self.peek = self.take = fault(way)


class UnusableNames:
    """A label rule whose labels no registry can take."""

    overflow = 0

    def peek(self, _name: str | None) -> list[str]:
        return ["no label"]

    def take(self, _name: str | None, *, proven: bool) -> list[str]:
        return ["no label", str(proven)]


class BrokenDecoder:
    """A decoder that breaks when it is fed."""

    opaque = None
    streamed = True
    terminated = False
    answer = Answer()

    def __init__(self, way: str) -> None:
        self.feed = self.close = fault(way)
        self.dropped = lambda: None


class BrokenHandler(logging.Handler):
    """A log handler that breaks when it is to write of an exception."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self._way = fault(way)

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._way(record)


def broken_stages(stages: Stages, stage: str, way: str) -> Stages:
    """Return the stages with one that breaks."""
    broken = fault(way)
    match stage:
        case "read_call":
            return replace(stages, read_call=broken)
        case "make_decoder":
            return replace(stages, make_decoder=broken)
        case "feed":
            decoder: Any = BrokenDecoder(way)
            return replace(stages, make_decoder=lambda *_: decoder)
        case "names":
            names: Any = BrokenNames(way)
            return replace(stages, names=names)
        case "registry":
            unusable: Any = UnusableNames()
            return replace(stages, names=unusable)
        case "logger":
            logging.getLogger("inferometer").addHandler(BrokenHandler(way))
            return replace(stages, read_call=fault("raise"))
    raise AssertionError(stage)


FAULTS: Final = {
    "read_call": "parser",
    "make_decoder": "parser",
    "feed": "parser",
    "names": "labels",
    "registry": "registry",
    "logger": "logger",
}
"""Where it breaks -> the stage under which it must be counted."""


def main(argv: list[str]) -> int:
    """Run it."""
    stage, _, way = argv[0].partition(":")
    settings = resolve(Settings, argv[1:], environ=os.environ, program="sidecar")
    log.setup("sidecar", level=settings.log_level, form=settings.log_form)

    def stages(registry: Registry, settings: Settings) -> Stages:
        return broken_stages(make_stages(registry, settings), stage, way)

    documents = load_documents(settings.slo)
    service = Service(settings, documents, origin=Origin(lambda: settings), stages=stages)
    process.prepare()
    return asyncio.run(service.run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
