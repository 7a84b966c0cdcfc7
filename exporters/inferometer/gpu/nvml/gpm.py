"""GPU performance metrics: ratios of engines, between two samples of the device's own counters.

Hopper and newer data-centre devices. A result is the exact mean over the time between its two
samples, so a late tick loses nothing. One thread owns both buffers: sharing them has crashed the
kernel driver (plazonic/nvidia_gpu_prometheus_exporter#7).
"""

import ctypes
import functools
import math
import struct
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from ctypes import byref
from typing import Final, NamedTuple

from inferometer.gpu.nvml import codes, speeds, structs
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.clock import Clock
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.library import CFunction, Library
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import Gauge, Quantity, Tier, Total
from inferometer.gpu.sample import Reason

NAME: Final = "GpmSampleGet"
INSTANCE_NAME: Final = "GpmMigSampleGet"
METRICS_NAME: Final = "GpmMetricsGet"
SUPPORT_NAME: Final = "GpmQueryDeviceSupport"

Call = Callable[[str, Callable[[], int]], int]
"""Makes a named call and returns its code."""

INTERVAL_MIN_NS: Final = 100_000_000
"""Samples closer than this make a result of zeros, without an error."""
PROBE_WAIT_S: Final = 0.12
RESULTS_DISCARDED: Final = 2
"""The first results of a device are not to be believed."""
RATIO_SLACK: Final = 0.5
"""Percent above 100 that rounding explains."""
MIB: Final = 1 << 20
_VERSION: Final = 1
_UNWRITTEN: Final = 21
_FORMAT: Final = struct.Struct("<Iid24x")


class Metric(NamedTuple):
    """A metric by its id: percent (`total` is ns of activity), or MiB/s (`total` is bytes)."""

    number: int
    gauge: Gauge
    total: Total | None = None
    link: str = ""


METRICS: Final[Sequence[Metric]] = (
    Metric(1, Gauge.GRAPHICS_ENGINE_RATIO, Total.BUSY_NS),
    Metric(2, Gauge.SM_RATIO, Total.SM_ACTIVE_NS),
    Metric(3, Gauge.SM_OCCUPANCY_RATIO),
    Metric(4, Gauge.INTEGER_RATIO, Total.INTEGER_ACTIVE_NS),
    Metric(5, Gauge.TENSOR_RATIO, Total.TENSOR_ACTIVE_NS),
    Metric(6, Gauge.DFMA_RATIO),
    Metric(7, Gauge.HMMA_RATIO),
    Metric(9, Gauge.IMMA_RATIO),
    Metric(10, Gauge.DRAM_RATIO, Total.DRAM_ACTIVE_NS),
    Metric(11, Gauge.FP64_RATIO, Total.FP64_ACTIVE_NS),
    Metric(12, Gauge.FP32_RATIO, Total.FP32_ACTIVE_NS),
    Metric(13, Gauge.FP16_RATIO, Total.FP16_ACTIVE_NS),
    Metric(20, Gauge.PCIE_TRANSMIT_BYTES_PER_SECOND, Total.PCIE_TRANSMIT_BYTES, "pcie"),
    Metric(21, Gauge.PCIE_RECEIVE_BYTES_PER_SECOND, Total.PCIE_RECEIVE_BYTES, "pcie"),
    Metric(60, Gauge.NVLINK_RECEIVE_BYTES_PER_SECOND, Total.NVLINK_RECEIVE_BYTES, "nvlink"),
    Metric(61, Gauge.NVLINK_TRANSMIT_BYTES_PER_SECOND, Total.NVLINK_TRANSMIT_BYTES, "nvlink"),
)
IN_INSTANCES: Final = tuple(metric for metric in METRICS if not metric.link)
"""Links are the device's, not a MIG instance's."""


class Result(NamedTuple):
    """One metric of a result: its own code, and its value where that is 0."""

    metric: Metric
    code: int
    value: float


def believable(metric: Metric, value: float, *, limit: float) -> float | None:
    """Return a metric in its quantity's unit (ratio, bytes per second), None if it can't be true.

    `limit` is what the link can carry, in bytes per second.
    """
    if not math.isfinite(value) or value < 0:
        return None
    if metric.link:
        rate = value * MIB
        return rate if rate <= limit else None
    return min(value, 100) / 100 if value <= 100 + RATIO_SLACK else None


class Functions(NamedTuple):
    """The C functions of GPM: a driver has all that are needed, or none of it works."""

    allocate: CFunction
    free: CFunction
    metrics: CFunction


class Pair:
    """Two sample buffers of a device or of a MIG instance, filled in turns."""

    def __init__(
        self,
        functions: Functions,
        sample: Callable[[Handle], int],
        *,
        metrics: Sequence[Metric] = METRICS,
    ) -> None:
        """Sample with `sample`, which is given the buffer to fill. Nothing is allocated yet."""
        self.metrics = metrics
        self._functions = functions
        self._sample = sample
        self._spare = Handle()
        self._latest = Handle()
        self._latest_ns: int | None = None
        self._request = structs.GpmMetrics(version=_VERSION, count=len(metrics))
        for row, metric in zip(self._request.metrics, metrics, strict=False):
            row.metric_id = metric.number
            row.code = _UNWRITTEN
        rows = structs.GpmMetric * len(metrics)
        self._rows = rows.from_buffer(self._request, structs.GpmMetrics.metrics.offset)
        self._pristine = bytes(self._rows)

    def open(self) -> int:
        """Allocate both buffers, in the thread that uses them; returns a code."""
        code = self._functions.allocate(byref(self._spare))
        if code == codes.SUCCESS:
            code = self._functions.allocate(byref(self._latest))
        return code

    def close(self) -> None:
        """Free the buffers."""
        for buffer in (self._spare, self._latest):
            if buffer.value is not None:
                self._functions.free(buffer)
                buffer.value = None
        self._latest_ns = None

    def early(self, now_ns: int) -> bool:
        """Return whether a sample now would be too close to the last one."""
        return self._latest_ns is not None and now_ns - self._latest_ns < INTERVAL_MIN_NS

    def sample(self) -> int:
        """Take a sample into the spare buffer; returns a code."""
        return self._sample(self._spare)

    def sampled(self, moment_ns: int) -> int | None:
        """Make the new sample the latest one; returns the ns since the one before it.

        None for the first. After a sample that failed, the next one is measured from the last
        that did not, so nothing is lost.
        """
        before_ns, self._latest_ns = self._latest_ns, moment_ns
        self._spare, self._latest = self._latest, self._spare
        if before_ns is None:
            return None
        self._request.earlier = self._spare
        self._request.later = self._latest
        return moment_ns - before_ns

    def take_back(self, interval_ns: int) -> None:
        """Undo the last `sampled`: its result failed, so that the next one is to hold its time."""
        if self._latest_ns is not None:
            self._latest_ns -= interval_ns
        self._spare, self._latest = self._latest, self._spare

    def get(self) -> int:
        """Compute the metrics between the last two samples; returns a code."""
        ctypes.memmove(self._rows, self._pristine, len(self._pristine))
        return self._functions.metrics(byref(self._request))

    def results(self) -> Iterator[Result]:
        """Yield what `get` computed; a metric that the driver skipped has a code, too."""
        rows = _FORMAT.iter_unpack(self._rows)
        for metric, (_, code, value) in zip(self.metrics, rows, strict=True):
            yield Result(metric, code, value)


class Limits(NamedTuple):
    """Bytes per second and direction that links can carry, and what is counted elsewhere."""

    pcie: float
    nvlink: float
    counted: frozenset[Total] = frozenset()
    """Totals not to be made of rates, since the driver counts them itself."""


class Activity:
    """What a device or a MIG instance did, tick by tick and in sum."""

    def __init__(self, refusals: Tally[str], clock: Callable[[], int]) -> None:
        """Start with no sums; implausible values are counted in `refusals`."""
        self.totals: dict[Total, int] = {}
        self.told: dict[Total, int] = {}
        """The sums that the last results have added to; the others stand still."""
        self._refusals = refusals
        self._clock = clock
        self._results = 0

    def restart(self, *, results: int = 0) -> None:
        """Distrust the first results of a new pair of buffers; so many were made already."""
        self._results = results

    def measure(self, pair: Pair, call: Call, *, name: str = NAME) -> int | None:
        """Sample and compute: returns the ns that the results of `pair` are of.

        None if there are no results: too early, the first sample, or a call failed.
        """
        before_ns = self._clock()
        if pair.early(before_ns) or call(name, pair.sample) != codes.SUCCESS:
            return None
        interval_ns = pair.sampled((before_ns + self._clock()) // 2)
        if interval_ns is None:
            return None
        if call(METRICS_NAME, pair.get) != codes.SUCCESS:
            pair.take_back(interval_ns)
            return None
        self._results += 1
        return interval_ns

    def add(self, pair: Pair, interval_ns: int, *, limits: Limits) -> dict[Gauge, float]:
        """Add the last results to the sums and return them; none while they are not trusted."""
        gauges: dict[Gauge, float] = {}
        self.told = {}
        if self._results <= RESULTS_DISCARDED:
            return gauges
        for metric, code, raw in pair.results():
            if code != codes.SUCCESS:
                continue
            limit = limits.nvlink if metric.link == "nvlink" else limits.pcie
            value = believable(metric, raw, limit=limit * speeds.TOLERANCE)
            if value is None:
                self._refusals[metric.gauge] += 1
                continue
            gauges[metric.gauge] = value
            self._sum(metric, value, interval_ns=interval_ns, limits=limits)
        return gauges

    def _sum(self, metric: Metric, value: float, *, interval_ns: int, limits: Limits) -> None:
        total = metric.total
        if total is None or total in limits.counted:
            return
        step = value * interval_ns
        self._add(total, round(step / 1e9 if metric.link else step))
        if total is Total.BUSY_NS:
            self._add(Total.OBSERVED_NS, interval_ns)

    def _add(self, total: Total, step: int) -> None:
        self.totals[total] = self.told[total] = self.totals.get(total, 0) + step


class Gpm:
    """GPM of one device."""

    def __init__(
        self, library: Library, caller: Caller, *, clock: Clock, refusals: Tally[str]
    ) -> None:
        """Nothing is asked yet."""
        self.functions = _functions(library)
        self.supported = False
        self.unbelieved: frozenset[Quantity] = frozenset()
        """What had a first value that cannot be true. It is read all the same."""
        self._library = library
        self._caller = caller
        self._clock = clock
        self._pair: Pair | None = None
        self._activity = Activity(refusals, clock.now_ns)

    def probe(self, handle: Handle, *, mig: bool) -> Mapping[Quantity, Reason]:
        """Find out which metrics the device has; returns those it has not, with why."""
        self.close()
        self.unbelieved = frozenset()
        reason = self._support(handle)
        self.supported = reason is None
        sample = self._library.function("nvmlGpmSampleGet")
        if reason is None and self.functions is not None and sample is not None:
            pair = Pair(self.functions, functools.partial(sample, handle))
            code = self._try(pair)
            if code == codes.SUCCESS:
                self._pair = pair
                self.unbelieved = frozenset(_unbelieved(pair.results()))
                return _missing(pair.results())
            pair.close()
            reason = "mig_mode" if mig and code == codes.NOT_SUPPORTED else codes.reason(code)
        return _all(reason or "function_not_found")

    def _support(self, handle: Handle) -> Reason | None:
        """Return why the device has no GPM, None if it has."""
        query = self._library.function("nvmlGpmQueryDeviceSupport")
        if query is None or self.functions is None:
            return "function_not_found"
        answer = structs.GpmSupport(version=_VERSION)
        code = self._caller.call(SUPPORT_NAME, functools.partial(query, handle, byref(answer)))
        if code == codes.NOT_SUPPORTED or (code == codes.SUCCESS and not answer.supported):
            return "architecture"
        return None if code == codes.SUCCESS else codes.reason(code)

    def _try(self, pair: Pair) -> int:
        """Make a first result, to see which metrics have a value; returns a code."""
        code = pair.open()
        for _ in range(2):
            if code == codes.SUCCESS:
                self._clock.sleep(PROBE_WAIT_S)
                code = self._caller.call(NAME, pair.sample)
                pair.sampled(self._clock.now_ns())
        if code == codes.SUCCESS:
            code = self._caller.call(METRICS_NAME, pair.get)
        self._activity.restart(results=1)
        return code

    def read(self, tier: Tier, draft: Draft, *, limits: Limits) -> None:
        """Read what is due into the draft."""
        pair = self._pair
        if pair is None or not self.due(tier):
            return
        interval_ns = self._activity.measure(pair, self._caller.call)
        if interval_ns is not None:
            draft.gauges.update(self._activity.add(pair, interval_ns, limits=limits))
            draft.totals.update(self._activity.told)

    def due(self, tier: Tier) -> bool:
        """Return whether to sample in this tier; one call is of no use without the other."""
        sample = self._caller.due(NAME, "fast", tier)
        return self._caller.due(METRICS_NAME, "fast", tier) and sample

    def close(self) -> None:
        """Free the buffers, in the thread that used them."""
        if self._pair is not None:
            self._pair.close()
            self._pair = None


def _functions(library: Library) -> Functions | None:
    allocate = library.function("nvmlGpmSampleAlloc")
    free = library.function("nvmlGpmSampleFree")
    metrics = library.function("nvmlGpmMetricsGet")
    if allocate is None or free is None or metrics is None:
        return None
    return Functions(allocate, free, metrics)


def _quantities(metric: Metric) -> Iterator[Quantity]:
    yield metric.gauge
    if metric.total is not None:
        yield metric.total


def _missing(results: Iterator[Result]) -> Mapping[Quantity, Reason]:
    return {
        quantity: codes.reason(result.code)
        for result in results
        if result.code != codes.SUCCESS
        for quantity in _quantities(result.metric)
    }


def _unbelieved(results: Iterator[Result]) -> Iterator[Quantity]:
    for metric, code, value in results:
        if code == codes.SUCCESS and believable(metric, value, limit=math.inf) is None:
            yield from _quantities(metric)
            if metric.total is Total.BUSY_NS:
                yield Total.OBSERVED_NS


def _all(reason: Reason) -> Mapping[Quantity, Reason]:
    return {quantity: reason for metric in METRICS for quantity in _quantities(metric)}
