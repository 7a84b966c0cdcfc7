"""A strict, slow reader of HTTP/1.1: which requests are in these bytes, and which answer.

The judge of the differential tests. It knows the whole input, goes line by line without regular
expressions, shares no code with what it judges, and follows RFC 9110 and 9112 as `docs/
requirements.md` narrows them: what could be read in two ways is no message.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

HEAD_BYTES_MAX: Final = 64 << 10
FIELDS_MAX: Final = 200
TARGET_BYTES_MAX: Final = 16 << 10
SIZE_LINE_BYTES_MAX: Final = 272
TRAILER_BYTES_MAX: Final = 8 << 10

TOKEN: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
HEX: Final = frozenset(b"0123456789abcdefABCDEF")
DIGITS: Final = frozenset(b"0123456789")
REG_NAME: Final = frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~%!$&'()*+,;="
)
LITERAL: Final = HEX | frozenset(b":.")
NOT_IN_TRAILERS: Final = (
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"connection",
    b"upgrade",
    b"trailer",
)
LOOK_ALIKES: Final = (b"content_length", b"transfer_encoding")

Field = tuple[bytes, bytes]
Ending = Literal["complete", "partial", "refused"]
"""`refused`: what follows the requests is no message. `partial`: it may become one."""


class WrongError(Exception):
    """The bytes are no message."""


class PartialError(Exception):
    """The bytes are the start of a message, perhaps."""


class Request(NamedTuple):
    """One request."""

    method: bytes
    target: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """All requests of a connection up to the first fault; `begun` is that one's method, if any."""

    requests: tuple[Request, ...]
    ending: Ending
    begun: bytes = b""


class Body(NamedTuple):
    """A chunked body: `rest` once it is complete, `wrong` if it cannot become so.

    `open` is true of what is wrong in a section that has not ended: it may be noticed then.
    """

    payload: bytes
    rest: bytes | None = None
    wrong: bool = False
    open: bool = False


def read_requests(data: bytes) -> Reading:
    """Return what a client has sent that says nothing further."""
    requests: list[Request] = []
    begun = b""
    while data := _behind_empty_lines(data):
        begun = b""
        try:
            first, fields, rest = _head(data)
            method, target, version = _request_line(first)
            _check_routing(method, target, fields)
            stays = _stays(version, fields)
            framing = _request_framing(version, fields)
            begun = method
            body, data = _body(framing, rest)
        except WrongError:
            return Reading(tuple(requests), "refused", begun)
        except PartialError:
            return Reading(tuple(requests), "partial", begun)
        requests.append(Request(method, target, body))
        if not stays:
            break
    return Reading(tuple(requests), "complete")


def _behind_empty_lines(data: bytes) -> bytes:
    """Skip what a careless client sends behind a body (RFC 9112, section 2.2)."""
    while data.startswith(b"\r\n"):
        data = data[2:]
    return data


def _head(data: bytes) -> tuple[bytes, list[Field], bytes]:
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        raise PartialError
    if len(head) + 4 > HEAD_BYTES_MAX:
        raise WrongError
    first, *lines = head.split(b"\r\n")
    if len(lines) > FIELDS_MAX:
        raise WrongError
    return first, [read_field(line) for line in lines], rest


def read_field(line: bytes) -> Field:
    """Return the name in lower case, and the value without the spaces around it."""
    name, colon, value = line.partition(b":")
    if not colon or not name or not set(name) <= TOKEN or not is_value(value):
        raise WrongError
    return name.lower(), value.strip(b" \t")


def is_value(value: bytes) -> bool:
    """Tell whether no control character but the tab is among these bytes."""
    return all(byte == 0x09 or (byte >= 0x20 and byte != 0x7F) for byte in value)


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise WrongError
    method, target, version = parts
    visible = all(byte > 0x20 and byte != 0x7F for byte in target)
    if not method or not set(method) <= TOKEN or not target or not visible:
        raise WrongError
    if version not in (b"HTTP/1.0", b"HTTP/1.1") or len(target) > TARGET_BYTES_MAX:
        raise WrongError
    return method, target, version


def values(fields: list[Field], name: bytes) -> list[bytes]:
    """Return all values of a field."""
    return [value for own, value in fields if own == name]


def _words(fields: list[Field], name: bytes) -> list[bytes]:
    return [w.strip(b" \t").lower() for value in values(fields, name) for w in value.split(b",")]


def _check_routing(method: bytes, target: bytes, fields: list[Field]) -> None:
    hosts = values(fields, b"host")
    if len(hosts) != 1 or not _is_host(hosts[0]) or method in (b"CONNECT", b"PRI"):
        raise WrongError
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return
    scheme, found, place = target.partition(b"://")
    if scheme.lower() not in (b"http", b"https") or not found:
        raise WrongError
    for end in (b"/", b"?", b"#"):
        place = place.partition(end)[0]
    if place.lower() != hosts[0].lower():
        raise WrongError


def _is_host(host: bytes) -> bool:
    if host.startswith(b"["):
        literal, found, port = host[1:].partition(b"]")
        address, scoped, zone = literal.partition(b"%25")
        good_zone = not scoped or (bool(zone) and set(zone) <= REG_NAME)
        good = bool(found and address) and set(address) <= LITERAL and good_zone
        return good and (not port or (port.startswith(b":") and _is_port(port[1:])))
    name, _, port = host.partition(b":")
    return bool(name) and set(name) <= REG_NAME and _is_port(port)


def _is_port(port: bytes) -> bool:
    return set(port) <= DIGITS and len(port) <= 5


def _stays(version: bytes, fields: list[Field]) -> bool:
    wishes = _words(fields, b"connection") + _words(fields, b"proxy-connection")
    return version == b"HTTP/1.1" and b"close" not in wishes


def _request_framing(version: bytes, fields: list[Field]) -> int | Literal["chunked"]:
    framing = _framing(version, fields)
    upgrades = [value.lower() for value in values(fields, b"upgrade")]
    asks = version == b"HTTP/1.1" and b"upgrade" in (
        _words(fields, b"connection") + _words(fields, b"proxy-connection")
    )
    if asks and upgrades == [b"websocket"] and framing:
        raise WrongError
    return framing or 0


def _framing(version: bytes, fields: list[Field]) -> int | Literal["chunked"] | None:
    """Return a length, `chunked`, or None where the head states neither."""
    if any(values(fields, name) for name in LOOK_ALIKES):
        raise WrongError
    codings, lengths = values(fields, b"transfer-encoding"), values(fields, b"content-length")
    if codings:
        if lengths or version != b"HTTP/1.1" or [c.lower() for c in codings] != [b"chunked"]:
            raise WrongError
        return "chunked"
    if not lengths:
        return None
    if len(lengths) > 1 or not 1 <= len(lengths[0]) <= 18 or not set(lengths[0]) <= DIGITS:
        raise WrongError
    return int(lengths[0])


def _body(framing: int | Literal["chunked"], rest: bytes) -> tuple[bytes, bytes]:
    if framing != "chunked":
        if len(rest) < framing:
            raise PartialError
        return rest[:framing], rest[framing:]
    body = read_chunked(rest)
    if body.wrong and not body.open:
        raise WrongError
    if body.rest is None:
        raise PartialError
    return body.payload, body.rest


def read_chunked(body: bytes) -> Body:
    """Read a chunked body (RFC 9112, section 7.1)."""
    payload = b""
    at = 0
    while True:
        size, end = _size(body, at)
        if end < 0:
            return Body(payload, wrong=size < 0)
        if size == 0:
            return _trailers(body, end, payload)
        part = body[end : end + size]
        payload += part
        if len(part) < size:
            return Body(payload)
        ending = body[end + size : end + size + 2]
        if ending != b"\r\n":
            return Body(payload, wrong=not b"\r\n".startswith(ending))
        at = end + size + 2


def _size(body: bytes, at: int) -> tuple[int, int]:
    """Return a size and where its line ends: (0, -1) while it is cut, (-1, -1) if it is wrong."""
    line, found, _ = body[at:].partition(b"\r\n")
    if not found:
        return (0, -1) if _may_be_size(line) else (-1, -1)
    digits, semicolon, extensions = line.partition(b";")
    good = (
        1 <= len(digits) <= 15
        and set(digits) <= HEX
        and len(line) + 2 <= SIZE_LINE_BYTES_MAX
        and (not semicolon or _are_extensions(extensions))
    )
    return (int(digits, 16), at + len(line) + 2) if good else (-1, -1)


def _may_be_size(begun: bytes) -> bool:
    """Tell whether a line that is cut may become one, as far as a look at its bytes tells."""
    digits, _, extensions = begun.removesuffix(b"\r").partition(b";")
    good = len(digits) <= 15 and set(digits) <= HEX and is_value(extensions)
    return good and len(begun) < SIZE_LINE_BYTES_MAX and (bool(digits) or not begun)


def _are_extensions(text: bytes) -> bool:
    """Tell whether these are names and values (RFC 9112, section 7.1.1), without blanks."""
    name = text
    for end in (b";", b"="):
        name = name.partition(end)[0]
    rest = text[len(name) :]
    if not name or not set(name) <= TOKEN:
        return False
    if rest.startswith(b'="'):
        rest = _behind_quoted(rest[2:])
    elif rest.startswith(b"="):
        value, semicolon, further = rest[1:].partition(b";")
        if not value or not set(value) <= TOKEN:
            return False
        rest = semicolon + further
    return not rest or (rest.startswith(b";") and _are_extensions(rest[1:]))


def _behind_quoted(text: bytes) -> bytes:
    """Return what is behind a quoted text, `"` where it has no end or holds what it must not."""
    at = 0
    while at < len(text) and text[at : at + 1] != b'"':
        at += 2 if text[at : at + 1] == b"\\" else 1
    return text[at + 1 :] if at < len(text) and is_value(text[:at]) else b'"'


def _trailers(body: bytes, at: int, payload: bytes) -> Body:
    start = at
    wrong = Body(payload, wrong=True, open=b"\r\n\r\n" not in body[start - 2 :])
    while True:
        line, found, _ = body[at:].partition(b"\r\n")
        if not found:
            may_be = _may_be_trailer(body[at:], size=len(body) - start)
            return Body(payload) if may_be else wrong
        at += len(line) + 2
        if not line:
            return Body(payload, rest=body[at:]) if at - start <= TRAILER_BYTES_MAX else wrong
        try:
            name, _ = read_field(line)
        except WrongError:
            return wrong
        if name in NOT_IN_TRAILERS:
            return wrong


def _may_be_trailer(begun: bytes, *, size: int) -> bool:
    name, _, value = begun.removesuffix(b"\r").partition(b":")
    return size <= TRAILER_BYTES_MAX and set(name) <= TOKEN and is_value(value)


class Answer(NamedTuple):
    """What a client has that reads strictly: `whole` tells whether the body came to its end.

    `by_close` is true where that is the end of the connection.
    """

    status: int
    body: bytes
    whole: bool
    by_close: bool = False


def read_answer(data: bytes, method: bytes = b"GET") -> Answer | None:
    """Return the final answer in bytes that end with the connection; None where there is none."""
    while True:
        try:
            first, fields, data = _head(data)
            version, status = _status_line(first)
            framing = _framing(version, fields)
        except (WrongError, PartialError):
            return None
        if not 100 <= status < 200:
            break
        if status == 101:
            return None  # nobody asked for another protocol
    if method == b"HEAD" or status in (204, 304):
        return Answer(status, b"", whole=True)
    if framing is None:
        return Answer(status, data, whole=True, by_close=True)
    if framing != "chunked":
        return Answer(status, data[:framing], whole=len(data) >= framing)
    body = read_chunked(data)
    return Answer(status, body.payload, whole=body.rest is not None)


def _status_line(line: bytes) -> tuple[bytes, int]:
    version, status, phrase = line[:8], line[8:12], line[12:]
    good = (
        version in (b"HTTP/1.0", b"HTTP/1.1")
        and status[:1] == b" "
        and len(status) == 4
        and set(status[1:]) <= DIGITS
        and b"1" <= status[1:2] <= b"5"
        and phrase[:1] in (b"", b" ")
        and is_value(phrase)
    )
    if not good:
        raise WrongError
    return version, int(status[1:])
