"""Counters of pods, minute by minute, as a scenario describes them and a scrape would see them.

What happened in minute k is seen by the sample at k minutes; sample 0 is before anything did. A
`Pod` knows what was asked of it and what became of it: restarts, scrapes that were lost, its end.
All numbers are whole, so sums are exact. What a number means to an SLO belongs into `scenarios`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Final, Literal, NamedTuple

Sample = int | Literal["_", "stale"]
"""A value, a scrape that was lost, or the last that is heard of a series."""

_NOTHING: Final = 0


class Flow(NamedTuple):
    """Good and bad requests in each of some minutes, and how many tokens one of them has."""

    minutes: int
    good: int
    bad: int
    tokens: int = 100


class Counted(NamedTuple):
    """What one pod counts in a minute."""

    good: int
    bad: int
    good_tokens: int
    bad_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod that is born with its counters at 0, does what its flows say, and may vanish.

    `born` and `restarts` are minutes: what is counted in a minute of a restart is counted from 0
    again. `lost` are samples that nobody has scraped. It is gone after its last flow if `vanishes`.
    """

    name: str
    flows: tuple[Flow, ...]
    born: int = 0
    restarts: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    vanishes: bool = False

    @property
    def minutes(self) -> int:
        """Return the last minute of which it counts anything."""
        return self.born + sum(flow.minutes for flow in self.flows)

    def counted(self) -> Iterator[Counted]:
        """Yield what it counts in minutes 1, 2, ..., nothing in those before its birth."""
        yield from [Counted(0, 0, 0, 0)] * self.born
        for minutes, good, bad, tokens in self.flows:
            yield from [Counted(good, bad, good * tokens, bad * tokens)] * minutes

    def samples(self, of: Sequence[int]) -> list[Sample]:
        """Return the samples of one of its counters, which counts `of` in minutes 1, 2, ..."""
        totals: list[int] = [_NOTHING]
        for minute, number in enumerate(of, start=1):
            before = _NOTHING if minute in self.restarts else totals[-1]
            totals.append(before + number)
        found: list[Sample] = [
            "_" if k < self.born or k in self.lost else total for k, total in enumerate(totals)
        ]
        return [*found, "stale"] if self.vanishes else found


def minute_by_minute(pods: Sequence[Pod], minutes: int) -> tuple[Counted, ...]:
    """Return what all pods count together in each of so many minutes."""
    sums = [[0] * (minutes + 1) for _ in Counted._fields]
    for pod in pods:
        start = pod.born
        for length, *parts in _of_each(pod):
            for part, number in zip(sums, parts, strict=True):
                if start < minutes:
                    part[start] += number
                    part[min(start + length, minutes)] -= number
            start += length
    running = [tuple(accumulate(part))[:minutes] for part in sums]
    return tuple(map(Counted._make, zip(*running, strict=True)))


def _of_each(pod: Pod) -> Iterator[tuple[int, int, int, int, int]]:
    for minutes, good, bad, tokens in pod.flows:
        yield minutes, good, bad, good * tokens, bad * tokens


def notation(samples: Sequence[Sample]) -> str:
    """Return samples as promtool writes them, a run of equal steps as `start+stepxcount`."""
    return " ".join(_runs(samples))


def _runs(samples: Sequence[Sample]) -> Iterator[str]:
    for is_number, group in groupby(samples, key=lambda one: isinstance(one, int)):
        run = list(group)
        if is_number:
            yield from _steps([one for one in run if isinstance(one, int)])
        else:
            yield from (str(one) if n == 1 else f"{one}x{n}" for one, n in _repeated(run))


def _repeated(run: Sequence[Sample]) -> Iterator[tuple[Sample, int]]:
    for one, group in groupby(run):
        yield one, len(list(group))


def _steps(values: Sequence[int]) -> Iterator[str]:
    start = 0
    while start < len(values):
        end = start + 1
        step = values[end] - values[start] if end < len(values) else 0
        while end < len(values) and values[end] - values[end - 1] == step:
            end += 1
        if end == start + 1:
            yield str(values[start])
        else:
            yield f"{values[start]}{step:+d}x{end - start - 1}"
        start = end
