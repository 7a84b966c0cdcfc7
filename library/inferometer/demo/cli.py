"""`inferometer demo`: start everything, wait, compare, tell."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from inferometer import log
from inferometer.demo import summary
from inferometer.demo.settings import SECONDS_ALONE, Settings
from inferometer.demo.stage import Stage
from inferometer.live.cli import version
from inferometer.settings import resolve
from inferometer.stopping import Stop

PROGRAM: Final = "demo"
LOOK_EVERY_S: Final = 0.5


def main(argv: Sequence[str]) -> int:
    """Run the demo and print its summary. Raises UserError and WorldError."""
    settings = resolve(Settings, argv, environ=environment(os.environ), program=PROGRAM)
    log.setup(PROGRAM)
    stopping = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    seconds = duration_s(settings, terminal=sys.stdout.isatty())
    with tempfile.TemporaryDirectory(prefix="inferometer-demo-") as folder:
        _say("starting a model server, the sidecar in front of it, the page and the load")
        stage = Stage(settings, folder=Path(folder), version=version())
        try:
            _say(f"live page: {stage.page.url}")
            _say(f"metrics:   http://127.0.0.1:{stage.admin_port}/metrics")
            _say("Ctrl-C ends it" if seconds is None else f"it ends by itself after {seconds:g} s")
            _wait(stage, stopping, seconds)
            _say("ending: answers in flight are finished")
            # A second Ctrl-C does not wait for them.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            facts = stage.finish()
        finally:
            stage.close()
    sys.stdout.write("\n".join(summary.lines(facts)) + "\n")
    return 0


def environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with `DEMO_SECONDS` under the name that settings have."""
    short = environ.get("DEMO_SECONDS", "")
    return {"INFEROMETER_DEMO_SECONDS": short, **environ} if short else environ


def duration_s(settings: Settings, *, terminal: bool) -> float | None:
    """Return how long to run, None for as long as the user likes."""
    if settings.seconds > 0:
        return settings.seconds
    return None if terminal else SECONDS_ALONE


def _wait(stage: Stage, stopping: Stop, seconds: float | None) -> None:
    end_s = float("inf") if seconds is None else time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0 and not stopping.wait(min(left_s, LOOK_EVERY_S)):
        stage.check()


def _say(text: str) -> None:
    sys.stderr.write(f"demo: {text}\n")
    sys.stderr.flush()
