"""A machine without a driver: eight devices under a moving load, with faults on a script.

For a look at the exporter on a laptop, and for tests of all that stands above a driver. Values
follow from the age of the machine alone, counters as exact integrals, so a child that is replaced
goes on where the one before it was. The machine is as old as the exporter that started it.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import cos, pi, sin
from pathlib import Path
from typing import Final, NamedTuple

from inferometer.gpu.backend import Calls, DeviceError, Options
from inferometer.gpu.fake.scenario import Scenario, load
from inferometer.gpu.quantities import Counter, Gauge, Tier, Total
from inferometer.gpu.sample import DeviceState, Event, Identity, Instance, Process, Reading, Reason

GIB: Final = 1 << 30
NS_PER_S: Final = 1_000_000_000
MEMORY_BYTES: Final = 80 * GIB
RESERVED_BYTES: Final = GIB // 2
IDLE_WATTS: Final = 72.0
LOAD_WATTS: Final = 590.0
UPTIME_S: Final = 30 * 86400
"""How long the driver has been loaded before the exporter came: its counters do not start at 0."""
LINK_BYTES_PER_S: Final = 900e6
HANG_LOOK_S: Final = 0.05
LOST: Final[DeviceState] = "lost"
FAILURES: Final[Mapping[DeviceState, int]] = {LOST: 15, "reset_required": 16, "no_permission": 4}
"""States that the script can put a device into, with what NVML's calls return in them."""
UNKNOWN: Final = 999

PROFILES: Final = ((2, "3g.40gb", 3), (3, "2g.20gb", 2), (9, "1g.10gb", 1), (10, "1g.10gb", 1))
"""Instances of a device with MIG on: number, profile, slices of 7."""

ENGINES: Final = (
    (Gauge.GRAPHICS_ENGINE_RATIO, Total.BUSY_NS, 1.0),
    (Gauge.SM_RATIO, Total.SM_ACTIVE_NS, 0.9),
    (Gauge.TENSOR_RATIO, Total.TENSOR_ACTIVE_NS, 0.55),
    (Gauge.DRAM_RATIO, Total.DRAM_ACTIVE_NS, 0.45),
    (Gauge.FP64_RATIO, Total.FP64_ACTIVE_NS, 0.01),
    (Gauge.FP32_RATIO, Total.FP32_ACTIVE_NS, 0.12),
    (Gauge.FP16_RATIO, Total.FP16_ACTIVE_NS, 0.2),
    (Gauge.INTEGER_RATIO, Total.INTEGER_ACTIVE_NS, 0.15),
)
NOT_ON_SXM: Final = (
    Gauge.FAN_PERCENT,
    Gauge.VGPU_LICENSE_STATUS,
    Gauge.RETIRED_PENDING,
    Counter.RETIRED_PAGES_SBE,
    Counter.RETIRED_PAGES_DBE,
)
OFF_UNDER_MIG: Final = (
    Gauge.UTILIZATION_PERCENT,
    Gauge.MEMORY_COPY_PERCENT,
    Gauge.ENCODER_PERCENT,
    Gauge.DECODER_PERCENT,
)


class Wave(NamedTuple):
    """A load that swings around `mean`; its integral is exact."""

    mean: float
    swing: float
    period_s: float
    phase: float

    def at(self, age_s: float) -> float:
        """Return the load, 0 to 1."""
        return self.mean + self.swing * sin(2 * pi * age_s / self.period_s + self.phase)

    def until(self, age_s: float) -> float:
        """Return the load's integral since the start, in seconds."""
        turn = 2 * pi / self.period_s
        swung = self.swing / turn * (cos(self.phase) - cos(turn * age_s + self.phase))
        return self.mean * age_s + swung


def wave(device: int) -> Wave:
    """Return the load of a device: the last of eight idles, the others swing each in its way."""
    if device % 8 == 6:  # noqa: PLR2004  (one that idles)
        return Wave(0.0, 0.0, 60.0, 0.0)
    return Wave(0.5 + 0.05 * (device % 4), 0.3, 40.0 + 13.0 * device, float(device))


class Clock(NamedTuple):
    """How old the machine is, and a way to wait."""

    age_s: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep


def open_backend(options: Options) -> "FakeBackend":
    """Return the machine of `options.scenario`. Raises UserError for a scenario that is wrong."""
    since_s = born_s(os.getppid())
    age = Clock(lambda: max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - since_s))
    return FakeBackend(load(options.scenario), age, processes=options.processes)


def born_s(pid: int) -> float:
    """Return when a process began, in seconds since boot; now, if nobody says so."""
    with suppress(OSError, ValueError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class FakeBackend:
    """The machine."""

    name = "fake"
    devices_listed: int | None = None
    driver_version = "580.95.05"

    def __init__(self, scenario: Scenario, clock: Clock, *, processes: bool = False) -> None:
        """Begin to tell of the machine; events from before are not told."""
        self._scenario = scenario
        self._clock = clock
        self._processes = processes
        self._told_s = clock.age_s()

    def discover(self, _: Calls | None = None) -> Sequence[Identity]:
        """List the devices."""
        return [self._identity(index) for index in range(self._scenario.devices)]

    def open_device(self, identity: Identity, calls: Calls) -> "FakeDevice":
        """Return a device."""
        machine = Machine(self._scenario, self._clock, processes=self._processes)
        return FakeDevice(identity, calls, machine)

    def hears(self, uuid: str) -> bool:  # noqa: ARG002 (it is all devices or none)
        """Return True: where events can be had, they are those of all devices."""
        return True

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        """Wait for XIDs and ECC errors of the script."""
        end_s = self._clock.age_s() + timeout_s
        while True:
            span_s = (self._told_s, self._clock.age_s())
            found = self._events(span_s)
            self._told_s = span_s[1]
            if self._scenario.struck("crash", span_s, None):
                os._exit(1)
            if found or span_s[1] >= end_s:
                return found
            self._clock.sleep(min(HANG_LOOK_S, end_s - span_s[1]))

    def pci_devices(self) -> int | None:
        """Return how many there are."""
        return self._scenario.devices

    def close(self) -> None:
        """Hold nothing."""

    def _events(self, span_s: tuple[float, float]) -> list[Event]:
        events = []
        for identity in self.discover():
            xids = self._scenario.struck("xid", span_s, identity.index)
            events += [Event(identity.uuid, "xid", fault.code) for fault in xids]
            if self._scenario.struck("ecc", span_s, identity.index):
                events.append(Event(identity.uuid, "ecc_dbe"))
        return events

    def _identity(self, index: int) -> Identity:
        return Identity(
            uuid=f"GPU-fa4e0000-0000-4000-8000-{index:012d}",
            index=index,
            vendor="nvidia",
            model="NVIDIA H100 80GB HBM3",
            minor=index,
            pci_bus_id=f"00000000:{0x1B + index * 8:02X}:00.0",
            architecture="hopper",
            driver_version=self.driver_version,
            vbios_version="96.00.74.00.01",
            serial=f"16500230{index:05d}",
            busy_source="gpm",
            energy_source="counter",
            mig=index in self._scenario.mig,
        )


class Machine(NamedTuple):
    """What a device needs to know of the whole."""

    scenario: Scenario
    clock: Clock
    processes: bool


class FakeDevice:
    """One device; calls fail and hang as the script says."""

    def __init__(self, identity: Identity, calls: Calls, machine: Machine) -> None:
        """Begin its sums at 0."""
        self.identity = identity
        self._calls = calls
        self._machine = machine
        self._wave = wave(identity.index)
        self._opened_s = machine.clock.age_s()

    def probe(self) -> Mapping[str, Reason]:
        """Tell what an H100 SXM cannot: it has no fan and remaps rows instead of retiring pages."""
        found: dict[str, Reason] = {quantity.value: "not_supported" for quantity in NOT_ON_SXM}
        if self.identity.mig:
            found |= {quantity.value: "mig_mode" for quantity in OFF_UNDER_MIG}
        return found

    def sample(self, tier: Tier) -> Reading:
        """Read what the tier has. Raises DeviceError while the script says so."""
        age_s = self._calls.run("FakeSample", self._answer)
        if tier == "fast":
            return Reading(
                gauges=self._gauges(age_s),
                counters=self._counters(age_s),
                totals=self._totals(age_s, self._wave, 1.0),
                instances=tuple(self._instances(age_s)) if self.identity.mig else None,
            )
        if tier == "process":
            return Reading(processes=self._list_processes(age_s))
        return Reading(gauges=self._slow(), counters=self._errors(age_s))

    def alive(self) -> bool:
        """Tell whether the script lets it answer."""
        age_s = self._machine.clock.age_s()
        return not any(self._active(kind, age_s) for kind in ("lost", "reset_required", "driver"))

    def close(self) -> None:
        """Hold nothing."""

    def _active(self, kind: str, age_s: float) -> bool:
        return self._machine.scenario.active(kind, age_s, self.identity.index)

    def _answer(self) -> float:
        """Return the age of the machine, as late and as badly as the script says."""
        clock = self._machine.clock
        while self._active("hang", clock.age_s()):
            clock.sleep(HANG_LOOK_S)
        age_s = clock.age_s()
        if self._active("driver", age_s):
            message = "the driver is gone"
            raise DeviceError(LOST, message, code=UNKNOWN, backend_lost=True)
        for state, code in FAILURES.items():
            if self._active(state, age_s):
                message = f"the script says so: {state}"
                raise DeviceError(state, message, code=code)
        return age_s

    def _gauges(self, age_s: float) -> dict[Gauge, float]:
        load = self._wave.at(age_s)
        hot = self._active("throttle", age_s)
        used = int((8 + 58 * self._wave.mean) * GIB) if self._wave.mean else 600 << 20
        found: dict[Gauge, float] = {
            Gauge.SM_CLOCK_MHZ: 1305 if hot else 1980,
            Gauge.MEMORY_CLOCK_MHZ: 2619,
            Gauge.GPU_TEMPERATURE_CELSIUS: 84 if hot else round(32 + 38 * load),
            Gauge.MEMORY_TEMPERATURE_CELSIUS: round(41 + 40 * load),
            Gauge.TEMPERATURE_MARGIN_CELSIUS: 0 if hot else round(55 - 38 * load),
            Gauge.POWER_WATTS: IDLE_WATTS + LOAD_WATTS * load,
            Gauge.POWER_INSTANT_WATTS: IDLE_WATTS + LOAD_WATTS * load,
            Gauge.MEMORY_USED_BYTES: used,
            Gauge.MEMORY_RESERVED_BYTES: RESERVED_BYTES,
            Gauge.MEMORY_FREE_BYTES: MEMORY_BYTES - used - RESERVED_BYTES,
            Gauge.MEMORY_TOTAL_BYTES: MEMORY_BYTES,
            Gauge.CLOCKS_EVENT_REASONS: 32 if hot else 0 if load else 1,
            Gauge.SM_OCCUPANCY_RATIO: 0.4 * load,
            Gauge.PCIE_TRANSMIT_BYTES_PER_SECOND: 4e6 + LINK_BYTES_PER_S * load,
            Gauge.PCIE_RECEIVE_BYTES_PER_SECOND: 4e6 + 2 * LINK_BYTES_PER_S * load,
            Gauge.NVLINK_TRANSMIT_BYTES_PER_SECOND: 20 * LINK_BYTES_PER_S * load,
            Gauge.NVLINK_RECEIVE_BYTES_PER_SECOND: 20 * LINK_BYTES_PER_S * load,
            Gauge.NVLINK_BYTES_PER_SECOND: 40 * LINK_BYTES_PER_S * load,
        }
        found |= {gauge: share * load for gauge, _, share in ENGINES}
        if not self.identity.mig:
            found |= {
                Gauge.UTILIZATION_PERCENT: round(100 * load),
                Gauge.MEMORY_COPY_PERCENT: round(45 * load),
                Gauge.ENCODER_PERCENT: 0,
                Gauge.DECODER_PERCENT: 0,
            }
        return found

    def _counters(self, age_s: float) -> dict[Counter, int]:
        busy_s = self._wave.until(age_s)
        script, index = self._machine.scenario, self.identity.index
        throttled_ns = int(script.lasted_s("throttle", age_s, index) * NS_PER_S)
        moved = int(busy_s * LINK_BYTES_PER_S)
        return {
            Counter.ENERGY_MILLIJOULES: int(
                1000 * (IDLE_WATTS * (UPTIME_S + age_s) + LOAD_WATTS * busy_s)
            ),
            Counter.PCIE_REPLAYS: 0,
            Counter.PCIE_TRANSMIT_BYTES: int(4e6 * age_s) + moved,
            Counter.PCIE_RECEIVE_BYTES: int(4e6 * age_s) + 2 * moved,
            Counter.NVLINK_TRANSMIT_BYTES: 20 * moved,
            Counter.NVLINK_RECEIVE_BYTES: 20 * moved,
            Counter.THROTTLED_POWER_NS: int(busy_s * NS_PER_S) // 50,
            Counter.THROTTLED_THERMAL_NS: throttled_ns,
            Counter.THROTTLED_SW_THERMAL_NS: throttled_ns,
            Counter.THROTTLED_RELIABILITY_NS: 0,
        }

    def _totals(self, age_s: float, load: Wave, part: float) -> dict[Total, int]:
        busy_s = part * (load.until(age_s) - load.until(self._opened_s))
        found = {total: int(share * busy_s * NS_PER_S) for _, total, share in ENGINES}
        found[Total.OBSERVED_NS] = int((age_s - self._opened_s) * NS_PER_S)
        return found

    def _instances(self, age_s: float) -> list[Instance]:
        found = []
        for number, profile, slices in PROFILES:
            load = self._wave.at(age_s) if number == PROFILES[0][0] else 0.3
            total = MEMORY_BYTES * slices // 8
            steady = self._wave if number == PROFILES[0][0] else Wave(0.3, 0, 60, 0)
            found.append(
                Instance(
                    gpu_instance=number,
                    compute_instance=0,
                    uuid=f"MIG-fa4e0000-0000-4000-{self.identity.index:04d}-{number:012d}",
                    profile=profile,
                    slices=slices,
                    slices_max=7,
                    gauges={gauge: share * load for gauge, _, share in ENGINES}
                    | {
                        Gauge.MEMORY_USED_BYTES: total // 4,
                        Gauge.MEMORY_FREE_BYTES: total - total // 4,
                        Gauge.MEMORY_TOTAL_BYTES: total,
                    },
                    totals=self._totals(age_s, steady, 1.0),
                )
            )
        return found

    def _list_processes(self, age_s: float) -> tuple[Process, ...] | None:
        if not self._machine.processes or not self._wave.mean:
            return None
        busy_ns = int((self._wave.until(age_s) - self._wave.until(self._opened_s)) * NS_PER_S)
        pid = 1_000_000 + self.identity.index
        return (
            Process(pid, 20 * GIB, busy_ns * 2 // 3),
            Process(pid + 100, 10 * GIB, busy_ns // 3),
        )

    def _slow(self) -> dict[Gauge, float]:
        return {
            Gauge.POWER_LIMIT_WATTS: 700,
            Gauge.POWER_LIMIT_ENFORCED_WATTS: 700,
            Gauge.BAR1_TOTAL_BYTES: 128 * GIB,
            Gauge.BAR1_USED_BYTES: 2 * GIB,
            Gauge.BAR1_FREE_BYTES: 126 * GIB,
            Gauge.PERFORMANCE_STATE: 0,
            Gauge.RECOVERY_ACTION: 0,
            Gauge.ROW_REMAP_PENDING: 0,
            Gauge.ROW_REMAP_FAILED: 0,
            Gauge.FABRIC_STATE: 3,
            Gauge.PCIE_LINK_WIDTH: 16,
            Gauge.PCIE_LINK_WIDTH_MAX: 16,
            Gauge.PCIE_LINK_GENERATION: 5,
            Gauge.PCIE_LINK_GENERATION_MAX: 5,
        }

    def _errors(self, age_s: float) -> dict[Counter, int]:
        struck = self._machine.scenario.count("ecc", age_s, self.identity.index)
        return {
            Counter.REMAPPED_ROWS_UNCORRECTED: struck,
            Counter.REMAPPED_ROWS_CORRECTED: 0,
            Counter.ECC_CORRECTED_VOLATILE: 0,
            Counter.ECC_UNCORRECTED_VOLATILE: struck,
            Counter.ECC_CORRECTED_AGGREGATE: self.identity.index,
            Counter.ECC_UNCORRECTED_AGGREGATE: struck,
            Counter.NVLINK_CRC_FLIT_ERRORS: 0,
            Counter.NVLINK_CRC_DATA_ERRORS: 0,
            Counter.NVLINK_REPLAY_ERRORS: 0,
            Counter.NVLINK_RECOVERY_ERRORS: 0,
        }
