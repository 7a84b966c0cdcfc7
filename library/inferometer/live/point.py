"""One moment of the page: rates, quantiles and shares, made from the differences of readings.

Everything is None where it is not known; zero is written only where nothing happened for sure.
Pure. Units are those of the metrics (seconds, bytes, ratios); the page turns them into words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from inferometer.live import reading
from inferometer.live.reading import Buckets, Change, Key, densities
from inferometer.metrics import estimate
from inferometer.slo.names import SLICED

QUANTILES: Final = (0.5, 0.9, 0.99)

Weight = Literal["request", "token", "slice"]
"""What an objective is a share of."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of a histogram over the window; `count` is how many samples stand behind them.

    A quantile is None without samples, and where it lies beyond the waits that were given up.
    """

    p50: float | None
    p90: float | None
    p99: float | None
    count: float


@dataclass(frozen=True, slots=True)
class Goodput:
    """Verdicts of one SLO over its window, the promise, and why requests were bad.

    Verdicts are of requests. `weight` is what the promise counts: only where it counts requests can
    their share be compared with the objective.
    """

    weight: Weight
    good: float
    bad: float
    excluded: float
    unmeasured: float
    objective: float | None
    limits: Mapping[str, float]
    reasons: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cost:
    """What the sidecar takes: time that it adds, cores, memory, and how full its ring is."""

    head: Spread
    chunk: Spread
    lag: Spread
    cores: float | None
    memory_bytes: float | None
    ring_fill: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """How far the numbers can be trusted, over the window."""

    usage: Mapping[str, float]
    unparsed: Mapping[str, float]
    dropped: Mapping[str, float]
    internal_errors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Point:
    """All that the page shows of one source at one moment. `time_ms` is wall time."""

    time_ms: int
    answering: int
    targets: int
    ttft: Spread
    abandoned: float | None
    itl: Spread
    input_rate: float | None
    output_rate: float | None
    outcomes: Mapping[str, float] | None
    requests_rate: float | None
    waiting: float | None
    streaming: float | None
    oldest_wait_s: float | None
    stalls: float | None
    slos: Mapping[str, Goodput]
    cost: Cost
    quality: Quality
    heat_edges: tuple[float, ...]
    heat: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """What a point is made of: the last tick, the window, the SLO window, and the gauges now.

    A Change is None where too few readings of one life of the sidecar exist.
    """

    tick: Change | None = None
    window: Change | None = None
    slo_window: Change | None = None
    gauges: Mapping[Key, float] | None = None


def make(material: Material, *, time_ms: int, answering: int, targets: int) -> Point:
    """Return the point of one source, or of several together."""
    window, gauges = material.window, material.gauges or {}
    outcomes = by_label(window, reading.REQUESTS)
    heat = _heat(material.tick)
    return Point(
        time_ms=time_ms,
        answering=answering,
        targets=targets,
        ttft=waits(window),
        abandoned=_abandoned(window),
        itl=spread(window, (reading.ITL,)),
        input_rate=_token_rate(window, "input"),
        output_rate=_token_rate(window, "output"),
        outcomes=outcomes,
        requests_rate=None if window is None else window.rate(reading.REQUESTS),
        waiting=gauges.get((reading.IN_FLIGHT, "waiting")),
        streaming=gauges.get((reading.IN_FLIGHT, "streaming")),
        oldest_wait_s=gauges.get((reading.WAITING_AGE,)),
        stalls=None if window is None else _sum(window, reading.STALLS),
        slos=goodputs(material.slo_window, gauges),
        cost=_cost(window, gauges),
        quality=_quality(window),
        heat_edges=tuple(le for le, _ in heat),
        heat=tuple(count for _, count in heat),
    )


def spread(window: Change | None, key: Key) -> Spread:
    """Return the quantiles of one histogram."""
    cells = _cells(window, *key)
    edges, counts = tuple(sorted(cells)), densities(cells)
    p50, p90, p99 = (estimate.quantile(edges, counts, q) for q in QUANTILES)
    return Spread(p50, p90, p99, count=sum(counts))


def waits(window: Change | None) -> Spread:
    """Return the quantiles of time to first token, with waits that were given up in them.

    A client that leaves makes the numbers better if it is left out, so it counts as at least as
    long as it waited (Kaplan-Meier).
    """
    events, censored = (_cells(window, name) for name in (reading.TTFT, reading.TTFT_CENSORED))
    edges = tuple(sorted(events.keys() | censored.keys()))
    answered = densities({le: events.get(le, 0.0) for le in edges})
    gave_up = densities({le: censored.get(le, 0.0) for le in edges})
    p50, p90, p99 = (estimate.kaplan_meier(edges, answered, gave_up, q) for q in QUANTILES)
    return Spread(p50, p90, p99, count=sum(answered) + sum(gave_up))


def by_label(window: Change | None, name: str) -> Mapping[str, float] | None:
    """Return what a counter with one kept label counted in the window, without what stood still."""
    if window is None:
        return None
    return {key[1]: n for key, n in window.counters.items() if key[0] == name and n > 0}


def goodputs(window: Change | None, gauges: Mapping[Key, float]) -> Mapping[str, Goodput]:
    """Return the verdicts of every SLO that is known, by its name.

    The requests behind slices count under the name of their SLO, which counts none itself. What
    promises nothing (`request_header`) is there with traffic only.
    """
    counters = {} if window is None else window.counters
    names = {key[1] for key in gauges if key[0] == reading.OBJECTIVE}
    names |= {key[1] for key, n in counters.items() if key[0] == reading.VERDICTS and n}
    names = {name.removesuffix(SLICED) for name in names}
    return {name: _goodput(name, counters, gauges) for name in sorted(names)}


def _cells(change: Change | None, *key: str) -> Buckets:
    nothing: Buckets = {}
    return nothing if change is None else change.histograms.get(key, nothing)


def _goodput(slo: str, counters: Mapping[Key, float], gauges: Mapping[Key, float]) -> Goodput:
    ids = (slo, f"{slo}{SLICED}")
    cells: dict[Key, float] = {}
    for (name, *labels), n in counters.items():
        if name == reading.VERDICTS and labels[0] in ids:
            cells[tuple(labels[1:])] = cells.get(tuple(labels[1:]), 0.0) + n
    total = {
        verdict: sum(n for (given, _), n in cells.items() if given == verdict)
        for verdict in ("good", "bad", "excluded")
    }
    return Goodput(
        weight=_weight(slo, counters),
        **total,
        unmeasured=cells.get(("excluded", "unmeasured"), 0.0),
        objective=gauges.get((reading.OBJECTIVE, slo)),
        limits={k[2]: v for k, v in gauges.items() if k[:2] == (reading.THRESHOLD, slo)},
        reasons={why: n for (verdict, why), n in cells.items() if verdict == "bad" and n > 0},
    )


def _weight(slo: str, counters: Mapping[Key, float]) -> Weight:
    """Tell it by the counters that a sidecar has of a class from its start on."""
    ids = {key[:2] for key in counters}
    if (reading.VERDICTS, f"{slo}{SLICED}") in ids:
        return "slice"
    return "token" if (reading.VERDICT_TOKENS, slo) in ids else "request"


def _cost(window: Change | None, gauges: Mapping[Key, float]) -> Cost:
    cpu = None if window is None else window.counters.get((reading.CPU,))
    return Cost(
        head=spread(window, (reading.OVERHEAD, "head")),
        chunk=spread(window, (reading.OVERHEAD, "chunk")),
        lag=spread(window, (reading.LOOP_LAG,)),
        cores=None if window is None or cpu is None else window.rate(reading.CPU),
        memory_bytes=gauges.get((reading.RSS,)),
        ring_fill=gauges.get((reading.RING_FILL,)),
    )


def _quality(window: Change | None) -> Quality:
    names = (reading.USAGE, reading.UNPARSED, reading.DROPPED, reading.INTERNAL_ERRORS)
    return Quality(*(by_label(window, name) or {} for name in names))


def _token_rate(window: Change | None, direction: str) -> float | None:
    """Return tokens per second; None where requests ended and none of them told its tokens."""
    if window is None:
        return None
    tokens = sum(n for key, n in window.counters.items() if key[:2] == (reading.TOKENS, direction))
    if tokens == 0 and _sum(window, reading.REQUESTS) > 0:
        return None
    return window.rate(reading.TOKENS, direction)


def _abandoned(window: Change | None) -> float | None:
    if window is None:
        return None
    return max(_cells(window, reading.TTFT_CENSORED).values(), default=0.0)


def _sum(window: Change, name: str) -> float:
    return sum(n for key, n in window.counters.items() if key[0] == name)


def _heat(tick: Change | None) -> Iterable[tuple[float, float]]:
    cells = _cells(tick, reading.TTFT)
    return list(zip(sorted(cells), densities(cells), strict=True))
