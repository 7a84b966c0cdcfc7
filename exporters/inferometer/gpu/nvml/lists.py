"""Lists of processes on a device, whose rows have had several sizes.

Before R510 rows had other symbols; R535.43 to R535.86 made those of `_v3` longer without a new
symbol, and 535.98 lacks `_v3` (XuehaiPan/nvitop#79, #88, #226). So the size is that with which
all rows make sense.
"""

import ctypes
import functools
import re
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from inferometer.gpu.nvml import codes, structs
from inferometer.gpu.nvml.library import CFunction, Library
from inferometer.gpu.nvml.structs import Handle

ROWS_FIRST: Final = 64
ROWS_MAX: Final = 4096
PID_MAX: Final = 1 << 22
"""Linux gives no higher pid."""
INSTANCE_MAX: Final = 64

_PLAIN: Final = struct.Struct("<I4xQII")
_LONG: Final = struct.Struct("<I4xQII8x")
_OLDEST: Final = struct.Struct("<I4xQ")
_ROW_BYTES_MAX: Final = _LONG.size
_LONG_ROWS_DRIVER: Final = re.compile(r"535\.(4[3-9]|[5-7]\d|8[0-6])\b")


class Row(NamedTuple):
    """A process; `memory_bytes` and `gpu_instance` are None where the driver does not tell."""

    pid: int
    memory_bytes: int | None
    gpu_instance: int | None


class List:
    """One kind of list of one device or MIG instance, read into an own buffer."""

    def __init__(
        self, function: CFunction, handle: Handle, *, formats: Sequence[struct.Struct]
    ) -> None:
        """Rows are of one of `formats`, the likeliest first."""
        self._function = function
        self._handle = handle
        self._formats = formats
        self._count = ctypes.c_uint32()
        self._prepare(ROWS_FIRST)

    def _prepare(self, rows: int) -> None:
        self._rows = rows
        self._buffer = ctypes.create_string_buffer(rows * _ROW_BYTES_MAX)
        self._call = functools.partial(
            self._function, self._handle, ctypes.byref(self._count), self._buffer
        )

    def call(self) -> int:
        """Ask; with a larger buffer, once, if there are more processes than ever before."""
        code = self._once()
        if code == codes.INSUFFICIENT_SIZE and self._rows < ROWS_MAX:
            # More may have come since; a driver need not say how many there are.
            self._prepare(min(max(2 * self._rows, self._count.value + ROWS_FIRST), ROWS_MAX))
            code = self._once()
        return code

    def _once(self) -> int:
        self._count.value = self._rows
        return self._call()

    def rows(self) -> list[Row] | None:
        """Return the processes; None if they make no sense in any form."""
        count = min(self._count.value, self._rows)
        for form in self._formats:
            raw = ctypes.string_at(self._buffer, count * form.size)
            rows = [_row(values) for values in form.iter_unpack(raw)]
            if _sensible(rows):
                return rows
        return None


def _row(values: tuple[int, ...]) -> Row:
    pid, memory, *ids = values
    instance = ids[0] if ids else structs.UNKNOWN_U32
    return Row(
        pid,
        None if memory == structs.UNKNOWN_U64 else memory,
        None if instance == structs.UNKNOWN_U32 else instance,
    )


def _sensible(rows: Sequence[Row]) -> bool:
    return all(
        0 < row.pid <= PID_MAX and (row.gpu_instance is None or row.gpu_instance < INSTANCE_MAX)
        for row in rows
    )


def opener(library: Library, kind: str, *, driver_version: str) -> Callable[[Handle], List] | None:
    """Return how to open lists of a kind (Compute, MPSCompute, Graphics); None without symbol."""
    stem = f"nvmlDeviceGet{kind}RunningProcesses"
    newest = (_PLAIN, _LONG)
    if _LONG_ROWS_DRIVER.match(driver_version):
        newest = (_LONG, _PLAIN)
    for symbol, formats in ((f"{stem}_v3", newest), (f"{stem}_v2", (_PLAIN,)), (stem, (_OLDEST,))):
        function = library.function(symbol)
        if function is not None:
            return functools.partial(List, function, formats=formats)
    return None
