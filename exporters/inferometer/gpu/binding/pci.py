"""How many functions of a vendor the PCI bus has, whether or not a driver has brought them up."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

DEVICES: Final = Path("/sys/bus/pci/devices")
TEXT_MAX: Final = 32
"""More than sysfs ever writes into `vendor` or `class`."""


def count(vendor: str, classes: Collection[str], *, devices: Path = DEVICES) -> int | None:
    """Return the number of functions of a vendor ("0x10de") and of classes ("0x0302" or "").

    A class is compared by its beginning. None where sysfs cannot be read; a function that
    vanishes while it is looked at is not counted.
    """
    try:
        functions = sorted(devices.iterdir())
    except OSError:
        return None
    return sum(
        _read(function / "vendor") == vendor
        and _read(function / "class").startswith(tuple(classes))
        for function in functions
    )


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(TEXT_MAX).strip()
    except OSError:
        return ""


def kinds(vendor: str, *, devices: Path = DEVICES) -> dict[str, int]:
    """Return how many functions a vendor has of each device number ("0x0063")."""
    try:
        functions = sorted(devices.iterdir())
    except OSError:
        return {}
    found: dict[str, int] = {}
    for function in functions:
        if _read(function / "vendor") == vendor:
            number = _read(function / "device")
            found[number] = found.get(number, 0) + 1
    return found
