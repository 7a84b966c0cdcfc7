"""What amdsmi's answers come to: its dictionaries as quantities of ours. Pure.

Units are those of amdsmi.h 7.0; "N/A" is how the binding writes "not supported", and it is absent
here. To be verified on hardware: units and costs of all of it, and that the energy counter and
the residencies tick as documented.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from inferometer.gpu.amd.library import Choice
from inferometer.gpu.binding.integrals import Source
from inferometer.gpu.quantities import Counter, Gauge, Tier, Total

Found = Mapping[Gauge | Counter, float]
"""What an answer tells; what is unknown is not there."""

PERCENT_MAX: Final = 100
MICROWATTS_FROM: Final = 100_000
"""A limit from here on is in microwatts, as since ROCm 6; before, it was in watts."""
GENERATIONS: Final = {2_500: 1, 5_000: 2, 8_000: 3, 16_000: 4, 32_000: 5, 64_000: 6}
"""PCIe generation by megatransfers per second."""
GIGATRANSFERS_MAX: Final = 100
"""A speed up to here is in gigatransfers per second."""
NUMBER_END: Final = 1 << 63
"""No count comes this far; a number with all 64 bits set means "not supported"."""
TEMPERATURE_MAX: Final = 200
"""A higher one is no degrees Celsius."""

BUSY: Final = (
    Source(Total.BUSY_NS, Gauge.UTILIZATION_PERCENT, 0.01),
    Source(Total.DRAM_ACTIVE_NS, Gauge.DRAM_RATIO),
)


class Residency(NamedTuple):
    """Counts of the firmware: cycles in all, and in how many of them each limit held."""

    cycles: int
    power: int
    thermal: int
    hot: int


def activity(answer: object) -> Found:
    """`amdsmi_get_gpu_activity`: percent of time, of the shaders and of the memory controller."""
    found: dict[Gauge | Counter, float] = {}
    busy, memory = number(answer, "gfx_activity"), number(answer, "umc_activity")
    if busy is not None:
        found[Gauge.UTILIZATION_PERCENT] = busy
    if memory is not None:
        found[Gauge.MEMORY_COPY_PERCENT] = memory
        found[Gauge.DRAM_RATIO] = memory / PERCENT_MAX
    return found


def power(answer: object) -> Found:
    """`amdsmi_get_power_info`, watts. A part that does not measure one of the two says 0 there."""
    found: dict[Gauge | Counter, float] = {}
    now = number(answer, "current_socket_power")
    mean = number(answer, "average_socket_power") or now or number(answer, "socket_power")
    if mean:
        found[Gauge.POWER_WATTS] = mean
    if now:
        found[Gauge.POWER_INSTANT_WATTS] = now
    return found


def energy(answer: object) -> Found:
    """`amdsmi_get_energy_count`: steps times microjoules a step, in millijoules.

    Before ROCm 6.1 the steps were called `power`. Computed exactly: steps need all 64 bits.
    """
    steps = number(answer, "energy_accumulator")
    if steps is None:
        steps = number(answer, "power")
    resolution = number(answer, "counter_resolution")
    if steps is None or not resolution:
        return {}
    return {Counter.ENERGY_MILLIJOULES: int(int(steps) * Fraction(resolution)) // 1000}


def power_cap(answer: object) -> Found:
    """`amdsmi_get_power_cap_info`: the limit that is set."""
    cap = number(answer, "power_cap")
    if not cap:
        return {}
    return {Gauge.POWER_LIMIT_WATTS: cap / 1e6 if cap >= MICROWATTS_FROM else cap}


def ecc(answer: object) -> Found:
    """`amdsmi_get_gpu_total_ecc_count`: errors since the driver was loaded."""
    names = {
        Counter.ECC_CORRECTED_VOLATILE: "correctable_count",
        Counter.ECC_UNCORRECTED_VOLATILE: "uncorrectable_count",
    }
    counts = {counter: number(answer, name) for counter, name in names.items()}
    return {counter: count for counter, count in counts.items() if count is not None}


def pcie(answer: object) -> Found:
    """`amdsmi_get_pcie_info`: the link and its replays. Its bandwidth is both ways in one."""
    static, metric = member(answer, "pcie_static"), member(answer, "pcie_metric")
    values: dict[Gauge | Counter, float | None] = {
        Gauge.PCIE_LINK_WIDTH: number(metric, "pcie_width"),
        Gauge.PCIE_LINK_WIDTH_MAX: number(static, "max_pcie_width"),
        Gauge.PCIE_LINK_GENERATION: generation(number(metric, "pcie_speed")),
        Gauge.PCIE_LINK_GENERATION_MAX: generation(number(static, "max_pcie_speed")),
        Counter.PCIE_REPLAYS: number(metric, "pcie_replay_count"),
    }
    return {quantity: value for quantity, value in values.items() if value is not None}


def residency(answer: object) -> Residency | None:
    """Return the firmware's counts out of whichever answer has them.

    `amdsmi_get_gpu_metrics_info`, or, with other names, `amdsmi_get_violation_status`, which
    sleeps for 100 ms to take differences of its own.
    """
    for names in (
        (
            "accumulation_counter",
            "ppt_residency_acc",
            "socket_thm_residency_acc",
            "prochot_residency_acc",
        ),
        ("acc_counter", "acc_ppt_pwr", "acc_socket_thrm", "acc_prochot_thrm"),
    ):
        counts = [number(answer, name) for name in names]
        known = [int(count) for count in counts if count is not None]
        if len(known) == len(names):
            return Residency(*known)
    return None


def plain(quantity: Gauge, *, most: float = math.inf) -> Callable[[object], Found]:
    """Read an answer that is a number."""

    def read(answer: object) -> Found:
        value = finite(answer)
        return {} if value is None or value > most else {quantity: value}

    return read


def clock(quantity: Gauge) -> Callable[[object], Found]:
    """Read `amdsmi_get_clock_info`, MHz; before ROCm 6 its key was `cur_clk`."""

    def read(answer: object) -> Found:
        value = number(answer, "clk")
        if value is None:
            value = number(answer, "cur_clk")
        return {} if value is None else {quantity: value}

    return read


class Ask(NamedTuple):
    """A function of amdsmi: when it is called, and what its answer tells."""

    function: str
    tier: Tier
    read: Callable[[object], Found]
    quantities: Sequence[Gauge | Counter]
    choices: Sequence[Choice] = ()

    @property
    def name(self) -> str:
        """The call's name in our metrics; the same function may stand for two."""
        return "_".join([self.function.removeprefix("amdsmi_"), *(c[1] for c in self.choices[:1])])


VRAM: Final = (("AmdSmiMemoryType", "VRAM"),)
NOW: Final = ("AmdSmiTemperatureMetric", "CURRENT")
ASKS: Final = (
    Ask(
        "amdsmi_get_gpu_activity",
        "fast",
        activity,
        (Gauge.UTILIZATION_PERCENT, Gauge.MEMORY_COPY_PERCENT, Gauge.DRAM_RATIO),
    ),
    Ask(
        "amdsmi_get_gpu_memory_usage",
        "fast",
        plain(Gauge.MEMORY_USED_BYTES),
        (Gauge.MEMORY_USED_BYTES,),
        VRAM,
    ),
    Ask(
        "amdsmi_get_gpu_memory_total",
        "fast",
        plain(Gauge.MEMORY_TOTAL_BYTES),
        (Gauge.MEMORY_TOTAL_BYTES,),
        VRAM,
    ),
    Ask(
        "amdsmi_get_power_info",
        "fast",
        power,
        (Gauge.POWER_WATTS, Gauge.POWER_INSTANT_WATTS),
    ),
    Ask("amdsmi_get_energy_count", "fast", energy, (Counter.ENERGY_MILLIJOULES,)),
    Ask(
        "amdsmi_get_temp_metric",
        "fast",
        plain(Gauge.GPU_TEMPERATURE_CELSIUS, most=TEMPERATURE_MAX),
        (Gauge.GPU_TEMPERATURE_CELSIUS,),
        (("AmdSmiTemperatureType", "JUNCTION"), NOW),
    ),
    Ask(
        "amdsmi_get_temp_metric",
        "fast",
        plain(Gauge.MEMORY_TEMPERATURE_CELSIUS, most=TEMPERATURE_MAX),
        (Gauge.MEMORY_TEMPERATURE_CELSIUS,),
        (("AmdSmiTemperatureType", "VRAM"), NOW),
    ),
    Ask(
        "amdsmi_get_clock_info",
        "fast",
        clock(Gauge.SM_CLOCK_MHZ),
        (Gauge.SM_CLOCK_MHZ,),
        (("AmdSmiClkType", "GFX"),),
    ),
    Ask(
        "amdsmi_get_clock_info",
        "fast",
        clock(Gauge.MEMORY_CLOCK_MHZ),
        (Gauge.MEMORY_CLOCK_MHZ,),
        (("AmdSmiClkType", "MEM"),),
    ),
    Ask("amdsmi_get_power_cap_info", "slow", power_cap, (Gauge.POWER_LIMIT_WATTS,)),
    Ask(
        "amdsmi_get_gpu_total_ecc_count",
        "slow",
        ecc,
        (Counter.ECC_CORRECTED_VOLATILE, Counter.ECC_UNCORRECTED_VOLATILE),
    ),
    Ask(
        "amdsmi_get_pcie_info",
        "slow",
        pcie,
        (
            Gauge.PCIE_LINK_WIDTH,
            Gauge.PCIE_LINK_WIDTH_MAX,
            Gauge.PCIE_LINK_GENERATION,
            Gauge.PCIE_LINK_GENERATION_MAX,
            Counter.PCIE_REPLAYS,
        ),
    ),
)


def number(answer: object, name: str) -> float | None:
    """Return a member that is a number >= 0; None for "N/A", for none, and for anything else."""
    return finite(member(answer, name))


def finite(value: object) -> float | None:
    """Return a value if it is a finite number >= 0, and not one with all bits set."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and 0 <= value < NUMBER_END else None


def text(answer: object, name: str) -> str:
    """Return a member that is a text; "" for "N/A" and anything else."""
    value = member(answer, name)
    return value if isinstance(value, str) and value != "N/A" else ""


def member(answer: object, name: str) -> object:
    """Return a member of a dictionary, None if there is none."""
    return answer.get(name) if isinstance(answer, Mapping) else None


def generation(speed: float | None) -> int | None:
    """Return the PCIe generation of a speed; None for one that is no PCIe's."""
    if speed is None:
        return None
    megatransfers = speed * 1000 if speed <= GIGATRANSFERS_MAX else speed
    return GENERATIONS.get(int(megatransfers))
