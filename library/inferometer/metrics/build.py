"""The registry: from a name of the catalogue and label values to a cell, within a bound on series.

One registry per process, passed to whoever counts; there is no global one. Children are made
once and never freed. What would cross the bound is not shown, and counted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import Final

from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from inferometer.metrics.catalog import LADDERS, METRICS, Kind, Metric, edges
from inferometer.metrics.cells import Cell, Counter, Gauge, Histogram
from inferometer.metrics.exposition import Family, template
from inferometer.metrics.labels import clean

SERIES_MAX: Final = 2000
"""Default bound on series, without those of SLOs: room for about four models."""

SERIES_LIMIT: Final = 20_000
"""The largest bound that can be set."""

SERIES_PER_NAME: Final = 450
"""Series that one model can take, all metrics together."""

SERIES_UNNAMED: Final = 300
"""Room kept for series without a model: status codes, what measuring costs."""

SAMPLES_MAX: Final = 1000
"""Samples that one callback can add to a scrape."""

Values = tuple[str, ...]
Read = Callable[[], Iterable[tuple[Values, float]]]


def _ignore(_name: str, _error: Exception) -> None:
    """Take note of nothing."""


class Registry:
    """Makes cells and hands them to the exposition.

    `extra_edges` are declared limits by the name of the ladder. `on_error(name, error)` is told
    when a callback failed during a scrape: its family is then absent, which is unknown, not 0.
    `process` tells of the operating system.
    """

    def __init__(
        self,
        *,
        series_max: int = SERIES_MAX,
        extra_edges: Mapping[str, Sequence[float]] | None = None,
        metrics: Mapping[str, Metric] = METRICS,
        on_error: Callable[[str, Exception], None] = _ignore,
        process: Collector | None = None,
    ) -> None:
        """Start without a cell. Raises ValueError if a ladder gets more limits than it may."""
        assert 0 < series_max <= SERIES_LIMIT, series_max
        self.series_max = series_max
        self.series = 0
        self.overflow = 0
        self._metrics = metrics
        self._edges = _all_edges(extra_edges or {})
        self._on_error = on_error
        self._lock = Lock()
        self._cells: dict[str, dict[Values, Cell]] = {}
        self._left_out: dict[str, Cell] = {}
        self._callbacks: dict[str, Read] = {}
        self._process = process or ProcessCollector(registry=None)
        self._room: dict[str, int] = {}
        self.reserve("", min(SERIES_UNNAMED, series_max // 4))

    def counter(self, name: str, *values: str) -> Counter:
        """Return the counter of these label values, in the order of the catalogue.

        As with `gauge` and `histogram`: the same values give the same cell, and ValueError says
        that name, kind or values are not those of the catalogue.
        """
        cell = self._cell(name, values, "counter")
        if not isinstance(cell, Counter):
            raise _wrong_kind(name)
        return cell

    def gauge(self, name: str, *values: str) -> Gauge:
        """Return the gauge of these label values."""
        cell = self._cell(name, values, "gauge")
        if not isinstance(cell, Gauge):
            raise _wrong_kind(name)
        return cell

    def histogram(self, name: str, *values: str) -> Histogram:
        """Return the histogram of these label values."""
        cell = self._cell(name, values, "histogram")
        if not isinstance(cell, Histogram):
            raise _wrong_kind(name)
        return cell

    def callback(self, name: str, read: Read) -> None:
        """Have a counter or gauge read at each scrape: `read()` gives label values and numbers.

        It runs on the scraping thread, so it must be quick and may only read. At most
        `SAMPLES_MAX` samples are taken; they do not count in `series`.
        """
        if self._metrics[name].kind == "histogram":
            raise _wrong_kind(name)
        with self._lock:
            if name in self._callbacks or name in self._cells:
                message = f"{name} is counted already"
                raise ValueError(message)
            self._callbacks[name] = read

    def reserve(self, model: str, series: int = SERIES_PER_NAME) -> bool:
        """Keep room for the series of a model name, so that it has it after a flood of others.

        Returns False, and keeps what there is, if there is less room than that.
        """
        with self._lock:
            kept = max(0, min(series, self._free()))
            self._room[model] = self._room.get(model, 0) + kept
            return kept == series

    def fits(self, series: int = SERIES_PER_NAME) -> bool:
        """Return whether that many more series have room beside what is kept for others."""
        return series <= self._free()

    def families(self) -> Iterator[Family]:
        """Return all families with their cells, in the order of the catalogue."""
        process = self._process_cells()
        for name, metric in self._metrics.items():
            read = self._callbacks.get(name)
            if read is not None:
                cells = self._read(metric, read)
            elif name in process:
                cells = (process[name],)
            else:
                with self._lock:  # a child may be made meanwhile
                    cells = tuple(self._cells.get(name, {}).values())
            if cells:
                yield Family(metric, cells)

    def _cell(self, name: str, values: Values, kind: Kind) -> Cell:
        children = self._cells.get(name)
        cell = children.get(values) if children is not None else None
        return self._make(name, values, kind) if cell is None else cell

    def _make(self, name: str, values: Values, kind: Kind) -> Cell:
        metric = self._metrics.get(name)
        if metric is None or name in self._callbacks:
            message = f"{name} is no metric that can be counted here"
            raise ValueError(message)
        if metric.kind != kind:
            raise _wrong_kind(name)
        _check(metric, values)
        with self._lock:
            children = self._cells.setdefault(name, {})
            if values not in children:
                if not self._take_room(metric, values):
                    self.overflow += 1
                    return self._left_out.setdefault(name, self._new(metric, values))
                children[values] = self._new(metric, values)
            return children[values]

    def _new(self, metric: Metric, values: Values) -> Cell:
        if metric.ladder is not None:
            ladder = self._edges.get(metric.ladder.name, metric.ladder.edges)
            return Histogram(ladder, template(metric, values, ladder))
        text = template(metric, values)
        return Counter(text) if metric.kind == "counter" else Gauge(text)

    def _free(self) -> int:
        return self.series_max - self.series - sum(self._room.values())

    def _take_room(self, metric: Metric, values: Values) -> bool:
        """Return whether a child has room, taking that of its model before the common one."""
        if not metric.counts_in_series_max:
            return True
        cost = 1
        if metric.ladder is not None:
            cost = len(self._edges.get(metric.ladder.name, metric.ladder.edges)) + 3
        labels = metric.labels
        model = values[labels.index("model")] if "model" in labels else ""
        own = min(cost, self._room.get(model, 0))
        if cost - own > self._free():
            return False
        if own:
            self._room[model] -= own
        self.series += cost
        return True

    def _read(self, metric: Metric, read: Read) -> tuple[Cell, ...]:
        try:
            samples = dict(islice(read(), SAMPLES_MAX))
            for values in samples:
                _check(metric, values)
        except Exception as error:  # noqa: BLE001 - a scrape survives whatever a callback does
            self._on_error(metric.name, error)
            return ()
        return tuple(Gauge(template(metric, values), n) for values, n in samples.items())

    def _process_cells(self) -> dict[str, Gauge]:
        """Return what the operating system says of this process; nothing where it says nothing."""
        try:
            samples = [sample for family in self._process.collect() for sample in family.samples]
        except Exception as error:  # noqa: BLE001 - it reads files of the operating system
            self._on_error("process", error)
            return {}
        return {
            sample.name: Gauge(template(self._metrics[sample.name], ()), sample.value)
            for sample in samples
            if sample.name in self._metrics
        }


def _all_edges(extra: Mapping[str, Sequence[float]]) -> Mapping[str, tuple[float, ...]]:
    return {name: edges(ladder, extra.get(name, ())) for name, ladder in LADDERS.items()}


def _check(metric: Metric, values: Values) -> None:
    """Raise ValueError unless the values are some that the catalogue allows."""
    if len(values) != len(metric.domains):
        message = f"{metric.name} has labels {metric.labels!r}, got {values!r}"
        raise ValueError(message)
    for domain, value in zip(metric.domains, values, strict=True):
        known = value in domain.values
        if not known and not (domain.open_max and value and value == clean(value)):
            message = f"{metric.name} has no {domain.name} {value!r}"
            raise ValueError(message)


def _wrong_kind(name: str) -> ValueError:
    return ValueError(f"{name} is of another kind")
