"""The map as a file: written by a container that may ask the kubelet, read by one that may not.

One JSON object, replaced as a whole by renaming, so that a reader sees the old one or the new one:

    {
      "version": 1,
      "age_s": 0.2,          how old the map was when written, null if there never was one
      "attributed": true,    false: there is no map, and what follows is empty
      "devices": [{"uuid": "GPU-...", "holders": [["namespace", "pod", "container"], ...]}, ...],
      "pods": [{"uid": "...", "namespace": "...", "pod": "...", "containers": ["...", ...]}, ...],
      "errors": {"timeout": 3}
    }

A device has the members of `DeviceKey` that are not at their default: uuid, minor, pci, tpu, gi,
ci, slot. Members that are not known are ignored, another version is refused. Version 1 may gain
members; a change of meaning takes version 2.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from inferometer.gpu.pods.holders import (
    MAP_AGE_S_MAX,
    REASONS,
    DeviceKey,
    Holder,
    MapError,
    PodName,
    Snapshot,
    merged,
)

VERSION: Final = 1
FILE_BYTES_MAX: Final = 16 << 20
ENTRIES_MAX: Final = 65_536
"""Devices, holders or pods that are written, or read, of each kind."""
TEXT_CHARS_MAX: Final = 512
AGE_S_MAX: Final = 1e9


def encode(snapshot: Snapshot, *, now_s: float) -> bytes:
    """Return the file's content for a snapshot at a monotonic moment. Pure."""
    age_s = snapshot.age_s(now_s)
    devices = [
        _plain(key) | {"holders": [list(holder) for holder in holders]}
        for key, holders in snapshot.holders.items()
    ]
    pods = [{"uid": uid, **name._asdict()} for uid, name in snapshot.pods.items()]
    content = {
        "version": VERSION,
        "age_s": None if age_s is None else round(age_s, 3),
        "attributed": snapshot.attributed,
        "devices": devices,
        "pods": pods,
        "errors": dict(snapshot.errors),
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def decode(data: bytes, *, now_s: float) -> Snapshot:
    """Return the snapshot that a file holds, as if written at `now_s`. Raises MapError. Pure."""
    if len(data) > FILE_BYTES_MAX:
        raise MapError(reason="file_too_large")
    try:
        content = _object(json.loads(data))
        if content.get("version") != VERSION:
            raise MapError(reason="file_version")
        return _snapshot(content, now_s)
    except (ValueError, RecursionError):
        raise MapError(reason="file_invalid") from None


def write(path: Path, data: bytes) -> None:
    """Put a file in the place of the one at `path`, readable for every user. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(new, flags, 0o644)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            os.fchmod(fd, 0o644)  # the reader is another user, whatever our umask
            file.write(data)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


class _Version(NamedTuple):
    """What tells one file from the one that replaces it."""

    inode: int
    changed_ns: int
    size: int


class MapFile:
    """Reads the map that a `podmap` container writes; one thread only.

    A file is as old as it said when it was written, plus the time since. Of a file that was there
    before we came, that time is told by the wall clock; of every other, by when we last looked.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Read nothing yet."""
        self._path = path
        self._clock = clock
        self._wall = wall
        self._version: _Version | None = None
        self._looked_s: float | None = None
        self._last = Snapshot()

    @property
    def errors(self) -> Mapping[str, int]:
        """What the writer counted, as of the last file that could be read."""
        return self._last.errors

    def read(self) -> Snapshot:
        """Return the map in the file. Raises MapError; then what was read before holds no more."""
        now_s = self._clock()
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                version = _Version(found.st_ino, found.st_mtime_ns, found.st_size)
                if version != self._version:
                    self._version = None
                    unseen_s = max(0.0, self._wall() - found.st_mtime)
                    if self._looked_s is not None:
                        unseen_s = min(unseen_s, now_s - self._looked_s)
                    data = file.read(FILE_BYTES_MAX + 1)
                    self._last = decode(data, now_s=now_s - unseen_s)
                    self._version = version
        except OSError:
            self._version = None
            raise MapError(reason="file_missing") from None
        finally:
            self._looked_s = now_s
        return self._checked(now_s)

    def _checked(self, now_s: float) -> Snapshot:
        age_s = self._last.age_s(now_s)
        if self._last.attributed and (age_s is None or age_s > MAP_AGE_S_MAX):
            raise MapError(reason="file_stale")
        return self._last


def _plain(key: DeviceKey) -> dict[str, object]:
    return {
        name: value
        for name, value in key._asdict().items()
        if value != DeviceKey._field_defaults[name]
    }


def _snapshot(content: Mapping[str, object], now_s: float) -> Snapshot:
    age_s = content.get("age_s")
    taken_s = None if age_s is None else now_s - _seconds(age_s)
    listed = _object(content.get("errors", {}))
    errors = {reason: _count(listed[reason]) for reason in REASONS if reason in listed}
    if content.get("attributed") is not True or taken_s is None:
        return Snapshot(taken_s=taken_s, errors=errors)
    holders: dict[DeviceKey, tuple[Holder, ...]] = {}
    for item in _list(content.get("devices")):
        key, found = _device(_object(item))
        holders[key] = merged((holders.get(key, ()), found))
    pods = dict(_pod(_object(item)) for item in _list(content.get("pods")))
    return Snapshot(holders=holders, pods=pods, taken_s=taken_s, attributed=True, errors=errors)


def _device(item: Mapping[str, object]) -> tuple[DeviceKey, tuple[Holder, ...]]:
    minor, tpu, gi, ci = (
        _count(item[name]) if name in item else None for name in ("minor", "tpu", "gi", "ci")
    )
    uuid, pci, slot = (_text(item.get(name, "")) for name in ("uuid", "pci", "slot"))
    key = DeviceKey(uuid=uuid, minor=minor, pci=pci, tpu=tpu, gi=gi, ci=ci, slot=slot)
    if key._replace(gi=None, ci=None, slot="") == DeviceKey():
        raise ValueError
    return key, tuple(_holder(one) for one in _list(item.get("holders")))


def _holder(item: object) -> Holder:
    namespace, pod, container = (_text(part) for part in _list(item))
    return Holder(namespace, pod, container)


def _pod(item: Mapping[str, object]) -> tuple[str, PodName]:
    containers = tuple(_text(one) for one in _list(item.get("containers")))
    name = PodName(_text(item.get("namespace")), _text(item.get("pod")), containers)
    return _text(item.get("uid")), name


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - one kind of error for all that is wrong with a file
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > ENTRIES_MAX:
        raise ValueError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX or not value.isprintable():
        raise ValueError
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value < AGE_S_MAX:
        raise ValueError
    return value
