"""The rule that how bytes were cut changes no figure, through decoder and timeline."""

import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.stream.decode import decoder
from inferometer.stream.dialect import Call
from inferometer.stream.summary import Summary
from inferometer.stream.timeline import Timeline

MS = 1_000_000
T0 = 1000 * MS
CALL = Call("openai_chat", "chat", "m", "true")


def body(texts: list[tuple[int, str]]) -> tuple[list[bytes], bytes]:
    """Return the chunks of a stream with usage, and its end."""
    chunks = [{"choices": [{"index": i, "delta": {"content": text}}]} for i, text in texts]
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3 * len(texts)}}
    lines = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in (*chunks, usage)]
    return lines[:-1], lines[-1] + b"data: [DONE]\n\n"


def measured(pieces: Iterable[tuple[int, bytes]]) -> Summary:
    decode = decoder(CALL, status=200, content_type=b"text/event-stream")
    timeline = Timeline(CALL, t0_ns=T0)
    for moment_ns, piece in pieces:
        timeline.byte(moment_ns)
        for event in decode.feed(piece):
            timeline.take(moment_ns, event)
    for event in decode.close(clean=True):
        timeline.take(timeline.last_byte_ns, event)
    return timeline.finish("success", T0 + 9000 * MS, answer=decode.answer)


@pytest.mark.req("DC-04")
@given(
    texts=st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3)), min_size=1, max_size=8),
    reads=st.lists(st.integers(1, 4), max_size=8),
    cuts=st.lists(st.integers(0, 10_000), max_size=10),
)
def test_cutting_the_bytes_elsewhere_at_the_same_moments_changes_nothing(
    texts: list[tuple[int, str]], reads: list[int], cuts: list[int]
) -> None:
    chunks, end = body(texts)
    timed, at = [], 0
    for read, n in enumerate(reads):
        timed.append((T0 + (read + 1) * 7 * MS, b"".join(chunks[at : at + n])))
        at += n
    timed.append((T0 + 500 * MS, b"".join(chunks[at:]) + end))
    timed = [(moment, data) for moment, data in timed if data]
    pieces = []
    for moment, data in timed:
        places = [0, *sorted({cut % len(data) for cut in cuts}), len(data)]
        pieces += [(moment, data[start:stop]) for start, stop in pairwise(places)]
    assert measured(pieces) == measured(timed)
