"""What the server makes of a child's bytes.

They may as well be garbage: reading is bounded, and whatever is not exactly one of our messages is
a `GarbageError`, after which the child is replaced. Words of drivers come through here, so a text
is data and never trusted to be printable.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar, get_args

from inferometer.gpu.child.calls import EDGES_S
from inferometer.gpu.child.tiers import COUNT_MAX
from inferometer.gpu.messages import (
    CODES_MAX,
    HEAD_BYTES,
    MESSAGE_BYTES_MAX,
    NAMES,
    Bye,
    Condition,
    EventTotals,
    Failure,
    Found,
    Heartbeat,
    Hello,
    Message,
)
from inferometer.gpu.quantities import EVENTS, Counter, Gauge, Total
from inferometer.gpu.sample import (
    CallStats,
    DeviceState,
    Identity,
    Instance,
    Process,
    Reason,
    Sample,
    Xid,
)

K = TypeVar("K")
V = TypeVar("V")


class GarbageError(Exception):
    """Bytes that are none of our messages."""


class Decoder:
    """Bytes, cut anywhere, to messages; holds one unfinished message at most."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with `data`. Raises GarbageError."""
        self._held += data
        messages = []
        while len(self._held) >= HEAD_BYTES:
            length = int.from_bytes(self._held[:HEAD_BYTES], "big")
            if length > MESSAGE_BYTES_MAX - HEAD_BYTES:
                problem = f"a message of {length} bytes"
                raise GarbageError(problem)
            if len(self._held) < HEAD_BYTES + length:
                break
            messages.append(decode(bytes(self._held[HEAD_BYTES : HEAD_BYTES + length])))
            del self._held[: HEAD_BYTES + length]
        return messages


def decode(body: bytes) -> Message:
    """Return the message in a JSON text. Raises GarbageError."""
    try:
        name, content = json.loads(body, parse_constant=_refuse)
        return _READERS[name](content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = f"not a message: {type(error).__name__}"
        raise GarbageError(problem) from error


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    if not value.isascii():
        value.encode()  # a lone surrogate is a ValueError
    return value


def _whole(value: object) -> int:
    if type(value) is not int:  # a bool is none
        raise TypeError
    return value


def _number(value: object) -> float:
    if type(value) is int:
        return float(value) if -(2**63) <= value < 2**64 else _refuse("int")
    if type(value) is not float or not math.isfinite(value):
        raise TypeError
    return value


def _bool(value: object) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < COUNT_MAX:
        raise TypeError
    return value


def _maybe(read: Callable[[object], V]) -> Callable[[object], V | None]:
    return lambda value: None if value is None else read(value)


def _one_of(values: Mapping[str, V]) -> Callable[[object], V]:
    return lambda value: values[_text(value)]


def _dict(key: Callable[[str], K], read: Callable[[Any], V]) -> Callable[[Any], dict[K, V]]:
    return lambda value: {key(k): read(v) for k, v in value.items()}


def _list(read: Callable[[Any], V]) -> Callable[[Any], tuple[V, ...]]:
    def read_all(value: object) -> tuple[V, ...]:
        if not isinstance(value, list):
            raise TypeError
        return tuple(read(v) for v in value)

    return read_all


_mps: Final = _one_of({mps: mps for mps in get_args(Process.__annotations__["mps"])})


def _process(value: list[object]) -> Process:
    pid, memory, busy, instance, mps = value
    count = _maybe(_count)
    return Process(_whole(pid), count(memory), count(busy), _maybe(_whole)(instance), _mps(mps))


_state: Final = _one_of({state: state for state in get_args(DeviceState)})
_reasons: Final = _dict(_text, _one_of({reason: reason for reason in get_args(Reason)}))
_counts: Final = _dict(_text, _count)
_SAMPLE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "uuid": _text,
    "moment_ns": _count,
    "time_s": _number,
    "gauges": _dict({g.value: g for g in Gauge}.__getitem__, _number),
    "counters": _dict({c.value: c for c in Counter}.__getitem__, _count),
    "totals": _dict({t.value: t for t in Total}.__getitem__, _count),
    "unsupported": _reasons,
    "implausible": _counts,
    "instances": _list(lambda value: Instance(**_record(value, _INSTANCE))),
    "processes": _list(_process),
    "processes_ns": _count,
}
_INSTANCE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "gpu_instance": _whole,
    "compute_instance": _maybe(_whole),
    "uuid": _text,
    "profile": _text,
    "slices": _count,
    "slices_max": _count,
    "gauges": _SAMPLE["gauges"],
    "totals": _SAMPLE["totals"],
}
_IDENTITY: Final[Mapping[str, Callable[[Any], Any]]] = {
    **{f.name: _text for f in fields(Identity)},
    "index": _whole,
    "minor": _maybe(_whole),
    "mig": _bool,
}


def _record(value: Any, readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:  # noqa: ANN401
    return {name: readers[name](content) for name, content in value.items()}


def _xids(value: list[tuple[object, object, object]]) -> dict[int | None, Xid]:
    read_code = _maybe(_count)
    xids = {read_code(code): Xid(_count(seen), _number(last)) for code, seen, last in value}
    if len(xids) > CODES_MAX + 1:
        raise ValueError
    return xids


def _call(value: list[object]) -> CallStats:
    results, buckets, seconds = value
    counted = _list(_count)(buckets)
    if len(counted) != len(EDGES_S) + 1:
        raise ValueError
    return CallStats(_counts(results), counted, _number(seconds))


def _positional(kind: Callable[..., V], *readers: Callable[[Any], Any]) -> Callable[[Any], V]:
    def read(value: object) -> V:
        if not isinstance(value, list):
            raise TypeError
        return kind(*(r(v) for r, v in zip(readers, value, strict=True)))

    return read


_events: Final = _dict(_one_of({event: event for event in EVENTS}), _count)
_in_flight: Final = _positional(lambda name, since: (name, since), _text, _count)
_by_type: Final[Mapping[type, Callable[[Any], Message]]] = {
    Hello: _positional(Hello, _text, _list(_text), _maybe(_count), _maybe(_count)),
    Found: lambda value: Found(Identity(**_record(value, _IDENTITY))),
    Sample: lambda value: Sample(**_record(value, _SAMPLE)),
    Condition: _positional(Condition, _text, _state, _maybe(_whole), _bool),
    EventTotals: _positional(EventTotals, _text, _xids, _count, _events, _whole, _bool),
    Heartbeat: _positional(
        Heartbeat,
        _dict(_text, _in_flight),
        _dict(_text, _counts),
        _maybe(_dict(_text, _call)),
        _dict(_text, _text),
        _count,
        _whole,
    ),
    Failure: _positional(Failure, _text, _text, _maybe(_whole)),
    Bye: _positional(Bye),
}
_READERS: Final = {NAMES[kind]: read for kind, read in _by_type.items()}
