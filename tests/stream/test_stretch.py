from hypothesis import given
from hypothesis import strategies as st

from inferometer.metrics.cells import Histogram
from inferometer.stream.dialect import Call
from inferometer.stream.events import Finished, Output
from inferometer.stream.gaps import GAPS_MAX
from inferometer.stream.stretch import Stretch
from inferometer.stream.summary import Answer
from inferometer.stream.template import Template
from inferometer.stream.timeline import Timeline

MS = 1_000_000
CALL = Call("openai_chat", "chat", "m", "true")
TEMPLATE = Template(b"", b'{"content":"', b'"}', (Output(),))
EDGES = (0.01, 0.02, 0.05)
FAR = 1 << 62


def read(text: str) -> bytes:
    return f'data: {{"content":"{text}"}}\n\n'.encode()


def begun(*, stall_s: float = 1.0) -> Timeline:
    timeline = Timeline(CALL, t0_ns=0, stall_s=stall_s)
    for moment_ns in (5 * MS, 10 * MS):
        timeline.byte(moment_ns)
        timeline.take(moment_ns, Output())
    return timeline


def stretch(timeline: Timeline, cell: Histogram, limit_ns: int = FAR) -> Stretch:
    run = timeline.run(0)
    assert run is not None
    return Stretch(TEMPLATE, run, cell, limit_ns=limit_ns)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 15, 40, 300, 2000]), st.sampled_from(["a", "é", "\\n", '"'])
        ),
        max_size=8,
    )
)
def test_a_stretch_measures_what_reading_each_token_does(steps: list[tuple[int, str]]) -> None:
    reads, at_ms = [], 10
    for wait_ms, text in steps:
        at_ms += wait_ms
        reads.append((None, at_ms * MS, read(text)))
    cell, other = Histogram(EDGES), Histogram(EDGES)
    fast, slow = begun(), begun()
    taken = stretch(fast, cell, 250 * MS).take(reads, 0)
    for _, moment_ns, _ in reads[:taken]:
        slow.byte(moment_ns)
        arrival = slow.take(moment_ns, Output())
        assert arrival is not None
        assert arrival.gap_ns is not None
        other.add(arrival.gap_ns / 1e9)
    assert cell.counts == other.counts
    assert abs(cell.sum - other.sum) < 1e-9
    end_ns = at_ms * MS
    answer = Answer(streamed=True, terminated=True)
    assert fast.finish("success", end_ns, answer=answer) == slow.finish(
        "success", end_ns, answer=answer
    )
    if taken < len(reads):
        _, moment_ns, data = reads[taken]
        before_ns = reads[taken - 1][1] if taken else 10 * MS
        gap_ns = moment_ns - before_ns
        assert not 0 < gap_ns <= 250 * MS or not TEMPLATE.fits_read(data)


def test_what_is_no_read_ends_a_stretch() -> None:
    timeline, cell = begun(), Histogram(EDGES)
    entries = [(None, 20 * MS, read("a")), (None, 21 * MS, "a mark"), (None, 30 * MS, read("b"))]
    assert stretch(timeline, cell).take(entries, 0) == 1
    assert timeline.t_last_ns == 20 * MS


def test_a_stall_ends_a_stretch_whatever_the_limit() -> None:
    cell = Histogram(EDGES)
    reads = [(None, 20 * MS, read("a")), (None, 620 * MS, read("b"))]
    assert stretch(begun(stall_s=0.5), cell).take(reads, 0) == 1
    assert sum(cell.counts) == 1


def test_reads_before_the_place_are_left_alone() -> None:
    timeline, cell = begun(), Histogram(EDGES)
    entries = [(None, 1 * MS, b"other"), (None, 20 * MS, read("a")), (None, 30 * MS, b"other")]
    one = stretch(timeline, cell)
    assert one.take(entries, 1) == 2
    assert one.take(entries, 2) == 2
    assert timeline.t_last_ns == 20 * MS


def test_gaps_are_kept_up_to_their_bound_and_the_rest_is_read_as_ever() -> None:
    timeline, cell = begun(), Histogram(EDGES)
    one = stretch(timeline, cell)
    reads = [(None, (11 + n) * MS, read("a")) for n in range(GAPS_MAX + 5)]
    assert one.take(reads, 0) == GAPS_MAX - 1  # one gap was there before
    assert one.take(reads, GAPS_MAX - 1) == GAPS_MAX - 1
    assert len(timeline.gaps.seconds) == GAPS_MAX


def test_there_is_no_run_where_more_than_gaps_may_follow() -> None:
    assert Timeline(CALL, t0_ns=0).run(0) is None
    timeline = begun()
    assert timeline.run(1) is None
    timeline.stall(11 * MS, 12 * MS)
    assert timeline.run(0) is None
    timeline = begun()
    timeline.take(11 * MS, Finished("stop", 0))
    assert timeline.run(0) is None
    timeline = begun()
    timeline.dropped()
    assert timeline.run(0) is None
    reasoning = Timeline(CALL, t0_ns=0)
    reasoning.take(5 * MS, Output("reasoning"))
    assert reasoning.run(0) is None  # the first visible output is still to be timed


def test_an_arrival_after_a_stretch_still_joins_its_last_token() -> None:
    timeline, cell = begun(), Histogram(EDGES)
    one = stretch(timeline, cell)
    assert one.take([(None, 20 * MS, read("a"))], 0) == 1
    timeline.take(20 * MS, Output(tokens=3))
    assert stretch(timeline, cell).take([(None, 30 * MS, read("b"))], 0) == 1
    assert list(timeline.gaps.exact(None)) == [0, 3, 0]
    assert list(timeline.gaps.exact(1)) == [1, 2, 1]
