"""Child processes that never outlive the demo, even if it is killed.

`python -m inferometer.demo.child PARENT MODULE ...` asks the kernel for a SIGKILL at the death of
its parent and becomes `python -m MODULE ...`, which keeps that wish (Linux; elsewhere a child
outlives a parent that is killed hard).
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inferometer.errors import WorldError

PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h"""

LINE_BYTES_MAX: Final = 65_536
STOP_S: Final = 5.0
"""Between asking a child to end and killing it."""

TAIL_CHARS: Final = 2000
"""How much of a failed child's messages is shown."""


class Child:
    """One child process: its output is read by us, its messages go to a file."""

    def __init__(self, name: str, module: str, *words: str, messages: Path) -> None:
        """Start `python -m module words`; `messages` takes its stderr."""
        self.name = name
        self._messages = messages / f"{name}.log"
        launcher = [sys.executable, "-m", "inferometer.demo.child", str(os.getpid())]
        with self._messages.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [*launcher, module, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends its children in order
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def line(self, wait_s: float) -> str:
        """Return the next line of its output; raises WorldError if none comes in time."""
        assert self._process.stdout is not None
        deadline_s = time.monotonic() + wait_s
        data = b""
        while not data.endswith(b"\n") and len(data) < LINE_BYTES_MAX:
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, left_s))
            part = os.read(self._process.stdout.fileno(), LINE_BYTES_MAX) if ready else b""
            if not part:
                what = "ended" if ready else f"said nothing within {wait_s:g} s"
                raise self.failure(what)
            data += part
        return data.decode("utf-8", "replace").strip()

    def failure(self, what: str) -> WorldError:
        """Return the error that tells what it said last."""
        said = self._messages.read_text("utf-8", "replace")[-TAIL_CHARS:].strip()
        return WorldError(f"the demo's {self.name} {what}", hint=said)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def stop(self, wait_s: float = STOP_S) -> None:
        """End it: asked first, killed if it has not ended after `wait_s`."""
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def die_with_parent(parent: int) -> None:
    """Ask for SIGKILL at the parent's death; end at once if it has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def become(module: str, words: Sequence[str]) -> None:
    """Replace this process by `python -m module words`."""
    os.execv(sys.executable, [sys.executable, "-m", module, *words])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    become(sys.argv[2], sys.argv[3:])
