"""Cells: the numbers that a scrape reads. Adding to one costs a fraction of a microsecond.

A cell has one writing thread and any number of reading ones. Readers copy the list of buckets in
one step of the interpreter and derive the count from the copy, so that the buckets of a scrape
and its count always agree. Names and labels are not known here; a cell only carries the text of
its lines, ready for the numbers.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf
from typing import NamedTuple


class Exemplar(NamedTuple):
    """One request as an example of a sample: its trace, its span, the wall time in seconds."""

    trace_id: str
    span_id: str
    wall_s: float


class Shown(NamedTuple):
    """An exemplar with the value that it is an example of."""

    exemplar: Exemplar
    value: float


class Counter:
    """A number that only grows."""

    __slots__ = ("exemplar", "template", "value")

    def __init__(self, template: bytes = b"") -> None:
        """Start at 0; `template` is the text before the number."""
        self.template = template
        self.value: float = 0
        self.exemplar: Shown | None = None

    def add(self, n: float = 1, exemplar: Exemplar | None = None) -> None:
        """Add `n`. Raises ValueError if `n` is negative, infinite or not a number."""
        if not 0 <= n < inf:
            message = f"a counter cannot grow by {n!r}"
            raise ValueError(message)
        self.value += n
        if exemplar is not None:
            self.exemplar = Shown(exemplar, n)


class Gauge:
    """A number that is as it is now."""

    __slots__ = ("template", "value")

    def __init__(self, template: bytes = b"", value: float = 0) -> None:
        """Start at `value`; `template` is the text before the number."""
        self.template = template
        self.value = value

    def set(self, value: float) -> None:
        """Replace the number."""
        self.value = value

    def add(self, n: float = 1) -> None:
        """Add `n`, which may be negative."""
        self.value += n


class Histogram:
    """Counts of values by bucket, and their sum."""

    __slots__ = ("counts", "edges", "exemplars", "sum", "template")

    def __init__(self, edges: tuple[float, ...], template: bytes = b"") -> None:
        """Start empty. `edges` are the upper edges without +Inf, `template` the text of all lines.

        `counts` holds the samples of each bucket by itself; the last one is that of +Inf.
        """
        self.edges = edges
        self.template = template
        self.counts = [0] * (len(edges) + 1)
        self.sum: float = 0.0
        self.exemplars: list[Shown | None] | None = None

    def add(self, value: float, n: int = 1, exemplar: Exemplar | None = None) -> None:
        """Count `value` `n` times. A value equal to an edge lies below it, as `le` says.

        Raises ValueError if the value is negative, infinite or not a number: it would spoil the
        sum for good.
        """
        if not 0 <= value < inf:
            message = f"a histogram cannot count {value!r}"
            raise ValueError(message)
        index = bisect_left(self.edges, value)
        self.counts[index] += n
        self.sum += value * n
        if exemplar is not None:
            if self.exemplars is None:
                self.exemplars = [None] * len(self.counts)
            self.exemplars[index] = Shown(exemplar, value)

    def add_all(self, values: Sequence[float]) -> None:
        """Count each of `values` once: far quicker than one by one.

        Raises ValueError, and counts none, if one is negative, infinite or not a number.
        """
        total = sum(values)
        if not (min(values, default=0) >= 0 and total < inf):
            message = "a histogram cannot count values that are negative or not finite"
            raise ValueError(message)
        self.sum += total
        counts, edges = self.counts, self.edges
        ascending = sorted(values)
        below = 0
        for index, edge in enumerate(edges):
            upto = bisect_right(ascending, edge, below)
            counts[index] += upto - below
            below = upto
        counts[-1] += len(ascending) - below


Cell = Counter | Gauge | Histogram
