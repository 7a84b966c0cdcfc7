"""The gaps between the arrivals of one request, and what each of them weighs in tokens."""

from array import array
from collections.abc import Sequence
from typing import Final

from inferometer.stream.tokens import spread

GAPS_MAX: Final = 4096
"""Gaps kept for each request (16 KiB); later ones are heard once and not kept."""

_SECOND_NS: Final = 1_000_000_000
_UNSIGNED_MAX: Final = (1 << 32) - 1


class Gaps:
    """Collects gaps; a slot is the place of a kept gap, -1 stands for one that is not kept."""

    __slots__ = ("_events", "_longest_ns", "_tokens", "dropped", "seconds", "stall_ns", "stalls")

    def __init__(self, *, stall_ns: int) -> None:
        """Start without gaps; those of at least `stall_ns` are counted as `stalls`."""
        self.seconds: array[float] = array("f")
        self.dropped = 0  # beyond GAPS_MAX
        self.stalls = 0
        self.stall_ns = stall_ns
        self._longest_ns = -1
        # Output events and tokens of the arrival that ends each gap. Most streams bring one event
        # without tokens each time, so both stay None until one says something else.
        self._events: array[int] | None = None
        self._tokens: array[int] | None = None

    def add(self, gap_ns: int, tokens: int | None) -> int:
        """Add a gap that an event of `tokens` ended; return its slot."""
        self._longest_ns = max(self._longest_ns, gap_ns)
        if gap_ns >= self.stall_ns:
            self.stalls += 1
        slot = len(self.seconds)
        if slot >= GAPS_MAX:
            self.dropped += 1
            return -1
        self.seconds.append(gap_ns / _SECOND_NS)
        if self._events is not None:
            self._events.append(1)
        if self._tokens is not None:
            self._tokens.append(min(tokens or 0, _UNSIGNED_MAX))
        elif tokens is not None:
            self._tokens = array("I", bytes(4 * slot))
            self._tokens.append(min(tokens, _UNSIGNED_MAX))
        return slot

    @property
    def room(self) -> int:
        """How many more gaps are kept."""
        return GAPS_MAX - len(self.seconds)

    def advance(self, added: int, longest_ns: int) -> int:
        """Take note of gaps that were added to `seconds`, none of them a stall; return the slot.

        One event without tokens ended each of them.
        """
        self._longest_ns = max(self._longest_ns, longest_ns)
        if self._events is not None:
            self._events.extend([1] * added)
        if self._tokens is not None:
            self._tokens.extend([0] * added)
        return len(self.seconds) - 1

    def amend(self, slot: int, tokens: int | None) -> None:
        """Add one more output event to the arrival that ended the gap in `slot`."""
        if slot < 0:
            return
        if self._events is None:
            self._events = array("I", [1]) * len(self.seconds)
        self._events[slot] += 1
        if tokens is not None:
            if self._tokens is None:
                self._tokens = array("I", bytes(4 * len(self.seconds)))
            self._tokens[slot] = min(self._tokens[slot] + tokens, _UNSIGNED_MAX)

    @property
    def longest_s(self) -> float | None:
        """The longest gap, also of those not kept; None without any."""
        return None if self._longest_ns < 0 else self._longest_ns / _SECOND_NS

    def exact(self, tokens_per_event: int | None) -> Sequence[int]:
        """Return the tokens that were told; `tokens_per_event` stands where none were."""
        if tokens_per_event == 1:
            return self._each()
        if tokens_per_event is not None:
            return array("I", (tokens_per_event * n for n in self._each()))
        return array("I") if self._tokens is None else self._tokens

    def uniform(self, total: int, events: int) -> Sequence[int]:
        """Return `total` tokens spread over the gaps; `events` counts all outputs of the answer."""
        each = self._each()
        return spread(total, each, rest=events - sum(each))

    def _each(self) -> Sequence[int]:
        return array("I", [1]) * len(self.seconds) if self._events is None else self._events
