"""One scrape of a sidecar, reduced to what the page shows, and the difference of two of them.

Models, operations and the other labels that the page does not tell apart are summed here, at the
door, so that whatever a sidecar exports, a reading stays small. Pure: moments come in as arguments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import isnan
from types import MappingProxyType
from typing import Final, Protocol

Key = tuple[str, ...]
"""A metric's name, then the values of the labels that are kept of it (see `FAMILIES`)."""

Buckets = Mapping[float, float]
"""Upper edge to cumulative count, as exposed; the last edge is infinity."""

KEYS_MAX: Final = 4096
"""Series that one reading keeps: 64 SLOs with 13 verdicts each take 832, and 64 more by tokens."""

EDGES_MAX: Final = 64
"""Edges that one histogram keeps: the longest ladder has 26 and takes 8 more."""

TTFT: Final = "gen_ai_server_time_to_first_token_seconds"
TTFT_CENSORED: Final = "inferometer_time_to_first_token_censored_seconds"
ITL: Final = "inferometer_inter_token_latency_seconds"
OVERHEAD: Final = "inferometer_sidecar_overhead_seconds"
LOOP_LAG: Final = "inferometer_sidecar_event_loop_lag_seconds"
REQUESTS: Final = "inferometer_requests_total"
STALLS: Final = "inferometer_stalls_total"
TOKENS: Final = "inferometer_tokens_total"
USAGE: Final = "inferometer_usage_requests_total"
VERDICTS: Final = "inferometer_slo_requests_total"
VERDICT_TOKENS: Final = "inferometer_slo_tokens_total"
OBJECTIVE: Final = "inferometer_slo_objective_ratio"
THRESHOLD: Final = "inferometer_slo_threshold_seconds"
IN_FLIGHT: Final = "inferometer_requests_in_flight"
WAITING_AGE: Final = "inferometer_waiting_age_max_seconds"
DROPPED: Final = "inferometer_sidecar_dropped_total"
INTERNAL_ERRORS: Final = "inferometer_sidecar_internal_errors_total"
UNPARSED: Final = "inferometer_sidecar_unparsed_total"
RING_FILL: Final = "inferometer_sidecar_ring_fill_ratio"
CPU: Final = "process_cpu_seconds_total"
RSS: Final = "process_resident_memory_bytes"
STARTED: Final = "process_start_time_seconds"

HISTOGRAMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        TTFT: (),
        TTFT_CENSORED: (),
        ITL: (),
        OVERHEAD: ("stage",),
        LOOP_LAG: (),
    }
)
"""Histograms that are read, and the labels kept apart."""

COUNTERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        f"{TTFT}_sum": (),
        f"{ITL}_sum": (),
        REQUESTS: ("outcome",),
        STALLS: (),
        TOKENS: ("direction", "usage_source"),
        USAGE: ("usage_source",),
        VERDICTS: ("slo", "verdict", "reason"),
        VERDICT_TOKENS: ("slo",),
        DROPPED: ("what",),
        INTERNAL_ERRORS: ("stage",),
        UNPARSED: ("reason",),
        CPU: (),
    }
)
"""Counters that are read."""

GAUGES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        OBJECTIVE: ("slo",),
        THRESHOLD: ("slo", "objective"),
        IN_FLIGHT: ("state",),
        WAITING_AGE: (),
        RING_FILL: (),
        RSS: (),
        STARTED: (),
    }
)
"""Gauges that are read."""

LARGEST: Final = frozenset({OBJECTIVE, THRESHOLD, WAITING_AGE, RING_FILL, STARTED})
"""Gauges of which the largest is taken where several series, or several sidecars, meet."""


class Sample(Protocol):
    """One line of an exposition."""

    @property
    def name(self) -> str:
        """The name as it is written, `_bucket` and `_total` included."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Label names and values."""

    @property
    def value(self) -> float:
        """The number; NaN is possible."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one scrape said. A key that is not there was not said: unknown, not zero."""

    moment_s: float  # monotonic, when the answer had come
    gauges: Mapping[Key, float] = field(default_factory=dict)
    counters: Mapping[Key, float] = field(default_factory=dict)
    histograms: Mapping[Key, Buckets] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What happened in `seconds`; buckets are cumulative over their edges, not over time.

    `parts` are the changes of several sidecars that were merged, each with its own time: one that
    started a moment ago has counted for a shorter time than the others.
    """

    seconds: float
    counters: Mapping[Key, float]
    histograms: Mapping[Key, Buckets]
    parts: tuple["Change", ...] = ()

    def rate(self, *start: str) -> float:
        """Return what the counters whose keys begin so counted for each second, of all sidecars."""
        if self.parts:
            return sum(part.rate(*start) for part in self.parts)
        size = len(start)
        return sum(n for key, n in self.counters.items() if key[:size] == start) / self.seconds


def read(samples: Iterable[Sample], *, moment_s: float) -> Reading:
    """Return what the page needs of an exposition; series beyond `KEYS_MAX` are left out."""
    gauges: dict[Key, float] = {}
    counters: dict[Key, float] = {}
    histograms: dict[Key, dict[float, float]] = {}
    for sample in samples:
        name, labels, value = sample.name, sample.labels, sample.value
        if isnan(value) or labels.get("vantage", "sidecar") != "sidecar":
            continue  # NaN says nothing; library hooks would count a request twice
        if name in GAUGES:
            _gauge(gauges, _key(name, GAUGES[name], labels), value)
        elif name in COUNTERS:
            _count(counters, _key(name, COUNTERS[name], labels), value)
        elif (family := name.removesuffix("_bucket")) in HISTOGRAMS and family != name:
            key = _key(family, HISTOGRAMS[family], labels)
            _bucket(histograms, key, labels.get("le", ""), value)
    return Reading(moment_s, gauges, counters, histograms)


def change(before: Reading, after: Reading) -> Change | None:
    """Return what happened between two readings of one sidecar, or None if it cannot be known.

    That is so after a restart: another start time, or a counter that went back. A series that was
    absent before has counted from zero, since a process makes it at its first event.
    """
    seconds = after.moment_s - before.moment_s
    started = (STARTED,)
    if seconds <= 0 or before.gauges.get(started) != after.gauges.get(started):
        return None
    counters = {key: now - before.counters.get(key, 0.0) for key, now in after.counters.items()}
    histograms = {
        key: {le: now - before.histograms.get(key, {}).get(le, 0.0) for le, now in cells.items()}
        for key, cells in after.histograms.items()
    }
    steps = [*counters.values(), *(n for cells in histograms.values() for n in cells.values())]
    return Change(seconds, counters, histograms) if min(steps, default=0.0) >= 0 else None


def merge_changes(changes: Iterable[Change]) -> Change | None:
    """Return what happened at several sidecars together, or None where there is none.

    Its time is the longest of theirs. Where their edges differ, the common ones are kept:
    cumulative counts are exact there.
    """
    several = list(changes)
    if not several:
        return None
    counters: dict[Key, float] = {}
    histograms: dict[Key, Buckets] = {}
    for one in several:
        for key, value in one.counters.items():
            counters[key] = counters.get(key, 0.0) + value
        for key, cells in one.histograms.items():
            known = histograms.get(key)
            histograms[key] = cells if known is None else _common(known, cells)
    return Change(max(one.seconds for one in several), counters, histograms, tuple(several))


def merge_gauges(readings: Iterable[Reading]) -> Mapping[Key, float]:
    """Return the gauges of several sidecars together: sums, or the largest (see `LARGEST`)."""
    gauges: dict[Key, float] = {}
    for reading in readings:
        for key, value in reading.gauges.items():
            _gauge(gauges, key, value)
    return gauges


def densities(cells: Buckets) -> list[float]:
    """Return the counts of each bucket by itself, in the order of the edges."""
    counts = [cells[le] for le in sorted(cells)]
    return [max(0.0, after - before) for before, after in pairwise([0.0, *counts])]


def _key(name: str, kept: tuple[str, ...], labels: Mapping[str, str]) -> Key:
    return (name, *(labels.get(label, "") for label in kept))


def _gauge(gauges: dict[Key, float], key: Key, value: float) -> None:
    known = gauges.get(key)
    if known is None:
        if len(gauges) < KEYS_MAX:
            gauges[key] = value
    else:
        gauges[key] = max(known, value) if key[0] in LARGEST else known + value


def _count(counters: dict[Key, float], key: Key, value: float) -> None:
    if key in counters or len(counters) < KEYS_MAX:
        counters[key] = counters.get(key, 0.0) + value


def _bucket(histograms: dict[Key, dict[float, float]], key: Key, le: str, value: float) -> None:
    try:
        edge = float(le)
    except ValueError:
        return  # not a bucket of ours
    if key not in histograms and len(histograms) >= KEYS_MAX:
        return
    cells = histograms.setdefault(key, {})
    if edge in cells or len(cells) < EDGES_MAX:
        cells[edge] = cells.get(edge, 0.0) + value


def _common(one: Buckets, other: Buckets) -> Buckets:
    return {le: count + other[le] for le, count in one.items() if le in other}
