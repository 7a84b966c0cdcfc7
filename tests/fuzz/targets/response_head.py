"""Response heads: refused with 502, or passed on so that a client reads the same framing."""

import h11

from fuzz.pieces import choose
from inferometer.sidecar.heads import (
    CHUNKED,
    CHUNKED_LINE,
    Refused,
    ResponseHead,
    find_end,
    parse_response,
)

METHODS = (b"GET", b"HEAD", b"POST")
WORDS = (
    b"HTTP/1.1 ", b"HTTP/1.0 ", b"200 OK\r\n", b"204", b"304", b"101", b"100",
    b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked", b"\r\nConnection: close",
    b"\r\nKeep-Alive: timeout=5", b"\r\nUpgrade: websocket", b"\r\nTrailer: X", b"gzip, chunked",
    b", ", b" :", b"\r\n ", b"\x00", b"\x80",
)  # fmt: skip


def check(data: bytes) -> None:
    """What goes to the client says the same again, to us and to h11."""
    method, body = choose(data, METHODS)
    try:
        end = find_end(body)
        if end < 0:
            return
        head = parse_response(body[:end], method)
    except Refused as refused:
        if refused.status not in (400, 414, 431, 502):
            raise
        return
    sent = head.line + head.block + (CHUNKED_LINE if head.framing is CHUNKED else b"") + b"\r\n"
    again = parse_response(sent, method)
    assert (again.status, again.framing) == (head.status, head.framing)
    assert again.block == head.block
    _check_with_h11(head, sent, method)


def _check_with_h11(head: ResponseHead, sent: bytes, method: bytes) -> None:
    if head.status < 200:
        return
    peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    peer.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(sent + b"0\r\n\r\n")
    try:
        event = peer.next_event()
        then = peer.next_event()
    except h11.RemoteProtocolError:
        return  # stricter than we are is fine: it is no second meaning
    assert isinstance(event, h11.Response), event
    assert event.status_code == head.status
    ended = head.framing.kind in ("none", "chunked")
    assert isinstance(then, h11.EndOfMessage) == ended, (head.framing, then)
