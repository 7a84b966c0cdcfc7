"""The vendor child: the only process in which a vendor's library is loaded.

    python -m inferometer.gpu.child --backend nvml --options '{...}' --pace '{...}' --fd 3

The main thread opens the backend and looks for devices, each device has a thread, and so have
events. One more thread, which never calls a driver, beats once a second and waits for the order to
end. It keeps that promise whatever the others hang in: the process is gone `GRACE_S` after SIGTERM
or after the server's end.
"""

import argparse
import ctypes
import importlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inferometer import log
from inferometer.gpu.backend import MODULES, Backend, Options
from inferometer.gpu.child.calls import LOAD_MAX
from inferometer.gpu.child.crew import Crew
from inferometer.gpu.child.kmsg import KernelLog
from inferometer.gpu.child.outbox import Outbox
from inferometer.gpu.orders import Pace, read_options

GRACE_S: Final = 1.4
"""From the order to end until the process is gone, closing of the library included."""

_ENDS: Final = frozenset({signal.SIGTERM})
_IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What a terminal or an operator sends to the server's whole group is the server's to handle."""
_PR_SET_PDEATHSIG: Final = 1

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run until told to end; leaves by `os._exit`, since a stuck thread would keep the process."""
    args = _arguments(argv)
    # Blocked before any thread is started, so that only `_keep` ever receives it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    _die_with(args.parent)
    writer = log.setup(f"gpu-child-{args.backend}", level="warning")
    outbox = Outbox(args.fd)
    options: Options = args.options
    pace: Pace = args.pace
    module = args.module or MODULES[args.backend]
    kernel = _kernel_log(args.kernel_log, args.kernel_after)
    crew = Crew(lambda: _open(module, options), outbox, pace, kernel=kernel)
    keeper = threading.Thread(
        target=_keep, args=(crew, outbox, pace.heartbeat_s), name="keeper", daemon=True
    )
    keeper.start()
    told = crew.run()
    writer.close()
    os._exit(0 if told else 1)


def _open(module: str, options: Options) -> Backend:
    backend: Backend = importlib.import_module(module).open_backend(options)
    return backend


def _kernel_log(path: Path | None, after: int) -> KernelLog | None:
    if path is None:
        return None
    try:
        return KernelLog(path, after=after)
    except OSError:
        log.once(logger, "kernel", "the kernel's log cannot be read", path=path)
        return None


def _keep(crew: Crew, outbox: Outbox, heartbeat_s: float) -> None:
    """Beat until the order to end comes, then see to it that the process ends in time."""
    wait_s = 0.0
    while signal.sigtimedwait(_ENDS, wait_s) is None and not outbox.closed:
        wait_s = heartbeat_s
        try:
            _beat(crew)
        except Exception as error:  # noqa: BLE001 (without this thread nothing ends in good order)
            log.once(logger, type(error).__name__, "a heartbeat failed")
    crew.end()
    time.sleep(GRACE_S)
    os._exit(0)


def _beat(crew: Crew) -> None:
    crew.beat()
    for uuid, load in crew.busy().items():
        if load > LOAD_MAX:
            log.once(logger, uuid, "calls take long", device=uuid, seconds_per_s=load)


def _die_with(parent: int) -> None:
    """Have the kernel send us SIGTERM when the server dies; it may have died already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(0)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m inferometer.gpu.child", description=__doc__)
    parser.add_argument("--backend", required=True, choices=sorted(MODULES))
    parser.add_argument("--options", type=read_options, default=Options())
    parser.add_argument("--pace", type=lambda text: Pace(**json.loads(text)), default=Pace())
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--kernel-log", type=Path)
    parser.add_argument("--kernel-after", type=int, default=-1)
    parser.add_argument("--module", help="a module with open_backend, in place of the backend's")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
