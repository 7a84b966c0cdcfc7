"""The records of the catalogue: a metric, its labels with their bounds, and ladders of buckets.

No metric is declared here and nothing is counted here: see `catalog` and `build`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

Source = Literal["sidecar", "gpu", "dcgm", "web", "process", "ledger", "rules"]
"""Who exports a series: the sidecar, the GPU exporter (in its own names, and in DCGM's), the admin
port, the operating system, the ledger of error budgets, or recording rules in Prometheus."""

Unit = Literal["seconds", "tokens", "bytes", "ratio", ""]

EXTRA_EDGES_MAX: Final = 8
"""Declared limits that one ladder takes in: every edge costs a series per child, for good."""

SAME_EDGE: Final = 1e-9
"""Edges nearer than this are one: 0.1 + 0.2 and 0.3 are the same limit."""


class Ladder(NamedTuple):
    """Upper bucket edges in ascending order, without the +Inf that every histogram ends with."""

    name: str
    edges: tuple[float, ...]


class Label(NamedTuple):
    """A label and how many values it can ever take.

    `values` is the closed set. `open_max` more may come from outside, after cleaning and counting
    (model names), or from the user's own documents (SLO names).
    """

    name: str
    values: tuple[str, ...] = ()
    open_max: int = 0

    @property
    def bound(self) -> int:
        """Return the largest number of values this label can take."""
        return len(self.values) + self.open_max


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric as it is declared: what a scrape, a panel, a rule and a docs page agree on.

    `help` says what is counted and what is not. `domains` are the labels in the order in which
    their values are given to `build`. `ladder` is there for histograms only.
    """

    name: str
    kind: Kind
    help: str
    domains: tuple[Label, ...] = ()
    ladder: Ladder | None = None
    unit: Unit = ""
    source: Source = "sidecar"

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the names of the labels."""
        return tuple(domain.name for domain in self.domains)

    @property
    def counts_in_series_max(self) -> bool:
        """Return whether its series are held to the bound that hostile clients run into.

        Series named by the user's own SLO documents are not: the documents bound them.
        """
        return not {"slo", "document"} & set(self.labels)


def edges(ladder: Ladder, extra: Iterable[float] = ()) -> tuple[float, ...]:
    """Return the ladder's edges with the declared limits among them, so that buckets tell them.

    Limits in the ladder's unit; one that is an edge already costs nothing. Raises ValueError for
    more than `EXTRA_EDGES_MAX` new ones and for limits that are not positive finite numbers.
    """
    merged = list(ladder.edges)
    for limit in sorted(extra):
        if not (isfinite(limit) and limit > 0):
            message = f"a bucket edge must be a positive number, got {limit!r}"
            raise ValueError(message)
        if not any(abs(limit - edge) <= SAME_EDGE for edge in merged):
            merged.append(limit)
    new = len(merged) - len(ladder.edges)
    if new > EXTRA_EDGES_MAX:
        message = f"{new} limits are no edges of {ladder.name}, at most {EXTRA_EDGES_MAX} can be"
        raise ValueError(message)
    return tuple(sorted(merged))
