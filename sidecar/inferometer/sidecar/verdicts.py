"""The verdict side of measuring: which judges a request gets, and the counters they end in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

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
from inferometer.stream.summary import Summary
from inferometer.stream.timeline import State, Timeline

NEVER_NS: Final = 1 << 63


class _Promises(NamedTuple):
    """The documents in force, and the request headers that they look at."""

    documents: tuple[Document, ...]
    headers: frozenset[str]


class Panel:
    """The judges of one request, told together; without judges every call is cheap."""

    __slots__ = ("_bench", "_exemplar", "_stalled_until_ns", "alarm_ns", "judges")

    def __init__(
        self, bench: "Bench", judges: Sequence[Judge] = (), exemplar: Exemplar | None = None
    ) -> None:
        """Seat the judges; `exemplar` may be shown with a bad verdict."""
        self.judges = judges
        limits = [judge.slo.good.gap_ns for judge in judges]
        self.alarm_ns = min((ns for ns in limits if ns is not None), default=NEVER_NS)
        """Gaps up to this length need not be told."""
        self._bench = bench
        self._exemplar = exemplar
        self._stalled_until_ns = 0

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

    def panel(self, started: Started, call: Call, t0_ns: int, exemplar: Exemplar | None) -> Panel:
        """Return the judges of a request: one of each document that has a class for it."""
        documents, wanted = self._promises
        if not documents:
            return Panel(self)
        headers = _headers(started.fields, wanted | {self._tenant_header})
        request = Request(
            model=call.model,
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
        return Panel(self, judges, exemplar)

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
