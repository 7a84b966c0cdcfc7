"""How many tokens there were, and how we know: the ladder of sources, and weights of gaps.

The best source that is available wins, separately for input and output: the server's final word,
its last running total before the stream broke, one event for each token, token ids in the chunks,
the number of chunks. What cannot be true is rejected and counted; unknown stays None, never zero.
"""

from array import array
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from inferometer.stream.events import Usage

UsageSource = Literal[
    "server", "server_cumulative", "events", "token_ids", "tokenizer", "chunks", "none"
]

Weights = Literal["exact", "uniform"]
"""Whether the tokens of each gap were told, or their total was spread over the output events."""

NO_RATE: Final[frozenset[UsageSource]] = frozenset({"chunks", "none"})
"""Sources from which no time per token may be derived."""


class Count(NamedTuple):
    """A number of tokens and its source; `tokens` is None exactly where `source` is `none`."""

    tokens: int | None
    source: UsageSource


UNKNOWN: Final = Count(None, "none")


class Stated:
    """What the server stated, merged by maximum for each field."""

    __slots__ = (
        "_cached",
        "_input",
        "_input_final",
        "_output",
        "_output_final",
        "_reasoning",
        "rejected",
    )

    def __init__(self) -> None:
        """Start with nothing stated."""
        self.rejected = 0  # statements that cannot be true
        self._input: int | None = None
        self._output: int | None = None
        self._cached: int | None = None
        self._reasoning: int | None = None
        self._input_final = self._output_final = False  # whether a final usage held them

    def take(self, usage: Usage) -> None:
        """Merge one usage. A final number below an earlier one is rejected: totals only grow."""
        given, made, cached, reasoning, final = usage
        if given is not None:
            if final and self._input is not None and given < self._input:
                self.rejected += 1
            else:
                self._input = given if self._input is None else max(given, self._input)
                self._input_final |= final
        if made is not None:
            if final and self._output is not None and made < self._output:
                self.rejected += 1
            else:
                self._output = made if self._output is None else max(made, self._output)
                self._output_final |= final
        if cached is not None:
            self._cached = max(cached, self._cached or 0)
        if reasoning is not None:
            self._reasoning = max(reasoning, self._reasoning or 0)

    def input(self, *, complete: bool) -> Count:
        """Return the input tokens; `complete` says that a running total cannot grow any more."""
        if self._input is None:
            return UNKNOWN
        final = complete or self._input_final
        return Count(self._input, "server" if final else "server_cumulative")

    def output(self, *, complete: bool, output_events: int) -> Count:
        """Return the output tokens as stated, if that can be true after `output_events` outputs.

        Output without a token is impossible. A running total below the number of events is stale:
        it was stated before they came (Anthropic's `message_start` states 1).
        """
        if self._output is None:
            return UNKNOWN
        if self._output_final:
            if self._output == 0 and output_events:
                self.rejected += 1
                return UNKNOWN
            return Count(self._output, "server")
        if self._output < output_events:
            return UNKNOWN
        return Count(self._output, "server" if complete else "server_cumulative")

    def cached(self, whole: Count) -> int | None:
        """Return the cached input tokens, a subset of `whole`."""
        return None if self._cached is None else self._subset(self._cached, whole)

    def reasoning(self, whole: Count) -> int | None:
        """Return the reasoning tokens, a subset of `whole`."""
        return None if self._reasoning is None else self._subset(self._reasoning, whole)

    def _subset(self, part: int, whole: Count) -> int | None:
        stated = whole.source in ("server", "server_cumulative")
        if stated and part > (whole.tokens or 0):
            self.rejected += 1
            return None
        return part


def spread(total: int, events: Sequence[int], *, rest: int) -> Sequence[int]:
    """Spread `total` tokens over gaps in proportion to their `events`, by largest remainder.

    `rest` is the number of events that end no gap (first arrivals, gaps not kept); they get their
    share too, so the result sums up to what the gaps brought. Equal remainders, which are the
    usual case, are rounded up at even distances, so that no part of a stream looks denser.
    """
    all_events = sum(events) + rest
    if not all_events:
        return array("I")
    weights = array("I", (total * n // all_events for n in events))
    remainders: dict[int, list[int]] = {}
    for place, n in enumerate((*events, rest)):
        remainders.setdefault(total * n % all_events, []).append(place)
    left = sum(remainder * len(places) for remainder, places in remainders.items()) // all_events
    for remainder in sorted(remainders, reverse=True):
        places = remainders[remainder]
        for place in places if left >= len(places) else _evenly(places, left):
            if place < len(weights):
                weights[place] += 1
        left -= min(left, len(places))
    return weights


def _evenly(places: Sequence[int], n: int) -> list[int]:
    """Return `n` of `places` at even distances."""
    return [places[(2 * i + 1) * len(places) // (2 * n)] for i in range(n)]
