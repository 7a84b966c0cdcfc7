"""What a Prometheus holds for the ledger, as a sum that can be told for any time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from inferometer.slo.budget import Counts
from inferometer.slo.ledger.book import Key
from inferometer.slo.ledger.ledger import Span

NOW_S: Final = int(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp())
STEP_S: Final = 600


@dataclass
class Held:
    """What a Prometheus holds: a request every 10 minutes since a moment, bad ones among them."""

    since_s: int
    now: int = NOW_S
    bad_s: range = range(0)
    queries: int = 0
    until_s: int | None = None

    def now_s(self) -> float:
        return float(self.now)

    def counts(self, span: Span, keys: Sequence[Key]) -> Mapping[Key, Counts]:
        self.queries += 1
        end_s = min(span.end_s, self.now if self.until_s is None else self.until_s)
        found = self.truth(max(span.start_s, self.since_s), end_s)
        return dict.fromkeys(keys, found) if found.covered_s else {}

    def truth(self, start_s: int, end_s: int) -> Counts:
        """Return what came from a moment to before another."""
        moments = range(-(-start_s // STEP_S) * STEP_S, end_s, STEP_S)
        bad = sum(at in self.bad_s for at in moments)
        return Counts(Decimal(len(moments)), Decimal(bad), 60 * len(moments))
