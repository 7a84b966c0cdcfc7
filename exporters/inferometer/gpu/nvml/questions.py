"""What is asked of a device with a call of its own, as a table: one question for each call.

A question has one or more forms, the best first; older drivers answer a later one. Arguments and
buffers are prepared once. Values that fields already give are not asked for again.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref
from typing import Final, NamedTuple

from inferometer.gpu.nvml import structs
from inferometer.gpu.quantities import Counter, Gauge, Quantity, Tier
from inferometer.gpu.sample import Reason

Values = Callable[[], Mapping[Quantity, float | None]]


class Prepared(NamedTuple):
    """Arguments after the handle, and what to make of the buffers among them."""

    arguments: tuple[object, ...]
    values: Values


class Form(NamedTuple):
    """One way to ask."""

    symbol: str
    prepare: Callable[[], Prepared]


class Question(NamedTuple):
    """Quantities that one call tells. `blank` is why there is none if the call works all the same.

    A device in MIG mode is not asked unless `in_mig`: such a value would be of one instance, or
    of nothing.
    """

    tier: Tier
    quantities: tuple[Quantity, ...]
    forms: Sequence[Form]
    in_mig: bool = True
    blank: Reason = "no_data"


def known_u32(value: int) -> float | None:
    """Return a value unless it is all ones, NVML's word for "not available"."""
    return None if value == structs.UNKNOWN_U32 else value


def known_u64(value: int) -> float | None:
    """Return a value unless it is all ones, NVML's word for "not available"."""
    return None if value == structs.UNKNOWN_U64 else value


def _u32(symbol: str, quantity: Quantity, *before: int, divisor: int = 1) -> Form:
    """Ask for one unsigned number; `before` are arguments that say which."""

    def prepare() -> Prepared:
        out = ctypes.c_uint32()

        def values() -> Mapping[Quantity, float | None]:
            value = known_u32(out.value)
            if value is not None and divisor != 1:
                value /= divisor
            return {quantity: value}

        return Prepared((*map(ctypes.c_uint32, before), byref(out)), values)

    return Form(symbol, prepare)


def _u64(symbol: str, quantity: Quantity, *before: int) -> Form:
    """Ask for one long unsigned number."""

    def prepare() -> Prepared:
        out = ctypes.c_uint64()
        arguments = (*map(ctypes.c_uint32, before), byref(out))
        return Prepared(arguments, lambda: {quantity: known_u64(out.value)})

    return Form(symbol, prepare)


def _memory_v2() -> Prepared:
    out = structs.MemoryV2(version=structs.version(structs.MemoryV2, 2))
    return Prepared(
        (byref(out),),
        lambda: {
            Gauge.MEMORY_USED_BYTES: known_u64(out.used),
            Gauge.MEMORY_FREE_BYTES: known_u64(out.free),
            Gauge.MEMORY_RESERVED_BYTES: known_u64(out.reserved),
            Gauge.MEMORY_TOTAL_BYTES: known_u64(out.total),
        },
    )


def _memory(used: Gauge, free: Gauge, *, total: Gauge) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        out = structs.Memory()
        return Prepared(
            (byref(out),),
            lambda: {
                used: known_u64(out.used),
                free: known_u64(out.free),
                total: known_u64(out.total),
            },
        )

    return prepare


def _utilization() -> Prepared:
    out = structs.Utilization()
    return Prepared(
        (byref(out),),
        lambda: {
            Gauge.UTILIZATION_PERCENT: known_u32(out.gpu),
            Gauge.MEMORY_COPY_PERCENT: known_u32(out.memory),
        },
    )


def _engine(symbol: str, quantity: Gauge) -> Form:
    def prepare() -> Prepared:
        out, period_us = ctypes.c_uint32(), ctypes.c_uint32()
        return Prepared((byref(out), byref(period_us)), lambda: {quantity: known_u32(out.value)})

    return Form(symbol, prepare)


def _temperature() -> Prepared:
    out = structs.Temperature(version=structs.version(structs.Temperature, 1), sensor=0)
    return Prepared((byref(out),), lambda: {Gauge.GPU_TEMPERATURE_CELSIUS: out.celsius})


def _margin() -> Prepared:
    out = structs.MarginTemperature(version=structs.version(structs.MarginTemperature, 1))
    return Prepared((byref(out),), lambda: {Gauge.TEMPERATURE_MARGIN_CELSIUS: out.celsius})


def _fabric(make: Callable[[], structs.FabricInfo | structs.FabricInfoV2]) -> Form:
    out = make()
    versioned = isinstance(out, structs.FabricInfoV2)
    symbol = "nvmlDeviceGetGpuFabricInfoV" if versioned else "nvmlDeviceGetGpuFabricInfo"

    def prepare() -> Prepared:
        out = make()
        # State 0 says that the device takes part in no fabric.
        return Prepared((byref(out),), lambda: {Gauge.FABRIC_STATE: out.state or None})

    return Form(symbol, prepare)


def _remapped() -> Prepared:
    corrected, uncorrected, pending, failed = (ctypes.c_uint32() for _ in range(4))
    return Prepared(
        (byref(corrected), byref(uncorrected), byref(pending), byref(failed)),
        lambda: {
            Counter.REMAPPED_ROWS_CORRECTED: known_u32(corrected.value),
            Counter.REMAPPED_ROWS_UNCORRECTED: known_u32(uncorrected.value),
            Gauge.ROW_REMAP_PENDING: known_u32(pending.value),
            Gauge.ROW_REMAP_FAILED: known_u32(failed.value),
        },
    )


_EVENT_REASONS: Final = "nvmlDeviceGetCurrentClocksEventReasons"
_EVENT_REASONS_BEFORE: Final = "nvmlDeviceGetCurrentClocksThrottleReasons"
_MEMORY: Final = (
    Gauge.MEMORY_USED_BYTES,
    Gauge.MEMORY_FREE_BYTES,
    Gauge.MEMORY_RESERVED_BYTES,
    Gauge.MEMORY_TOTAL_BYTES,
)
_BAR1: Final = (Gauge.BAR1_USED_BYTES, Gauge.BAR1_FREE_BYTES, Gauge.BAR1_TOTAL_BYTES)

MEMORY: Final = Question(
    "fast",
    _MEMORY,
    (
        Form("nvmlDeviceGetMemoryInfo_v2", _memory_v2),
        Form("nvmlDeviceGetMemoryInfo", _memory(_MEMORY[0], _MEMORY[1], total=_MEMORY[3])),
    ),
)
"""Asked of MIG instances, too."""


def _one(tier: Tier, symbol: str, quantity: Quantity, *before: int, divisor: int = 1) -> Question:
    return Question(tier, (quantity,), (_u32(symbol, quantity, *before, divisor=divisor),))


def _ecc(quantity: Counter, kind: int, span: int) -> Question:
    form = _u64("nvmlDeviceGetTotalEccErrors", quantity, kind, span)
    return Question("slow", (quantity,), (form,))


QUESTIONS: Final[Sequence[Question]] = (
    MEMORY,
    Question(
        "fast",
        (Gauge.UTILIZATION_PERCENT, Gauge.MEMORY_COPY_PERCENT),
        (Form("nvmlDeviceGetUtilizationRates", _utilization),),
        in_mig=False,
    ),
    Question(
        "fast",
        (Gauge.GPU_TEMPERATURE_CELSIUS,),
        (
            Form("nvmlDeviceGetTemperatureV", _temperature),
            _u32("nvmlDeviceGetTemperature", Gauge.GPU_TEMPERATURE_CELSIUS, 0),
        ),
    ),
    _one("fast", "nvmlDeviceGetClockInfo", Gauge.SM_CLOCK_MHZ, 1),
    _one("fast", "nvmlDeviceGetClockInfo", Gauge.MEMORY_CLOCK_MHZ, 2),
    Question(
        "fast",
        (Gauge.CLOCKS_EVENT_REASONS,),
        (
            _u64(_EVENT_REASONS, Gauge.CLOCKS_EVENT_REASONS),
            _u64(_EVENT_REASONS_BEFORE, Gauge.CLOCKS_EVENT_REASONS),
        ),
    ),
    Question(
        "fast",
        (Gauge.ENCODER_PERCENT,),
        (_engine("nvmlDeviceGetEncoderUtilization", Gauge.ENCODER_PERCENT),),
        in_mig=False,
    ),
    Question(
        "fast",
        (Gauge.DECODER_PERCENT,),
        (_engine("nvmlDeviceGetDecoderUtilization", Gauge.DECODER_PERCENT),),
        in_mig=False,
    ),
    _one("fast", "nvmlDeviceGetPowerUsage", Gauge.POWER_WATTS, divisor=1000),
    _one("slow", "nvmlDeviceGetPowerManagementLimit", Gauge.POWER_LIMIT_WATTS, divisor=1000),
    _one("slow", "nvmlDeviceGetEnforcedPowerLimit", Gauge.POWER_LIMIT_ENFORCED_WATTS, divisor=1000),
    _one("slow", "nvmlDeviceGetPerformanceState", Gauge.PERFORMANCE_STATE),
    _one("slow", "nvmlDeviceGetFanSpeed", Gauge.FAN_PERCENT),
    Question(
        "slow", _BAR1, (Form("nvmlDeviceGetBAR1MemoryInfo", _memory(*_BAR1[:2], total=_BAR1[2])),)
    ),
    Question(
        "slow",
        (Gauge.TEMPERATURE_MARGIN_CELSIUS,),
        (Form("nvmlDeviceGetMarginTemperature", _margin),),
    ),
    Question(
        "slow",
        (Gauge.FABRIC_STATE,),
        (
            _fabric(lambda: structs.FabricInfoV2(version=structs.version(structs.FabricInfoV2, 2))),
            _fabric(structs.FabricInfo),
        ),
        blank="not_supported",
    ),
    _one("slow", "nvmlDeviceGetCurrPcieLinkGeneration", Gauge.PCIE_LINK_GENERATION),
    _one("slow", "nvmlDeviceGetCurrPcieLinkWidth", Gauge.PCIE_LINK_WIDTH),
    _one("slow", "nvmlDeviceGetMaxPcieLinkGeneration", Gauge.PCIE_LINK_GENERATION_MAX),
    _one("slow", "nvmlDeviceGetMaxPcieLinkWidth", Gauge.PCIE_LINK_WIDTH_MAX),
    _ecc(Counter.ECC_CORRECTED_VOLATILE, 0, 0),
    _ecc(Counter.ECC_CORRECTED_AGGREGATE, 0, 1),
    _ecc(Counter.ECC_UNCORRECTED_VOLATILE, 1, 0),
    _ecc(Counter.ECC_UNCORRECTED_AGGREGATE, 1, 1),
    Question(
        "slow",
        (
            Counter.REMAPPED_ROWS_CORRECTED,
            Counter.REMAPPED_ROWS_UNCORRECTED,
            Gauge.ROW_REMAP_PENDING,
            Gauge.ROW_REMAP_FAILED,
        ),
        (Form("nvmlDeviceGetRemappedRows", _remapped),),
    ),
)
