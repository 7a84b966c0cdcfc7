"""The amdsmi binding with types: its only importer.

It comes with ROCm, or as a package of Python that needs ROCm's libamd_smi.so. Without that library
its import prints to stdout and raises KeyError (amdsmi 7.0.2). It needs /dev/kfd and /dev/dri.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from inferometer.gpu.backend import BackendError
from inferometer.gpu.binding.importing import load

Choice = tuple[str, str]
"""An enumeration of the binding and a member, both by name."""

NO_SUCH_FUNCTION: Final = -1
"""Our code for a function that this version of the binding does not have."""
CODES: Final = {
    1: "invalid",
    2: "not_supported",
    3: "not_supported",
    4: "library_not_loaded",
    5: "function_not_found",
    7: "failed",
    8: "timeout",
    9: "retry",
    10: "no_permission",
    12: "io_error",
    14: "file_error",
    18: "init_error",
    30: "busy",
    31: "not_found",
    32: "not_initialized",
    34: "driver_not_loaded",
    40: "no_data",
    43: "unexpected_data",
    54: "restart_error",
    NO_SUCH_FUNCTION: "function_not_found",
}
"""AMDSMI_STATUS_* in our words."""
INIT_FAILED: Final = "init_failed"
NOT_LOADED: Final = "driver_not_loaded"
NO_DRIVER: Final = frozenset({31, 34, 51, 52})
"""What `amdsmi_init` says where there is no driver or no device."""


class CallError(Exception):
    """A call failed; `code` is amdsmi's, None where the binding itself failed."""

    def __init__(self, message: str, *, code: int | None) -> None:
        """Keep the code."""
        super().__init__(message)
        self.code = code


class Library:
    """amdsmi, initialised."""

    def __init__(self) -> None:
        """Import and initialise it. Raises BackendError."""
        self._amdsmi = load("amdsmi")
        try:
            self.call("amdsmi_init")
        except CallError as error:
            reason = NOT_LOADED if error.code in NO_DRIVER else INIT_FAILED
            raise BackendError(reason, str(error), code=error.code) from error

    def handles(self) -> Sequence[object]:
        """List the devices, in the order of their sockets."""
        found = self.call("amdsmi_get_processor_handles")
        return list(found) if isinstance(found, Sequence) else []

    def call(self, name: str, *arguments: object, choices: Sequence[Choice] = ()) -> object:
        """Call a function with arguments, then members of enumerations. Raises CallError."""
        try:
            function = getattr(self._amdsmi, name)
            chosen = [getattr(getattr(self._amdsmi, kind), member) for kind, member in choices]
        except AttributeError as error:
            raise CallError(str(error), code=NO_SUCH_FUNCTION) from error
        try:
            returned: object = function(*arguments, *chosen)
        except Exception as error:
            code = getattr(error, "err_code", None)
            message = f"{name}: {error}"
            raise CallError(message, code=code if isinstance(code, int) else None) from error
        return returned

    def close(self) -> None:
        """Shut it down."""
        with suppress(CallError):
            self.call("amdsmi_shut_down")
