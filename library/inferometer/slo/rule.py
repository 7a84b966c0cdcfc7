"""Rules as records: what Prometheus evaluates, before it is written in any format."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from inferometer.slo.promql import Expr

Severity = Literal["critical", "warning", "info"]
Pairs = tuple[tuple[str, str], ...]
"""Names and values in the order in which they are written."""

EVALUATION_S: Final = 60
"""Every group is evaluated once a minute: sums of 5-minute increases are divided by 5, which is
right at no other interval."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule: the series `record` gets the values of `expr`, with further labels."""

    record: str
    expr: Expr
    labels: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alerting rule.

    `for_s` is how long it must hold before it fires, `keep_firing_for_s` how long it goes on after
    it ended. `source` says where its numbers come from. Annotations are Go templates.
    """

    name: str
    expr: Expr
    severity: Severity
    source: str
    labels: Pairs = ()
    annotations: Pairs = ()
    for_s: int = 0
    keep_firing_for_s: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, every `interval_s`."""

    name: str
    rules: tuple[Rule | Alert, ...]
    interval_s: int = EVALUATION_S

    @property
    def recorded(self) -> Iterable[Rule]:
        """The recording rules."""
        return (rule for rule in self.rules if isinstance(rule, Rule))

    @property
    def alerts(self) -> Iterable[Alert]:
        """The alerting rules."""
        return (rule for rule in self.rules if isinstance(rule, Alert))
