"""How far what a running sidecar reports is from what happened, sample by sample.

A histogram hides single samples, but its sum does not: after each request, the growth of the sum
is that request's value. The truth is the scripted server's own record. All moments are taken just
before a send: behind it, the interpreter may be with another thread of the test.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from support.pair import Pair, in_step, unique_case
from support.samples import Samples
from support.speakers import Speaker
from support.turns import Manner, Turn, truth

FIRST: Final = "gen_ai_server_time_to_first_token_seconds"
GAP: Final = "inferometer_inter_chunk_latency_seconds"
TOKENS: Final = "inferometer_tokens_total"
TURN: Final = Turn(words=("one", "two"))


class Sample(NamedTuple):
    """One value as it was and as it was reported, in seconds."""

    name: str
    true_s: float
    reported_s: float

    @property
    def error_s(self) -> float:
        """How much too large the report is."""
        return self.reported_s - self.true_s


@dataclass(frozen=True, slots=True)
class Spread:
    """Between which values waits are drawn, in seconds."""

    first_s: tuple[float, float] = (0.01, 0.08)
    gap_s: tuple[float, float] = (0.01, 0.06)


def measure(
    pair: Pair, speaker: Speaker, count: int, *, spread: Spread | None = None, seed: int = 0
) -> Iterator[Sample]:
    """Play `count` streams of two words; yield a first token and a gap for each."""
    draw = random.Random(seed)
    spread = spread or Spread()
    before = pair.sidecar.settle()
    for _ in range(count):
        case = unique_case()
        target = f"{speaker.target}?case={case}"
        first_s, gap_s = draw.uniform(*spread.first_s), draw.uniform(*spread.gap_s)
        steps = speaker.script(TURN, Manner(first_s=first_s, every_s=gap_s, in_step=True))
        with pair.sidecar.wire() as wire:
            sent_ns, answer = in_step(pair.server, wire, speaker.ask(TURN, case=case), steps)
        assert answer.end == "complete"
        after = _counted(pair, before)
        happened = truth(pair.exchange(target))
        assert happened.first_ns is not None
        (true_gap_s,) = happened.gaps_s()
        yield Sample(FIRST, (happened.first_ns - sent_ns) / 1e9, _growth(FIRST, before, after))
        yield Sample(GAP, true_gap_s, _growth(GAP, before, after))
        before = after


def _counted(pair: Pair, before: Samples) -> Samples:
    name = "inferometer_requests_total"
    return pair.sidecar.wait_samples(lambda s: s.total(name) == before.total(name) + 1)


def _growth(name: str, before: Samples, after: Samples) -> float:
    assert after.total(f"{name}_count") == before.total(f"{name}_count") + 1
    return after.total(f"{name}_sum") - before.total(f"{name}_sum")
