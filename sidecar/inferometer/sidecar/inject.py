"""Usage injection: ask a streaming server for token counts, and take its extra event out again.

The one idea: bytes are inserted or left out, never written anew, and only where it is certain what
they mean; whatever is odd goes on as it came. The request gains one member, its head a new length.
The answer loses exactly the one event that this member caused, since clients that did not ask for
it fail on its empty `choices`.

Pure, bounded, and nothing here raises. What usage means is no business of the serving path.
"""

import json
import re
from typing import Final, Literal, NamedTuple, NoReturn

from inferometer.sidecar.fields import Fields
from inferometer.sidecar.heads import FIELD_LINE, RequestHead, ResponseHead

BODY_BYTES_MAX: Final = 1 << 20
"""A request body is held whole before it goes on; larger ones go on at once, without injection."""
CONTAINERS_MAX: Final = 32 << 10
"""Brackets and braces in a request body, those in strings too. Reading one takes half a microsecond
in which nothing else is served; a body of 1 MiB could hold half a million."""
HELD_BYTES_MAX: Final = 64 << 10
"""The largest event that is taken out; the event with usage has some 400 bytes."""
LAST_CHUNK: Final = b"0\r\n\r\n"

Result = Literal["stripped", "kept", "not_seen"]
"""What became of the event: taken out; let through although it may be ours; none came."""

_MEMBER: Final = b'"stream_options":{"include_usage":true},'
_IDENTITY: Final = b"Accept-Encoding: identity\r\n"
_VOUCHERS: Final = frozenset(
    (
        b"content-digest",
        b"content-md5",
        b"digest",
        b"repr-digest",
        b"signature-input",
        b"x-amz-content-sha256",
    )
)
"""Fields that vouch for the very bytes of a body: a server that checks them would refuse ours."""

_CHOICES: Final = b'"choices"'
_EMPTY = re.compile(rb'"choices" ?: ?\[\]')
_EMPTY_BEGUN = re.compile(rb" ?(?:: ?(?:\[(?:\][\s\S]*)?)?)?")
_EMPTY_BYTES_MAX: Final = len(b" : []")
_USAGE = re.compile(rb'"usage" ?: ?\{')
_STARTS: Final = (b"data: {", b"data:{")
_EVENT = re.compile(rb"data: ?(\{[^\r\n]*+)\r?\n\r?\n")
_EVENT_END = re.compile(rb"\n\r?\n")
_ENDS_BEGUN: Final = frozenset((b"", b"\n", b"\r", b"\n\r", b"\r\n", b"\r\n\r"))


class Asked(NamedTuple):
    """A request that asks for usage: the head to send upstream, and the whole body."""

    forward: bytes
    body: bytes


def wanted(head: RequestHead) -> bool:
    """Tell whether the body of this request is worth holding until it is whole, for `ask`.

    Not where the client waits for 100 (Continue) before it sends the body: that answer is the
    server's, which must have the head first.
    """
    return (
        head.method == b"POST"
        and head.target.partition(b"?")[0].endswith(b"/completions")
        and head.framing.kind == "length"
        and 0 < head.framing.length <= BODY_BYTES_MAX
        and not head.expects
        and _is_plain_json(head.fields)
    )


def ask(head: RequestHead, body: bytes) -> Asked | None:
    """Return the request with usage asked for, None where it must go on as it came.

    `body` is all of it, of a request that is `wanted`. It must be a stream that says nothing about
    `stream_options`: an explicit `false` or `null` is an answer. Names are compared without case,
    as servers written in Go read them.
    """
    if (
        len(body) != head.framing.length
        or b'"stream"' not in body
        or body.count(b"[") + body.count(b"{") > CONTAINERS_MAX
    ):
        return None
    streams: list[tuple[str, object]] = []
    for name, value in _members(body):
        folded = name.casefold()
        if folded == "stream_options":
            return None
        if folded == "stream":
            streams.append((name, value))
    if len(streams) != 1 or streams[0][0] != "stream" or streams[0][1] is not True:
        return None
    start = body.index(b"{") + 1
    longer = b"".join((body[:start], _MEMBER, body[start:]))
    return Asked(_forward(head.forward, len(longer)), longer)


def strippable(head: ResponseHead) -> bool:
    """Tell whether an event can be taken out of this answer.

    It cannot where a length is stated, as that length has gone to the client with the head.
    """
    types = head.fields.values(b"content-type")
    return (
        head.status == 200  # noqa: PLR2004  (OK)
        and head.framing.kind in ("chunked", "close")
        and [_media_type(value) for value in types] == [b"text/event-stream"]
        and b"content-encoding" not in head.fields
    )


def rechunk(payload: bytes) -> bytes:
    """Return a payload framed as one HTTP chunk; nothing for an empty one, which would end all."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


class Stripper:
    """Takes the one event that `ask` caused out of an answer, however its bytes are cut.

    It is the first event that is a single `data:` line of at most 64 KiB with a JSON object whose
    `choices` are empty, which has a `usage` object and no `error`. Everything else passes in order
    and as it came. Bytes are held only while an event that may be this one is incomplete, which no
    client could read either.
    """

    def __init__(self) -> None:
        """Expect the first byte of the payload."""
        self.result: Result = "not_seen"
        self._over = False
        self._held = b""
        self._midway = False  # a part of the current event has passed
        self._behind = b"\n"  # the end of what has passed, as far as it may begin a blank line

    def feed(self, payload: bytes) -> bytes:
        """Return what may go on; the usual case is a read that ends with an event."""
        if self._over:
            return payload
        if (
            not self._held
            and not self._midway
            and payload.endswith((b"\n\n", b"\r\n\r\n"))
            and (payload.rfind(b"[]") < 0 or not _EMPTY.search(payload))  # twice as fast as `in`
        ):
            return payload
        return self._walk(payload)

    def close(self) -> bytes:
        """Return what is still held at the end of the answer; later bytes pass."""
        held, self._held = self._held, b""
        self._over = True
        if _has_no_choices(held):
            self.result = "kept"
        return held

    def _walk(self, payload: bytes) -> bytes:
        passed = len(self._behind)
        data = b"".join((self._behind, self._held, payload))
        start = passed
        found = _EVENT_END.search(data, max(0, len(self._held) - 1))  # no end lies in what is held
        self._held = b""
        while found:
            end = found.end()
            if not self._midway and self._is_ours(data[start:end]):
                self.result = "stripped"
                self._over = True
                return data[passed:start] + data[end:]
            self._midway = False
            self._behind = b"\n"
            start = end
            found = _EVENT_END.search(data, end - 1)
        rest = data[start:]
        if rest and not self._midway:
            if len(rest) <= HELD_BYTES_MAX and _may_be_ours(rest):
                self._held = rest
                return data[passed:start]
            self._midway = True
            self._note_large(rest)
        self._behind = (self._behind + rest)[-2:]
        return data[passed:]

    def _is_ours(self, event: bytes) -> bool:
        """Tell whether a whole event is the one to take out; note one that nearly is."""
        if len(event) > HELD_BYTES_MAX:
            self._note_large(event)
            return False
        found = _EVENT.fullmatch(event) if _has_no_choices(event) else None
        if found is None:
            return False
        message = dict(_members(found[1]))
        if (
            message.get("choices") == []
            and isinstance(message.get("usage"), tuple)
            and "error" not in message
        ):
            return True
        if _USAGE.search(event):
            self.result = "kept"
        return False

    def _note_large(self, event: bytes) -> None:
        """Note an event that passes for its size alone; its first bytes tell, however it came."""
        if len(event) > HELD_BYTES_MAX and _may_be_ours(event[:HELD_BYTES_MAX]):
            self.result = "kept"


def _has_no_choices(event: bytes) -> bool:
    """Tell whether the first `choices` of an event are empty; a second one would be odd."""
    at = event.find(_CHOICES)
    return at >= 0 and _EMPTY.match(event, at) is not None


def _may_be_ours(begun: bytes) -> bool:
    """Tell whether an incomplete event can become ours; once it cannot, no more bytes change it."""
    if not begun.startswith(_STARTS):
        return any(start.startswith(begun) for start in _STARTS)
    line = begun.rstrip(b"\r\n")
    if begun[len(line) :] not in _ENDS_BEGUN or b"\n" in line or b"\r" in line:
        return False
    at = begun.find(_CHOICES) + len(_CHOICES)
    if at < len(_CHOICES):
        return True
    return _EMPTY_BEGUN.fullmatch(begun, at, at + _EMPTY_BYTES_MAX) is not None


def _is_plain_json(fields: Fields) -> bool:
    """Tell whether the body is JSON as it is, and nothing vouches for its bytes."""
    return (
        all(_media_type(value) == b"application/json" for value in fields.values(b"content-type"))
        and b"content-encoding" not in fields
        and not any(name in fields for name in _VOUCHERS)
    )


def _media_type(value: bytes) -> bytes:
    return value.partition(b";")[0].strip(b" \t").lower()


def _members(text: bytes) -> tuple[tuple[str, object], ...]:
    """Return the members of a JSON object, repeated ones too; none where it is no such object.

    Objects in it come as tuples of members. Nesting that is too deep, numbers of too many digits,
    NaN and anything but UTF-8 make the text unreadable.
    """
    try:
        found = json.loads(text.decode(), object_pairs_hook=tuple, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return ()
    return found if isinstance(found, tuple) else ()


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and the infinities, which are Python's, not JSON's."""
    raise ValueError(constant)


def _forward(forward: bytes, length: int) -> bytes:
    """Return a request head with another length, and with no compression asked for."""
    start = forward.index(b"\r\n") + 2
    lines = [forward[:start]]
    asked = False
    for name, value in FIELD_LINE.findall(forward, start):
        lower = name.lower()
        if lower == b"content-length":
            lines.append(b"%b: %d\r\n" % (name, length))
        elif lower != b"accept-encoding":
            lines.append(b"%b:%b\r\n" % (name, value))
        elif not asked:
            lines.append(_IDENTITY)
            asked = True
    if not asked:
        lines.append(_IDENTITY)
    lines.append(b"\r\n")
    return b"".join(lines)
