"""A reading while it is being made, and what a device's thread keeps from tick to tick. Pure."""

import math
from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from inferometer.gpu.quantities import Counter, Gauge, Quantity, Total
from inferometer.gpu.sample import Reading, Reason


class Bounds(NamedTuple):
    """The least and the greatest value that can be true."""

    least: float
    greatest: float


PERCENT: Final = Bounds(0, 100)
_CELSIUS: Final = Bounds(-60, 250)
_WATTS: Final = Bounds(0, 100_000)
_FLAG: Final = Bounds(0, 1)

BOUNDS: Final[Mapping[Quantity, Bounds]] = {
    Gauge.SM_CLOCK_MHZ: Bounds(0, 20_000),
    Gauge.MEMORY_CLOCK_MHZ: Bounds(0, 50_000),
    Gauge.GPU_TEMPERATURE_CELSIUS: _CELSIUS,
    Gauge.MEMORY_TEMPERATURE_CELSIUS: _CELSIUS,
    Gauge.TEMPERATURE_MARGIN_CELSIUS: _CELSIUS,
    Gauge.POWER_WATTS: _WATTS,
    Gauge.POWER_INSTANT_WATTS: _WATTS,
    Gauge.POWER_LIMIT_WATTS: _WATTS,
    Gauge.POWER_LIMIT_ENFORCED_WATTS: _WATTS,
    Gauge.UTILIZATION_PERCENT: PERCENT,
    Gauge.MEMORY_COPY_PERCENT: PERCENT,
    Gauge.ENCODER_PERCENT: PERCENT,
    Gauge.DECODER_PERCENT: PERCENT,
    Gauge.PERFORMANCE_STATE: Bounds(0, 15),
    Gauge.FAN_PERCENT: Bounds(0, 200),  # a driver may say more than 100
    Gauge.RECOVERY_ACTION: Bounds(0, 7),
    Gauge.ROW_REMAP_PENDING: _FLAG,
    Gauge.ROW_REMAP_FAILED: _FLAG,
    Gauge.RETIRED_PENDING: _FLAG,
    Gauge.FABRIC_STATE: Bounds(1, 3),
    Gauge.PCIE_LINK_WIDTH: Bounds(0, 32),
    Gauge.PCIE_LINK_WIDTH_MAX: Bounds(0, 32),
    Gauge.PCIE_LINK_GENERATION: Bounds(0, 8),
    Gauge.PCIE_LINK_GENERATION_MAX: Bounds(0, 8),
}
"""Where a value outside is a driver's error, not news. What is not listed has no such bounds."""

MEMORY_BYTES_MAX: Final = 1 << 50


def plausible(quantity: Quantity, value: float) -> bool:
    """Return whether a value can be true: finite, not negative unless it may be, in bounds."""
    if not math.isfinite(value):
        return False
    bounds = BOUNDS.get(quantity)
    if bounds is None:
        return value >= 0
    return bounds.least <= value <= bounds.greatest


@dataclass(slots=True)
class Draft:
    """One tick of one device. `moments` has the perf_counter_ns at which a gauge was read."""

    refusals: Tally[str]
    """Implausible values by quantity, since the device was opened."""
    gauges: dict[Gauge, float] = field(default_factory=dict)
    counters: dict[Counter, int] = field(default_factory=dict)
    totals: dict[Total, int] = field(default_factory=dict)
    moments: dict[Gauge, int] = field(default_factory=dict)

    def put(self, quantity: Quantity, value: float | None) -> Reason | None:
        """Take a value if there is one and it can be true; else return why it is left out."""
        if value is None:
            return "no_data"
        if not plausible(quantity, value):
            self.refusals[quantity] += 1
            return "implausible"
        if isinstance(quantity, Gauge):
            self.gauges[quantity] = value
        elif isinstance(quantity, Counter):
            self.counters[quantity] = int(value)
        else:
            self.totals[quantity] = int(value)
        return None

    def reading(self) -> Reading:
        """Return what was read, without instances and processes."""
        return Reading(
            gauges=self.gauges,
            counters=self.counters,
            totals=self.totals,
            implausible=dict(+self.refusals),
        )
