"""Children that are to end: asked, then killed, and counted while not even that helps.

A process whose thread is stuck in the kernel outlives a SIGKILL until the driver lets go of it.
It cannot be waited for, so nothing here waits: `step` is called now and then.
"""

import signal
from dataclasses import dataclass
from typing import Final

from inferometer.gpu.supervision.spawn import Process

KILL_S: Final = 2.0
"""From SIGTERM to SIGKILL."""
UNKILLABLE_S: Final = 1.0
"""From SIGKILL until a process counts as one that cannot be killed."""


@dataclass(slots=True)
class _Ending:
    process: Process
    kill_at_s: float
    killed_s: float | None = None


class Endings:
    """The children that are to end."""

    def __init__(self, *, kill_s: float = KILL_S, unkillable_s: float = UNKILLABLE_S) -> None:
        """Begin with none."""
        self._kill_s = kill_s
        self._unkillable_s = unkillable_s
        self._endings: list[_Ending] = []

    def add(self, process: Process, now_s: float) -> None:
        """Ask a child to end."""
        process.send(signal.SIGTERM)
        self._endings.append(_Ending(process, now_s + self._kill_s))

    def hurry(self, kill_at_s: float) -> None:
        """Kill by this moment whatever is still alive."""
        for ending in self._endings:
            ending.kill_at_s = min(ending.kill_at_s, kill_at_s)

    def step(self, now_s: float) -> None:
        """Reap what has ended, kill what is due."""
        self._endings = [e for e in self._endings if e.process.poll() is None]
        for ending in self._endings:
            if ending.killed_s is None and now_s >= ending.kill_at_s:
                ending.process.send(signal.SIGKILL)
                ending.killed_s = now_s

    @property
    def alive(self) -> int:
        """How many have not ended."""
        return len(self._endings)

    def unkillable(self, now_s: float) -> int:
        """Return how many outlive a SIGKILL."""
        killed = [e.killed_s for e in self._endings if e.killed_s is not None]
        return sum(1 for moment_s in killed if now_s - moment_s >= self._unkillable_s)
