"""The counters that verdicts end in: requests, and tokens where a class weighs by them.

Counters are never freed, and so is nothing here: all of it is bounded by the classes of the
documents that were ever in force.
"""

from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Final

from inferometer.errors import Problem
from inferometer.metrics.build import Registry
from inferometer.metrics.cells import Exemplar
from inferometer.metrics.verdicts import VERDICT_PAIRS
from inferometer.sidecar.instruments import VANTAGE
from inferometer.slo.document import Class
from inferometer.slo.names import counted
from inferometer.slo.verdict import Verdict
from inferometer.slo.weights import Mean, known_tokens, of_bad
from inferometer.stream.summary import Summary

CELLS_MAX: Final = 1024
"""Counters of verdicts that are remembered: a class has some twelve."""
_OTHER_WEIGHT: Final = "E06"


class Tally:
    """Counts what judges find."""

    def __init__(self, registry: Registry) -> None:
        """Start without a class."""
        self._registry = registry
        name = "inferometer_slo_requests_total"
        self.cells = lru_cache(CELLS_MAX)(partial(registry.counter, name, VANTAGE))
        """The counter of requests of a class and a verdict, by id, verdict and reason."""
        self._tokens = partial(registry.counter, "inferometer_slo_tokens_total", VANTAGE)
        self._clamped = partial(registry.counter, "inferometer_slo_header_clamped_total", VANTAGE)
        self._means: dict[str, Mean] = {}
        self._weights: dict[str, str] = {}

    def announce(self, slo: Class) -> None:
        """Make all counters of a class, with a true zero: `rate` must see the first increment.

        What was counted for a class of this name before is kept.
        """
        self._weights[slo.id] = slo.weight
        for pair in VERDICT_PAIRS:
            self.cells(counted(slo), *pair)
            if slo.weight == "token":
                self._tokens(slo.id, *pair)
        if slo.weight == "token":
            self._means.setdefault(slo.id, Mean())
        if slo.headers:
            self._clamped(slo.id)

    def refused(self, classes: Iterable[Class]) -> list[Problem]:
        """Return why classes cannot be counted in this process any more.

        Rules tell a weight by the counters that exist, and those of another one stay here.
        """
        problems = []
        for slo in classes:
            before = self._weights.get(slo.id, slo.weight)
            if before != slo.weight:
                message = f"the weight of {slo.id!r} was {before!r}, and counters are not freed"
                hint = "restart the sidecar, or give the class a new name"
                problems.append(Problem(slo.weight_place, message, hint, _OTHER_WEIGHT))
        return problems

    def count(self, slo: Class, verdict: Verdict, exemplar: Exemplar | None) -> None:
        """Count one request; a bad one may show its trace."""
        cell = self.cells(counted(slo), *verdict)
        cell.add(1, exemplar if verdict.verdict == "bad" else None)

    def weigh(
        self, slo: Class, verdict: Verdict, summary: Summary | None, *, before: int = 0
    ) -> int:
        """Count the tokens that a request weighs, less the `before` that were counted already.

        `summary` is None while it runs: what is bad by then counts at once, and the part of its
        tokens that is beyond the mean at its end. Returns all that it weighs.
        """
        mean = self._means[slo.id]
        known = None if summary is None else known_tokens(summary)
        weight = known or 0
        if verdict.verdict == "good":
            mean.take(weight)
        elif verdict.verdict == "bad":
            made = None if summary is None else summary.output_tokens  # at least so many
            weight = of_bad(made, before or mean.value)
        self._tokens(slo.id, *verdict).add(weight - before)
        return weight

    def clamp(self, slo: Class, deadlines: int) -> None:
        """Count deadlines that a request asked for and did not get."""
        if deadlines:
            self._clamped(slo.id).add(deadlines)
