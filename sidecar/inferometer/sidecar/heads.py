"""Request and response heads: strict framing, order and bytes kept.

The one idea: a head that two parsers could read as two different messages is refused, everything
else goes on as it came. What an intermediary must take away (RFC 9110, section 7.6.1) is taken
away, and the two fields that frame a body are written anew in their plainest form, so that the
next parser has nothing to interpret. There is no lenient switch.

Pure: bytes in, records out. The regular expressions use possessive quantifiers, so that no input
makes them go back: the cost is linear in the size of the head.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from inferometer.sidecar.fields import NO_FIELDS, Fields

HEAD_BYTES_MAX: Final = 64 << 10
"""Long tokens and agents with many headers must fit; more is 431."""
FIELDS_MAX: Final = 200
TARGET_BYTES_MAX: Final = 16 << 10
LENGTH_DIGITS_MAX: Final = 18
"""Ten digits are 10 GB; with 19 some parsers overflow."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE = rb"[\t\x20-\x7e\x80-\xff]"
FIELD_LINE = re.compile(rb"(" + TOKEN + rb"++):(" + VALUE + rb"*+)\r\n")
_BLOCK = rb"((?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+)\r\n"
_REQUEST = re.compile(rb"(" + TOKEN + rb"++) ([\x21-\x7e\x80-\xff]++) HTTP/1\.([01])\r\n" + _BLOCK)
_RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE + rb"*+)?\r\n" + _BLOCK)
FIELD_BLOCK = re.compile(_BLOCK)
BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]++(?:%25[0-9A-Za-z._~\-]++)?\]|[0-9A-Za-z\-._~%!$&'()*+,;=]++)(?::[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*+)")
_REQUEST_LINE_BEGUN = re.compile(
    TOKEN + rb"*+(?: (?:[\x21-\x7e\x80-\xff]++(?: (?:H[^\r\n]{0,9})?)?)?)?\r?"
)

FRAMING_NAMES: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade", b"trailer")
)
"""Fields that frame or route a message, and so must not stand among trailers."""

_HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
_LOOK_ALIKES: Final = frozenset((b"content_length", b"transfer_encoding"))
"""Servers that turn names into variables read these as the real ones."""
_PASSING: Final = frozenset((b"content-length", b"host", b"expect"))
SPECIAL_NAMES: Final = _HOP_BY_HOP | _LOOK_ALIKES | _PASSING
"""Fields that a relay has to know; all others pass."""
SPECIAL_LINE: Final = re.compile(rb"\n(" + b"|".join(sorted(SPECIAL_NAMES)) + rb"):([^\r]*+)")
"""Finds their lines in `Fields.folded`, without a look at all others."""
_FOLDED_LINE: Final = re.compile(rb"\n([^:\r]++):([^\r]*+)")
_NEVER_NAMED: Final = frozenset((b"content-length", b"host", b"transfer-encoding", b"expect"))
"""Fields that stay although `Connection` names them: without them the message means another."""


class Refused(Exception):  # noqa: N818  (it names the answer, not a fault of ours)
    """A head or chunk that must not be forwarded. `status` is our answer to a client."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the status, and a constant reason that holds nothing of the input."""
        self.status = status
        self.reason = reason
        super().__init__(reason)


class Framing(NamedTuple):
    """Where a body ends: `none`, after `length` bytes, with the last chunk, or when closed."""

    kind: Literal["none", "length", "chunked", "close"]
    length: int = 0


NO_BODY: Final = Framing("none")
CHUNKED: Final = Framing("chunked")
UNTIL_CLOSE: Final = Framing("close")
CHUNKED_LINE: Final = b"Transfer-Encoding: chunked\r\n"
HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class RequestHead(NamedTuple):
    """A valid request head. `fields` are all of the client's, `forward` is what goes upstream."""

    method: bytes
    target: bytes
    minor: int
    fields: Fields
    framing: Framing
    keep_alive: bool
    expects: bool
    websocket: bool
    forward: bytes


class ResponseHead(NamedTuple):
    """A valid response head; `line` and `block` go to the client, the coding is written anew.

    `line` says HTTP/1.1 whatever the upstream spoke, which is `minor`.

    `framing` is the answer's own, given the request's method; `keep_alive` tells whether the
    upstream connection can serve another request.
    """

    status: int
    minor: int
    fields: Fields
    framing: Framing
    keep_alive: bool
    line: bytes
    block: bytes

    def written(self, block: bytes, *, chunked: bool, closing: bool) -> bytes:
        """Return the head as a client gets it, with `block` and what is of this hop alone."""
        coding = CHUNKED_LINE if chunked else b""
        end = b"Connection: close\r\n\r\n" if closing else b"\r\n"
        return self.line + block + coding + end


_Special = Mapping[bytes, list[bytes]]
"""Values of the fields that a relay has to know, by their names; all in lower case."""
_NONE_NAMED: Final[frozenset[bytes]] = frozenset()


def prior_knowledge(preface: bytes) -> RequestHead:
    """Return HTTP/2's preface as a request whose connection becomes a tunnel."""
    return RequestHead(
        method=b"PRI",
        target=b"*",
        minor=1,
        fields=NO_FIELDS,
        framing=NO_BODY,
        keep_alive=False,
        expects=False,
        websocket=False,
        forward=preface,
    )


def find_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """Return where the head ends (behind the blank line), or -1 while it is incomplete.

    `start` is how many bytes were looked at before, so that a head which dribbles in costs no more
    than one that comes at once. Raises Refused as soon as the bytes can't become a valid head: a
    bare CR or LF, too many bytes, a target that is too long.
    """
    end = buffer.find(b"\r\n\r\n", max(0, start - 3), HEAD_BYTES_MAX)
    if end >= 0:
        return end + 4
    line_end = buffer.find(b"\r\n", 0, HEAD_BYTES_MAX)
    if line_end < 0 and len(buffer) > TARGET_BYTES_MAX + 64:
        raise Refused(414, "target too long")
    if len(buffer) >= HEAD_BYTES_MAX:
        raise Refused(431, "head too large")
    if BARE_LINE_END.search(buffer, max(0, start - 1)):
        raise Refused(400, "bare line end")
    return -1


def check_start(buffer: bytes | bytearray) -> None:
    """Raise Refused where an incomplete request line can't become a valid one.

    So that bytes of another protocol get their 400 at once and not after the header timeout.
    """
    line_end = buffer.find(b"\r\n")
    line = bytes(buffer if line_end < 0 else buffer[:line_end])
    if not _REQUEST_LINE_BEGUN.fullmatch(line):
        raise Refused(400, "no request line")


def parse_request(head: bytes) -> RequestHead:
    """Return a whole request head (blank line included), or raise Refused (400, 414, 431, 501)."""
    found = _REQUEST.fullmatch(head)
    if not found:
        raise Refused(400, "malformed head")
    method, target, minor_text, block = found.groups()
    if len(target) > TARGET_BYTES_MAX:
        raise Refused(414, "target too long")
    fields = Fields(block)
    special, named, kept = _read(fields)
    minor = 1 if minor_text == b"1" else 0
    _check_target(method, target, special.get(b"host", ()))
    framing = _request_framing(special, minor)
    keep_alive = minor == 1 and b"close" not in named
    expects = minor == 1 and b"100-continue" in special.get(b"expect", ())
    websocket = minor == 1 and b"upgrade" in named and special.get(b"upgrade") == [b"websocket"]
    if websocket and framing is not NO_BODY:
        raise Refused(400, "upgrade with a body")
    if framing is CHUNKED:
        kept += CHUNKED_LINE
    if websocket:
        kept += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    as_it_came = kept is block and minor == 1
    forward = head if as_it_came else b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, kept)
    return RequestHead(
        method, target, minor, fields, framing, keep_alive, expects, websocket, forward
    )


def parse_response(head: bytes, method: bytes) -> ResponseHead:
    """Return a whole response head to a request of `method`, or raise Refused (502)."""
    found = _RESPONSE.fullmatch(head)
    if not found:
        raise Refused(502, "malformed response head")
    minor_text, status_text, block = found.groups()
    status = int(status_text)
    minor = 1 if minor_text == b"1" else 0
    fields = Fields(block)
    try:
        special, named, kept = _read(fields)
        framing = _response_framing(special, status, method, minor)
    except Refused as refused:
        raise Refused(502, refused.reason) from None
    if status == 101:  # noqa: PLR2004  (Switching Protocols)
        kept += b"Connection: Upgrade\r\n"
        kept += b"".join(b"Upgrade: %b\r\n" % value for value in fields.values(b"upgrade"))
    keep_alive = minor == 1 and b"close" not in named and framing is not UNTIL_CLOSE
    # The version is a promise of one hop (RFC 9112, 2.3): a client that read HTTP/1.0 would expect
    # its connection to end here, while we wait for its next request.
    line = b"HTTP/1.1" + head[len(b"HTTP/1.1") : head.index(b"\r\n") + 2]
    return ResponseHead(status, minor, fields, framing, keep_alive, line, kept)


def _read(fields: Fields) -> tuple[_Special, frozenset[bytes], bytes]:
    """Read field lines, whose grammar was checked.

    Returns those that a relay has to know, what `Connection` names, and the lines that may go on:
    the very block where all may.
    """
    block = fields.block
    if block.count(b"\n") > FIELDS_MAX:
        raise Refused(431, "too many fields")
    special: dict[bytes, list[bytes]] = {}
    plain = True
    for name, raw in SPECIAL_LINE.findall(fields.folded):
        value = raw.strip(b" \t")
        special.setdefault(name, []).append(value)
        if name == b"content-length" and raw != b" " + _plainest(value):
            plain = False
    if plain and _PASSING.issuperset(special):
        return special, _NONE_NAMED, block
    if not _LOOK_ALIKES.isdisjoint(special):
        raise Refused(400, "field that looks like framing")
    named = _named(special)
    return special, named, _end_to_end(fields, named)


def _plainest(length: bytes) -> bytes:
    """Return a length as nobody takes it for octal; what is no number is refused later."""
    return length.lstrip(b"0") or b"0"


def _named(special: _Special) -> frozenset[bytes]:
    """Return what `Connection` names, in lower case."""
    values = (*special.get(b"connection", ()), *special.get(b"proxy-connection", ()))
    return frozenset(part.strip(b" \t") for value in values for part in value.split(b","))


def _end_to_end(fields: Fields, named: frozenset[bytes]) -> bytes:
    """Return the end-to-end field lines in their order, a length in its plainest spelling.

    The transfer coding belongs to one hop: whoever sends the head writes `CHUNKED_LINE` anew.
    """
    dropped = _HOP_BY_HOP | (named - _NEVER_NAMED)
    lines = SPECIAL_LINE if SPECIAL_NAMES.issuperset(dropped) else _FOLDED_LINE
    block, kept, at = fields.block, [], 0
    for found in lines.finditer(fields.folded):
        name = found[1]
        start, end = found.start(), found.end() + 1  # of the whole line in the block
        if name in dropped:
            kept.append(block[at:start])
            at = end
        elif name == b"content-length":
            as_written = block[start : start + len(name)]
            length = _plainest(found[2].strip(b" \t"))
            kept += (block[at:start], b"%b: %b\r\n" % (as_written, length))
            at = end
    kept.append(block[at:])
    return b"".join(kept)


def _check_target(method: bytes, target: bytes, hosts: Sequence[bytes]) -> None:
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise Refused(400, "not exactly one valid host")
    if method in (b"CONNECT", b"PRI"):
        raise Refused(405, "no tunnels to elsewhere")
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return
    absolute = _ABSOLUTE.match(target)
    if not absolute or absolute[1].lower() != hosts[0]:
        raise Refused(400, "target and host differ")


def _coding(special: _Special, minor: int) -> bool:
    """Return whether the one transfer coding that there is, is chunked."""
    codings = special[b"transfer-encoding"]
    if b"content-length" in special or minor == 0 or len(codings) > 1:
        raise Refused(400, "ambiguous framing")
    names = [part.strip(b" \t") for part in codings[0].split(b",")]
    if names == [b"chunked"]:
        return True
    if b"chunked" in names[:-1] or not all(re.fullmatch(TOKEN + rb"++", n) for n in names):
        raise Refused(400, "malformed transfer coding")
    raise Refused(501, "unknown transfer coding")


def _length(special: _Special) -> int | None:
    """Return the stated length, None where none is."""
    lengths = special.get(b"content-length")
    if lengths is None:
        return None
    digits = lengths[0]
    if len(lengths) > 1 or len(digits) > LENGTH_DIGITS_MAX or not digits.isdigit():
        raise Refused(400, "malformed length")
    return int(digits)


def _request_framing(special: _Special, minor: int) -> Framing:
    if b"transfer-encoding" in special and _coding(special, minor):
        return CHUNKED
    length = _length(special)
    return Framing("length", length) if length else NO_BODY


def _response_framing(special: _Special, status: int, method: bytes, minor: int) -> Framing:
    """RFC 9112, section 6.3. Also checks the framing of answers that have no body."""
    chunked = b"transfer-encoding" in special and _coding(special, minor)
    length = _length(special)
    if method == b"HEAD" or status < 200 or status in (204, 304):  # noqa: PLR2004
        return NO_BODY
    if chunked:
        return CHUNKED
    if length is None:
        return UNTIL_CLOSE
    return Framing("length", length) if length else NO_BODY
