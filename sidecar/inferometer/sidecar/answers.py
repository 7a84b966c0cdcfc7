"""The few answers that the sidecar itself gives: refusals and failures, never content.

A body names what kind of failure it was, in the shape that OpenAI clients read, and the number of
the request; nothing of the request or of the upstream shows in it.
"""

from typing import Final

REASONS: Final = {
    400: b"Bad Request",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}
_RETRY: Final = {503: b"Retry-After: 1\r\n", 405: b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE\r\n"}


def answer(status: int, reason: str, *, number: int, head_only: bool = False) -> bytes:
    """Return a whole answer that ends its connection.

    `reason` is a constant of ours; `number` is what the log calls this request by.
    """
    body = (
        b'{"error":{"message":"%b","type":"inferometer_sidecar","code":%d},"request_id":"%d"}\n'
        % (reason.encode("ascii"), status, number)
    )
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b"
        b"Connection: close\r\n\r\n%b"
    ) % (
        status,
        REASONS[status],
        len(body),
        _RETRY.get(status, b""),
        b"" if head_only else body,
    )
