"""Single numbers and texts about a device or an instance, and who a device is."""

import ctypes
import functools
from collections.abc import Callable, Mapping
from ctypes import byref
from dataclasses import replace
from typing import Final

from inferometer.gpu.nvml import codes, structs
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.sample import Identity

Call = Callable[[str, Callable[[], int]], int]
"""Makes a named call and returns its code."""

ARCHITECTURES: Final[Mapping[int, str]] = {
    2: "Kepler",
    3: "Maxwell",
    4: "Pascal",
    5: "Volta",
    6: "Turing",
    7: "Ampere",
    8: "Ada",
    9: "Hopper",
    10: "Blackwell",
    13: "Rubin",
}


class Asker:
    """Asks for one number or text at a time; what fails is unknown."""

    def __init__(self, library: Library, call: Call) -> None:
        """Make the calls with `call`."""
        self.code = codes.SUCCESS
        """Of the last call."""
        self._library = library
        self._call = call

    def number(self, symbol: str, handle: Handle) -> int | None:
        """Return an unsigned number; None if there is none."""
        out = ctypes.c_uint32()
        known = self._ask(symbol, handle, byref(out)) and out.value != structs.UNKNOWN_U32
        return out.value if known else None

    def text(self, symbol: str, handle: Handle) -> str:
        """Return a text; "" if there is none."""
        out = ctypes.create_string_buffer(structs.TEXT_BYTES)
        known = self._ask(symbol, handle, out, ctypes.c_uint32(structs.TEXT_BYTES))
        return out.value.decode("utf-8", "replace") if known else ""

    def fill(self, symbol: str, handle: Handle, *, into: ctypes.Structure) -> bool:
        """Have a structure filled in; returns whether it was."""
        return self._ask(symbol, handle, byref(into))

    def _ask(self, symbol: str, *arguments: object) -> bool:
        function = self._library.function(symbol)
        if function is None:
            self.code = codes.FUNCTION_NOT_FOUND
            return False
        call = functools.partial(function, *arguments)
        self.code = self._call(symbol.removeprefix("nvml"), call)
        return self.code == codes.SUCCESS


def bus_id(asker: Asker, handle: Handle) -> str:
    """Return where a device is on the PCI buses; "" if it does not tell."""
    pci = structs.PciInfo()
    asker.fill("nvmlDeviceGetPciInfo_v3", handle, into=pci)
    found: bytes = pci.bus_id
    return found.decode("ascii", "replace")


def identify(
    asker: Asker,
    handle: Handle,
    *,
    index: int,
    driver_version: str,
    known: Mapping[str, Identity] | None = None,
) -> Identity | None:
    """Return who a device is; None if it does not even tell its UUID, with why in `asker`.

    Of one that is known by its UUID only what may change is asked for.
    """
    uuid = asker.text("nvmlDeviceGetUUID", handle)
    if not uuid:
        return None
    where = bus_id(asker, handle)
    if known and uuid in known:
        before = known[uuid]
        return replace(before, index=index, pci_bus_id=where or before.pci_bus_id)
    architecture = asker.number("nvmlDeviceGetArchitecture", handle)
    return Identity(
        uuid=uuid,
        index=index,
        vendor="nvidia",
        model=asker.text("nvmlDeviceGetName", handle),
        minor=asker.number("nvmlDeviceGetMinorNumber", handle),
        pci_bus_id=where,
        architecture=ARCHITECTURES.get(architecture or 0, ""),
        driver_version=driver_version,
        vbios_version=asker.text("nvmlDeviceGetVbiosVersion", handle),
        serial=asker.text("nvmlDeviceGetSerial", handle),
    )
