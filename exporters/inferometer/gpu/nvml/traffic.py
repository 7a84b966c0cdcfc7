"""Byte counters of PCIe and NVLink: wrapped ones continued, impossible steps refused.

PCIe counts in bytes and may wrap. In 32 bits it does so every 67 ms at the speed of PCIe 5, so
what is between two ticks cannot be told from such a counter: where GPM has the rate, that is taken
instead. Without GPM a 32-bit counter is all there is, and it says too little of traffic above 4.3
GB in a tick. NVLink counts in KiB for all links at once; with NVLink 5 each
link counts bytes of its own instead (to be verified on hardware).
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from inferometer.gpu.nvml import codes, speeds
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.fields import Extra, FieldReader, FieldReading
from inferometer.gpu.quantities import Counter, Gauge, Quantity
from inferometer.gpu.sample import Reason

ALL_LINKS: Final = 0xFFFFFFFF
LINKS_MAX: Final = 36
LINK_SPEED: Final = 90  # field: MB/s of a link and direction
LINK_COUNT: Final = 91
KIB: Final = 1024
_NARROW_BITS: Final = 32
_BETWEEN_S: Final = 2
"""What passes between two readings at the usual tick, one missed: a longer one is worse."""

Step = Literal["first", "taken", "implausible"]


class ByteCounter:
    """A counter of a driver, continued over its wraps."""

    def __init__(self, unit_bytes: int = 1) -> None:
        """Count in units of so many bytes."""
        self.bytes: int | None = None
        self.step_bytes = 0
        self.step_us = 0
        self._unit_bytes = unit_bytes
        self._last: int | None = None
        self._moment_us = 0

    def forget(self) -> None:
        """Measure no step from the last reading: the counter may begin anew. The sum is kept."""
        self._last = None

    def take(self, value: int, moment_us: int, *, bits: int, limit: float) -> Step:
        """Take a reading. `limit` is in bytes per second, `bits` the width of the counter.

        A step that no link could carry is left out, and counting goes on from there.
        """
        before, self._last = self._last, value
        step_us, self._moment_us = moment_us - self._moment_us, moment_us
        if self.bytes is None or before is None:
            self.bytes = value * self._unit_bytes if self.bytes is None else self.bytes
            return "first"
        step = _difference(before, value, bits=bits) * self._unit_bytes
        if step > limit * speeds.TOLERANCE * max(step_us, 0) / 1e6:
            return "implausible"
        self.step_bytes, self.step_us = step, step_us
        self.bytes += step
        return "taken"


def _difference(before: int, after: int, *, bits: int) -> int:
    """Return how far a counter went; a 64-bit field may hold a counter of 32 bits.

    Whether it does is not known, so there only a step of less than half of 32 bits is one: any
    other fall is no wrap, and what follows is no step that a link could carry.
    """
    if after >= before:
        return after - before
    narrow = (after - before) % (1 << 32)
    if bits > _NARROW_BITS and before < 1 << 32 and narrow < 1 << 31:
        return narrow
    return (after - before) % (1 << bits)


class _Source(NamedTuple):
    """Where a direction's bytes are counted; `number` is a field for all links."""

    counter: Counter
    number: int
    scope: int
    unit_bytes: int
    per_link: int | None = None


_PCIE: Final = (
    _Source(Counter.PCIE_TRANSMIT_BYTES, 197, 0, 1),
    _Source(Counter.PCIE_RECEIVE_BYTES, 198, 0, 1),
)
_NVLINK: Final = (
    _Source(Counter.NVLINK_TRANSMIT_BYTES, 138, ALL_LINKS, KIB, per_link=202),
    _Source(Counter.NVLINK_RECEIVE_BYTES, 139, ALL_LINKS, KIB, per_link=204),
)


class _Counted(NamedTuple):
    """A field's own counter, and the one that it is part of."""

    counter: Counter
    meter: ByteCounter


class Traffic:
    """The byte counters of a device."""

    def __init__(self) -> None:
        """Count nothing yet."""
        self.pcie_limit = speeds.pcie(None, None)
        self.nvlink_limit = speeds.NVLINK_MAX
        self._meters: dict[tuple[int, int], ByteCounter] = {}
        self._of: dict[Counter, list[ByteCounter]] = {}
        self._steps: dict[Counter, list[Step]] = {}
        self._extras: dict[Counter, list[Extra]] = {}
        self.narrow: set[Counter] = set()
        """Those that may wrap more than once between two readings."""

    def forget(self) -> None:
        """Expect the counters to begin anew, since the device may have been reset."""
        for meter in self._meters.values():
            meter.forget()

    def leave(self, counters: Iterable[Counter]) -> None:
        """Do without these counters until the next `probe`."""
        for counter in counters:
            self._of.pop(counter, None)
            self._extras.pop(counter, None)

    def begin(self, reader: FieldReader) -> None:
        """Have `reader` read the counters that were found, from its next `prepare` on."""
        for extras in self._extras.values():
            for extra in extras:
                reader.add(extra)

    def probe(self, reader: FieldReader, draft: Draft) -> Mapping[Quantity, Reason]:
        """Find the counters, for `begin`; returns those there are none of.

        Link speeds of PCIe are taken from `draft`, where they must be by now.
        """
        self._of.clear()
        self._extras.clear()
        self.narrow.clear()
        self.pcie_limit = speeds.pcie(
            draft.gauges.get(Gauge.PCIE_LINK_GENERATION_MAX),
            draft.gauges.get(Gauge.PCIE_LINK_WIDTH_MAX),
        )
        links = reader.ask(LINK_COUNT).value
        self.nvlink_limit = speeds.nvlink(links, reader.ask(LINK_SPEED).value)
        missing: dict[Quantity, Reason] = {}
        for source in (*_PCIE, *_NVLINK):
            reason = self._find(source, reader, links=min(int(links or 0), LINKS_MAX))
            if reason is not None:
                missing[source.counter] = reason
        for source in _NVLINK:
            if source.counter in missing:
                missing[Gauge.NVLINK_BYTES_PER_SECOND] = missing[source.counter]
        return missing

    def _find(self, source: _Source, reader: FieldReader, *, links: int) -> Reason | None:
        """Use the field for all links, else those of single links that work."""
        reading = reader.ask(source.number, source.scope)
        if reading.value is not None:
            self._use(source, field=(source.number, source.scope))
            wraps_bytes = source.unit_bytes << reading.bits
            if wraps_bytes < _BETWEEN_S * self._limit(source.counter):
                self.narrow.add(source.counter)
            return None
        if source.per_link is not None:
            single = source._replace(unit_bytes=1)
            for link in range(links):
                if reader.ask(source.per_link, link).value is not None:
                    self._use(single, field=(source.per_link, link))
        if source.counter in self._of:
            return None
        return "no_data" if reading.code == codes.SUCCESS else codes.reason(reading.code)

    def _use(self, source: _Source, *, field: tuple[int, int]) -> None:
        """Read a field from now on; what it counted so far is kept over a new probing."""
        meter = self._meters.setdefault(field, ByteCounter(source.unit_bytes))
        self._of.setdefault(source.counter, []).append(meter)
        take = functools.partial(self._take, _Counted(source.counter, meter))
        self._extras.setdefault(source.counter, []).append(Extra(*field, take))

    def _take(self, counted: _Counted, draft: Draft, reading: FieldReading) -> None:
        """Take one field's reading; a field that fails is made up for by its next one."""
        if reading.value is None or reading.value < 0:
            return
        counter, meter = counted
        limit = self._limit(counter)
        step = meter.take(int(reading.value), reading.timestamp_us, bits=reading.bits, limit=limit)
        self._steps.setdefault(counter, []).append(step)
        if step == "implausible":
            draft.refusals[counter] += 1

    def _limit(self, counter: Counter) -> float:
        return self.pcie_limit if counter.startswith("pcie") else self.nvlink_limit

    def finish(self, draft: Draft) -> None:
        """Put counters and the NVLink rate of this tick into the draft."""
        steps, self._steps = self._steps, {}
        for counter, meters in self._of.items():
            known = [meter.bytes for meter in meters if meter.bytes is not None]
            if known and "implausible" not in steps.get(counter, ["implausible"]):
                draft.put(counter, sum(known))
        if all(_all_taken(steps.get(source.counter, ())) for source in _NVLINK):
            meters = [meter for source in _NVLINK for meter in self._of[source.counter]]
            if all(meter.step_us > 0 for meter in meters):
                rate = sum(meter.step_bytes * 1e6 / meter.step_us for meter in meters)
                draft.put(Gauge.NVLINK_BYTES_PER_SECOND, rate)


def _all_taken(steps: Sequence[Step]) -> bool:
    return bool(steps) and all(step == "taken" for step in steps)
