"""A shipped alert as it is declared: name, rules, limits with their defaults, sources, needs.

Rules compare with limits, which are series that a user may record, so that the text of a rule
never changes. What the alerts are stands in `requests`, `servers`, `addon` and `gpu_*`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from inferometer.slo.names import ANYTHING, Options
from inferometer.slo.promql import Expr, binary, call, number
from inferometer.slo.rule import Alert, Pairs, Severity
from inferometer.slo.thresholds import chosen

SIDECAR: Final = "the sidecar"
KUBE: Final = "kube-state-metrics"
GPU: Final = "`inferometer gpu-exporter`"
DCGM: Final = "`inferometer gpu-exporter` with the field in its `--fields` file, or dcgm-exporter"
SLO: Final = "an SLO document that was rendered"

FEW: Final = Decimal(10)
"""Events that a share needs to mean something: one failure of one request tells nobody."""
_HALF: Final = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A number that a user may set; `part` tells several of one alert apart."""

    alert: str
    default: Decimal
    unit: str
    meaning: str
    source: str
    part: str = ""

    @property
    def expr(self) -> Expr:
        """Return the number that counts, as one value without labels."""
        return chosen(self.alert, self.default, part=self.part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """One rule of an alert. Summary and description are Go templates.

    `variables` are the labels that its dashboard is opened with, where it has others.
    """

    severity: Severity
    expr: Expr
    summary: str
    description: str
    labels: Pairs = ()
    variables: tuple[str, ...] | None = None
    for_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """An alert with all of its rules.

    `means` is one sentence for people. `board` is the uid of a dashboard, `variables` the labels
    that it is opened with.
    """

    name: str
    means: str
    source: str
    needs: tuple[str, ...]
    board: str
    variables: tuple[str, ...]
    rules: tuple[Fires, ...]
    limits: tuple[Limit, ...] = ()

    def alerts(self, options: Options) -> Iterator[Alert]:
        """Yield the rules with their links, in the order in which they are declared."""
        for rule in self.rules:
            yield Alert(
                name=self.name,
                expr=rule.expr,
                severity=rule.severity,
                source=self.source,
                labels=rule.labels,
                annotations=(
                    ("summary", rule.summary),
                    ("description", rule.description),
                    ("runbook_url", f"{options.runbooks_url.rstrip('/')}/{self.name}.md"),
                    ("dashboard_url", self._link(rule, options)),
                ),
                for_s=rule.for_s,
            )

    def _link(self, rule: Fires, options: Options) -> str:
        variables = self.variables if rule.variables is None else rule.variables
        values = "&".join(
            f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in variables
        )
        return f"{options.dashboards_url.rstrip('/')}/d/{self.board}?{values}"


Declare = Callable[[Options], Declared]
"""What makes an alert for the choices of an installation."""


def above(value: Expr, limit: Limit, *, operator: str = ">") -> Expr:
    """Return the values that are beyond a limit."""
    return binary(value, operator, limit.expr, ANYTHING)


def enough(count: Expr) -> Expr:
    """Return the counts that are worth a look: half an event less, since `increase` guesses."""
    return binary(count, ">=", number(FEW - _HALF))


def recent(timestamp: Expr, limit: Limit) -> Expr:
    """Return how long ago something was, where it is not longer ago than the limit."""
    return binary(binary(call("time"), "-", timestamp), "<", limit.expr, ANYTHING)
