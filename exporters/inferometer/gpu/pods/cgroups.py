"""Which pod a process is in, by the cgroup that the kernel holds it in: never by its name.

Workers of tensor parallelism are children within one container, so the cgroup is what tells, and
it says the pod's UID and the container's id in both versions and under every runtime:

    0::/kubepods.slice/.../kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope
    4:devices:/kubepods/burstable/pod<uid>/<id>
    0::/../../kubepods-pod<uid>.slice/crio-<id>.scope          seen from another cgroup namespace

A UID of a static pod is 32 digits without dashes.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")

READ_BYTES: Final = 16 << 10
"""Of a file below /proc; cgroup v1 has a line of some 150 bytes for each of 14 controllers."""
PROCESSES_MAX: Final = 4096
"""Processes that are remembered; the one that was asked for longest ago goes first."""
GONE_S: Final = 10.0
"""How long a process that has ended is remembered: what it did is told only afterwards."""

_POD: Final = re.compile(
    r"pod(?P<uid>[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})(?![0-9a-f])", re.ASCII
)
_CONTAINER: Final = re.compile(
    r"(?:cri-containerd-|crio-|docker-|/)(?P<id>[0-9a-f]{64})(?![0-9a-f])", re.ASCII
)
_KTHREADD: Final = 2
_PLAIN_UID_CHARS: Final = 32


class Membership(NamedTuple):
    """The pod a process is in, and its container ("" where the path names none)."""

    pod_uid: str
    container_id: str


class _Seen(NamedTuple):
    started: str
    found: Membership | None
    at_s: float


def parse(text: str) -> Membership | None:
    """Return the pod that the text of /proc/<pid>/cgroup names, None if it names none. Pure."""
    for line in text.splitlines():
        pod = _POD.search(line)
        if pod is not None:
            uid = pod["uid"].replace("_", "-")
            container = _CONTAINER.search(line, pod.end())
            return Membership(dashed(uid), container["id"] if container else "")
    return None


def dashed(uid: str) -> str:
    """Return a UID as the API writes it; 32 bare digits (a static pod's) stay as they are."""
    bare = uid.replace("-", "")
    if "-" not in uid:
        return bare
    return "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]))


class Cgroups:
    """Looks processes up and remembers them by (pid, start time); one thread only."""

    def __init__(
        self,
        proc_root: Path = PROC,
        *,
        clock: Callable[[], float] = time.monotonic,
        processes_max: int = PROCESSES_MAX,
    ) -> None:
        """Read nothing yet."""
        self._root = proc_root
        self._processes_max = processes_max
        self._clock = clock
        self._seen: dict[int, _Seen] = {}

    def of(self, pid: int) -> Membership | None:
        """Return the pod of a process, None if it is in none, or gone and not remembered.

        A number that a new process has taken over is looked up anew.
        """
        now_s = self._clock()
        seen = self._seen.pop(pid, None)
        started = self._started(pid)
        if started is None:
            if seen is not None and now_s - seen.at_s <= GONE_S:
                self._seen[pid] = seen
                return seen.found
            return None
        if seen is None or seen.started != started:
            text = self._read(pid, "cgroup")
            if text is None:
                return None
            found = parse(text)
        else:
            found = seen.found
        self._remember(pid, _Seen(started, found, now_s))
        return found

    def _remember(self, pid: int, seen: _Seen) -> None:
        self._seen[pid] = seen
        if len(self._seen) > self._processes_max:
            del self._seen[next(iter(self._seen))]

    def _started(self, pid: int) -> str | None:
        """Return field 22 of /proc/<pid>/stat, counted after the name, which may hold anything."""
        text = self._read(pid, "stat")
        fields = text.rpartition(")")[2].split() if text else []
        return fields[19] if len(fields) > 19 else None  # noqa: PLR2004 - 22 less pid, name, base

    def _read(self, pid: int, name: str) -> str | None:
        return _read(self._root / str(pid) / name)


def sees_host(proc_root: Path = PROC) -> bool:
    """Return whether /proc shows the processes of the host, so that a driver's pids mean them.

    Process 2 of the host is the kernel's `kthreadd`; no other PID namespace has one.
    """
    text = _read(proc_root / str(_KTHREADD) / "stat")
    return text is not None and text.startswith("2 (kthreadd) ")


def _read(path: Path) -> str | None:
    """Return the beginning of a file, None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
