"""What was measured next to what the server really did, as a table. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final, NamedTuple

from inferometer.demo import limits
from inferometer.live import reading
from inferometer.live.reading import Buckets, Reading, densities
from inferometer.metrics import estimate

UNKNOWN: Final = "no data"

LATE_S: Final = 0.005
"""Timers of an idle machine are late by a fraction of a millisecond."""

OUTCOMES: Final = (
    ("success", "success"),
    ("client_left", "client_cancel"),
    ("rejected", "rejected"),
    ("error", "upstream_error"),
    ("stream_error", "stream_error"),
    ("aborted", "truncated"),
)
"""An end in the server's words, and the outcome that the sidecar must have seen."""


class Row(NamedTuple):
    """A line of the table."""

    name: str
    measured: str
    real: str = ""
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known at the end. `truth` is what the model server told, `ends` the clients.

    `began` is a reading from before the first request: what starting cost is not the load's.
    """

    began: Reading
    measured: Reading
    truth: Mapping[str, Any]
    ends: Mapping[str, int]
    seconds: float


def lines(facts: Facts) -> Iterator[str]:
    """Yield the summary."""
    replies = ", ".join(f"{count} {end}" for end, count in sorted(facts.ends.items()))
    yield f"inferometer demo: {facts.seconds:.0f} s; the clients saw: {replies or 'nothing'}"
    yield ""
    head = Row("", "measured", "the server did", "difference")
    yield from _table([head, *latencies(facts), *counts(facts), *verdicts(facts)])
    yield ""
    yield from _table([Row("what the sidecar cost", "p50", "p99"), *costs(facts)])
    yield ""
    yield "Quantiles of histograms are known up to the bucket; means and counts are exact."
    late_s = facts.truth["lateness"]["p99"]
    if late_s is not None and late_s > LATE_S:
        yield (
            f"This machine is busy: the model server itself woke up to {ms(late_s)} late (p99), "
            "so differences of that size say nothing."
        )


def latencies(facts: Facts) -> Iterator[Row]:
    """Compare first tokens and gaps: exact means, and quantiles with their bucket."""
    for name, metric, told in (
        ("time to first token", reading.TTFT, facts.truth["first_token"]),
        ("inter-token latency", reading.ITL, facts.truth["gaps"]),
    ):
        cells = facts.measured.histograms.get((metric,), {})
        count = max(cells.values(), default=0.0)
        total = facts.measured.counters.get((f"{metric}_sum",))
        mean = total / count if total is not None and count else None
        yield Row(f"{name}, mean", ms(mean), ms(told["mean"]), _apart(mean, told["mean"]))
        for label, q in (("p50", 0.5), ("p99", 0.99)):
            yield _quantile(f"{name}, {label}", cells, q, told[label])


def counts(facts: Facts) -> Iterator[Row]:
    """Compare what can be counted: first tokens, tokens, outcomes."""
    counters, truth = facts.measured.counters, facts.truth
    first = facts.measured.histograms.get((reading.TTFT,), {})
    yield _count("first tokens", max(first.values(), default=None), truth["first_token"]["count"])
    for direction in ("input", "output"):
        tokens = counters.get((reading.TOKENS, direction, "server"))
        yield _count(f"{direction} tokens", tokens, truth[f"{direction}_tokens"])
    for end, outcome in OUTCOMES:
        real = truth["ends"].get(end, 0)
        seen = counters.get((reading.REQUESTS, outcome), 0.0)
        if real or seen:
            yield _count(f"requests: {outcome}", seen, real)


def verdicts(facts: Facts) -> Iterator[Row]:
    """Compare the verdicts of the SLO, and goodput, with the server's own judgement."""
    seen = {verdict: _verdicts(facts.measured, verdict) for verdict in ("good", "bad", "excluded")}
    real: dict[str, int] = {verdict: facts.truth["verdicts"].get(verdict, 0) for verdict in seen}
    for verdict, count in seen.items():
        yield _count(f"SLO {limits.SLO}: {verdict}", count, real[verdict])
    promise = f"goodput (promised {limits.OBJECTIVE:.0%})"
    yield Row(promise, _goodput(seen["good"], seen["bad"]), _goodput(real["good"], real["bad"]))


def costs(facts: Facts) -> Iterator[Row]:
    """Tell what the sidecar took."""
    measured = facts.measured
    for name, stage in (("added to a request", "head"), ("added to a chunk", "chunk")):
        cells = measured.histograms.get((reading.OVERHEAD, stage), {})
        edges, counted = tuple(sorted(cells)), densities(cells)
        middle, tail = (estimate.quantile(edges, counted, q) for q in (0.5, 0.99))
        yield Row(name, ms(middle), ms(tail))
    cpu = _sum(measured, reading.CPU) - _sum(facts.began, reading.CPU)
    tokens = _sum(measured, reading.TOKENS, "output")
    per_token = cpu / tokens if cpu and tokens else None
    yield Row("CPU per output token", ms(per_token))
    memory = measured.gauges.get((reading.RSS,))
    yield Row("memory", UNKNOWN if memory is None else f"{memory / 1e6:.0f} MB")
    yield Row("events dropped", f"{_sum(measured, reading.DROPPED):.0f}")


def ms(seconds: float | None) -> str:
    """Return a duration in milliseconds; small ones with more digits."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds * 1000:.{3 if seconds < 0.001 else 1}f} ms"  # noqa: PLR2004 - a millisecond


def _quantile(name: str, cells: Buckets, q: float, real: float | None) -> Row:
    """Show a quantile with the edges of its bucket, which are all that is really known of it."""
    edges = tuple(sorted(cells))
    found = estimate.quantile(edges, densities(cells), q)
    if found is None or real is None:
        return Row(name, ms(found), ms(real))
    upper = min((edge for edge in edges if edge >= found), default=inf)
    lower = max((edge for edge in edges if edge < upper), default=0.0)
    # The server's own quantile is known to one percent, and its bucket may be the next one then.
    inside = lower * 0.99 <= real <= upper * 1.01 + 0.001
    difference = "in the same bucket" if inside else _apart(found, real)
    return Row(name, f"{ms(found)} ({lower * 1000:g} to {upper * 1000:g})", ms(real), difference)


def _apart(measured: float | None, real: float | None) -> str:
    if measured is None or real is None:
        return ""
    return f"{(measured - real) * 1000:+.2f} ms"


def _count(name: str, measured: float | None, real: int) -> Row:
    if measured is None:
        return Row(name, UNKNOWN, f"{real:,}")
    apart = round(measured) - real
    return Row(name, f"{measured:,.0f}", f"{real:,}", f"{apart:+,}" if apart else "none")


def _goodput(good: float | None, bad: float | None) -> str:
    if good is None or bad is None or good + bad == 0:
        return UNKNOWN
    return f"{good / (good + bad):.2%}"


def _verdicts(measured: Reading, verdict: str) -> float | None:
    found = [
        count
        for key, count in measured.counters.items()
        if key[:3] == (reading.VERDICTS, limits.SLO, verdict)
    ]
    return sum(found) if found else None


def _sum(measured: Reading, *key: str) -> float:
    return sum(n for known, n in measured.counters.items() if known[: len(key)] == key)


def _table(rows: Iterable[Row]) -> Iterator[str]:
    table: Sequence[Row] = list(rows)
    widths = [max(len(row[at]) for row in table) for at in range(4)]
    for name, *values in table:
        padded = (value.rjust(width) for value, width in zip(values, widths[1:], strict=True))
        yield "  ".join((name.ljust(widths[0]), *padded)).rstrip()
