"""Field values: a whole list of numbers in one call, each with a code and a moment of its own.

At probing, each field is asked for alone, since some drivers fail the whole list for one field.
Those that work go into one prepared array per tier. Decoding it with `struct` takes 6 us for 40
fields, against 55 us by way of pynvml.
"""

import ctypes
import functools
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from inferometer.gpu.nvml import codes
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.library import CFunction
from inferometer.gpu.nvml.structs import FieldValue, Handle
from inferometer.gpu.quantities import Counter, Gauge, Quantity, Tier
from inferometer.gpu.sample import Reason

NAME: Final = "DeviceGetFieldValues"
SLOW_NAME: Final = "DeviceGetFieldValues_slow"
"""The governor must tell them apart: the slow list costs more and is asked for less often."""
SYMBOL: Final = "nvmlDeviceGetFieldValues"

FORMAT: Final = struct.Struct("<IIqqIiQ")
_UNWRITTEN: Final = 21
"""Code in an entry before the call: an entry that the driver skips is no data, not the last one."""


class Field(NamedTuple):
    """A field by its id and scope (a link, a power domain), in 1/`divisor` of our unit."""

    number: int
    quantity: Quantity
    tier: Tier = "fast"
    divisor: int = 1
    scope: int = 0


class FieldReading(NamedTuple):
    """A field's value as decoded; `value` is None if blank. `bits` is the width of its counter."""

    code: int
    value: float | None
    timestamp_us: int
    bits: int


_MILLI: Final = 1000

FIELDS: Final[Sequence[Field]] = (
    Field(82, Gauge.MEMORY_TEMPERATURE_CELSIUS),
    # Scope 0 is the GPU; 1 would be the module, with Grace.
    Field(185, Gauge.POWER_WATTS, divisor=_MILLI),
    Field(186, Gauge.POWER_INSTANT_WATTS, divisor=_MILLI),
    Field(83, Counter.ENERGY_MILLIJOULES),
    Field(94, Counter.PCIE_REPLAYS),
    Field(74, Counter.THROTTLED_POWER_NS),
    Field(75, Counter.THROTTLED_THERMAL_NS),
    Field(269, Counter.THROTTLED_THERMAL_NS),
    Field(76, Counter.THROTTLED_SYNC_BOOST_NS),
    Field(77, Counter.THROTTLED_BOARD_LIMIT_NS),
    Field(78, Counter.THROTTLED_LOW_UTIL_NS),
    Field(79, Counter.THROTTLED_RELIABILITY_NS),
    Field(269, Counter.THROTTLED_SW_THERMAL_NS),
    Field(270, Counter.THROTTLED_HW_THERMAL_NS),
    Field(271, Counter.THROTTLED_HW_POWER_BRAKE_NS),
    Field(143, Counter.REMAPPED_ROWS_UNCORRECTED, "slow"),
    Field(142, Counter.REMAPPED_ROWS_CORRECTED, "slow"),
    Field(144, Gauge.ROW_REMAP_PENDING, "slow"),
    Field(145, Gauge.ROW_REMAP_FAILED, "slow"),
    Field(29, Counter.RETIRED_PAGES_SBE, "slow"),
    Field(30, Counter.RETIRED_PAGES_DBE, "slow"),
    Field(31, Gauge.RETIRED_PENDING, "slow"),
    Field(3, Counter.ECC_CORRECTED_VOLATILE, "slow"),
    Field(4, Counter.ECC_UNCORRECTED_VOLATILE, "slow"),
    Field(5, Counter.ECC_CORRECTED_AGGREGATE, "slow"),
    Field(6, Counter.ECC_UNCORRECTED_AGGREGATE, "slow"),
    Field(38, Counter.NVLINK_CRC_FLIT_ERRORS, "slow"),
    Field(45, Counter.NVLINK_CRC_DATA_ERRORS, "slow"),
    Field(52, Counter.NVLINK_REPLAY_ERRORS, "slow"),
    Field(59, Counter.NVLINK_RECOVERY_ERRORS, "slow"),
    Field(192, Gauge.POWER_LIMIT_WATTS, "slow", _MILLI),
    Field(190, Gauge.POWER_LIMIT_ENFORCED_WATTS, "slow", _MILLI),
    Field(230, Gauge.RECOVERY_ACTION, "slow"),
)
"""Where a quantity is listed twice, the first field that works gives it."""


def decode(value_type: int, raw: int) -> float | None:
    """Return the value in a union of eight bytes; None if it is blank or of no known type.

    Integers come back as int. All ones is NVML's word for "not available", in any width.
    """
    unsigned = _UNSIGNED_BITS.get(value_type)
    if unsigned is not None:
        mask = (1 << unsigned) - 1
        value = raw & mask
        return None if value == mask else value
    if value_type == _DOUBLE:
        (number,) = struct.unpack("<d", raw.to_bytes(8, "little"))
        return float(number) if math.isfinite(number) else None
    signed = _SIGNED_BITS.get(value_type)
    if signed is None:
        return None
    mask = (1 << signed) - 1
    value = raw & mask
    if value == mask:
        return None
    return value - (mask + 1) if value >> (signed - 1) else value


_DOUBLE: Final = 0
_UNSIGNED_BITS: Final[Mapping[int, int]] = {1: 32, 2: 64, 3: 64, 6: 16}
_SIGNED_BITS: Final[Mapping[int, int]] = {4: 64, 5: 32}


class Batch:
    """One prepared call for several fields."""

    def __init__(
        self, function: CFunction, handle: Handle, *, asked: Sequence[tuple[int, int]]
    ) -> None:
        """Prepare to ask for fields by (id, scope)."""
        self._entries = (FieldValue * len(asked))()
        for entry, (number, scope) in zip(self._entries, asked, strict=True):
            entry.field_id = number
            entry.scope_id = scope
            entry.code = _UNWRITTEN
        self._pristine = bytes(self._entries)
        self._call = functools.partial(
            function, handle, ctypes.c_int(len(asked)), ctypes.byref(self._entries)
        )

    def call(self) -> int:
        """Ask, and return the code of the call, or that of all fields if none has a value.

        An entry that is not answered does not keep its last value.
        """
        ctypes.memmove(self._entries, self._pristine, len(self._pristine))
        code = self._call()
        if code != codes.SUCCESS or self._entries[0].code == codes.SUCCESS:
            return code
        failures = {entry.code for entry in self._entries}
        return failures.pop() if len(failures) == 1 else code

    def readings(self) -> Iterator[FieldReading]:
        """Yield what the last call gave, in the order asked for."""
        for _, _, timestamp_us, _, value_type, code, raw in FORMAT.iter_unpack(self._entries):
            value = decode(value_type, raw) if code == codes.SUCCESS else None
            yield FieldReading(code, value, timestamp_us, _UNSIGNED_BITS.get(value_type, 64))


Take = Callable[[Draft, FieldReading], None]
"""Takes a reading of a field that is no plain quantity; it has a moment even if the driver gave
none."""


class Extra(NamedTuple):
    """A field whose value somebody else makes something of."""

    number: int
    scope: int
    take: Take


class FieldReader:
    """Reads the fields that a device answers, in one call a tier."""

    def __init__(
        self, function: CFunction | None, caller: Caller, *, clock: Callable[[], int]
    ) -> None:
        """Read nothing yet; without a function (an old driver) never."""
        self._function = function
        self._caller = caller
        self._clock = clock
        self._handle = Handle()
        self._fields: dict[Tier, list[Field]] = {}
        self._extras: list[Extra] = []
        self._batches: dict[Tier, Batch] = {}

    def probe(self, handle: Handle, draft: Draft) -> Mapping[Quantity, Reason]:
        """Try each field of the table once; returns the quantities that none gives, with why."""
        self._handle = handle
        self._fields = {"fast": [], "slow": []}
        self._extras.clear()
        self._batches.clear()
        missing: dict[Quantity, Reason] = {}
        found: set[Quantity] = set()
        for field in FIELDS:
            if field.quantity in found:
                continue
            reading = self.ask(field.number, field.scope)
            reason = self._put(field, reading, draft=draft)
            if reason is None or reason == "implausible":
                self._fields[field.tier].append(field)
                found.add(field.quantity)
            if reason is not None:
                missing.setdefault(field.quantity, reason)
        return {
            each: why for each, why in missing.items() if each not in found or why == "implausible"
        }

    def ask(self, number: int, scope: int = 0) -> FieldReading:
        """Ask for one field alone."""
        if self._function is None:
            return FieldReading(codes.FUNCTION_NOT_FOUND, None, 0, 64)
        batch = Batch(self._function, self._handle, asked=[(number, scope)])
        code = self._caller.call(NAME, batch.call)
        if code != codes.SUCCESS:
            return FieldReading(code, None, 0, 64)
        (reading,) = batch.readings()
        return reading

    def add(self, extra: Extra) -> None:
        """Read another field at each fast tick, from the next `prepare` on."""
        self._extras.append(extra)

    def prepare(self) -> None:
        """Build the arrays of what was found."""
        for tier, fields in self._fields.items():
            asked = [(field.number, field.scope) for field in fields]
            if tier == "fast":
                asked += [(extra.number, extra.scope) for extra in self._extras]
            if asked and self._function is not None:
                self._batches[tier] = Batch(self._function, self._handle, asked=asked)

    def read(self, tier: Tier, draft: Draft) -> None:
        """Read what is due; a field that fails this time is not in the draft."""
        for declared, batch in self._batches.items():
            name = NAME if declared == "fast" else SLOW_NAME
            if not self._caller.due(name, declared, tier):
                continue
            before_ns = self._clock()
            if self._caller.call(name, batch.call) != codes.SUCCESS:
                continue
            moment_ns = (before_ns + self._clock()) // 2
            readings = list(batch.readings())
            for reading in readings:
                if codes.state(reading.code) is not None:
                    self._caller.judge(reading.code)
            self._take(declared, readings, draft=draft, moment_ns=moment_ns)

    def _take(
        self, tier: Tier, readings: Sequence[FieldReading], *, draft: Draft, moment_ns: int
    ) -> None:
        fields = self._fields[tier]
        for field, reading in zip(fields, readings, strict=False):
            self._put(field, reading, draft=draft)
        if tier == "fast":
            for extra, reading in zip(self._extras, readings[len(fields) :], strict=True):
                moment_us = reading.timestamp_us if reading.timestamp_us > 0 else moment_ns // 1000
                extra.take(draft, reading._replace(timestamp_us=moment_us))

    def _put(self, field: Field, reading: FieldReading, *, draft: Draft) -> Reason | None:
        """Take a field's value; returns why there is none."""
        if reading.code != codes.SUCCESS:
            return codes.reason(reading.code)
        value = reading.value
        if value is not None and field.divisor != 1:
            value /= field.divisor
        return draft.put(field.quantity, value)
