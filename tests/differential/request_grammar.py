"""Requests that are right but for a fault or two, from the grammar and from what parsers differ in.

Every part of a request is drawn: mostly plain, sometimes one of the spellings that some server
somewhere reads in its own way. hypothesis shrinks a case to the plainest that still disagrees.
"""

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from differential.arena import PLACE

SMUGGLED: Final = b"GET " + PLACE + b"/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
BODIES: Final = (b"", b"abc", SMUGGLED, b"0\r\n\r\n", b"0\r\n\r\n" + SMUGGLED, b"\r\n", bytes(20))

METHODS: Final = (b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH")
ODD_METHODS: Final = (
    b"get", b"G@T", b"POST\x00", b"CONNECT", b"PRI", b"", b"TRACE", b"M-SEARCH", b"X" * 70,
    b"\xffET",
)  # fmt: skip
TARGETS: Final = (
    PLACE + b"/x", PLACE + b"?a=b&c", PLACE + b"/%2e%2e/a%2Fb", b"http://h" + PLACE, PLACE + b"//x",
)  # fmt: skip
ODD_TARGETS: Final = (
    b"*", b"http://other" + PLACE, b"//h" + PLACE, PLACE + b"/a b", PLACE + b"/\x80\xff", b"",
    PLACE + b"/\x00", PLACE + b"/..;/", PLACE + b"#f", b"h:80", PLACE + b"/" + b"l" * 17_000,
    PLACE + b"/%zz", b"http://h@other" + PLACE, b"ftp://h" + PLACE, PLACE + b"/\x0b", PLACE + b"?",
    b"HTTP://H" + PLACE, b"http://h", b"/../" + PLACE, PLACE + b"\\x", PLACE + b'/"<>^`{|}',
)  # fmt: skip
ODD_VERSIONS: Final = (
    b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1.10", b"",
    b"HTTP/0.9", b"HTTP/1,1", b"HTTP /1.1", b"HTTP/1.1\x00", b"HTTP/01.1",
)  # fmt: skip
ODD_SPACES: Final = (b"  ", b"\t", b"\x0b", b"\x0c", b"\xa0", b"")
ODD_LINE_ENDS: Final = (
    b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b"\x00\r\n",
)  # fmt: skip
HOSTS: Final = (b"Host: h", b"host:h", b"HOST:\th \t")
ODD_HOSTS: Final = (
    b"", b"Host: h\r\nHost: h", b"Host: a\r\nhost: b",
    b"Host: h:80", b"Host: a b", b"Host: h,g", b"Host: u@h", b"Host:", b"Host : h",
    b"Host: [::1]:80", b"Host: h:99999", b"Host: h:x", b"Host: h/x", b"X: y\r\n Host: h",
    b"Host: h\x00", b"Host: \xffh", b"Host: [::1", b"Host: h:", b"Host: H",
)  # fmt: skip
ODD_LENGTHS: Final = (
    b"+%d", b"%d ,%d", b"%d, %d", b"0x%d", b"0%d", b"%d\x0b", b"-%d", b"%d.0", b"%d_0", b"%d %d",
    b"", b"\xef\xbc\x91%d", b"%d\x00", b"9999999999999999%d", b"00000000000000000%d", b"\x0c%d",
    b'"%d"', b"%de0", b"1%d",
)  # fmt: skip
LENGTH_NAMES: Final = (
    b"Content-Length: ", b"content-length:", b"CONTENT-LENGTH:\t", b"Content-Length : ",
    b"Content_Length: ", b"Content-Length\x00: ", b" Content-Length: ", b"X-Content-Length: ",
    b"Content-Length\xa0: ", b"Content Length: ",
)  # fmt: skip
CODINGS: Final = (b"chunked", b"Chunked", b"chunked\t ")
ODD_CODINGS: Final = (
    b"xchunked", b"chunked, identity", b"gzip, chunked", b"\x0bchunked", b"chunked\x00",
    b'"chunked"', b"chunked;q=1", b"chunked, chunked", b",chunked", b"chunked,", b"identity", b"",
    b"chun ked", b"chunked\x0c", b"\xefchunked", b"chunked\xa0",
    b"identity\r\nTransfer-Encoding: chunked", b"gzip", b"chunked\r\nTransfer-Encoding: cow",
    b"\r\n chunked", b"\n chunked", b"CHUNKED", b"chunke\xc4\x91",
)  # fmt: skip
CODING_NAMES: Final = (
    b"Transfer-Encoding: ", b"transfer-encoding:", b"TRANSFER-ENCODING:\t", b"Transfer-Encoding : ",
    b"Transfer_Encoding: ", b"Transfer-Encoding\x00: ", b" Transfer-Encoding: ", b"X: y\r\t: ",
    b"X: y\nTransfer-Encoding: ", b"X: y\rTransfer-Encoding: ", b"\tTransfer-Encoding: ",
    b"Transfer-Encoding\xa0: ", b"Transfer\x2dEncoding:", b"Transfer-Encodin\xc7\xb5: ", b"TE: ",
)  # fmt: skip
FIELDS: Final = (
    b"Accept: */*", b"Cookie: a=b\r\nCookie: c=d", b"X-High: \x80\xff\xfe", b"X-Empty:",
    b"A.b_c~: v", b"Connection: keep-alive", b"Connection: close", b"Connection: X-Hop\r\nX-Hop: 1",
    b"TE: trailers", b"Connection: content-length", b"Connection: host, transfer-encoding",
    b"Trailer: X", b"Expect: 100-continue", b"Proxy-Connection: keep-alive",
    b"Keep-Alive: timeout=5", b"X-Tab:\ta\tb",
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings",
    b"X-HTTP-Method-Override: DELETE", b"X-Original-URL: /smuggled", b"Forwarded: host=other",
    b"Content-Type: application/json", b"Max-Forwards: 0", b"Range: bytes=0-1", b"If-Match: *",
)  # fmt: skip
ODD_FIELDS: Final = (
    b"X: a\r\n b", b"X: a\rb", b"X: a\nb", b"X: a\x00b", b"X : b", b": b", b"X", b"X\x80: b",
    b"X(: b", b" X: b", b"X: \x7f", b"X: \x1b[0m", b"X: " + b"v" * 70_000,
    b"\r\n".join([b"X: y"] * 201), b"=: y", b"Connection: close\r\nConnection: keep-alive",
    b"Connection: clo\x00se", b"Expect: 200-maybe", b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: \xff", b"X:\x0by", b"Proxy-Connection: close", b"X: " + b"v" * 9_000,
    b"\r\n".join([b"X%d: y" % n for n in range(150)]), b'"X": y', b"X: y\r\n\t",
    b"Upgrade: websocket, h2c\r\nConnection: upgrade", b"Connection: transfer-encoding",
    b"\xef\xbb\xbfX: y", b"Expect: 100-continue, 100-continue", b"Host: h", b"Content-Length: 0",
    b"Trailer: Content-Length",
)  # fmt: skip
ODD_SIZES: Final = (
    b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x;", b'%x;a="b"', b"%x;a\rb", b"%x;a\nb", b"%x ;a",
    b"0%x", b"%x;a\x00", b"1000000000000000%x", b"%x\x0b", b"%x,", b"\r\n%x", b"%x;" + b"a" * 300,
    b"%x\xff", b"_%x", b"%x;GET " + PLACE + b"/smuggled HTTP/1.1", b"%x\t", b"0" * 16 + b"%x",
    b"%xg", b"1%x", b"", b"%x;\x80",
)  # fmt: skip
ODD_LAST_SIZES: Final = (b"0 ", b"0x0", b"", b"-0", b"0;\x00", b"0\x0b", b"0;\n")
ODD_TRAILERS: Final = (
    b"T: v\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"T: v\n",
    b"T: v\r\n w\r\n", b"Host: x\r\n", b"T : v\r\n", b"T: " + b"v" * 9_000 + b"\r\n", b"\n", b"\r",
    b"T\r\n", b"T: a\x00b\r\n", b"GET " + PLACE + b"/smuggled HTTP/1.1\r\n",
    b"X: GET /smuggled HTTP/1.1\r\n", b"Trailer: T\r\n",
)  # fmt: skip
SPLINTERS: Final = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"\xff", b"0", b"chunked", b"\r\n\r\n",
    b"\x0b", b",",
)  # fmt: skip


class Writer:
    """Draws the parts of requests, as many of them odd as there are faults."""

    def __init__(self, draw: st.DrawFn, faults: int) -> None:
        self.draw = draw
        self._faults = faults

    def faulty(self, one_in: int) -> bool:
        """Decide whether this part is odd, and if so, that there is one fault less to come."""
        odd = self._faults > 0 and self.draw(st.integers(1, one_in)) == one_in
        self._faults -= odd
        return odd

    def any_of(self, options: Sequence[bytes]) -> bytes:
        """Draw one."""
        return self.draw(st.sampled_from(options))

    def mostly(self, usual: Sequence[bytes], odd: Sequence[bytes], one_in: int = 8) -> bytes:
        """Draw a usual one, or an odd one where this part is faulty."""
        return self.any_of(odd if self.faulty(one_in) else usual)

    def line_end(self) -> bytes:
        """Draw the end of a line."""
        return self.mostly((b"\r\n",), ODD_LINE_ENDS, 40)

    def request(self) -> bytes:
        """Draw a request."""
        lines = [self.mostly(HOSTS, ODD_HOSTS)]
        count = self.draw(st.integers(0, 3))
        lines += [self.mostly(FIELDS, ODD_FIELDS, 4) for _ in range(count)]
        framing, body = self._framing()
        lines = [line for line in [*lines, *framing] if line]
        head = b"".join(line + self.line_end() for line in self.draw(st.permutations(lines)))
        return self._request_line() + head + self.line_end() + body

    def _request_line(self) -> bytes:
        method = self.mostly(METHODS, ODD_METHODS)
        target = self.mostly(TARGETS, ODD_TARGETS, 5)
        version = self.mostly((b"HTTP/1.1",), ODD_VERSIONS, 15)
        spaces = [self.mostly((b" ",), ODD_SPACES, 30) for _ in range(2)]
        return method + spaces[0] + target + spaces[1] + version + self.line_end()

    def _framing(self) -> tuple[list[bytes], bytes]:
        kind = self.draw(st.sampled_from(("none", "length", "chunked", "chunked")))
        if self.faulty(6):
            kind = self.draw(st.sampled_from(("both", "both", "twice")))
        if kind == "none":
            return [], b""
        if kind in {"length", "twice"}:
            body = self.any_of(BODIES)
            return [self._length(len(body)) for _ in range(1 + (kind == "twice"))], body
        body = self.chunked()
        if kind == "chunked":
            return [self._coding()], body
        body += self.any_of((b"", SMUGGLED))
        size = self.draw(st.sampled_from((0, 4, len(body))))
        return [self._length(size), self._coding()], body

    def _length(self, size: int) -> bytes:
        name = self.mostly(LENGTH_NAMES[:3], LENGTH_NAMES[3:])
        return name + self.mostly((b"%d",), ODD_LENGTHS, 4).replace(b"%d", b"%d" % size)

    def _coding(self) -> bytes:
        return self.mostly(CODING_NAMES[:3], CODING_NAMES[3:]) + self.mostly(
            CODINGS, ODD_CODINGS, 4
        )

    def chunked(self) -> bytes:
        parts = []
        for data in self.draw(st.lists(st.sampled_from(BODIES[1:]), max_size=3)):
            size = self.mostly((b"%x", b"%X", b"0%x", b"%x;e=1"), ODD_SIZES, 5)
            stated = len(data) + (self.draw(st.sampled_from((-1, 1, 2))) if self.faulty(20) else 0)
            line = size.replace(b"%x", b"%x" % stated).replace(b"%X", b"%X" % stated)
            parts += [line, self.line_end(), data, self.line_end()]
        last = self.mostly((b"0", b"000", b"0;end"), ODD_LAST_SIZES, 15)
        trailers = self.mostly((b"", b"", b"T: v\r\n"), ODD_TRAILERS, 5)
        end = self.mostly((b"\r\n",), (b"\n", b"", b"\r\r", b"X\r\n"), 15)
        return b"".join([*parts, last, self.line_end(), trailers, end])


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Draw what a client sends: a few requests, perhaps with bytes changed or cut at the end."""
    writer = Writer(draw, draw(st.sampled_from((0, 0, 1, 1, 1, 2, 3))))
    requests = [writer.request() for _ in range(draw(st.sampled_from((1, 1, 2, 3))))]
    raw = writer.mostly((b"", b"\r\n"), (b"\r\n\r\n", b"\n", b" ", b"\x00")) + b"".join(requests)
    if writer.faulty(2):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + writer.any_of(SPLINTERS) + raw[at + draw(st.integers(0, 3)) :]
    if draw(st.integers(1, 12)) == 12:
        raw = raw[: draw(st.integers(1, len(raw)))]
    return raw
