"""What a child tells the server, as bytes: four for a length, then one JSON object.

All numbers that count something are running totals of the child, so that a lost message loses
nothing. `decoding` reads them back.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any, Final, NamedTuple

from inferometer.gpu.sample import CallStats, DeviceState, Identity, Instance, Sample, Xid

MESSAGE_BYTES_MAX: Final = 64 * 1024
"""Length included."""
HEAD_BYTES: Final = 4
CODES_MAX: Final = 64
"""XIDs told apart for one device; more are counted under None."""


class Hello(NamedTuple):
    """The library is open and these devices are there; said again after each discovery.

    `devices_listed` is how many the library itself counts, those included that could not be told
    apart; None where it does not say.
    """

    driver_version: str
    uuids: tuple[str, ...]
    devices_pci: int | None
    devices_listed: int | None = None


class Found(NamedTuple):
    """A device and who it is, or what has changed about it."""

    identity: Identity


class Condition(NamedTuple):
    """A device is in another state than before. `code` is the vendor's."""

    uuid: str
    state: DeviceState
    code: int | None
    backend_lost: bool


class EventTotals(NamedTuple):
    """All events of a device since the child was started; `xid_last` is 0 before the first.

    `kernel_sequence` is of the last line of the kernel's log that these counts hold, or -1: it
    comes with them, so that no other child counts that line again. `heard` is False while an
    event of the device might pass unheard: then the counts are what is known of the past, and a
    count of none means nothing.
    """

    uuid: str
    xids: Mapping[int | None, Xid]
    xid_last: int
    events: Mapping[str, int]
    kernel_sequence: int = -1
    heard: bool = True


class Heartbeat(NamedTuple):
    """Said every second, whatever hangs.

    `in_flight` holds name and start (ns of CLOCK_MONOTONIC) of a call by device; under "" are the
    calls of no device. `calls` is None in most: it is the largest part, and nobody reads it each
    second. `kernel_sequence` is of the last line taken from the kernel's log, or -1.
    """

    in_flight: Mapping[str, tuple[str, int]]
    ticks_missed: Mapping[str, Mapping[str, int]]
    calls: Mapping[str, CallStats] | None
    demoted: Mapping[str, str]
    dropped: int
    kernel_sequence: int


class Failure(NamedTuple):
    """The child gives up: the library cannot be opened, or the driver is gone."""

    reason: str
    detail: str
    code: int | None


class Bye(NamedTuple):
    """The child ends because it was told to."""


Message = Hello | Found | Sample | Condition | EventTotals | Heartbeat | Failure | Bye


class TooLargeError(Exception):
    """A message that does not fit into `MESSAGE_BYTES_MAX`."""


NAMES: Final[Mapping[type, str]] = {
    Hello: "hello",
    Found: "found",
    Sample: "sample",
    Condition: "condition",
    EventTotals: "events",
    Heartbeat: "heartbeat",
    Failure: "failure",
    Bye: "bye",
}


def encode(message: Message) -> bytes:
    """Return the bytes of a message; a sample that is too large loses its processes first.

    Raises TooLargeError.
    """
    attempts: list[Message] = [message]
    if isinstance(message, Sample):
        attempts.append(replace(message, processes=None, processes_ns=None))
        attempts.append(replace(message, processes=None, processes_ns=None, instances=()))
    for attempt in attempts:
        body = [NAMES[type(attempt)], _WRITERS[type(attempt)](attempt)]
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        data = text.encode("utf-8", "replace")
        if len(data) + HEAD_BYTES <= MESSAGE_BYTES_MAX:
            return len(data).to_bytes(HEAD_BYTES, "big") + data
    message_name = NAMES[type(message)]
    raise TooLargeError(message_name)


def _fields(record: Identity | Sample | Instance) -> dict[str, object]:
    """Return a record's fields without those that may be left out and are empty, as most are."""
    found = ((name, getattr(record, name), may_lack) for name, may_lack in _LACKING[type(record)])
    return {
        name: value
        for name, value, may_lack in found
        if value or not may_lack or type(value) is int  # a zero is not unknown
    }


_LACKING: Final = {
    kind: tuple(
        (f.name, f.default in (None, "", (), False) or f.default_factory is not MISSING)
        for f in fields(kind)
    )
    for kind in (Identity, Sample, Instance)
}


def _write_sample(sample: Sample) -> object:
    body = _fields(sample)
    body["instances"] = [_fields(i) for i in sample.instances]
    if sample.processes is not None:
        body["processes"] = sample.processes  # none at all is not the same as not known
    return body


def _write_events(totals: EventTotals) -> object:
    xids = [(code, *xid) for code, xid in totals.xids.items()]
    return (totals.uuid, xids, *totals[2:])


_WRITERS: Final[Mapping[type, Callable[[Any], object]]] = {
    Found: lambda found: _fields(found.identity),
    Sample: _write_sample,
    EventTotals: _write_events,
    **dict.fromkeys((Hello, Condition, Heartbeat, Failure, Bye), tuple),
}
