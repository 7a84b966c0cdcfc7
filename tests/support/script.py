"""What a scripted server does, step by step: bytes or an action, each at an exact offset.

A script is data: the same one can be played against a client, behind a sidecar, or compared with
what was measured. HTTP framing helpers live here as well, because a script is raw bytes and the
framing is part of what a test decides (a missing last chunk is one step less).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate
from typing import Final, Literal, NamedTuple


class Action(Enum):
    """What a server can do to its connection besides sending."""

    CLOSE = "close"  # an orderly end: FIN after what was sent
    RESET = "reset"  # RST, by SO_LINGER 0: bytes in flight may be lost
    HALF_CLOSE = "half close"  # FIN, but goes on reading
    STALL = "stall"  # nothing more, for ever, connection open
    PAUSE = "pause"  # stop reading what the peer sends
    RESUME = "resume"  # read again
    AWAIT_BODY = "await body"  # go on when the request body is complete
    AWAIT_CUE = "await cue"  # go on when the test says so: `Exchange.cue`


class Step(NamedTuple):
    """One thing done `delay_s` after the step before it was due (the first: after the start).

    Offsets add up on paper, not in sleeps, so a late step does not delay those after it.
    `times` repeats a send (memory for one piece only). `tag` is anything a test wants back with
    the moment at which the step was done.
    """

    delay_s: float
    what: bytes | Action
    times: int = 1
    tag: object = None


@dataclass(frozen=True, slots=True)
class Script:
    """Steps that answer one request, from the moment its head or its body is complete.

    `after_end` tells what a server does when its client goes away: stop playing (it noticed), or
    play on (it never looks).
    """

    steps: tuple[Step, ...]
    starts: Literal["head", "body"] = "body"
    after_end: Literal["stop", "play on"] = "stop"
    offsets_s: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Add the delays up once."""
        object.__setattr__(self, "offsets_s", tuple(accumulate(s.delay_s for s in self.steps)))


def script(*steps: Step | bytes | Action, starts: Literal["head", "body"] = "body") -> Script:
    """Build a script; bare bytes and actions follow at once."""
    return Script(tuple(s if isinstance(s, Step) else Step(0.0, s) for s in steps), starts=starts)


def at(offsets: Iterable[tuple[float, bytes | Action]]) -> tuple[Step, ...]:
    """Turn (offset from the start in seconds, what) into steps; offsets must not fall."""
    steps: list[Step] = []
    before_s = 0.0
    for offset_s, what in offsets:
        assert offset_s >= before_s, (before_s, offset_s)
        steps.append(Step(offset_s - before_s, what))
        before_s = offset_s
    return tuple(steps)


def paced(
    pieces: Sequence[bytes], *, first_s: float, every_s: float, tags: Sequence[object] = ()
) -> tuple[Step, ...]:
    """Send pieces at a fixed pace: the first after `first_s`, then one each `every_s`."""
    named = [*tags, *[None] * (len(pieces) - len(tags))]
    return tuple(
        Step(every_s if i else first_s, piece, tag=tag)
        for i, (piece, tag) in enumerate(zip(pieces, named, strict=True))
    )


Field = tuple[str, str] | tuple[bytes, bytes]


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def head(status: int, *fields: Field, reason: str = "OK") -> bytes:
    """Return a response head with exactly these fields, in this order."""
    lines = [f"HTTP/1.1 {status} {reason}".encode()]
    lines += [_raw(name) + b": " + _raw(value) for name, value in fields]
    return b"\r\n".join([*lines, b"", b""])


def request(
    method: str, target: str | bytes, *fields: Field, body: bytes | None = None, host: str = "h"
) -> bytes:
    """Return a whole request: Host, the fields, then Content-Length if there is a body."""
    lines = [_raw(method) + b" " + _raw(target) + b" HTTP/1.1", b"Host: " + _raw(host)]
    lines += [_raw(name) + b": " + _raw(value) for name, value in fields]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + (body or b"")


def chunk(data: bytes) -> bytes:
    """Return one HTTP chunk. Empty data would be the last chunk, so it is refused."""
    assert data
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"


def plain(
    body: bytes, *fields: Field, status: int = 200, content_type: str = "application/json"
) -> bytes:
    """Return a whole answer with a Content-Length."""
    own: list[Field] = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return head(status, *own, *fields) + body
