"""How much a link can carry: what a byte counter or a rate may not exceed by much. Pure."""

from collections.abc import Mapping
from typing import Final

TOLERANCE: Final = 1.2
"""Counter and clock are not read at the same moment, so a true rate may come out too high."""

_PCIE_LANE: Final[Mapping[int, float]] = {
    1: 0.25e9,
    2: 0.5e9,
    3: 0.985e9,
    4: 1.969e9,
    5: 3.938e9,
    6: 7.563e9,
    7: 15.125e9,
}
"""Bytes per second, lane and direction, by generation, after line coding."""
_PCIE_LANES_MAX: Final = 16
NVLINK_MAX: Final = 18 * 100e9
"""Bytes per second and direction of a device whose driver does not tell its links' speed."""


def pcie(generation: float | None, lanes: float | None) -> float:
    """Return bytes per second and direction of a PCIe link, the fastest there is if unknown."""
    lane = _PCIE_LANE.get(int(generation or 0), max(_PCIE_LANE.values()))
    return lane * (lanes or _PCIE_LANES_MAX)


def nvlink(links: float | None, megabytes_per_second: float | None) -> float:
    """Return bytes per second and direction of all NVLinks of a device."""
    if not links or not megabytes_per_second:
        return NVLINK_MAX
    return links * megabytes_per_second * 1e6
