"""The verdict side of measuring: which judges a request gets, and the counters they end in."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from inferometer.metrics.build import Registry
from inferometer.metrics.cells import Counter, Exemplar
from inferometer.metrics.labels import clean
from inferometer.metrics.verdicts import VERDICT_PAIRS
from inferometer.sidecar.instruments import VANTAGE
from inferometer.sidecar.tap import Started
from inferometer.slo.document import Class, Document
from inferometer.slo.match import Request, header_names, match
from inferometer.slo.verdict import Judge, Verdict
from inferometer.stream.dialect import Call


class _Promises(NamedTuple):
    """The documents in force, and the request headers that they look at."""

    documents: tuple[Document, ...]
    headers: frozenset[str]


class Bench:
    """Hands out judges and counts what they find. Documents may be replaced at any time."""

    def __init__(self, registry: Registry, *, tenant_header: str = "") -> None:
        """Start without documents, so that nothing is judged."""
        self._registry = registry
        self._tenant_header = tenant_header.lower()
        self._promises = _Promises((), frozenset())

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
                    self._cell(slo, pair)
                objective = registry.gauge("inferometer_slo_objective_ratio", slo.id)
                objective.set(slo.objective_ratio)
                registry.gauge("inferometer_waiting_over_slo", slo.id)
                for name, limit_s in slo.thresholds_s().items():
                    threshold = registry.gauge("inferometer_slo_threshold_seconds", slo.id, name)
                    threshold.set(limit_s)
        self._promises = _Promises(documents, header_names(documents))

    def judges(self, started: Started, call: Call, model: str | None, t0_ns: int) -> list[Judge]:
        """Return the judges of a request: one of each document that has a class for it."""
        documents, wanted = self._promises
        if not documents:
            return []
        headers = _headers(started.fields, wanted | {self._tenant_header})
        request = Request(
            model=model,
            route=clean(started.target.partition(b"?")[0]),
            operation=call.operation,
            stream=call.stream,
            headers=headers,
            tenant=headers.get(self._tenant_header),
        )
        judges = []
        stream = {"true": True, "false": False}.get(call.stream)
        for document, slo in zip(documents, match(documents, request), strict=True):
            if slo is not None:
                judges.append(Judge(slo, t0_ns=t0_ns, stream=stream))
            elif request.expected_to_match:
                name = "inferometer_slo_unmatched_total"
                self._registry.counter(name, VANTAGE, document.name).add()
        return judges

    def count(self, slo: Class, verdict: Verdict, exemplar: Exemplar | None) -> None:
        """Count a verdict; a bad one may show its trace."""
        self._cell(slo, verdict).add(1, exemplar if verdict.verdict == "bad" else None)

    def show_waiting(self, judges: Iterable[Judge], now_ns: int) -> None:
        """Show how many requests are without output now and past their limit for it."""
        counts = {slo.id: 0 for document in self._promises.documents for slo in document.classes}
        for judge in judges:
            if judge.slo.id in counts and judge.waiting_over(now_ns):
                counts[judge.slo.id] += 1
        for name, count in counts.items():
            self._registry.gauge("inferometer_waiting_over_slo", name).set(count)

    def _cell(self, slo: Class, verdict: tuple[str, str]) -> Counter:
        name = "inferometer_slo_requests_total"
        return self._registry.counter(name, VANTAGE, slo.id, *verdict)


def _headers(fields: Iterable[tuple[bytes, bytes]], wanted: frozenset[str]) -> Mapping[str, str]:
    """Return the cleaned values of the headers that classes look at, the first of each name."""
    found: dict[str, str] = {}
    for name, value in fields:
        lower = name.decode("latin-1").lower()
        if lower in wanted:
            found.setdefault(lower, clean(value))
    return found
