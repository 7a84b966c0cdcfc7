"""Asking for usage: the body means what it meant, plus one member, or goes on as it came."""

import json

from inferometer.sidecar.heads import parse_request
from inferometer.sidecar.inject import ask, wanted

WORDS = (
    b'{"stream":true', b'"stream" : true', b'"Stream":true', b'"stream_options":null', b"}", b"{",
    b'"messages":[{"content":"\\"stream\\":true"}]', b",", b'"str\\u0065am":true', b"NaN", b"1e999",
)  # fmt: skip


def check(data: bytes) -> None:
    """The longer body parses to the old members and the new one, and the head states its length."""
    head = parse_request(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(data)
    )
    if not wanted(head):
        assert not data
        return
    asked = ask(head, data)
    if asked is None:
        return
    before, after = json.loads(data), json.loads(asked.body)
    assert before["stream"] is True
    assert after.pop("stream_options") == {"include_usage": True}
    assert repr(after) == repr(before)
    again = parse_request(asked.forward)
    assert again.framing.length == len(asked.body)
    assert again.target == head.target
