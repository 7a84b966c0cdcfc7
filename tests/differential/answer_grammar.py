"""Answers that are right but for a fault or two, as a broken or hostile server may write them."""

from typing import Final

from hypothesis import strategies as st

from differential.request_grammar import (
    CODING_NAMES,
    CODINGS,
    LENGTH_NAMES,
    ODD_CODINGS,
    ODD_LENGTHS,
    Writer,
)

ALIEN: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nALIEN"
"""The answer to nobody's request: whatever the server sends, no client may see it as one."""
BODIES: Final = (b"", b"abc", ALIEN, b"0\r\n\r\n" + ALIEN, b"\r\n\r\n", bytes(20))

STATUSES: Final = (
    b"200 OK",
    b"404 Not Found",
    b"500 ",
    b"201",
    b"204 No Content",
    b"304 Not Modified",
)
ODD_STATUSES: Final = (
    b"20 OK", b"2000 OK", b"abc", b"", b"099 X", b"600 X", b"200 O\x00K", b"200  OK", b"-200 OK",
    b"200\tOK", b"+20 OK", b"101 Switching Protocols", b"999 X", b"200 \xff", b"200 O\rK",
)  # fmt: skip
ODD_VERSIONS: Final = (
    b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2", b"http/1.1", b"HTTP/1.1 ", b"ICY", b"", b" HTTP/1.1",
    b"HTTP/0.9", b"\x00HTTP/1.1", b"HTTP/1.10",
)  # fmt: skip
FIELDS: Final = (
    b"Content-Type: text/plain", b"Set-Cookie: a=b\r\nSet-Cookie: c=d", b"X-High: \x80\xff",
    b"X-Empty:", b"Connection: keep-alive", b"Connection: close", b"Keep-Alive: timeout=5",
    b"Date: Thu, 01 Jan 1970 00:00:00 GMT", b"Connection: X-Hop\r\nX-Hop: 1", b"Trailer: T",
)  # fmt: skip
ODD_FIELDS: Final = (
    b"X: a\r\n b", b"X: a\rb", b"X: a\nb", b"X: a\x00b", b"X : b", b": b", b"X", b"X\x80: b",
    b" X: b", b"X: \x7f", b"X: a\nSet-Cookie: evil=1", b"X: " + b"v" * 70_000,
    b"Upgrade: websocket", b"\r\n".join([b"X: y"] * 201), b"Connection: content-length",
    b"Proxy-Connection: close", b"Content_Length: 3", b"Transfer_Encoding: chunked",
    b"Upgrade: h2c\r\nConnection: upgrade", b"Connection: transfer-encoding",
    b"X: \n\nHTTP/1.1 200 OK", b"Content-Length: 0", b"TE: x",
)  # fmt: skip
INTERIM: Final = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 \r\n\r\n")
ODD_INTERIM: Final = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"HTTP/1.1 199 X\r\n\r\n", b"\r\n",
    b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 100 C\n\n", b"\x00", ALIEN,
    b"HTTP/1.1 100 C\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 100 C\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
)  # fmt: skip
BEHIND: Final = (ALIEN, b"\r\n", b"\x00", ALIEN * 3, b"X")


class AnswerWriter(Writer):
    """Draws the parts of an answer."""

    def answer(self) -> bytes:
        """Draw the bytes that a server sends for one request before it closes the connection."""
        interim = self.mostly((b"", b"", b"", *INTERIM), ODD_INTERIM)
        line = self.mostly((b"HTTP/1.1",), ODD_VERSIONS, 15) + b" "
        line += self.mostly(STATUSES, ODD_STATUSES) + self.line_end()
        count = self.draw(st.integers(0, 2))
        lines = [self.mostly(FIELDS, ODD_FIELDS, 4) for _ in range(count)]
        framing, body = self._body()
        lines = [line for line in [*lines, *framing] if line]
        head = b"".join(line + self.line_end() for line in self.draw(st.permutations(lines)))
        behind = self.any_of(BEHIND) if self.faulty(4) else b""
        return interim + line + head + self.line_end() + body + behind

    def _body(self) -> tuple[list[bytes], bytes]:
        body = self.any_of(BODIES)
        kind = self.any_of((b"length", b"length", b"chunked", b"chunked", b"close"))
        if kind == b"close":
            return [], body
        if self.faulty(6):
            lines = [self._size_line(len(body)), self._size_line(self.draw(st.integers(0, 5)))]
            return [lines[0], self.any_of((lines[1], b"Transfer-Encoding: chunked"))], body
        if kind == b"length":
            return [self._size_line(len(body))], body
        name = self.mostly(CODING_NAMES[:3], CODING_NAMES[3:])
        return [name + self.mostly(CODINGS, ODD_CODINGS, 4)], self.chunked()

    def _size_line(self, size: int) -> bytes:
        wrong = self.draw(st.sampled_from((1, 3, -1))) if self.faulty(8) else 0
        value = self.mostly((b"%d",), ODD_LENGTHS, 6).replace(b"%d", b"%d" % max(0, size + wrong))
        return self.mostly(LENGTH_NAMES[:3], LENGTH_NAMES[3:]) + value


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw what a server sends before it closes."""
    writer = AnswerWriter(draw, draw(st.sampled_from((0, 0, 1, 1, 1, 2, 3))))
    raw = writer.answer()
    if draw(st.integers(1, 8)) == 8:
        raw = raw[: draw(st.integers(0, len(raw)))]
    return raw
