"""The verdict side of measuring: the judges of each request, and what becomes of their verdicts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from inferometer.errors import SpecError
from inferometer.metrics.build import Registry
from inferometer.metrics.cells import Exemplar
from inferometer.sidecar.instruments import VANTAGE
from inferometer.sidecar.promises import REQUEST_HEADER, Promises, request_header
from inferometer.sidecar.tally import Tally
from inferometer.sidecar.tap import Started
from inferometer.slo.document import Document, Good
from inferometer.slo.verdict import Judge, Verdict
from inferometer.stream.dialect import Call
from inferometer.stream.summary import Summary

Sample = tuple[tuple[str, ...], float]
"""Label values, and the number that they stand for."""

NEVER_NS: Final = 1 << 63
_REJECTED: Final = "inferometer_sidecar_slo_header_rejected_total"


class Panel:
    """The judges of one request, told together; without judges every call is cheap."""

    __slots__ = ("_early", "_exemplar", "_tally", "alarm_ns", "judges")

    def __init__(self, tally: Tally, exemplar: Exemplar | None) -> None:
        """Start without judges; `exemplar` may be shown with a bad verdict."""
        self.judges: Sequence[Judge] = ()
        self.alarm_ns = NEVER_NS
        """Gaps up to this length need not be told."""
        self._tally = tally
        self._early: dict[Judge, tuple[Verdict, int]] = {}  # given while it runs, and its weight
        self._exemplar = exemplar

    def seat(self, judges: Sequence[Judge]) -> None:
        """Take the judges of this request."""
        self.judges = judges
        for judge in judges:
            limit_ns = judge.slo.good.gap_ns
            if limit_ns is not None and limit_ns < self.alarm_ns:
                self.alarm_ns = limit_ns

    def body_done(self, moment_ns: int, body_bytes: int | None) -> None:
        """Take the end of the request body; its bytes bound the prompt's tokens, None if not."""
        for judge in self.judges:
            judge.body_done(moment_ns)
            judge.prompt(None, body_bytes)

    def output(self, moment_ns: int) -> None:
        """Take the first output."""
        for judge in self.judges:
            judge.output(moment_ns)

    def gap(self, start_ns: int, end_ns: int) -> None:
        """Take a gap between arrivals, or a silence that lasts while the client reads."""
        for judge in self.judges:
            judge.gap(start_ns, end_ns)

    def blind(self, moment_ns: int) -> None:
        """Take that output may be missed from now on: its absence proves nothing."""
        for judge in self.judges:
            judge.blind(moment_ns)

    def sweep(self, now_ns: int) -> None:
        """Count the verdicts that are certain by now."""
        for judge in self.judges:
            verdict = judge.sweep(now_ns)
            if verdict is not None:
                self._tally.count(judge.slo, verdict, self._exemplar)
                if judge.slo.weight == "token":
                    weight = self._tally.weigh(judge.slo, verdict, None)
                    self._early[judge] = verdict, weight

    def end(self, summary: Summary) -> None:
        """Count the verdicts of a finished request that were not given before."""
        for judge in self.judges:
            slo, verdict, before = judge.slo, judge.end(summary), 0
            if verdict is not None:
                self._tally.count(slo, verdict, self._exemplar)
            elif judge in self._early:
                verdict, before = self._early[judge]
            if verdict is not None and slo.weight == "token":
                self._tally.weigh(slo, verdict, summary, before=before)
            if slo.headers:
                self._tally.clamp(slo, judge.clamped)
        self.judges = ()


class Bench:
    """Hands out judges and counts what they find. Documents may be replaced at any time."""

    def __init__(self, registry: Registry, *, tenant_header: str = "") -> None:
        """Start without documents, so that nothing is judged."""
        self.tally = Tally(registry)
        self._registry = registry
        self._tenant_header = tenant_header.lower()
        self._promises = Promises((), self._tenant_header)
        self._waiting: dict[str, int] = {}
        # Read from the documents in force, so that nothing of a class outlives its promise.
        registry.callback("inferometer_slo_objective_ratio", self._objectives)
        registry.callback("inferometer_slo_threshold_seconds", self._thresholds)
        registry.callback("inferometer_waiting_over_slo", self._waiting_over)

    @property
    def matches(self) -> int:
        """How many kinds of requests are remembered with their classes."""
        return self._promises.remembered.cache_info().currsize

    def check(self, documents: Iterable[Document]) -> None:
        """Raise SpecError if the documents cannot take the place of those before them."""
        problems = self.tally.refused(slo for document in documents for slo in document.classes)
        if problems:
            raise SpecError(problems)

    def replace(self, documents: tuple[Document, ...]) -> None:
        """Judge new requests by these documents; those under way keep their judges.

        Every counter of every class exists from now on, and keeps what was counted before; what a
        class promises is shown while it is in force. Raises SpecError, and keeps the documents
        there are, for what `check` refuses.
        """
        self.check(documents)
        registry = self._registry
        promises = Promises(documents, self._tenant_header)
        for document in documents:
            registry.counter("inferometer_slo_unmatched_total", VANTAGE, document.name)
        for slo in promises.classes:
            self.tally.announce(slo)
        if documents:
            self.tally.announce(request_header(Good()))
            registry.counter(_REJECTED)
        self._promises = promises

    def judges(self, started: Started, call: Call, t0_ns: int) -> Sequence[Judge]:
        """Return the judges of a request, and count the documents that should have one for it."""
        promises = self._promises
        if not promises.documents:
            return ()
        seated = promises.seat(started, call, t0_ns)
        for document in seated.unmatched:
            name = "inferometer_slo_unmatched_total"
            self._registry.counter(name, VANTAGE, document.name).add()
        if seated.rejected:
            self._registry.counter(_REJECTED).add(seated.rejected)
        return seated.judges

    def show_waiting(self, judges: Iterable[Judge], now_ns: int) -> None:
        """Show how many requests are without output now and past their limit for it."""
        counts: dict[str, int] = {}
        for judge in judges:
            if judge.waiting_over(now_ns):
                counts[judge.slo.id] = counts.get(judge.slo.id, 0) + 1
        self._waiting = counts

    # -- read at each scrape ---------------------------------------------------------------------

    def _objectives(self) -> Iterator[Sample]:
        return (((slo.id,), slo.objective_ratio) for slo in self._promises.classes)

    def _thresholds(self) -> Iterator[Sample]:
        for slo in self._promises.classes:
            for name, limit_s in slo.thresholds_s().items():
                yield (slo.id, name), limit_s

    def _waiting_over(self) -> Iterator[Sample]:
        promises, waiting = self._promises, self._waiting
        names = [slo.id for slo in promises.classes]
        if promises.documents:
            names.append(REQUEST_HEADER)
        return (((name,), float(waiting.get(name, 0))) for name in names)
