"""Silences inside a stream: from when on they are gaps, and what they say about its end.

A gap lies between two outputs. What a silence is that lasts, or that ends without output, nobody
knows at first: it may be nothing but the wait for the terminator. Once it is as long as a stall the
stream hangs, and what whoever reads has waited is a gap. So it is one in the longest gap of a
stream and in a verdict, in both or in neither, and whenever somebody looks.
"""

from inferometer.stream.timeline import State, Timeline


class Silence:
    """The silences of one stream that are gaps without an output at their end."""

    __slots__ = ("_stalled_until_ns", "longest_ns")

    def __init__(self) -> None:
        """Start before the first."""
        self.longest_ns = 0
        self._stalled_until_ns = 0

    def stalled(self, until_ns: int) -> None:
        """Take that the client did not read up to that moment: such a silence is its own."""
        self._stalled_until_ns = until_ns

    def take(self, timeline: Timeline, now_ns: int) -> int | None:
        """Take that a stream was silent up to `now_ns`; return since when if that is a gap."""
        last_ns = timeline.t_last_ns
        if last_ns is None or last_ns < self._stalled_until_ns or not hangs(timeline, now_ns):
            return None
        self.longest_ns = max(self.longest_ns, now_ns - last_ns)
        return last_ns


def hangs(timeline: Timeline, now_ns: int) -> bool:
    """Tell whether a stream with more to come is silent for as long as a stall."""
    last_ns = timeline.t_last_ns
    if last_ns is None or timeline.state is not State.STREAMING:
        return False
    return now_ns - last_ns >= timeline.gaps.stall_ns


def ran_until(timeline: Timeline | None, now_ns: int) -> int:
    """Return up to when a request is known to have run, at most `now_ns`.

    A stream ends with its last output, whenever its terminator comes. So that is all that is
    certain, unless there was none yet or it hangs.
    """
    if timeline is None or timeline.state is State.WAITING or hangs(timeline, now_ns):
        return now_ns
    seen = timeline.seen
    ends = (seen.failed_ns, timeline.t_last_ns, seen.ended_ns, seen.finished_ns)
    return min(now_ns, next((end_ns for end_ns in ends if end_ns is not None), now_ns))
