"""What NVML's return codes mean for a quantity, a device and the whole driver. Pure."""

from collections.abc import Mapping
from typing import Final

from inferometer.gpu.sample import DeviceState, Reason

SUCCESS: Final = 0
NOT_SUPPORTED: Final = 3
NOT_FOUND: Final = 6
INSUFFICIENT_SIZE: Final = 7
TIMEOUT: Final = 10
LIBRARY_NOT_FOUND: Final = 12
FUNCTION_NOT_FOUND: Final = 13
GPU_IS_LOST: Final = 15
VERSION_MISMATCH: Final = 25
UNKNOWN: Final = 999

DRIVER_GONE: Final = frozenset({1, 9, 18, UNKNOWN})
"""Uninitialised, driver not loaded, library and driver differ, unknown: on every call, the whole
driver has gone. Any of them alone says nothing."""

REFUSED: Final = frozenset({4, 17})
"""No permission, and blocked by the operating system."""

OUTDATED: Final = frozenset({FUNCTION_NOT_FOUND, VERSION_MISMATCH, 26})
"""An older way to ask may still be answered."""

LOST: Final = "lost"
UNPERMITTED: Final = "no_permission"

_STATES: Final[Mapping[int, DeviceState]] = {GPU_IS_LOST: LOST, 16: "reset_required"}

_REASONS: Final[Mapping[int, Reason]] = {
    2: "not_supported",  # what a driver says to a field id or a sensor it has never heard of
    NOT_SUPPORTED: "not_supported",
    4: "no_permission",
    FUNCTION_NOT_FOUND: "function_not_found",
    17: "no_permission",
    VERSION_MISMATCH: "version_mismatch",
    26: "deprecated",
}

_WORDS: Final[Mapping[int, str]] = {
    SUCCESS: "ok",
    1: "uninitialized",
    2: "invalid_argument",
    NOT_SUPPORTED: "not_supported",
    4: "no_permission",
    NOT_FOUND: "not_found",
    INSUFFICIENT_SIZE: "insufficient_size",
    9: "driver_not_loaded",
    TIMEOUT: "timeout",
    LIBRARY_NOT_FOUND: "library_not_found",
    FUNCTION_NOT_FOUND: "function_not_found",
    GPU_IS_LOST: "gpu_is_lost",
    16: "reset_required",
    17: "operating_system",
    18: "version_mismatch_driver",
    19: "in_use",
    20: "memory",
    21: "no_data",
    VERSION_MISMATCH: "version_mismatch",
    26: "deprecated",
    UNKNOWN: "unknown",
}


def word(code: int) -> str:
    """Name a code in one snake_case word, for labels; "other" for those nobody knows."""
    return _WORDS.get(code, "other")


def reason(code: int) -> Reason:
    """Say why a call or field that returned this code (not 0) gives nothing."""
    return _REASONS.get(code, "no_data")


def state(code: int) -> DeviceState | None:
    """Return the state of a device that answers one call so; None if it says nothing of it."""
    return _STATES.get(code)
