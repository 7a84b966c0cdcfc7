"""Rules of silences inside a stream: from when on they are gaps, and up to when a stream ran."""

import pytest

from inferometer.sidecar.silence import Silence, hangs, ran_until
from inferometer.stream.dialect import Call
from inferometer.stream.events import Ended, Failed, Finished, Output
from inferometer.stream.timeline import Timeline
from support.marks import MS

CALL = Call("openai_chat", "chat", "m", "true")
LAST_MS = 100


def streaming(*, stall_s: float = 1.0) -> Timeline:
    timeline = Timeline(CALL, t0_ns=0, stall_s=stall_s)
    timeline.take(LAST_MS * MS, Output("text"))
    return timeline


@pytest.mark.parametrize(("now_ms", "since_ms"), [(1099, None), (1100, LAST_MS), (5000, LAST_MS)])
def test_a_silence_is_a_gap_once_it_is_as_long_as_a_stall(
    now_ms: int, since_ms: int | None
) -> None:
    silence = Silence()
    since_ns = silence.take(streaming(), now_ms * MS)
    assert since_ns == (None if since_ms is None else since_ms * MS)
    assert silence.longest_ns == (0 if since_ms is None else (now_ms - since_ms) * MS)


def test_a_shorter_limit_of_stalls_makes_shorter_silences_gaps() -> None:
    assert Silence().take(streaming(stall_s=0.2), 300 * MS) == LAST_MS * MS


def test_the_longest_silence_stays() -> None:
    silence, timeline = Silence(), streaming()
    silence.take(timeline, 3100 * MS)
    timeline.take(3200 * MS, Output("text"))
    silence.take(timeline, 4300 * MS)
    assert silence.longest_ns == 3000 * MS


def test_a_silence_of_a_client_that_does_not_read_is_its_own() -> None:
    silence = Silence()
    silence.stalled(LAST_MS * MS + 1)
    assert silence.take(streaming(), 5000 * MS) is None
    silence.stalled(LAST_MS * MS)
    assert silence.take(streaming(), 5000 * MS) == LAST_MS * MS


def test_before_the_first_output_and_after_the_last_choice_nothing_hangs() -> None:
    waiting = Timeline(CALL, t0_ns=0)
    assert not hangs(waiting, 9000 * MS)
    assert Silence().take(waiting, 9000 * MS) is None
    finished = streaming()
    finished.take(150 * MS, Finished("stop", 0))
    assert not hangs(finished, 9000 * MS)


def test_a_request_without_output_runs_on() -> None:
    assert ran_until(None, 9000 * MS) == 9000 * MS
    assert ran_until(Timeline(CALL, t0_ns=0), 9000 * MS) == 9000 * MS


def test_a_stream_ran_until_its_last_output_as_far_as_is_known_and_a_hang_runs_on() -> None:
    timeline = streaming()
    assert ran_until(timeline, 1099 * MS) == LAST_MS * MS
    assert ran_until(timeline, 1100 * MS) == 1100 * MS
    assert ran_until(timeline, 90 * MS) == 90 * MS


def test_what_follows_the_last_choice_moves_no_end() -> None:
    timeline = streaming()
    timeline.take(150 * MS, Finished("stop", 0))
    assert ran_until(timeline, 9000 * MS) == LAST_MS * MS
    timeline.take(8000 * MS, Ended())
    assert ran_until(timeline, 9000 * MS) == LAST_MS * MS


def test_an_end_without_output_is_when_it_was_told() -> None:
    for event in (Finished("stop", 0), Ended(), Failed()):
        timeline = Timeline(CALL, t0_ns=0)
        timeline.take(70 * MS, event)
        assert ran_until(timeline, 9000 * MS) == 70 * MS
        assert ran_until(timeline, 60 * MS) == 60 * MS


def test_a_failure_is_the_end_however_early_the_last_output_was() -> None:
    timeline = streaming()
    timeline.take(400 * MS, Failed())
    assert ran_until(timeline, 9000 * MS) == 400 * MS
