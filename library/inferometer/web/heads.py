"""HTTP/1.1 of the admin port without its sockets: heads read, answers cut into pieces.

Small on purpose: GET and HEAD, no request bodies. What is not plainly right is refused, and the
connection closed. Pure: bytes in, bytes out.
"""

import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

HEAD_BYTES_MAX: Final = 16 << 10
FIELDS_MAX: Final = 100

PIECE_BYTES: Final = 32 << 10
"""A body that is one string is compressed and sent in pieces of this size."""

GZIP_BYTES_MIN: Final = 1024
"""A shorter body fits a packet or two as it is."""

HEAD_END: Final = b"\r\n\r\n"

_DAY: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Request(NamedTuple):
    """A request. `path` and `query` are as they were sent; names of `headers` are lower case.

    The values of a header that came several times are joined by a comma.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `headers` may name a Content-Encoding and a Content-Length that its body has.

    A body that is an iterator is asked for one piece at a time, each of which should be the work
    of a fraction of a millisecond.
    """

    status: int
    content_type: str
    body: bytes | Iterator[bytes]
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Request], Response]
"""Answers a request. It runs on the thread of the server, so it must not block."""


class Head(NamedTuple):
    """A request and what its framing says."""

    request: Request
    minor: int
    keep_alive: bool


class HeadError(Exception):
    """The head is refused with `status`; what it held is not kept."""

    def __init__(self, status: int) -> None:
        """Keep the status."""
        self.status = status
        super().__init__(HTTPStatus(status).phrase)


_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE: Final = re.compile(rf"({_WORD}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_FIELD: Final = re.compile(rf"({_WORD}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_ABSOLUTE: Final = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_QUALITY: Final = re.compile(r"q=(?:0?\.[0-9]{0,3}[1-9][0-9]*|1(?:\.0*)?)")
_COMPRESSIBLE: Final = ("text/", "application/openmetrics-text", "application/json")
_COMPRESSIBLE_TOO: Final = ("application/javascript", "image/svg+xml")


def read_head(data: bytes) -> Head:
    """Return what a request head says; `data` ends before the blank line. Raises HeadError."""
    line, *rest = data.decode("latin-1").split("\r\n")
    match = _LINE.fullmatch(line)
    if not match:
        raise HeadError(400)
    method, target, major, minor = match.groups()
    if major != "1":
        raise HeadError(505)
    fields = _read_fields(rest)
    hosts = fields.get("host", [])
    if len(hosts) > 1 or (minor != "0" and not hosts):
        raise HeadError(400)
    path, _, query = _ABSOLUTE.sub("", target, count=1).partition("?")
    headers = {name: ", ".join(values) for name, values in fields.items()}
    request = Request(method, path or "/", query, headers)
    return Head(request, min(int(minor), 1), _stays(headers, minor))


def _read_fields(lines: list[str]) -> dict[str, list[str]]:
    if len(lines) > FIELDS_MAX:
        raise HeadError(431)
    fields: dict[str, list[str]] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if not match:
            raise HeadError(400)
        fields.setdefault(match[1].lower(), []).append(match[2].rstrip(" \t"))
    return fields


def _stays(headers: Mapping[str, str], minor: str) -> bool:
    """Return whether the connection can be used again: a body is not read, so it ends there."""
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return False
    wishes = {wish.strip() for wish in headers.get("connection", "").lower().split(",")}
    return "keep-alive" in wishes if minor == "0" else "close" not in wishes


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the client can read gzip; what cannot be read means no."""
    answers = {"gzip": False, "*": False}
    for entry in accept_encoding.lower().split(",", 32)[:32]:
        name, *parameters = (part.strip() for part in entry.split(";"))
        if name in answers:
            answers[name] = all(_QUALITY.fullmatch(text) for text in parameters)
            if name == "gzip":
                return answers[name]
    return answers["*"]


def plain(status: int, *headers: tuple[str, str]) -> Response:
    """Return an answer that says its status in words."""
    body = f"{status} {HTTPStatus(status).phrase}\n".encode()
    return Response(status, "text/plain; charset=utf-8", body, headers)


class Answer(NamedTuple):
    """The bytes of an answer, to be sent piece by piece, and whether the connection stays."""

    pieces: Iterator[bytes]
    keep_alive: bool


def answer(head: Head | None, response: Response, *, date: str) -> Answer:
    """Return the bytes of `response` to the request `head`, None for one that was refused.

    Bodies are compressed where the client and their type allow it; one of unknown length is sent
    in chunks, or up to the end of the connection to HTTP/1.0. HEAD gets the same head.
    """
    body = response.body
    gzip = head is not None and _shrinks(head, response)
    if gzip and isinstance(body, bytes) and len(body) <= PIECE_BYTES:
        body, gzip = zlib.compress(body, level=1, wbits=31), False
        packed = True
    else:
        packed = gzip
    told = _has(response, "content-length")
    known = told or (isinstance(body, bytes) and not gzip)
    chunked = not known and head is not None and head.minor > 0
    keep_alive = head is not None and head.keep_alive and (known or chunked)
    fields = [("Date", date), ("Content-Type", response.content_type), *response.headers]
    if _compressible(response):
        fields.append(("Vary", "Accept-Encoding"))
    if packed:
        fields.append(("Content-Encoding", "gzip"))
    if isinstance(body, bytes) and known and not told:
        fields.append(("Content-Length", str(len(body))))
    elif chunked:
        fields.append(("Transfer-Encoding", "chunked"))
    if not keep_alive or (head is not None and head.minor == 0):
        fields.append(("Connection", "keep-alive" if keep_alive else "close"))
    start = _write_head(response.status, fields)
    if head is not None and head.request.method == "HEAD":
        return Answer(iter([start]), keep_alive)
    pieces = _cut(body) if isinstance(body, bytes) else body
    pieces = _compress(pieces) if gzip else pieces
    return Answer(_join(start, _chunks(pieces) if chunked else pieces), keep_alive)


def date(moment_s: float) -> str:
    """Return seconds since the epoch as HTTP writes dates, whatever the locale.

    `email.utils` does the same, and takes 1 MiB.
    """
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(moment_s)
    calendar_day = f"{_DAY[weekday]}, {day:02} {_MONTH[month - 1]} {year:04}"
    return f"{calendar_day} {hour:02}:{minute:02}:{second:02} GMT"


def _has(response: Response, name: str) -> bool:
    return any(known.lower() == name for known, _ in response.headers)


def _compressible(response: Response) -> bool:
    return response.content_type.startswith((*_COMPRESSIBLE, *_COMPRESSIBLE_TOO))


def _shrinks(head: Head, response: Response) -> bool:
    if _has(response, "content-encoding") or _has(response, "content-length"):
        return False  # whoever answers has done it, once for all
    if isinstance(response.body, bytes) and len(response.body) < GZIP_BYTES_MIN:
        return False
    accepted = accepts_gzip(head.request.headers.get("accept-encoding", ""))
    return accepted and _compressible(response)


def _write_head(status: int, fields: list[tuple[str, str]]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _cut(body: bytes) -> Iterator[bytes]:
    return (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))


def _compress(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=31)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
    yield b"0\r\n\r\n"


def _join(start: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield start + next(pieces, b"")
    yield from pieces
