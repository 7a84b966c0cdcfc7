"""Captures: what a driver answered, call by call, as lines of JSON that tests can replay.

The first line says what this is:

    {"capture": 1, "start_us": 1788000000000000, "driver": "580.95.05", "raw": false}

`start_us` is the moment (µs since 1970) that times count from; a raw capture has `host`, too. Then
comes one line for each call:

    {"t_us": 1204, "took_us": 11.8, "call": "nvmlDeviceGetMemoryInfo_v2", "device": 0, "args": [],
     "code": 0, "out": [[40, "28000002"]]}

- `t_us` is the start of the call after `start_us`, `took_us` how long it took.
- `device` is the number of a device as NVML lists it, `[number, slot]` for a MIG instance, null for
  a call without one. Of an event and of metrics it is the device that they come from.
- `args` are the arguments by value, in their order; null is a pointer that means something to the
  library only.
- `out` are the buffers that the library was given, in their order, as they were after the call:
  [size in bytes, hexadecimal digits without the zeros at the end].

A symbol that the driver lacks has a line `{"missing": "nvmlGpmSampleGet"}`. The last line is
`{"end": "done", "calls": 4711}`; `end` is "full" where the file reached its bound, and a file
without it was cut off.

Serial numbers, UUIDs of devices and fabrics, and the host's name are replaced by others of the same
length unless the capture is raw: the same one by the same one, wherever it occurs. Process ids are
left as they are, and names of processes are never asked for.
"""

import json
import threading
from collections.abc import Sequence
from typing import BinaryIO, Final, NamedTuple

VERSION: Final = 1
END_BYTES: Final = 128
"""Room that is kept for the last line."""
ANYWHERE_BYTES: Final = 6
"""Secrets at least this long are replaced wherever they occur; shorter ones occur by chance."""

Device = int | tuple[int, int] | None
"""Number of a device, or that and the slot of a MIG instance."""


class Call(NamedTuple):
    """One call and its outcome; `buffers` are as they were after it."""

    name: str
    device: Device
    args: Sequence[int | float | str | None]
    code: int
    buffers: Sequence[bytes]


class Aliases:
    """Stand-ins for what must not leave a machine."""

    def __init__(self) -> None:
        """Know no secrets yet."""
        self._known: dict[bytes, bytes] = {}

    def hide_text(self, secret: bytes) -> bytes:
        """Return the stand-in of a UUID, serial number or name, and know it from now on."""
        hidden = self.hide(secret)
        if secret and secret not in self._known and hidden == secret:
            self._known[secret] = hidden = _alias(secret, len(self._known) + 1)
        return self._known.get(secret, hidden)

    def hide_bytes(self, secret: bytes) -> bytes:
        """Return the stand-in of a binary UUID; one of zeros only tells nothing."""
        if not any(secret):
            return secret
        number = len(self._known) + 1
        return self._known.setdefault(secret, number.to_bytes(len(secret), "big"))

    def hide(self, data: bytes) -> bytes:
        """Replace every secret in `data` that is long enough not to occur by chance."""
        for secret, alias in self._known.items():
            if len(secret) >= ANYWHERE_BYTES:
                data = data.replace(secret, alias)
        return data


def _alias(secret: bytes, number: int) -> bytes:
    """Return text of the same length and punctuation: zeros, and a number at the end."""
    kept = 4 if secret[:4] in {b"GPU-", b"MIG-"} else 0
    zeros = bytes(c if c in b"-/ " else ord("0") for c in secret[kept:])
    digits = str(number).encode()[-len(zeros) :]
    return secret[:kept] + zeros[: len(zeros) - len(digits)] + digits


class Writer:
    """Writes a capture of at most `bytes_max` bytes; from any thread."""

    def __init__(self, file: BinaryIO, *, bytes_max: int) -> None:
        """Take an open file; `bytes_max` must leave room for the first and the last line."""
        self._file = file
        self._left = bytes_max - END_BYTES
        self._lock = threading.Lock()
        self.calls = 0
        self.full = False

    def begin(self, *, start_us: int, driver: str, host: str | None) -> None:
        """Write the first line; `host` is None in a capture that is not raw."""
        head: dict[str, object] = {"capture": VERSION, "start_us": start_us, "driver": driver}
        head["raw"] = host is not None
        self._write(head if host is None else {**head, "host": host})

    def missing(self, name: str) -> None:
        """Write that the driver lacks a symbol."""
        self._write({"missing": name})

    def call(self, call: Call, *, t_us: int, took_us: float) -> None:
        """Write one call."""
        line = {
            "t_us": t_us,
            "took_us": round(took_us, 1),
            "call": call.name,
            "device": call.device,
            "args": call.args,
            "code": call.code,
            "out": [[len(data), data.rstrip(b"\0").hex()] for data in call.buffers],
        }
        if self._write(line):
            self.calls += 1

    def end(self) -> None:
        """Write the last line."""
        with self._lock:
            last = {"end": "full" if self.full else "done", "calls": self.calls}
            self._file.write(json.dumps(last).encode() + b"\n")

    def _write(self, line: object) -> bool:
        """Write a line, or find that the file is full: what comes later is left out, too."""
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            self.full = self.full or len(data) > self._left
            if self.full:
                return False
            self._left -= len(data)
            self._file.write(data)
        return True
