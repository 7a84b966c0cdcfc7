"""A stretch of a stream in which every read is one more token like the last.

Nearly all of measuring happens here, so it is one loop over bytes and moments. A read that does not
fit in every byte, or whose gap is more than a gap, ends the stretch and is read as ever; so a
stretch changes no result.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from inferometer.metrics.cells import Histogram
from inferometer.stream.template import TEXT, Template, is_utf8
from inferometer.stream.timeline import Run

SECOND_NS: Final = 1_000_000_000


class Stretch:
    """Takes reads that fit a template into a run of a timeline, and their gaps into a cell."""

    __slots__ = ("_cell", "_limit_ns", "_run", "template")

    def __init__(self, template: Template, run: Run, cell: Histogram, *, limit_ns: int) -> None:
        """Expect reads like those that `template` was made of; longer gaps end the stretch."""
        self.template = template
        self._run = run
        self._cell = cell
        self._limit_ns = min(limit_ns, run.limit_ns)

    def take(self, entries: Sequence[tuple[object, int, object]], place: int) -> int:
        """Take reads from `place` on, as many as fit; return the place of the first that does not.

        An entry is whose it is, a moment in nanoseconds, and bytes that were read then, or
        something else. The cell is added to directly: its bounds hold, as a gap is neither
        negative nor infinite.
        """
        before, after = self.template.raw_before, self.template.raw_after
        start, size, is_text = len(before), len(after), TEXT.fullmatch
        counts, edges = self._cell.counts, self._cell.edges
        run, limit_ns = self._run, self._limit_ns
        keep, last_ns = run.seconds.append, run.last_ns
        total_s, longest_ns, first = 0.0, 0, place
        for _, moment_ns, data in entries[place : place + run.room]:
            gap_ns = moment_ns - last_ns
            if not (
                type(data) is bytes
                and 0 < gap_ns <= limit_ns
                and data.startswith(before)
                and data.endswith(after)
                and is_text(data, start, len(data) - size)
                and (data.isascii() or is_utf8(data[start : len(data) - size]))
            ):
                break
            last_ns = moment_ns
            gap_s = gap_ns / SECOND_NS
            keep(gap_s)
            counts[bisect_left(edges, gap_s)] += 1
            total_s += gap_s
            longest_ns = max(longest_ns, gap_ns)
            place += 1
        if place > first:
            self._cell.sum += total_s
            run.advance(place - first, last_ns, longest_ns)
        return place
