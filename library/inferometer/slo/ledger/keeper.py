"""The ledger at work: pass after pass, what came of them, and what is shown of it at `/metrics`.

A pass that fails changes nothing that was known, and is told by a counter and a log line. Numbers
that have not been renewed for `STALE_S` are not shown any more: rules then use their own.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from inferometer.errors import SpecError, WorldError
from inferometer.metrics.build import Registry
from inferometer.metrics.catalog import METRICS
from inferometer.metrics.ledger import of_cluster
from inferometer.metrics.metric import Metric
from inferometer.prom.answer import Value
from inferometer.prom.errors import PrometheusError
from inferometer.slo.document import Document
from inferometer.slo.ledger.ledger import Source, Standing, Subject, run, standing, subjects
from inferometer.slo.ledger.store import Store

STALE_S: Final = 900.0
"""Rules look back five minutes; a ledger that missed three times as much tells nothing new."""

_log: Final = logging.getLogger(__name__)

Samples = Iterable[tuple[tuple[str, ...], float]]


def utc_s() -> float:
    """Return the Unix time by our own clock."""
    return datetime.now(UTC).timestamp()


@dataclass(slots=True)
class Keeper:
    """Keeps one ledger. Used by one thread; what is shown is replaced as a whole.

    `cluster` is a label of what is shown of each SLO, if it is not empty.
    """

    store: Store
    source: Source
    clock_s: Callable[[], float] = utc_s
    cluster: str = ""
    standings: tuple[Standing, ...] = ()
    success_s: float | None = None
    failures: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("documents", "prometheus", "store"), 0)
    )

    def run(self, wanted: Sequence[Subject]) -> tuple[Standing, ...]:
        """Count once and store it. Raises WorldError; what was counted until then is stored."""
        stored = self.store.load()
        book, now_s = stored.book, self.clock_s()
        try:
            for later in run(book, wanted, self.source, clock_s=now_s):
                book = later
        finally:
            if book != stored.book:
                self.store.save(stored._replace(book=book))
        self.standings = tuple(standing(book, one, now_s) for one in wanted)
        self.success_s = self.clock_s()
        return self.standings

    def try_run(self, wanted: Sequence[Subject]) -> bool:
        """Count once; tell whether it went well. Whatever failed is counted and logged."""
        try:
            self.run(wanted)
        except WorldError as error:
            stage = "prometheus" if isinstance(error, PrometheusError) else "store"
            self.failed(stage, str(error))
            return False
        return True

    def failed(self, stage: str, words: str) -> None:
        """Count and log a failure."""
        self.failures[stage] += 1
        _log.warning("the ledger could not be brought up to date", extra={"reason": words})

    @property
    def is_fresh(self) -> bool:
        """Tell whether what is known is young enough to be shown."""
        return self.success_s is not None and self.clock_s() - self.success_s < STALE_S

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Return the metrics that a registry must have for `show`."""
        return of_cluster(METRICS) if self.cluster else METRICS

    def show(self, registry: Registry) -> None:
        """Have a registry show what is known at each scrape."""
        registry.callback("inferometer_slo_budget_remaining_ratio", self._remaining)
        registry.callback(
            "inferometer_slo_ledger_covered_seconds",
            lambda: [(self._labels(one), float(one.covered_s)) for one in self._shown()],
        )
        registry.callback(
            "inferometer_slo_ledger_elapsed_seconds",
            lambda: [(self._labels(one), float(one.elapsed_s)) for one in self._shown()],
        )
        registry.callback(
            "inferometer_slo_ledger_success_timestamp_seconds",
            lambda: [] if self.success_s is None else [((), self.success_s)],
        )
        registry.callback(
            "inferometer_slo_ledger_failures_total",
            lambda: [((stage,), float(count)) for stage, count in self.failures.items()],
        )

    def _shown(self) -> tuple[Standing, ...]:
        return self.standings if self.is_fresh else ()

    def _remaining(self) -> Samples:
        for one in self._shown():
            if isinstance(one.remaining, Value):
                yield self._labels(one), float(one.remaining.number)

    def _labels(self, one: Standing) -> tuple[str, ...]:
        return (self.cluster, *one.subject.key) if self.cluster else one.subject.key


@dataclass(slots=True)
class Reader:
    """Reads documents again when a file has changed; wrong ones leave the right ones in place."""

    paths: tuple[Path, ...]
    load: Callable[[Iterable[Path]], tuple[Document, ...]]
    wanted: tuple[Subject, ...] = ()
    stamps: tuple[object, ...] = ()

    def first(self) -> tuple[Subject, ...]:
        """Read them. Raises SpecError."""
        stamps = self._look()
        self.wanted = subjects(self.load(self.paths))
        self.stamps = stamps
        return self.wanted

    def again(self) -> str:
        """Read them if a file has changed; return what is wrong with them, empty if nothing."""
        if self._look() == self.stamps:
            return ""
        try:
            self.first()
        except SpecError as error:
            self.stamps = self._look()
            return str(error.problems[0])
        return ""

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_stamp, self.paths))


def _stamp(path: Path) -> object:
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None


def by_key(standings: Iterable[Standing]) -> Mapping[tuple[str, str], Standing]:
    """Return standings by namespace and SLO."""
    return {one.subject.key: one for one in standings}
