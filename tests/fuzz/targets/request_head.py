"""Request heads: refused with a status, or forwarded so that another parser reads the same."""

import h11

from fuzz.pieces import cut
from inferometer.sidecar.heads import Refused, RequestHead, find_end, parse_request

STATUSES = frozenset((400, 405, 414, 431, 501))
WORDS = (
    b"GET ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\nHost: h", b"\r\nContent-Length: 5",
    b"\r\nTransfer-Encoding: chunked", b"\r\nConnection: ", b"close", b"keep-alive",
    b"\r\nUpgrade: websocket", b"\r\nExpect: 100-continue", b"\r\nTE: trailers", b"http://h/",
    b"chunked", b", ", b" :", b"\r\n ", b"\x00", b"\x0b", b"\x80", b"[::1]", b"*", b"OPTIONS ",
)  # fmt: skip


def check(data: bytes) -> None:
    """The same answer wherever it is cut, and nothing forwarded that could be read otherwise."""
    body, pieces = cut(data)
    whole = _read([body])
    cut_up = _read(pieces)
    assert (whole is None) == (cut_up is None), "whether it is refused depends on the cuts"
    assert whole == cut_up or not isinstance(whole, RequestHead), "cuts change what is read"
    if isinstance(whole, RequestHead):
        _check_forwarded(whole)


def _read(pieces: list[bytes]) -> RequestHead | int | None:
    """Read as a connection does: RequestHead, a status, or None while it is incomplete."""
    held, seen = b"", 0
    try:
        for piece in pieces:
            held += piece
            end = find_end(held, seen)
            if end >= 0:
                return parse_request(held[:end])
            seen = len(held)
    except Refused as refused:
        if refused.status not in STATUSES:
            raise
        return refused.status
    return None


def _check_forwarded(head: RequestHead) -> None:
    forward = head.forward
    again = parse_request(forward)
    assert (again.method, again.target, again.framing) == (head.method, head.target, head.framing)
    assert again.forward == forward, "forwarding twice changes more than forwarding once"
    assert forward.count(b"\r\n\r\n") == 1
    assert forward.endswith(b"\r\n\r\n")
    if any(byte > 0x7E for byte in head.target):
        return  # legal for us, refused by h11
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    peer.receive_data(forward)
    try:
        event = peer.next_event()
    except h11.RemoteProtocolError:
        return  # stricter than we are is fine: it is no second meaning
    assert isinstance(event, h11.Request), event
    assert (event.method, event.target) == (head.method, head.target)
    kinds = {name for name, _ in event.headers} & {b"content-length", b"transfer-encoding"}
    expected = {"chunked": {b"transfer-encoding"}, "length": {b"content-length"}}
    if head.framing.kind == "none":
        length = dict(event.headers).get(b"content-length", b"0")
        assert int(length) == 0
        assert b"transfer-encoding" not in kinds
    else:
        assert kinds == expected[head.framing.kind]
