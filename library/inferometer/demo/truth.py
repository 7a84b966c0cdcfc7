"""What the model server really did, kept apart from everything that measures it. Pure.

Exact counts, exact sums, and quantiles to one percent in bounded memory, however long it runs.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, exp, floor, log
from typing import Any, Final, Literal

from inferometer.demo import limits

End = Literal["success", "client_left", "rejected", "error", "stream_error", "aborted"]
"""How an answer ended, in the server's words."""

GROWTH: Final = 1.01
"""Each cell of a sketch is one percent wider than the one before."""

SMALLEST_S: Final = 1e-6
CELLS_MAX: Final = 2400
"""From one microsecond to more than six hours."""


class Sketch:
    """Durations with exact count and sum, and quantiles to one percent."""

    def __init__(self) -> None:
        """Start empty."""
        self.count = 0
        self.sum_s = 0.0
        self._cells: Counter[int] = Counter()

    def add(self, duration_s: float) -> None:
        """Take one duration."""
        self.count += 1
        self.sum_s += duration_s
        cell = floor(log(max(duration_s, SMALLEST_S) / SMALLEST_S) / log(GROWTH))
        self._cells[min(cell, CELLS_MAX - 1)] += 1

    def quantile(self, q: float) -> float | None:
        """Return the middle of the cell that holds the quantile, None if nothing was taken."""
        rank, seen = max(1, ceil(q * self.count)), 0
        for cell in sorted(self._cells):
            seen += self._cells[cell]
            if seen >= rank:
                return SMALLEST_S * exp((cell + 0.5) * log(GROWTH))
        return None

    def told(self) -> dict[str, float | None]:
        """Return it for the summary."""
        return {
            "count": self.count,
            "mean": self.sum_s / self.count if self.count else None,
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
        }


@dataclass(slots=True)
class Answer:
    """One answer while it is made: its moments in seconds of one clock."""

    start_s: float
    prompt_tokens: int
    token_moments_s: list[float] = field(default_factory=list)

    @property
    def gaps_s(self) -> list[float]:
        """Pauses between successive tokens."""
        return [after - before for before, after in pairwise(self.token_moments_s)]


class Truth:
    """All answers so far."""

    def __init__(self) -> None:
        """Start with nothing done."""
        self.ends: Counter[End] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.first_token = Sketch()
        self.gaps = Sketch()
        self.lateness = Sketch()
        self.input_tokens = 0
        self.output_tokens = 0

    def woke(self, late_s: float) -> None:
        """Note by how much the engine's timer was late: the error bar of everything here."""
        self.lateness.add(late_s)

    def first(self, answer: Answer) -> None:
        """Note a first token."""
        self.first_token.add(answer.token_moments_s[0] - answer.start_s)

    def end(self, answer: Answer, how: End, *, now_s: float) -> None:
        """Note the end of an answer. Gaps and tokens count where the client was told its usage."""
        self.ends[how] += 1
        self.verdicts[_verdict(answer, how, now_s)] += 1
        if how == "success":
            self.input_tokens += answer.prompt_tokens
            self.output_tokens += len(answer.token_moments_s)
            for gap_s in answer.gaps_s:
                self.gaps.add(gap_s)

    def told(self) -> Mapping[str, Any]:
        """Return everything as JSON values for the summary."""
        return {
            "ends": dict(self.ends),
            "verdicts": dict(self.verdicts),
            "first_token": self.first_token.told(),
            "gaps": self.gaps.told(),
            "lateness": self.lateness.told(),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


def _verdict(answer: Answer, how: End, now_s: float) -> str:
    """Judge an answer as the demo's SLO does; who left saw no fault unless a limit was broken."""
    gaps = answer.gaps_s
    first = answer.token_moments_s[0] if answer.token_moments_s else now_s
    late = first - answer.start_s > limits.TTFT_S
    silent = max(gaps, default=0.0) > limits.GAP_S
    if how == "client_left":
        still = answer.token_moments_s and now_s - answer.token_moments_s[-1] > limits.GAP_S
        return "bad" if late or silent or still else "excluded"
    slow = sum(gap > limits.ITL_S for gap in gaps) > (1 - limits.ITL_SHARE) * len(gaps)
    return "bad" if how != "success" or late or silent or slow else "good"
