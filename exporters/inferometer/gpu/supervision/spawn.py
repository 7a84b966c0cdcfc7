"""How a child is started: its command line, its environment, its pipes.

`posix_spawn` makes the process in one step, so it may be done beside other threads, and leaves
nothing behind that would warn about a child which cannot be reaped. All descriptors of ours are
closed in the child but its standard ones and the pipe for messages.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from inferometer.gpu.backend import Options
from inferometer.gpu.orders import Pace, options_text

PROGRAM: Final = "inferometer.gpu.child"
MESSAGES_FD: Final = 3
"""The child's end of the pipe for messages."""

_KEPT: Final = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SYSTEMROOT"})
_KEPT_PREFIXES: Final = (
    *("LD_", "LC_", "PYTHON"),
    *("NVIDIA_", "NVML_", "FAKE_NVML_", "CUDA_", "DCGM_"),
    *("AMD_", "AMDSMI_", "HIP_", "HSA_", "ROCM_", "ROCR_", "TPU_", "GRPC_"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCommand:
    """What a child is to do. `module` takes the place of the backend's own in tests.

    `kernel_log` is /dev/kmsg where we may read it; of it, what comes behind `kernel_after`.
    """

    backend: str
    options: Options = field(default_factory=Options)
    pace: Pace = field(default_factory=Pace)
    module: str | None = None
    kernel_log: Path | None = None
    kernel_after: int = -1

    def behind(self, sequence: int) -> "ChildCommand":
        """Return the same for a child that finds the kernel's log counted up to here."""
        return replace(self, kernel_after=sequence) if self.kernel_log else self

    def argv(self) -> list[str]:
        """Return the command line; `-P` keeps the working directory out of the import path."""
        words = [sys.executable, "-P", "-m", PROGRAM, "--backend", self.backend]
        words += ["--options", options_text(self.options), "--pace", json.dumps(asdict(self.pace))]
        words += ["--fd", str(MESSAGES_FD), "--parent", str(os.getpid())]
        if self.kernel_log:
            words += [
                "--kernel-log",
                str(self.kernel_log),
                "--kernel-after",
                str(self.kernel_after),
            ]
        return [*words, "--module", self.module] if self.module else words


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the part of our environment that a vendor's library may need; no secret is in it.

    With two arenas the threads of a child share what memory has been freed.
    """
    kept = {k: v for k, v in own.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    return {"MALLOC_ARENA_MAX": "2", **kept}


class Process(Protocol):
    """A child that was started."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def messages_fd(self) -> int:
        """Where its messages are read; does not block."""
        ...

    @property
    def errors_fd(self) -> int:
        """Where its output for humans is read; does not block."""
        ...

    def poll(self) -> int | None:
        """Return how it ended, negative for a signal; None while it lives."""
        ...

    def send(self, number: int) -> None:
        """Send a signal; without effect once it has ended."""
        ...

    def close(self) -> None:
        """Close both descriptors."""
        ...


class Spawned:
    """A real process."""

    def __init__(self, pid: int, messages_fd: int, errors_fd: int) -> None:
        """Take charge of a process and the reading ends of its pipes."""
        self.pid = pid
        self.messages_fd = messages_fd
        self.errors_fd = errors_fd
        self._ended: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, negative for a signal; None while it lives."""
        if self._ended is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else reaped it
                self._ended = 0
            else:
                self._ended = os.waitstatus_to_exitcode(status) if pid else None
        return self._ended

    def send(self, number: int) -> None:
        """Send a signal; an id that was not reaped cannot belong to another process."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close(self) -> None:
        """Close both descriptors."""
        for fd in (self.messages_fd, self.errors_fd):
            if fd >= 0:
                os.close(fd)
        self.messages_fd = self.errors_fd = -1


def launch(command: ChildCommand) -> Process:
    """Start a child. Raises OSError if the machine has no room for one."""
    with contextlib.ExitStack() as on_error, contextlib.ExitStack() as always:
        messages, messages_end = _pipe(on_error, always)
        errors, errors_end = _pipe(on_error, always)
        pid = os.posix_spawn(
            sys.executable,
            command.argv(),
            environment(os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, errors_end, 1),  # some libraries print to stdout
                (os.POSIX_SPAWN_DUP2, errors_end, 2),
                (os.POSIX_SPAWN_DUP2, messages_end, MESSAGES_FD),
            ],
            setpgroup=0,  # a terminal's interrupt is for us alone
            setsigmask=[],
            setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGPIPE],
        )
        on_error.pop_all()
    return Spawned(pid, messages, errors)


def _pipe(on_error: contextlib.ExitStack, always: contextlib.ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    on_error.callback(os.close, reading)
    always.callback(os.close, writing)
    os.set_blocking(reading, False)
    return reading, writing
