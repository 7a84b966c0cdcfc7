"""`inferometer watch`: resolve the settings, run the page until it is told to stop."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from inferometer import log
from inferometer.live.page import Page
from inferometer.live.settings import Settings
from inferometer.settings import resolve
from inferometer.stopping import Stop

PROGRAM = "watch"


def main(argv: Sequence[str]) -> int:
    """Show sidecars until SIGINT or SIGTERM. Raises UserError and WorldError."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    log.setup(PROGRAM)
    stopping = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    page = Page(settings, version=version())
    page.start()
    sys.stdout.write(f"{page.url}\n")
    sys.stdout.flush()
    stopping.wait()
    page.stop()
    return 0


def version() -> str:
    """Return the version of the installed package, or `unknown`."""
    try:
        return installed("inferometer")
    except PackageNotFoundError:
        return "unknown"
