"""Request heads of the admin port: a request or a refusal, and an answer that can be written."""

from inferometer.metrics.exposition import wants_openmetrics
from inferometer.web.heads import HeadError, Response, accepts_gzip, answer, read_head

WORDS = (
    b"GET /metrics HTTP/1.1", b"\r\nHost: h", b"\r\nAccept: application/openmetrics-text;q=0.5",
    b"\r\nAccept-Encoding: gzip;q=0", b"\r\nConnection: close", b"HTTP/1.0", b"HTTP/2.0", b"q=",
    b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked", b"http://h/", b"?", b"\r\n ", b"*",
)  # fmt: skip


def check(data: bytes) -> None:
    """Nothing but HeadError."""
    try:
        head = read_head(data)
    except HeadError as error:
        if error.status not in (400, 431, 505):
            raise
        return
    assert head.request.path
    assert not head.request.method.isspace()
    headers = head.request.headers
    assert isinstance(wants_openmetrics(headers.get("accept", "")), bool)
    assert isinstance(accepts_gzip(headers.get("accept-encoding", "")), bool)
    response = Response(200, "text/plain", b"x" * 2000)
    sent = b"".join(answer(head, response, date="Thu, 01 Jan 1970 00:00:00 GMT").pieces)
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" in sent
