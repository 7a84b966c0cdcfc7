"""The classic shapes of request smuggling, written out from their families.

`refused()` are payloads that some pair of parsers reads in two ways: a front end that forwards one
lets a request through that it never saw. `carried()` are their harmless relatives, in which a
request stands where it is only data: they must pass, and nothing in them may run.
"""

import itertools
from collections.abc import Iterator
from typing import Final, NamedTuple

from differential.arena import PLACE

SMUGGLED: Final = b"GET " + PLACE + b"/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
LAST: Final = b"0\r\n\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked"
CONTROLS: Final = bytes([*range(0x09), *range(0x0B, 0x0D), *range(0x0E, 0x20), 0x7F])


class Payload(NamedTuple):
    """Bytes of a client, and the family they belong to."""

    family: str
    raw: bytes


def _post(*lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join((b"POST " + PLACE + b" " + version, b"Host: h", *lines, b"", b"")) + body


def _length(size: int) -> bytes:
    return b"Content-Length: %d" % size


def refused() -> Iterator[Payload]:
    """Return all payloads of which nothing may be forwarded, but for a whole first request."""
    families = {
        "CL.TE": _cl_te(),
        "TE.CL": _te_cl(),
        "TE.TE": _te_te(),
        "CL.CL": _cl_cl(),
        "length": _lengths(),
        "chunk size": _chunk_sizes(),
        "chunk end": _chunk_ends(),
        "trailer": _trailers(),
        "line end": _line_ends(),
        "request line": _request_lines(),
        "host": _hosts(),
        "upgrade": _upgrades(),
    }
    for family, payloads in families.items():
        for raw in dict.fromkeys(payloads):
            yield Payload(family, raw)
            # The same behind a request that is right, which is answered first.
            yield Payload(f"{family}, pipelined", _plain() + raw)


def _plain() -> bytes:
    return b"GET " + PLACE + b"/first HTTP/1.1\r\nHost: h\r\n\r\n"


def _cl_te() -> Iterator[bytes]:
    """The front end goes by the length, the back end by the chunks."""
    body = LAST + SMUGGLED
    for first, second in itertools.permutations((_length(len(body)), CHUNKED)):
        yield _post(first, second, body=body)
        yield _post(first, b"X: y", second, body=body)
        yield _post(first, second, b"Expect: 100-continue", body=body)
        yield _post(first, second, b"Connection: content-length", body=body)
        yield _post(first, second, b"Connection: transfer-encoding", body=body)
        yield _post(first, second, body=body, version=b"HTTP/1.0")


def _te_cl() -> Iterator[bytes]:
    """The front end goes by the chunks, the back end by the length."""
    body = b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + LAST
    for size in (0, 3, 4):
        for first, second in itertools.permutations((_length(size), CHUNKED)):
            yield _post(first, second, body=body)
            yield _post(first, b"X: y", second, body=body)


def _te_te() -> Iterator[bytes]:
    """Both know chunks, but one of them does not see these; without and with a length beside."""
    body = LAST + SMUGGLED
    for line in _obscured_codings():
        yield _post(line, body=body)
        yield _post(_length(len(body)), line, body=body)
        yield _post(line, _length(len(body)), body=body)


def _obscured_codings() -> Iterator[bytes]:
    for value in (
        b"xchunked", b"chunkedx", b"chunked, cow", b"cow, chunked", b"chunked,", b",chunked", b"",
        b"chunked, chunked", b"identity, chunked", b"identity", b"gzip, chunked", b"chunked;x",
        b'"chunked"', b"'chunked'", b"chunked chunked", b"chun\tked", b"c\xc4\xa7unked",
        b"\xffchunked", b"chunked\xa0", b"\xa0chunked", b"chunked\x85", b"=chunked", b"chunked=",
        b"chunked;q=0.5", b"chunked\r\nTransfer-Encoding: chunked",
        b"chunked\r\nTransfer-Encoding: identity", b"identity\r\nTransfer-Encoding: chunked",
        b"\r\n chunked", b"\r\n\tchunked", b"\n chunked", b"\n\tchunked", b"\rchunked",
        b"chunked\r", b"x\r\n chunked", b"chunked\r\n ",
    ):  # fmt: skip
        yield b"Transfer-Encoding: " + value
    for byte in CONTROLS:
        yield b"Transfer-Encoding: chunked%c" % byte
        yield b"Transfer-Encoding: %cchunked" % byte
        yield b"Transfer-Encoding%c: chunked" % byte
        yield b"%cTransfer-Encoding: chunked" % byte
    for name in (
        b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding",
        b"\tTransfer-Encoding", b"Transfer_Encoding", b"transfer_encoding", b"Transfer Encoding",
        b"Transfer-Encoding\x85", b"Transfer-Encoding\xa0", b"Transfer-Encoding\xc2\xa0",
        b"X: y\rTransfer-Encoding", b"X: y\nTransfer-Encoding", b"X: y\n\rTransfer-Encoding",
        b"X: y\r\n Transfer-Encoding", b"Transfer-Encoding\n ", b"Transfer-Encoding\r\n ",
        b"\nTransfer-Encoding", b'"Transfer-Encoding"',
    ):  # fmt: skip
        yield name + b": chunked"
    yield b"Transfer-Encoding chunked"
    yield b": chunked\r\nTransfer-Encoding"


def _cl_cl() -> Iterator[bytes]:
    """Two lengths, or one that is not a number to everybody."""
    size = len(SMUGGLED)
    for first, second in itertools.product((0, size), repeat=2):
        yield _post(_length(first), _length(second), body=SMUGGLED)
        yield _post(_length(first), b"content-length:%d" % second, body=SMUGGLED)
        yield _post(b"Content-Length: %d, %d" % (first, second), body=SMUGGLED)
        yield _post(b"Content-Length: %d,%d" % (first, second), body=SMUGGLED)
        yield _post(b"Content-Length: %d\r\n %d" % (first, second), body=SMUGGLED)
        yield _post(b"Content_Length: %d" % first, _length(second), body=SMUGGLED)
        yield _post(b"Content-Length : %d" % first, _length(second), body=SMUGGLED)
        yield _post(b"Content-Length\x00: %d" % first, _length(second), body=SMUGGLED)
        yield _post(b" Content-Length: %d" % first, _length(second), body=SMUGGLED)
        yield _post(b"X: y\nContent-Length: %d" % first, _length(second), body=SMUGGLED)
        yield _post(b"X: y\rContent-Length: %d" % first, _length(second), body=SMUGGLED)


def _lengths() -> Iterator[bytes]:
    digits = b"%d" % len(SMUGGLED)
    for value in (
        b"+" + digits, b"-" + digits, b"0x" + digits, b"0x%x" % len(SMUGGLED), digits + b".0", b"",
        digits + b"e0", digits + b" ,", b"," + digits, digits[:1] + b"_" + digits[1:],
        digits + b"h", digits[:1] + b" " + digits[1:], b'"' + digits + b'"', b"0o17", b"1e1",
        b"NaN", b"\xc2\xb2", b"18446744073709551616", b"9223372036854775808", b"4294967296" * 2,
        b"-1", b"+0", b"0x0", b"\xef\xbc\x91", b"\xd9\xa1", digits + b";", digits + b"\x00",
        b"\x00" + digits, b"0" * 19,
    ):  # fmt: skip
        yield _post(b"Content-Length: " + value, body=SMUGGLED)
    for byte in CONTROLS:
        yield _post(b"Content-Length: %b%c" % (digits, byte), body=SMUGGLED)
        yield _post(b"Content-Length: %c%b" % (byte, digits), body=SMUGGLED)


def _chunk_sizes() -> Iterator[bytes]:
    """A size, or an extension, that only one of two readers takes as it is meant."""
    for line in (
        b"0x5", b"+5", b"-5", b" 5", b"5 ", b"5\t", b"\t5", b"5\x0b", b"5_", b"0_5", b"5.", b"5,5",
        b"5h", b"5 ;x", b"5\n", b"5\r", b"5\n;x", b"5;x\ny", b"5;\n", b"5;x\ry", b"5;\r", b"5;\x00",
        b"5\x00", b"", b";x", b"1" + b"0" * 15 + b"5", b"f" * 16, b"f" * 15 + b"ff",
        b"0" * 15 + b"5", b"\xef\xbc\x95", b"5\xa0", b"5;\x7f", b"5;\x1b", b"0X5", b"5 5",
        b"5;x\r\r", b"\r\n5", b"\n5", b"ffffffff00000005", b"-0", b"+0", b"0x0", b"0_", b"0 ",
        b"0\n", b"0\r", b"0;\n", b"0;\x00", b"5;", b"5;;", b"5; x", b"5;x ", b"5;x=", b"5;=x",
        b"5;x = y", b"5;x y", b"5;\x80", b'5;x="y', b'5;x="y"z',
        b"5;GET " + PLACE + b"/smuggled HTTP/1.1", b"5;" + b"x" * 300, b'5;x="\\"', b'5;x=y"',
        b'5;"x"', b"0;",
    ):  # fmt: skip
        yield _post(CHUNKED, body=line + b"\r\nhello\r\n" + LAST + SMUGGLED)


def _chunk_ends() -> Iterator[bytes]:
    """Chunk data that ends elsewhere than its size says, or with another end."""
    for data in (
        b"5\r\nhello", b"5\r\nhello\n", b"5\r\nhello\r", b"5\r\nhelloX\r\n", b"5\r\nhell\r\n\r\n",
        b"5\r\nhello\r\n\r\n", b"5\r\nhelloXX", b"5\r\nhello\n\r", b"4\r\nhello\r\n", b"5\nhello\n",
        b"5\r\nhello\x00\r\n", b"5\rhello\r", b"5\r\n\r\nhello", b"2\r\nhello\r\n",
    ):  # fmt: skip
        yield _post(CHUNKED, body=data + LAST + SMUGGLED)
    for last in (
        b"0\n\n",
        b"0\r\r",
        b"0\r\n\n",
        b"0\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\n\r\r",
        b"0\r\r\n\r\n",
    ):
        yield _post(CHUNKED, body=b"5\r\nhello\r\n" + last + SMUGGLED)


def _trailers() -> Iterator[bytes]:
    """Fields behind a body that a merging reader takes for fields of the head."""
    for trailer in (
        b"Content-Length: %d" % len(SMUGGLED), CHUNKED, b"Host: other", b"Connection: close",
        b"Upgrade: websocket", b"Trailer: X", b"X : y", b" X: y", b"X: y\r\n z", b"X: y\x00",
        b"X: a\rb", b"X: a\nb", b"X", b": y", b"X\x80: y", b"GET /smuggled HTTP/1.1",
        b"content-length: 0", b"X: " + b"y" * 9_000, b"X(: y", b"X: y\n\nGET /smuggled HTTP/1.1",
    ):  # fmt: skip
        yield _post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n" + SMUGGLED)


def _line_ends() -> Iterator[bytes]:
    """Lines that end where only some readers end them."""
    whole = _post(_length(len(SMUGGLED)), body=b"")
    for end in (
        b"\n",
        b"\r",
        b"\n\r",
        b"\r\r\n",
        b"\x0b",
        b"\x85\n",
        b"\x00\r\n",
        b"\r\n ",
        b"\r\n\t",
    ):
        for line in (b"HTTP/1.1", b"Host: h"):
            yield whole.replace(line + b"\r\n", line + end) + SMUGGLED
    for fold in (b"\r\n ", b"\r\n\t", b"\n ", b"\r ", b"\r\n  \t"):
        yield _post(b"X: a" + fold + b"b", _length(len(SMUGGLED)), body=SMUGGLED)
        yield _post(b"X: a" + fold + b"Content-Length: 0", _length(len(SMUGGLED)), body=SMUGGLED)
    for injected in (
        b"a\rb",
        b"a\nb",
        b"a\x00b",
        b"a\x7fb",
        b"a\n\nGET /smuggled",
        b"a\r\rb",
        b"\x00",
    ):
        yield _post(b"X: " + injected, _length(len(SMUGGLED)), body=SMUGGLED)


def _request_lines() -> Iterator[bytes]:
    rest = b"\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED
    for line in (
        b"GET  %b HTTP/1.1", b"GET %b  HTTP/1.1", b"GET\t%b HTTP/1.1", b"GET %b\tHTTP/1.1",
        b" GET %b HTTP/1.1", b"GET %b HTTP/1.1 ", b"GET %b", b"GET %b HTTP/0.9", b"GET %b HTTP/1.2",
        b"GET %b HTTP/2.0", b"GET %b HTTP/11", b"GET %b http/1.1", b"GET %b HTTP/1.1\x00",
        b"GET %b HTTP/1.1 HTTP/1.1", b"GET %b HTTP/1.1\rX: y", b"GET %b\x00 HTTP/1.1",
        b"GET %b\x0b HTTP/1.1", b"GET %b\n HTTP/1.1", b"G\x00T %b HTTP/1.1", b"GE(T %b HTTP/1.1",
        b"\x00GET %b HTTP/1.1", b"\xef\xbb\xbfGET %b HTTP/1.1", b"GET http://other%b HTTP/1.1",
        b"GET http://h@other%b HTTP/1.1", b"GET http://other#h%b HTTP/1.1", b"GET other%b HTTP/1.1",
        b"GET @other%b HTTP/1.1", b"GET ftp://h%b HTTP/1.1", b"GET http:%b HTTP/1.1",
        b"CONNECT %b HTTP/1.1", b"PRI %b HTTP/1.1", b"PRI * HTTP/1.1", b"GET * HTTP/1.1",
        b"GET %b HTTP/1.1\nX: y", b"GET %b HTTP/1.1;X", b"%b", b"GET %b HTTP/1.1,HTTP/1.0",
        b"GET h%b HTTP/1.1", b"GET ?%b HTTP/1.1", b"GET \\%b HTTP/1.1",
    ):  # fmt: skip
        yield line.replace(b"%b", PLACE) + rest
    yield _post(CHUNKED, body=LAST + SMUGGLED, version=b"HTTP/1.0")


def _hosts() -> Iterator[bytes]:
    for lines in (
        b"", b"Host: h\r\nHost: h\r\n", b"Host: h\r\nHost: other\r\n", b"Host: h\r\nhost: h\r\n",
        b"Host:\r\n", b"Host: h other\r\n", b"Host: h, other\r\n", b"Host: u@h\r\n",
        b"Host: h/x\r\n", b"Host: h?x\r\n", b"Host: h:port\r\n", b"Host: h:80:80\r\n",
        b"Host: h\x00\r\n", b"Host : h\r\n", b" Host: h\r\n", b"Host: h\r\n other\r\n",
        b"Host: h\rHost: other\r\n", b"Host: h\nHost: other\r\n", b"Host: \xff\r\n",
        b"Host: [::1\r\n", b"Host: h#x\r\n", b"Host: h\\x\r\n", b"X: y\r\n Host: h\r\n",
        b"Host: http://h\r\n",
    ):  # fmt: skip
        yield (
            b"POST "
            + PLACE
            + b" HTTP/1.1\r\n"
            + lines
            + _length(len(SMUGGLED))
            + b"\r\n\r\n"
            + SMUGGLED
        )


def _upgrades() -> Iterator[bytes]:
    """A body behind a request to switch protocols: one side tunnels it, the other reads it."""
    switch = (b"Connection: Upgrade", b"Upgrade: websocket")
    yield _post(*switch, _length(len(SMUGGLED)), body=SMUGGLED)
    yield _post(*switch, CHUNKED, body=LAST + SMUGGLED)
    yield _post(
        b"Connection: keep-alive, upgrade", b"Upgrade: WebSocket", CHUNKED, body=LAST + SMUGGLED
    )


def carried() -> Iterator[Payload]:
    """Return payloads that mean one thing only: the smuggled request is data."""
    size = len(SMUGGLED)
    for method in (b"POST", b"GET", b"PUT", b"DELETE", b"OPTIONS", b"HEAD"):
        start = method + b" " + PLACE + b" HTTP/1.1\r\nHost: h\r\n"
        yield Payload("CL.0", start + b"Content-Length: %d\r\n\r\n" % size + SMUGGLED)
        yield Payload("TE.0", start + CHUNKED + b"\r\n\r\n%x\r\n%b\r\n" % (size, SMUGGLED) + LAST)
        yield Payload("0.CL", start + b"Content-Length: 0\r\n\r\n" + _plain())
    for line in (
        b"Content-Length: 00%d", b"content-length:%d", b"CONTENT-LENGTH: \t%d\t ",
        b"Content-Length: %d\r\nConnection: content-length",
        b"Content-Length: %d\r\nExpect: 100-continue",
        b"Content-Length: %d\r\nConnection: host, close",
        b"Content-Length: %d\r\nX-Transfer-Encoding: chunked", b"Content-Length: %d\r\nTE: chunked",
        b"Content-Length: %d\r\nUpgrade: h2c",
        b"Content-Length: %d\r\nX: Transfer-Encoding: chunked",
        b"Content-Length: %d\r\nTrailer: Host",
        b"Content-Length: %d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
    ):  # fmt: skip
        yield Payload("length", _post(line.replace(b"%d", b"%d" % size), body=SMUGGLED))
    data = b"%x\r\n%b\r\n" % (size, SMUGGLED)
    for coding in (
        b"Transfer-Encoding:chunked",
        b"TRANSFER-ENCODING: ChunKed",
        b"transfer-encoding: \tchunked ",
    ):
        yield Payload("coding", _post(coding, body=data + LAST))
    for chunk in (
        b'5;a="GET /smuggled HTTP/1.1"\r\nhello\r\n', b'5;a="\\";b";c=d\r\nhello\r\n',
        b"000000000000005\r\nhello\r\n", b"A\r\n0\r\n\r\nGET /\r\n", b"5;x=y;z\r\nhello\r\n",
        b"5;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9\r\nhello\r\n",
    ):  # fmt: skip
        yield Payload("chunk", _post(CHUNKED, body=chunk + LAST))
    for trailer in (
        b"X: GET /smuggled HTTP/1.1\r\n",
        b"A: b\r\nC:d\r\n",
        b"X-Content-Length: 9\r\n",
    ):
        yield Payload(
            "trailer", _post(CHUNKED, b"Trailer: X", body=data + b"0\r\n" + trailer + b"\r\n")
        )
