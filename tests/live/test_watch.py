import json
from collections.abc import Callable
from threading import Event
from typing import Any

from inferometer.errors import WorldError
from inferometer.live import reading
from inferometer.live.history import History
from inferometer.live.reading import Reading
from inferometer.live.watch import READINGS_MAX, Track, Watch, Windows, names
from support.sidecar import wait_until

WINDOWS = Windows(interval_s=1.0, window_s=3.0, slo_window_s=5.0)


def at(moment_s: float, count: float = 0.0, started_s: float = 1.0) -> Reading:
    return Reading(
        moment_s, {(reading.STARTED,): started_s}, {(reading.REQUESTS, "success"): count}
    )


class Source:
    """Gives readings as a function makes them."""

    def __init__(self, give: Callable[[], Reading]) -> None:
        self.give = give
        self.fetched = Event()
        self.closed = Event()

    def fetch(self) -> Reading:
        try:
            return self.give()
        finally:
            self.fetched.set()

    def close(self) -> None:
        self.closed.set()


def silent() -> Reading:
    message = "connection refused"
    raise WorldError(message)


def test_a_track_knows_nothing_before_its_first_reading() -> None:
    track = Track("a:1", WINDOWS)
    assert track.now(5.0) is None
    assert track.state.error == "not read yet"


def test_differences_reach_back_over_their_windows() -> None:
    track = Track("a:1", WINDOWS)
    for moment in range(1, 11):
        track.take(at(moment, count=moment * 10))
    present = track.now(10.5)
    assert present is not None
    material = present[1]
    assert material.tick is not None
    assert material.window is not None
    assert material.slo_window is not None
    assert [material.tick.seconds, material.window.seconds, material.slo_window.seconds] == [
        1,
        3,
        5,
    ]
    assert material.window.counters[(reading.REQUESTS, "success")] == 30


def test_one_reading_has_gauges_but_no_difference() -> None:
    track = Track("a:1", WINDOWS)
    track.take(at(1.0))
    present = track.now(1.5)
    assert present is not None
    assert present[1].window is None
    assert present[1].gauges == {(reading.STARTED,): 1.0}


def test_after_a_restart_the_past_is_forgotten() -> None:
    track = Track("a:1", WINDOWS)
    track.take(at(1.0, count=100))
    track.take(at(2.0, count=3, started_s=2.0))
    present = track.now(2.0)
    assert present is not None
    assert present[1].window is None


def test_a_sidecar_that_fails_or_is_silent_for_three_intervals_has_no_present() -> None:
    track = Track("a:1", WINDOWS)
    track.take(at(1.0))
    assert track.now(4.0) is not None
    assert track.now(4.1) is None
    track.fail("refused")
    assert track.now(1.5) is None
    assert track.state.error == "refused"
    track.take(at(2.0))
    assert track.state.error is None


def test_readings_are_bounded_whatever_the_windows_are() -> None:
    track = Track("a:1", Windows(1.0, 1e9, 1e9))
    for moment in range(READINGS_MAX + 10):
        track.take(at(float(moment + 1)))
    present = track.now(READINGS_MAX + 10.0)
    assert present is not None
    assert present[1].window is not None
    assert present[1].window.seconds == READINGS_MAX - 1


def test_a_tick_makes_a_point_of_each_sidecar_and_of_all_together() -> None:
    moments = iter(range(1, 1000))
    sources = {name: Source(lambda: at(float(next(moments)))) for name in ("a:1", "b:2")}
    history = History(names(2), points_max=5)
    watch = Watch(
        sources, windows=WINDOWS, history=history, clock_s=lambda: 1.0, wall_s=lambda: 12.5
    )
    assert watch.tick() == 1
    both = point_of(history, "all")
    assert (both["time_ms"], both["answering"], both["targets"]) == (12_500, 0, 2)
    assert point_of(history, "1")["targets"] == 1


def test_a_silent_sidecar_is_named_and_holds_up_nobody() -> None:
    good, bad = Source(lambda: at(1.0)), Source(silent)
    history = History(names(2), points_max=5)
    watch = Watch(
        {"good:1": good, "bad:2": bad},
        windows=Windows(0.01, 1.0, 1.0),
        history=history,
        clock_s=lambda: 1.0,
    )
    watch.start()
    try:
        assert good.fetched.wait(5)
        assert bad.fetched.wait(5)
        wait_until(lambda: watch.states()[1].error == "connection refused")
        wait_until(lambda: history.since("all", 0)[0] > 0)
        wait_until(lambda: point_of(history, "all")["answering"] == 1)
    finally:
        watch.stop()
    assert [state.name for state in watch.states()] == ["good:1", "bad:2"]
    assert watch.states()[0].error is None
    assert good.closed.is_set()
    assert bad.closed.is_set()


def point_of(history: History, source: str) -> dict[str, Any]:
    got: dict[str, Any] = json.loads(history.since(source, 0)[1][-1])
    return got
