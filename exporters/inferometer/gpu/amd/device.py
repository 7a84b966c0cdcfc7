"""One AMD device."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from inferometer.gpu.amd.answers import (
    ASKS,
    BUSY,
    PERCENT_MAX,
    Found,
    finite,
    number,
    residency,
)
from inferometer.gpu.amd.library import CODES, CallError, Choice, Library
from inferometer.gpu.amd.processes import Processes
from inferometer.gpu.amd.throttling import Throttling
from inferometer.gpu.backend import Calls, DeviceError
from inferometer.gpu.binding.integrals import WATTS_TO_MICROJOULES, Source, Totals, lacking
from inferometer.gpu.quantities import XID, Counter, Gauge, Tier, Total
from inferometer.gpu.sample import DeviceState, Identity, Process, Reading, Reason

METRICS: Final = "amdsmi_get_gpu_metrics_info"
VIOLATIONS: Final = "amdsmi_get_violation_status"
PROCESSES: Final = "amdsmi_get_gpu_process_list"
ASIC: Final = "amdsmi_get_gpu_asic_info"
FAN: Final = "amdsmi_get_gpu_fan_speed"
FAN_MAX: Final = "amdsmi_get_gpu_fan_speed_max"
ADDRESS: Final = "amdsmi_get_gpu_device_bdf"
THROTTLED: Final = (
    Counter.THROTTLED_POWER_NS,
    Counter.THROTTLED_THERMAL_NS,
    Counter.THROTTLED_HW_THERMAL_NS,
    Gauge.CLOCKS_EVENT_REASONS,
)
ENERGY: Final = Source(Total.ENERGY_MICROJOULES, Gauge.POWER_WATTS, divisor=WATTS_TO_MICROJOULES)
NEVER: Final[Mapping[str, Reason]] = {
    XID: "backend",
    **lacking(
        (
            *(quantity for ask in ASKS for quantity in ask.quantities),
            *THROTTLED,
            Gauge.MEMORY_FREE_BYTES,
            Gauge.FAN_PERCENT,
        ),
        (*BUSY, ENERGY),
    ),
}
DRIVER_GONE: Final = frozenset({32, 34})
DEVICE_GONE: Final = frozenset({12, 14, 31})
NO_PERMISSION: Final = 10
"""Codes that mean the driver, the device or our rights, if all calls of a tick end with them."""
REASONS: Final[Mapping[str, Reason]] = {
    "not_supported": "not_supported",
    "no_permission": "no_permission",
    "function_not_found": "function_not_found",
}


class Lists(NamedTuple):
    """Whether processes are listed, and the monotonic clock."""

    processes: bool
    clock_ns: Callable[[], int]


class AmdDevice:
    """A device. Every quantity is a call of its own, so one that fails leaves the others."""

    def __init__(
        self, library: Library, handle: object, identity: Identity, calls: Calls, *, lists: Lists
    ) -> None:
        """Call nothing yet."""
        self._library = library
        self._handle = handle
        self._identity = identity
        self._calls = calls
        self._lists = lists
        self._processes = Processes(None)
        self._throttling = Throttling()
        self._residencies: str | None = METRICS
        self._sources: tuple[Source, ...] = BUSY
        self._totals = Totals(BUSY)
        self._implausible: dict[str, int] = {}
        self._codes: list[int | None] = []

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return self._identity

    def probe(self) -> Mapping[str, Reason]:
        """Ask everything once."""
        self._codes = []
        reasons: dict[str, Reason] = {}
        for ask in ASKS:
            answer, error = self._call(ask.function, ask.name, choices=ask.choices)
            told = {} if error else self._plausible(ask.read(answer))
            missing = _reason(error)
            reasons.update({str(q): missing for q in ask.quantities if q not in told})
        self._judge()
        for gauge in (Gauge.MEMORY_USED_BYTES, Gauge.MEMORY_TOTAL_BYTES):
            if gauge in reasons:
                reasons[str(Gauge.MEMORY_FREE_BYTES)] = reasons[gauge]
        if self._fan() is None:
            reasons[str(Gauge.FAN_PERCENT)] = "not_supported"
        self._find_residencies()
        if self._residencies is None:
            reasons.update({str(quantity): "not_supported" for quantity in THROTTLED})
        units = number(self._call(ASIC)[0], "num_compute_units")
        self._processes = Processes(None if units is None else int(units))
        self._choose(reasons)
        return {**NEVER, **reasons, **_total_reasons(reasons)}

    def sample(self, tier: Tier) -> Reading:
        """Make the calls of this tier. Raises DeviceError if every one of them fails alike."""
        self._codes = []
        found: dict[Gauge | Counter, float] = {}
        for ask in ASKS:
            if self._calls.due(ask.name, ask.tier, tier):
                answer, error = self._call(ask.function, ask.name, choices=ask.choices)
                found.update({} if error else self._plausible(ask.read(answer)))
        if self._calls.due(_short(FAN), "slow", tier) and (fan := self._fan()) is not None:
            found[Gauge.FAN_PERCENT] = fan
        self._look_at_residencies(tier)
        if tier != "process":
            self._judge()  # one call alone would say too little
        processes = self._list(tier)
        if tier == "fast":
            self._add_up(found)
        return Reading(
            gauges={q: value for q, value in found.items() if isinstance(q, Gauge)},
            counters={q: int(value) for q, value in found.items() if isinstance(q, Counter)},
            totals=self._totals.read() if tier == "fast" else {},
            processes=processes,
            implausible=dict(self._implausible),
        )

    def alive(self) -> bool:
        """Ask for its address on the bus."""
        return self._call(ADDRESS)[1] is None

    def close(self) -> None:
        """Do nothing: the handle is the library's."""

    def _call(
        self,
        function: str,
        name: str = "",
        *,
        choices: Sequence[Choice] = (),
        sensor: int | None = None,
    ) -> tuple[object, CallError | None]:
        """Make a call; it counts with its code as result."""
        arguments = [self._handle] if sensor is None else [self._handle, sensor]

        def make() -> tuple[object, CallError | None]:
            try:
                return self._library.call(function, *arguments, choices=choices), None
            except CallError as error:
                return None, error

        answer, error = self._calls.run(name or _short(function), make, result=_word)
        self._codes.append(error.code if error else 0)
        return answer, error

    def _plausible(self, told: Found) -> Found:
        """Leave out, and count, percents above 100."""
        kept = {}
        for quantity, value in told.items():
            most = {"percent": PERCENT_MAX, "ratio": 1}.get(quantity.rpartition("_")[2])
            if most is not None and value > most:
                name = str(quantity)
                self._implausible[name] = self._implausible.get(name, 0) + 1
            else:
                kept[quantity] = value
        return kept

    def _judge(self) -> None:
        """Raise if no call of this tick went well, and all for one cause."""
        codes = set(self._codes)
        state: DeviceState = "lost"
        if codes and codes <= DRIVER_GONE | DEVICE_GONE:
            gone = bool(codes & DRIVER_GONE)
        elif codes == {NO_PERMISSION}:
            state, gone = "no_permission", False
        else:
            return
        code = min(code for code in codes if code is not None)
        message = f"every call ended with {CODES.get(code, code)}"
        raise DeviceError(state, message, code=code, backend_lost=gone)

    def _add_up(self, found: dict[Gauge | Counter, float]) -> None:
        """Add a tick to the sums, and what follows from the rest."""
        gauges = {q: value for q, value in found.items() if isinstance(q, Gauge)}
        self._totals.add(gauges, dict.fromkeys(gauges, self._lists.clock_ns()))
        found.update(self._throttling.sums)
        if self._throttling.mask is not None:
            found[Gauge.CLOCKS_EVENT_REASONS] = self._throttling.mask
        used, total = (found.get(q) for q in (Gauge.MEMORY_USED_BYTES, Gauge.MEMORY_TOTAL_BYTES))
        if used is not None and total is not None and used <= total:
            found[Gauge.MEMORY_FREE_BYTES] = total - used

    def _fan(self) -> float | None:
        """Return the fan's speed, as percent of its highest; most of these boards have none."""
        speed = finite(self._call(FAN, sensor=0)[0])
        highest = finite(self._call(FAN_MAX, sensor=0)[0])
        if speed is None or not highest or speed > highest:
            return None
        return 100 * speed / highest

    def _find_residencies(self) -> None:
        """Find out which call has the firmware's counts of limits, if any."""
        for function in (METRICS, VIOLATIONS):
            if residency(self._call(function)[0]) is not None:
                self._residencies = function
                return
        self._residencies = None

    def _look_at_residencies(self, tier: Tier) -> None:
        function = self._residencies
        declared: Tier = "fast" if function == METRICS else "slow"
        if function is not None and self._calls.due(_short(function), declared, tier):
            counts = residency(self._call(function)[0])
            self._throttling.look(self._lists.clock_ns(), counts)

    def _list(self, tier: Tier) -> tuple[Process, ...] | None:
        """List the processes, if they are wanted."""
        if not self._lists.processes or not self._calls.due(_short(PROCESSES), "process", tier):
            return None
        answer, error = self._call(PROCESSES)
        return None if error else self._processes.take(answer, self._lists.clock_ns())

    def _choose(self, reasons: Mapping[str, Reason]) -> None:
        """Decide what the totals are made of; sums go on if that is as before."""
        counted = Counter.ENERGY_MILLIJOULES not in reasons
        measured = Gauge.POWER_WATTS not in reasons
        chosen = BUSY if counted or not measured else (*BUSY, ENERGY)
        if chosen != self._sources:
            self._sources, self._totals = chosen, Totals(chosen)
        self._identity = replace(
            self._identity,
            busy_source="" if Gauge.UTILIZATION_PERCENT in reasons else "utilization",
            energy_source="counter" if counted else "power" if measured else "",
        )


def _total_reasons(reasons: Mapping[str, Reason]) -> dict[str, Reason]:
    found = {str(s.total): reasons[s.gauge] for s in BUSY if s.gauge in reasons}
    if Total.BUSY_NS in found:
        found[Total.OBSERVED_NS] = found[Total.BUSY_NS]
    return found


def _reason(error: CallError | None) -> Reason:
    """Return why a quantity is missing; an answer without it says "not supported"."""
    if error is None:
        return "not_supported"
    return REASONS.get(CODES.get(error.code or 0, ""), "no_data")


def _word(outcome: tuple[object, CallError | None]) -> str:
    """Name a call's outcome."""
    error = outcome[1]
    if error is None:
        return "ok"
    return "error" if error.code is None else CODES.get(error.code, str(error.code))


def _short(function: str) -> str:
    return function.removeprefix("amdsmi_")
