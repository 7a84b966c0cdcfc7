"""Every call into a vendor's library, timed: how often, how long, how it ended, what is under way.

A `Meter` belongs to one sampler thread, which alone writes it. The heartbeat thread reads it
without a lock: what it sees is at most one call behind, and each number only ever grows.

The governor lives here, too: a call that is slow as a rule is made less often. p90 over 60 calls
is above a limit exactly when at least 7 of the 60 are, so the last 60 outcomes fit in the bits of
one integer, and 7 slow ones among fewer calls settle the matter early.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, TypeVar

from inferometer.gpu.quantities import Tier
from inferometer.gpu.sample import CallStats

T = TypeVar("T")

EDGES_S: Final = (0.00002, 0.0001, 0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0)
"""Upper bounds of the histogram; the governor's two limits are among them."""

NAMES_MAX: Final = 96
"""Calls told apart; further names count as `OTHER`."""
RESULTS_MAX: Final = 24
"""Results told apart for each call."""
OTHER: Final = "other"

SLOW_NS: Final = 2_000_000
"""A call with a p90 above this moves to the slow tier."""
OFF_NS: Final = 50_000_000
"""A call with a p90 above this is not made for `REST_NS`."""
REST_NS: Final = 600 * 10**9
"""After this long a demoted call gets a new chance."""
WINDOW_CALLS: Final = 60
_OVER_CALLS: Final = WINDOW_CALLS - WINDOW_CALLS * 9 // 10 + 1
_WINDOW_MASK: Final = (1 << WINDOW_CALLS) - 1

LOAD_MAX: Final = 0.020
"""Seconds in calls for each device and second that we mean to stay below."""

Pace = Literal["", "slow", "off"]


class _Call:
    """What is known of the calls of one name; written by one thread."""

    __slots__ = ("buckets", "declared", "ns", "over_off", "over_slow", "pace", "results", "until")

    def __init__(self) -> None:
        self.results: dict[str, int] = {}
        self.buckets = [0] * (len(EDGES_S) + 1)
        self.ns = 0
        self.declared: Tier | None = None
        self.over_slow = 0  # one bit a call, the latest lowest: did it take longer than SLOW_NS?
        self.over_off = 0
        self.pace: Pace = ""
        self.until = 0  # CLOCK_MONOTONIC; no meaning while `pace` is ""

    def count(self, result: str, took_ns: int) -> None:
        """Add one call to the numbers."""
        key = result if result in self.results or len(self.results) < RESULTS_MAX else OTHER
        self.results[key] = self.results.get(key, 0) + 1
        self.buckets[bisect_left(EDGES_S, took_ns / 1e9)] += 1
        self.ns += took_ns

    def judge(self, took_ns: int, now_ns: int) -> None:
        """Demote the call if it has become too slow; only calls that ask `due` are governed."""
        if self.declared is None:
            return
        if self.pace == "off":  # its one trial after the rest
            self._move("off" if took_ns > OFF_NS else "slow", now_ns)
            return
        self.over_slow = (self.over_slow << 1 | (took_ns > SLOW_NS)) & _WINDOW_MASK
        self.over_off = (self.over_off << 1 | (took_ns > OFF_NS)) & _WINDOW_MASK
        if self.over_off.bit_count() >= _OVER_CALLS:
            self._move("off", now_ns)
        elif (
            self.over_slow.bit_count() >= _OVER_CALLS
            and self.declared != "slow"
            and self.pace != "slow"
        ):
            self._move("slow", now_ns)

    def due(self, tier: Tier, now_ns: int) -> bool:
        """Say whether this tier is the one that the call is made in for now."""
        if self.pace == "slow" and now_ns >= self.until:
            self._move("", now_ns)
        if self.pace == "off":
            return tier == "slow" and now_ns >= self.until
        return tier == ("slow" if self.pace == "slow" else self.declared)

    def _move(self, pace: Pace, now_ns: int) -> None:
        demoted_in_vain = pace == "slow" and self.declared == "slow"
        self.pace = "" if demoted_in_vain else pace
        self.until = now_ns + REST_NS
        self.over_slow = self.over_off = 0


def _ok(_: object) -> str:
    return "ok"


class Meter:
    """The `Calls` of one device, or of a backend's own calls."""

    def __init__(self, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Start with no calls. `clock_ns` is CLOCK_MONOTONIC, since the server reads starts."""
        self._clock_ns = clock_ns
        self._calls: dict[str, _Call] = {}
        self.in_flight: tuple[str, int] | None = None
        """Name and start of the call that is under way; replaced whole, so read at any time."""

    def due(self, name: str, declared: Tier, tier: Tier) -> bool:
        """Return whether the call is to be made in this tier, as the governor has it."""
        call = self._call(name)
        call.declared = declared
        return call.due(tier, self._clock_ns())

    def run(self, name: str, call: Callable[[], T], *, result: Callable[[T], str] = _ok) -> T:
        """Make the call and return what it returns.

        An exception passes through and counts as its type's name.
        """
        started_ns = self._clock_ns()
        self.in_flight = (name, started_ns)
        outcome = OTHER
        try:
            returned = call()
            outcome = result(returned)
        except BaseException as error:
            outcome = type(error).__name__
            raise
        else:
            return returned
        finally:
            ended_ns = self._clock_ns()
            self.in_flight = None
            entry = self._call(name)
            entry.count(outcome, ended_ns - started_ns)
            entry.judge(ended_ns - started_ns, ended_ns)

    def stats(self) -> dict[str, CallStats]:
        """Return the numbers so far."""
        return {
            name: CallStats(dict(call.results), tuple(call.buckets), call.ns / 1e9)
            for name, call in list(self._calls.items())
            if call.ns or call.results
        }

    def demoted(self) -> dict[str, str]:
        """Return the calls that are made less often than declared: "slow" or "off"."""
        return {name: call.pace for name, call in list(self._calls.items()) if call.pace}

    @property
    def spent_s(self) -> float:
        """How long all calls took together."""
        return sum(call.ns for call in list(self._calls.values())) / 1e9

    def _call(self, name: str) -> _Call:
        call = self._calls.get(name)
        if call is None:
            if len(self._calls) >= NAMES_MAX:
                name = OTHER
            call = self._calls.setdefault(name, _Call())
        return call


def merge(parts: Iterable[Mapping[str, CallStats]]) -> dict[str, CallStats]:
    """Return the sums of several meters' numbers, by call."""
    by_name: dict[str, list[CallStats]] = {}
    for part in parts:
        for name, stats in part.items():
            by_name.setdefault(name, []).append(stats)
    return {name: _sum(found) if len(found) > 1 else found[0] for name, found in by_name.items()}


def _sum(parts: Sequence[CallStats]) -> CallStats:
    results: dict[str, int] = {}
    for part in parts:
        for result, count in part.results.items():
            results[result] = results.get(result, 0) + count
    buckets = tuple(map(sum, zip(*(part.buckets for part in parts), strict=True)))
    return CallStats(results, buckets, sum(part.seconds for part in parts))


class Load:
    """How much of each second a device's calls take, over windows of a minute or so."""

    def __init__(self, *, window_s: float = 60.0) -> None:
        """Begin with the first `take`."""
        self._window_s = window_s
        self._since: tuple[float, float] | None = None

    def take(self, spent_s: float, now_s: float) -> float | None:
        """Note the running sum; returns seconds per second once a window has passed."""
        if self._since is None:
            self._since = (spent_s, now_s)
            return None
        spent_before_s, since_s = self._since
        if now_s - since_s < self._window_s:
            return None
        self._since = (spent_s, now_s)
        return (spent_s - spent_before_s) / (now_s - since_s)
