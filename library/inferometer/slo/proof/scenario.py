"""What a scenario is: an SLO, what happens to its pods, and what is looked at. Data only."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from inferometer.slo.document import Slice
from inferometer.slo.proof.counters import Pod
from inferometer.slo.windows import DAY_S, Pair, Promise

RunName = Literal["pages", "quiet", "silence", "slow", "drain", "month"]
"""Scenarios of one name are evaluated by the same rules, for the same time."""
Must = Literal["fire", "silent", "end", ""]
"""What would be a fault otherwise; empty where the model alone says what is right."""

RETENTION_S: Final = 10 * DAY_S
"""What a common installation keeps."""
BURNS: Final = "LLMSLOBurn.*|LLMSLOBudgetDrain"
"""The alerts on burn rates, as a regular expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What alerting on an SLO depends on: SLOs that agree in it are proved once."""

    promise: Promise
    weight: str = "request"
    slice: Slice | None = None
    page: bool = True
    ticket: bool = True
    summed: bool = True
    """Whether rules sum up its window; else the budget is known to a ledger only."""
    kind: str = ""
    """How a foreign metric is counted; empty for our own counters."""

    def wants(self, pair: Pair) -> bool:
        """Tell whether the document wants the alert of a pair."""
        return self.page if pair.severity == "critical" else self.ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """An alert whose first or last minute of firing is asked for.

    `alert` is a regular expression; `pair` None means any alert on a burn rate, or another alert.
    """

    alert: str
    pair: Pair | None = None
    edge: Literal["first", "last"] = "first"
    must: Must = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A recorded number at some minute; `{}` in `query` stands for the matchers of the SLO.

    Compared in millionths, within a thousandth of `value` or `tolerance`. None must be absent.
    """

    what: str
    query: str
    minute: int
    value: Decimal | None
    tolerance: Decimal = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Something that happens to the pods behind an SLO, and what is looked at."""

    name: str
    title: str
    run: RunName
    pods: tuple[Pod, ...]
    watches: tuple[Watch, ...] = ()
    readings: tuple[Reading, ...] = ()
    start: int = 0
    """The minute after which things go wrong, from which times are told."""
    over: int = 0
    """The minute at which they are right again, from which the end of an alert is told."""
    covered: bool = False
    """Whether a ledger covers the whole window."""

    @property
    def minutes(self) -> int:
        """Return the last minute in which anything happens."""
        return max(pod.minutes for pod in self.pods)
