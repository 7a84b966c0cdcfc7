"""What a request weighs in a class with `weight: token`.

A good one weighs the tokens of its answer. A bad one weighs at least as much as a good one does on
average, or an outage, which answers nothing, would cost nothing. All in whole tokens.
"""

from inferometer.stream.summary import Summary
from inferometer.stream.tokens import NO_RATE


class Mean:
    """The mean output tokens of the good requests of one class so far; 0 before the first."""

    __slots__ = ("requests", "tokens")

    def __init__(self) -> None:
        """Start without requests."""
        self.requests = 0
        self.tokens = 0

    def take(self, tokens: int) -> None:
        """Take one more good request."""
        self.requests += 1
        self.tokens += tokens

    @property
    def value(self) -> int:
        """The mean, rounded to the nearest whole token."""
        return (2 * self.tokens + self.requests) // (2 * self.requests) if self.requests else 0


def known_tokens(summary: Summary) -> int | None:
    """Return the output tokens of an answer; None where they are unknown or only an estimate."""
    return None if summary.output_source in NO_RATE else summary.output_tokens


def of_bad(tokens: int | None, mean: int) -> int:
    """Return what a bad request weighs.

    `tokens` may be a lower bound, such as the number of chunks; None where nothing is known.
    """
    return max(tokens or 0, mean, 1)
