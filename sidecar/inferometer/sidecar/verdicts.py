"""The verdict side of measuring: which judges a request gets, and the counters they end in."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final, NamedTuple

from inferometer.metrics.build import Registry
from inferometer.metrics.cells import Exemplar
from inferometer.metrics.labels import clean
from inferometer.metrics.verdicts import VERDICT_PAIRS
from inferometer.sidecar.fields import Fields
from inferometer.sidecar.instruments import VANTAGE
from inferometer.sidecar.tap import Started
from inferometer.slo.document import Class, Document
from inferometer.slo.match import Request, header_names, match
from inferometer.slo.verdict import Judge, Verdict
from inferometer.stream.dialect import Call, Operation, Streaming
from inferometer.stream.summary import Summary
from inferometer.stream.timeline import State, Timeline

NEVER_NS: Final = 1 << 63
MATCHES_MAX: Final = 256
"""Requests that are alike to all classes, and whose classes are remembered: the latest ones."""
MATCHED_CHARACTERS_MAX: Final = 256
"""Longer names and targets are matched anew each time."""
CELLS_MAX: Final = 1024
"""Counters of verdicts that are remembered: a class has some twelve."""

_STREAMS: Final[Mapping[Streaming, bool]] = {"true": True, "false": False}


class _Matched(NamedTuple):
    """The class of each document that takes a request, and whether one should have."""

    classes: tuple[Class | None, ...]
    expected: bool


class _Promises:
    """The documents in force, and what of a request they look at."""

    def __init__(self, documents: tuple[Document, ...], tenant_header: str) -> None:
        self.documents = documents
        self._tenant_header = tenant_header
        by_tenant = any(slo.match.tenant for document in documents for slo in document.classes)
        self._headers = header_names(documents) | ({tenant_header} if by_tenant else frozenset())
        self.remembered = lru_cache(MATCHES_MAX)(self._match)

    def find(self, started: Started, call: Call) -> _Matched:
        """Return the classes of a request; what headers hold is not remembered."""
        path = started.target.partition(b"?")[0]
        seen = (path, call.model, call.operation, call.stream)
        if self._headers:
            return self._match(*seen, headers=_headers(started.fields, self._headers))
        long = len(path) + len(call.model or "") > MATCHED_CHARACTERS_MAX
        return self._match(*seen) if long else self.remembered(*seen)

    def _match(
        self,
        path: bytes,
        model: str | None,
        operation: Operation,
        stream: Streaming,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> _Matched:
        headers = headers or {}
        tenant = headers.get(self._tenant_header)
        request = Request(model, clean(path), operation, stream, headers, tenant)
        return _Matched(match(self.documents, request), request.expected_to_match)


class Panel:
    """The judges of one request, told together; without judges every call is cheap."""

    __slots__ = ("_bench", "_exemplar", "_stalled_until_ns", "alarm_ns", "judges")

    def __init__(self, bench: "Bench", exemplar: Exemplar | None) -> None:
        """Start without judges; `exemplar` may be shown with a bad verdict."""
        self.judges: Sequence[Judge] = ()
        self.alarm_ns = NEVER_NS
        """Gaps up to this length need not be told."""
        self._bench = bench
        self._exemplar = exemplar
        self._stalled_until_ns = 0

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

    def stalled(self, until_ns: int) -> None:
        """Take that the client did not read up to that moment: such a silence is its own."""
        self._stalled_until_ns = until_ns

    def silence(self, timeline: Timeline | None, now_ns: int) -> None:
        """Take a silence that lasts, or that ends with the stream: it is a gap, too."""
        if not self.judges or timeline is None or timeline.state is not State.STREAMING:
            return
        last_ns = timeline.t_last_ns
        if last_ns is not None and self._stalled_until_ns <= last_ns < now_ns:
            self.gap(last_ns, now_ns)

    def blind(self, moment_ns: int) -> None:
        """Take that output may be missed from now on: its absence proves nothing."""
        for judge in self.judges:
            judge.blind(moment_ns)

    def sweep(self, now_ns: int) -> None:
        """Count the verdicts that are certain by now."""
        for judge in self.judges:
            self._count(judge, judge.sweep(now_ns))

    def end(self, summary: Summary) -> None:
        """Count the verdicts of a finished request that were not given before."""
        for judge in self.judges:
            self._count(judge, judge.end(summary))
        self.judges = ()

    def _count(self, judge: Judge, verdict: Verdict | None) -> None:
        if verdict is not None:
            self._bench.count(judge.slo, verdict, self._exemplar)


class Bench:
    """Hands out judges and counts what they find. Documents may be replaced at any time."""

    def __init__(self, registry: Registry, *, tenant_header: str = "") -> None:
        """Start without documents, so that nothing is judged."""
        self._registry = registry
        self._tenant_header = tenant_header.lower()
        self._promises = _Promises((), self._tenant_header)
        name = "inferometer_slo_requests_total"
        self.cells = lru_cache(CELLS_MAX)(partial(registry.counter, name, VANTAGE))
        """The counter of a class and a verdict, by id, verdict and reason."""

    @property
    def matches(self) -> int:
        """How many kinds of requests are remembered with their classes."""
        return self._promises.remembered.cache_info().currsize

    def replace(self, documents: tuple[Document, ...]) -> None:
        """Judge new requests by these documents; those under way keep their judges.

        Every series of every class exists from now on, with a true zero, so that the first
        increment is seen by `rate`.
        """
        registry = self._registry
        for document in documents:
            registry.counter("inferometer_slo_unmatched_total", VANTAGE, document.name)
            for slo in document.classes:
                for pair in VERDICT_PAIRS:
                    self.cells(slo.id, *pair)
                objective = registry.gauge("inferometer_slo_objective_ratio", slo.id)
                objective.set(slo.objective_ratio)
                registry.gauge("inferometer_waiting_over_slo", slo.id)
                for name, limit_s in slo.thresholds_s().items():
                    threshold = registry.gauge("inferometer_slo_threshold_seconds", slo.id, name)
                    threshold.set(limit_s)
        self._promises = _Promises(documents, self._tenant_header)

    def judges(self, started: Started, call: Call, t0_ns: int) -> Sequence[Judge]:
        """Return the judges of a request: one of each document that has a class for it."""
        promises = self._promises
        if not promises.documents:
            return ()
        judges = []
        stream = _STREAMS.get(call.stream)
        matched = promises.find(started, call)
        for document, slo in zip(promises.documents, matched.classes, strict=True):
            if slo is not None:
                judges.append(Judge(slo, t0_ns=t0_ns, stream=stream))
            elif matched.expected:
                name = "inferometer_slo_unmatched_total"
                self._registry.counter(name, VANTAGE, document.name).add()
        return judges

    def count(self, slo: Class, verdict: Verdict, exemplar: Exemplar | None) -> None:
        """Count a verdict; a bad one may show its trace."""
        self.cells(slo.id, *verdict).add(1, exemplar if verdict.verdict == "bad" else None)

    def show_waiting(self, judges: Iterable[Judge], now_ns: int) -> None:
        """Show how many requests are without output now and past their limit for it."""
        counts = {slo.id: 0 for document in self._promises.documents for slo in document.classes}
        for judge in judges:
            if judge.slo.id in counts and judge.waiting_over(now_ns):
                counts[judge.slo.id] += 1
        for name, count in counts.items():
            self._registry.gauge("inferometer_waiting_over_slo", name).set(count)


def _headers(fields: Fields, wanted: frozenset[str]) -> Mapping[str, str]:
    """Return the cleaned values of the headers that classes look at, the first of each name."""
    found = {name: fields.values(name.encode("latin-1")) for name in wanted}
    return {name: clean(values[0]) for name, values in found.items() if values}
