"""The splitter of JSON lines: cuts change nothing, and blank lines are none."""

from fuzz.pieces import cut
from inferometer.stream.split import Frame, LineSplitter

WORDS = (b"\n", b"\r\n", b"\n\n", b"{}", b" ", b"\t", b"\xef\xbb\xbf")


def check(data: bytes) -> None:
    """Any pieces give the lines of the whole body."""
    body, pieces = cut(data)
    lines = [line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r") for line in body.split(b"\n")]
    expected = [Frame(b"", line) for line in lines if line]
    for parts in ([body], pieces):
        splitter = LineSplitter()
        found = [frame for part in parts for frame in splitter.feed(part)]
        assert not splitter.idle or found == expected
        assert [*found, *splitter.close(clean=True)] == expected
