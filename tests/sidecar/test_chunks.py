import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.sidecar.chunks import (
    SIZE_LINE_BYTES_MAX,
    TRAILER_BYTES_MAX,
    ChunkWalker,
    CloseWalker,
    LengthWalker,
    walker,
)
from inferometer.sidecar.heads import CHUNKED, NO_BODY, UNTIL_CLOSE, Framing, Refused


def feed(body: bytes, cuts: list[int]) -> tuple[bytes, bytes, ChunkWalker]:
    walk = ChunkWalker()
    raw = payload = b""
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        part_raw, part_payload = walk.feed(body[start:end])
        raw += part_raw
        payload += part_payload
        if walk.done:
            walk.rest += body[end:]
            break
    return raw, payload, walk


CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
EXTENSIONS = st.sampled_from([b"", b";a", b';a="x y"', b";a=1;b"])
TRAILERS = st.sampled_from([b"", b"X-Sum: 1\r\n", b"a:b\r\nc: \xff\r\n"])


@pytest.mark.req("PF-02")
@pytest.mark.req("DC-04")
@given(CHUNKS, EXTENSIONS, TRAILERS, st.binary(max_size=9), st.lists(st.integers(0, 999)))
def test_valid_bytes_pass_as_they_came_however_they_are_cut(
    chunks: list[bytes], extension: bytes, trailers: bytes, rest: bytes, cuts: list[int]
) -> None:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(c), extension, c) for c in chunks)
    body += b"0" + extension + b"\r\n" + trailers + b"\r\n"
    raw, payload, walk = feed(body + rest, cuts)
    assert walk.done
    assert raw == body
    assert payload == b"".join(chunks)
    assert walk.rest == rest


@pytest.mark.req("PF-02")
@pytest.mark.parametrize(
    "bad",
    [
        b"x\r\n",
        b"0x3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"3_0\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\rabc\r\n",
        b"3;a\x00\r\nabc\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"\r\n3\r\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n",
        b"3\r\nabc\rX",
        b"-1\r\n",
        b"1" * 16 + b"\r\n",
        b"3;" + b"e" * SIZE_LINE_BYTES_MAX,
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\nContent-Length: 3\r\n\r\n",
        b"0\r\nX: 1\r\nHost: b\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nX: \n\r\n\r\n",
        b"0\r\nX: " + b"x" * TRAILER_BYTES_MAX + b"\r\n\r\n",
        b"0\r\nX: " + b"x" * (TRAILER_BYTES_MAX + 8),
    ],
)
def test_an_invalid_chunk_is_refused_and_nothing_of_it_passes(bad: bytes) -> None:
    for step in (1, len(bad)):
        walk = ChunkWalker()
        good = b"2\r\nok\r\n"
        passed: list[bytes] = [walk.feed(good)[0]]
        with pytest.raises(Refused):
            passed.extend(walk.feed(bad[at : at + step])[0] for at in range(0, len(bad), step))
        assert passed[0] == good
        assert re.fullmatch(rb"(3\r\nabc\r?)?", b"".join(passed[1:]))


@given(st.binary(max_size=80))
def test_no_bytes_make_the_walker_fail_in_another_way(data: bytes) -> None:
    walk = ChunkWalker()
    try:
        raw, payload = walk.feed(data)
    except Refused:
        return
    assert data.startswith(raw)
    assert len(payload) <= len(raw)


def test_the_end_of_a_body_is_never_guessed_from_its_last_bytes() -> None:
    walk = ChunkWalker()
    assert walk.feed(b"5\r\n0\r\n\r\n\r\n")[1] == b"0\r\n\r\n"
    assert not walk.done


def test_a_body_of_a_stated_length_ends_there() -> None:
    walk = LengthWalker(5)
    assert walk.feed(b"ab") == (b"ab", b"ab")
    assert not walk.done
    assert walk.feed(b"cdeGET") == (b"cde", b"cde")
    assert walk.done
    assert walk.rest == b"GET"


def test_each_framing_has_its_walker() -> None:
    assert walker(NO_BODY) is None
    assert isinstance(walker(CHUNKED), ChunkWalker)
    assert isinstance(walker(UNTIL_CLOSE), CloseWalker)
    exact = walker(Framing("length", 2))
    assert exact is not None
    assert exact.feed(b"ab") == (b"ab", b"ab")
    assert exact.done
    closing = CloseWalker()
    assert closing.feed(b"x") == (b"x", b"x")
    assert not closing.done


def test_a_read_as_long_as_the_last_is_walked_like_any_other() -> None:
    walk = ChunkWalker()
    for body in (b"abcdefghij", b"0123456789"):
        assert walk.feed(b"a\r\n" + body + b"\r\n")[1] == body
    assert walk.feed(b"9\r\n123456789\r\n0")[1] == b"123456789"  # as long, but another line
    assert walk.feed(b"\r\n\r\n")[0] == b"0\r\n\r\n"
    other = ChunkWalker()
    other.feed(b"4\r\nabcd\r\n")
    assert other.feed(b"4\r\nab")[1] == b"ab"
    assert other.feed(b"cd\r\n4\r\n")[1] == b"cd"
    assert other.feed(b"4\r\nx\r\n")[1] == b"4\r\nx"  # begins like a chunk, but stands in one
    with pytest.raises(Refused):
        ChunkWalker().feed(b"4\r\nabcde\r\n")


def test_the_longest_size_line_passes_however_it_is_cut() -> None:
    line = b"2;" + b"e" * (SIZE_LINE_BYTES_MAX - 4) + b"\r\n"
    body = line + b"ok\r\n0\r\n\r\n"
    for step in (1, 7, len(body)):
        walk = ChunkWalker()
        parts = [walk.feed(body[at : at + step])[1] for at in range(0, len(body), step)]
        assert b"".join(parts) == b"ok"
        assert walk.done
    with pytest.raises(Refused):
        ChunkWalker().feed(line.replace(b"e\r", b"ee\r"))
