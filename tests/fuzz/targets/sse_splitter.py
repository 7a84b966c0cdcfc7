"""The event-stream splitter: cuts change nothing, and a slow reader finds the same events."""

import re

from fuzz.pieces import cut
from inferometer.stream.split import Frame, SseSplitter

WORDS = (
    b"data: ", b"data:", b"event: ", b"id: 1\n", b"retry: 1\n", b": ping\n", b"error: ", b"\n\n",
    b"\r\n\r\n", b"\r\r", b"\r\n", b"\n", b"\r", b"\xef\xbb\xbf", b"[DONE]", b"data",
)  # fmt: skip


def check(data: bytes) -> None:
    """Any pieces give the events that the whole body has by the specification's text."""
    body, pieces = cut(data)
    expected = reference(body)
    for parts in ([body], pieces):
        splitter = SseSplitter()
        found = [frame for part in parts for frame in splitter.feed(part)]
        idle = splitter.idle
        assert [*found, *splitter.close(clean=True)] == expected
        if idle and body:
            assert found == expected, "idle, with an event held back"


def reference(body: bytes) -> list[Frame]:
    """Read a whole body line by line (WHATWG HTML, section 9.2.6; the end counts as blank)."""
    found: list[Frame] = []
    name, values, errors = b"", list[bytes](), list[bytes]()
    for line in [*re.split(b"\r\n|\n|\r", body.removeprefix(b"\xef\xbb\xbf")), b""]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if values:
                found.append(Frame(name, b"\n".join(values)))
            found += [Frame(b"error", error) for error in errors]
            name, values, errors = b"", [], []
        elif field == b"data":
            values.append(value)
        elif field == b"event":
            name = value
        elif field == b"error":
            errors.append(value)
    return found
