"""Rules of cutting bytes into frames; the oracle reads a whole body the slow and obvious way."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.events import Skipped
from inferometer.stream.split import (
    FRAME_BYTES_MAX,
    Frame,
    Frames,
    LineSplitter,
    Splitter,
    SseSplitter,
)

GRAMMAR = (
    b"\xef\xbb\xbf: comment\n"
    b"event: one\r\ndata: a\r\ndata:b\r\n\r\n"
    b"data\rdata:  two spaces\r\r"
    b"id: 7\nretry: 10\n\n"
    b"event: lost\n\n"
    b"data: \xe4\xbd\xa0\xe5\xa5\xbd\n\n\n"
    b": ping\n\n"
    b'error: {"code":500}\n\n'
    b"data: [DONE]\n\n"
)
EVENTS: Frames = [
    Frame(b"one", b"a\nb"),
    Frame(b"", b"\n two spaces"),
    Frame(b"", "你好".encode()),
    Frame(b"error", b'{"code":500}'),
    Frame(b"", b"[DONE]"),
]


def frames(splitter: Splitter, *pieces: bytes, clean: bool = True) -> Frames:
    """Feed all pieces and close."""
    found = [frame for piece in pieces for frame in splitter.feed(piece)]
    return [*found, *splitter.close(clean=clean)]


def whole_events(body: bytes) -> Frames:
    """Read a whole event stream as the specification's text says."""
    found: Frames = []
    name, data, errors = b"", list[bytes](), list[bytes]()
    for line in [*re.split(b"\r\n|\n|\r", body.removeprefix(b"\xef\xbb\xbf")), b""]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            found += [Frame(name, b"\n".join(data))] if data else []
            found += [Frame(b"error", error) for error in errors]
            name, data, errors = b"", [], []
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"error":
            errors.append(value)
    return found


def test_the_grammar_of_event_streams_is_read_in_full() -> None:
    assert frames(SseSplitter(), GRAMMAR) == EVENTS


@pytest.mark.req("DC-04")
@pytest.mark.parametrize("at", range(len(GRAMMAR)))
def test_cutting_an_event_stream_at_any_offset_changes_nothing(at: int) -> None:
    assert frames(SseSplitter(), GRAMMAR[:at], GRAMMAR[at:]) == EVENTS


def test_single_bytes_make_the_same_events() -> None:
    assert frames(SseSplitter(), *(GRAMMAR[i : i + 1] for i in range(len(GRAMMAR)))) == EVENTS


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\n", b"\r", b"\r\n", b"data:", b"data: ", b"event: ", b":", b"error:", b"\n\n"]
        ),
        st.binary(max_size=6),
    ),
    max_size=30,
)


@given(PIECES)
def test_any_bytes_in_any_pieces_read_as_the_oracle_reads_them(pieces: list[bytes]) -> None:
    assert frames(SseSplitter(), *pieces) == whole_events(b"".join(pieces))


@given(
    st.lists(
        st.sampled_from(
            [b"data: a\n\n", b"data: b", b"\n", b"\n\n", b"x: y\n\n", b"data: a\rdata: b\n\n"]
        )
    )
)
def test_the_usual_case_is_no_other_case(pieces: list[bytes]) -> None:
    assert frames(SseSplitter(), *pieces) == whole_events(b"".join(pieces))


def test_several_events_in_one_read_are_several_frames() -> None:
    found = SseSplitter().feed(b"data: 1\n\ndata: 2\n\ndata: 3")
    assert found == [Frame(b"", b"1"), Frame(b"", b"2")]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_event_without_its_blank_line_counts_at_a_clean_end_only(end: bytes) -> None:
    assert frames(SseSplitter(), b"data: x" + end, clean=True) == [Frame(b"", b"x")]
    assert frames(SseSplitter(), b"data: x" + end, clean=False) == []


def test_a_blank_line_ends_an_event_even_if_it_is_a_bare_carriage_return() -> None:
    splitter = SseSplitter()
    assert splitter.feed(b"data: x\r\r") == [Frame(b"", b"x")]
    assert not splitter.idle  # a line feed may still belong to the last one
    assert splitter.feed(b"\ndata: y\n\n") == [Frame(b"", b"y")]
    assert splitter.idle


def test_a_byte_order_mark_counts_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert frames(SseSplitter(), mark + b"data: 1\n\n", mark + b"data: 2\n\n") == [Frame(b"", b"1")]
    assert frames(SseSplitter(), mark[:2]) == []


def test_an_event_of_exactly_the_limit_is_read() -> None:
    data = b"x" * (FRAME_BYTES_MAX - len(b"data: "))
    for warm in (b"", b"data: w\n\n"):
        found = frames(SseSplitter(), warm, b"data: " + data + b"\n\n")
        assert found[-1] == Frame(b"", data)


LARGE = b"data: " + b"x" * (FRAME_BYTES_MAX - 5)


@pytest.mark.parametrize(
    "pieces",
    [
        (LARGE + b"\n\ndata: next\n\n",),
        (LARGE, b"\n\ndata: next\n\n"),
        (LARGE[:-9], LARGE[-9:] + b"xx", b"x", b"\n", b"\ndata: next\n\n"),
        (b"data: w\n\n", LARGE + b"\n\n", b"data: next\n\n"),
        (b"data: a\n" * 150_000, b"data: still it\n", b"\n", b"data: next\n\n"),
        (b"data: a\n" * 149_796 + LARGE[:40], b"\r\n\r\ndata: next\n\n"),
    ],
)
def test_a_larger_event_is_skipped_once_and_the_next_one_is_read(pieces: tuple[bytes, ...]) -> None:
    found = [frame for frame in frames(SseSplitter(), *pieces) if frame != Frame(b"", b"w")]
    assert found == [Skipped("too_large"), Frame(b"", b"next")]


def test_what_a_splitter_holds_is_bounded() -> None:
    splitter, lines = SseSplitter(), LineSplitter()
    for _ in range(40):
        splitter.feed(b"x" * (100 << 10))
        lines.feed(b"x" * (100 << 10))
    assert len(splitter._line) <= 1
    assert len(lines._line) == 0


def test_a_loss_voids_the_event_it_may_have_cut_and_no_later_one() -> None:
    splitter = SseSplitter()
    splitter.feed(b"data: begun")
    splitter.lost()
    assert splitter.feed(b"rest\n\ndata: 2\n\n") == [Frame(b"", b"2")]
    splitter.lost()
    assert splitter.feed(b"\ndata: 3\n\n") == []  # the line end may have ended a line or an event
    assert splitter.feed(b"data: 4\n\n") == [Frame(b"", b"4")]


LINES = b'\xef\xbb\xbf{"a":1}\n\n{"b":"\xe4\xbd\xa0"}\r\n \t\n{"c":3}'
TEXTS: Frames = [Frame(b"", b'{"a":1}'), Frame(b"", '{"b":"你"}'.encode()), Frame(b"", b'{"c":3}')]


@pytest.mark.parametrize("at", range(len(LINES)))
def test_cutting_lines_at_any_offset_changes_nothing(at: int) -> None:
    assert frames(LineSplitter(), LINES[:at], LINES[at:]) == TEXTS


@given(st.lists(st.one_of(st.just(b"\n"), st.binary(max_size=4))))
def test_lines_of_any_bytes_do_not_depend_on_the_cuts(pieces: list[bytes]) -> None:
    assert frames(LineSplitter(), *pieces) == frames(LineSplitter(), b"".join(pieces))


def test_a_last_line_without_its_end_counts_at_a_clean_end_only() -> None:
    assert frames(LineSplitter(), b"{}\n{", clean=False) == [Frame(b"", b"{}")]
    assert frames(LineSplitter(), b"{}\n{") == [Frame(b"", b"{}"), Frame(b"", b"{")]


@pytest.mark.parametrize("cut", [1, FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1])
def test_a_larger_line_is_skipped_once_and_the_next_one_is_read(cut: int) -> None:
    line = b"x" * (FRAME_BYTES_MAX + 1) + b"\nnext\n"
    for pieces in ((line,), (line[:cut], line[cut:])):
        assert frames(LineSplitter(), *pieces) == [Skipped("too_large"), Frame(b"", b"next")]


def test_a_loss_voids_the_line_it_may_have_cut() -> None:
    splitter = LineSplitter()
    splitter.feed(b"begun")
    splitter.lost()
    assert not splitter.idle
    assert splitter.feed(b"rest\nnext\n") == [Frame(b"", b"next")]
    assert splitter.idle


@pytest.mark.parametrize("make", [SseSplitter, LineSplitter])
def test_closing_twice_brings_nothing_twice(make: Callable[[], Splitter]) -> None:
    splitter = make()
    splitter.feed(b"data: x")
    assert len(splitter.close(clean=True)) == 1
    assert splitter.close(clean=True) == []
