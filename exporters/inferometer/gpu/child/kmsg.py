"""The kernel's log, in which the driver writes what its library forgets.

Two kinds of lines matter: XIDs from before anybody could register for them, and a GPU that "has
fallen off the bus" without any XID (NVIDIA/NVSentinel#151). Reading needs CAP_SYSLOG, so all of
this is optional. Each record has a number that only grows until the next boot, by which a later
reader knows what was counted already.

Format: Documentation/ABI/testing/dev-kmsg of the Linux kernel.
"""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

READ_BYTES: Final = 16 * 1024
"""A record of the kernel is never longer than 8 KiB."""
RECORDS_MAX: Final = 100_000
"""Records that one `read` takes at most; a kernel's buffer rarely holds as many."""

_RECORD: Final = re.compile(rb"([0-7]),(\d{1,19}),(\d{1,19}),[^;]*;(.*)")
_PLACE: Final = rb"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})"
_XID: Final = re.compile(rb"NVRM: Xid \(PCI:" + _PLACE + rb"[^)]{0,20}\): (\d{1,9})\b")
_FALLEN: Final = re.compile(rb"NVRM: GPU (?:at )?(?:PCI:)?" + _PLACE + rb".*fallen off the bus")


class Place(NamedTuple):
    """Where on the PCI buses a device is."""

    domain: int
    bus: int
    device: int


class Line(NamedTuple):
    """What a record says of a device: an XID, or None for one that has fallen off the bus."""

    sequence: int
    moment_s: float
    """Since the boot, by a clock that is not quite CLOCK_MONOTONIC."""
    place: Place
    xid: int | None


def place(bus_id: str) -> Place | None:
    """Return the place in an id such as "00000000:18:00.0", None if it is none."""
    found = re.match(_PLACE, bus_id.encode("ascii", "replace"))
    return _place(found) if found else None


def parse(record: bytes) -> Line | None:
    """Return what a record of the kernel itself says, None for all that does not matter."""
    head = _RECORD.fullmatch(record)
    if head is None:
        return None
    sequence, moment_us, text = int(head[2]), int(head[3]), head[4]
    xid = _XID.match(text)
    found = xid or _FALLEN.match(text)
    if found is None:
        return None
    return Line(sequence, moment_us / 1e6, _place(found), int(xid[4]) if xid else None)


def _place(found: re.Match[bytes]) -> Place:
    return Place(int(found[1], 16), int(found[2], 16), int(found[3], 16))


class KernelLog:
    """The log, read as far as it goes, from behind the record numbered `after`."""

    def __init__(
        self,
        path: Path,
        *,
        after: int = -1,
        records_max: int = RECORDS_MAX,
        read: Callable[[int, int], bytes] = os.read,
    ) -> None:
        """Open the log. Raises OSError without permission, or where there is none."""
        self._read = read
        self._records_max = records_max
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.sequence = after
        """Of the last line that was returned, or `after`."""

    def read(self) -> list[Line]:
        """Return the lines that have come since the last time."""
        lines: list[Line] = []
        for _ in range(self._records_max):
            try:
                data = self._read(self._fd, READ_BYTES)
            except BrokenPipeError:  # records were overwritten before we came: go on behind them
                continue
            except OSError:
                break
            if not data:
                break
            found = (parse(record) for record in data.split(b"\n"))
            lines += [line for line in found if line and line.sequence > self.sequence]
        if lines:
            self.sequence = lines[-1].sequence
        return lines

    def close(self) -> None:
        """Close the log."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
