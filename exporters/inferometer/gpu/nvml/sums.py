"""Sums that this backend runs itself: busy time, energy where nothing counts it, media engines.

Each has its sources in order: the exact one first, and an approximation only where that is
missing. The source does not change between two probings, so a sum never mixes two of them.
"""

from collections.abc import Callable, Mapping
from typing import Final

from inferometer.gpu.binding.integrals import Integral
from inferometer.gpu.nvml import codes, samples
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.draft import BOUNDS, Draft
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.samples import Sampled
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import Counter, Gauge, Quantity, Tier, Total
from inferometer.gpu.sample import Reason

UTILIZATION_NAME: Final = "DeviceGetSamples_utilization"
POWER_NAME: Final = "DeviceGetSamples_power"
_MILLIWATTS_MAX: Final = int(BOUNDS[Gauge.POWER_WATTS].greatest) * 1000
_RATIOS: Final[Mapping[Gauge, Total]] = {
    Gauge.ENCODER_PERCENT: Total.ENCODER_ACTIVE_NS,
    Gauge.DECODER_PERCENT: Total.DECODER_ACTIVE_NS,
}


class Sums:
    """The sums of a device. They live as long as the device is open, over all probings."""

    def __init__(self, library: Library, caller: Caller, *, clock: Callable[[], int]) -> None:
        """Nothing is summed before `probe`."""
        self.busy_source = ""
        self.energy_source = ""
        self._library = library
        self._caller = caller
        self._utilization = Sampled(caller, clock, name=UTILIZATION_NAME, most=100)
        self._power = Sampled(caller, clock, name=POWER_NAME, most=_MILLIWATTS_MAX)
        self._busy = Integral()
        self._media = {gauge: Integral() for gauge in _RATIOS}

    def probe(
        self, handle: Handle, missing: Mapping[Quantity, Reason], *, mig: bool
    ) -> Mapping[Quantity, Reason]:
        """Choose the sources; `missing` is what other parts cannot tell, with the reasons.

        Returns the sums that cannot be had. GPM's own busy time comes first.
        """
        found: dict[Quantity, Reason] = {}
        busy = self._choose_busy(handle, missing, mig=mig)
        if busy is not None:
            found[Total.BUSY_NS] = found[Total.OBSERVED_NS] = busy
        energy = self._choose_energy(handle, missing)
        if energy is not None:
            found[Total.ENERGY_MICROJOULES] = energy
        for gauge, total in _RATIOS.items():
            if gauge in missing:
                found[total] = missing[gauge]
        return found

    def _choose_busy(
        self, handle: Handle, missing: Mapping[Quantity, Reason], *, mig: bool
    ) -> Reason | None:
        """Return why there is no busy time, None if there is."""
        self.busy_source = ""
        if Gauge.GRAPHICS_ENGINE_RATIO not in missing:
            self.busy_source = "gpm"
        elif mig:
            return "mig_mode"
        elif self._probe(self._utilization, handle, kind=samples.GPU) == codes.SUCCESS:
            self.busy_source = "samples"
        elif Gauge.UTILIZATION_PERCENT not in missing:
            self.busy_source = "utilization"
        else:
            return missing[Gauge.UTILIZATION_PERCENT]
        return None

    def _choose_energy(self, handle: Handle, missing: Mapping[Quantity, Reason]) -> Reason | None:
        """Return why there is no energy, None if there is, by whatever source."""
        self.energy_source = "counter"
        if Counter.ENERGY_MILLIJOULES not in missing:
            return None
        code = self._probe(self._power, handle, kind=samples.POWER)
        self.energy_source = "power" if code == codes.SUCCESS else ""
        return None if code == codes.SUCCESS else codes.reason(code)

    def _probe(self, sampled: Sampled, handle: Handle, *, kind: int) -> int:
        return sampled.probe(self._library.function("nvmlDeviceGetSamples"), handle, kind=kind)

    def read(self, tier: Tier, draft: Draft) -> None:
        """Add what this tick tells; gauges of it are in the draft already."""
        if self.busy_source == "samples" and self._caller.due(UTILIZATION_NAME, "fast", tier):
            self._read_samples(draft)
        if self.busy_source == "utilization":
            ratio = _ratio(draft, Gauge.UTILIZATION_PERCENT, integral=self._busy)
            if ratio:
                draft.totals[Total.BUSY_NS] = self._busy.total
                draft.totals[Total.OBSERVED_NS] = self._busy.observed_ns
        if self.energy_source == "power" and self._caller.due(POWER_NAME, "fast", tier):
            self._read_power(draft)
        for gauge, integral in self._media.items():
            if _ratio(draft, gauge, integral=integral):
                draft.totals[_RATIOS[gauge]] = integral.total

    def _read_samples(self, draft: Draft) -> None:
        known = self._utilization.read(idle_is_zero=True)
        _refuse(draft, Total.BUSY_NS, sampled=self._utilization)
        if known:  # percent x us, so 10 ns each
            draft.totals[Total.BUSY_NS] = self._utilization.area * 10
            draft.totals[Total.OBSERVED_NS] = self._utilization.observed_us * 1000

    def _read_power(self, draft: Draft) -> None:
        known = self._power.read(idle_is_zero=False)
        _refuse(draft, Total.ENERGY_MICROJOULES, sampled=self._power)
        if known:  # milliwatts x us, so a nanojoule each
            draft.totals[Total.ENERGY_MICROJOULES] = self._power.area // 1000


def _refuse(draft: Draft, quantity: Quantity, *, sampled: Sampled) -> None:
    draft.refusals[quantity] += sampled.refused
    sampled.refused = 0


def _ratio(draft: Draft, gauge: Gauge, *, integral: Integral) -> bool:
    """Add a percentage that was just read; returns whether the sum is known by now."""
    moment_ns = draft.moments.get(gauge)
    percent = draft.gauges.get(gauge)
    if moment_ns is None or percent is None:
        return False
    integral.add(moment_ns, percent / 100)
    return integral.started
