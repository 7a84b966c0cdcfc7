"""Load NVML through pynvml, initialise it, and hand out its C functions by name.

pynvml finds and opens the library; its wrappers are not used after that, since they allocate and
look names up at each call. Every call of this backend goes through `Library.function`, so a
recorder that hands out another `Library` sees all of them.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

from inferometer.gpu.backend import BackendError
from inferometer.gpu.nvml import codes

CFunction = Callable[..., int]
"""A function of NVML: takes ctypes values, returns a code of `codes`."""

NO_ATTACH: Final = 2
"""Flag of nvmlInitWithFlags: come up even if not every device can be attached."""
_ATTACH_FAILED: Final = frozenset({codes.GPU_IS_LOST, codes.UNKNOWN})


class Library:
    """The functions of a loaded and initialised NVML."""

    def __init__(
        self, find: Callable[[str], CFunction | None], *, shutdown: Callable[[], None]
    ) -> None:
        """Take functions from `find`, which answers None for a symbol that a driver lacks."""
        self._find = find
        self._shutdown = shutdown
        self._functions: dict[str, CFunction | None] = {}

    def function(self, name: str) -> CFunction | None:
        """Return a function by its C name; None if this driver is too old to have it."""
        if name not in self._functions:
            self._functions[name] = self._find(name)
        return self._functions[name]

    def first(self, *names: str) -> CFunction | None:
        """Return the first of these functions that this driver has."""
        for name in names:
            function = self.function(name)
            if function is not None:
                return function
        return None

    def close(self) -> None:
        """Shut NVML down; nothing may be called after it."""
        self._functions.clear()
        self._shutdown()


def load(path: Path | None = None) -> Library:
    """Open NVML, by `path` or wherever the loader finds libnvidia-ml.so.1, and initialise it.

    Raises BackendError: "bindings_not_found" without pynvml, "library_not_found" (code 12), or
    the word of the code with which initialising failed.
    """
    binding = _binding()
    if path is not None:
        vars(binding)["nvmlLib"] = _open(path)
    _initialise(binding)
    return Library(_finder(binding), shutdown=lambda: _shut_down(binding))


def _binding() -> ModuleType:
    """Import pynvml, which only this function may do."""
    try:
        import pynvml  # type: ignore[import-untyped]  # it declares no types
    except ImportError as error:
        reason = "bindings_not_found"
        message = f"cannot import pynvml: {error}; hint: pip install 'inferometer[gpu]'"
        raise BackendError(reason, message) from error
    found: ModuleType = pynvml
    return found


def _open(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        code = codes.LIBRARY_NOT_FOUND
        message = f"{path}: cannot be loaded as NVML: {error}"
        raise BackendError(codes.word(code), message, code=code) from error


def _initialise(binding: ModuleType) -> None:
    """Attach all devices; if one of them is lost, come up without attaching any."""
    code = _init(binding, 0)
    if code in _ATTACH_FAILED:
        code = _init(binding, NO_ATTACH)
    if code != codes.SUCCESS:
        message = f"NVML cannot be initialised: {codes.word(code)} ({code})"
        raise BackendError(codes.word(code), message, code=code)


def _init(binding: ModuleType, flags: int) -> int:
    try:
        binding.nvmlInitWithFlags(flags)
    except binding.NVMLError as error:
        return int(error.value)
    return codes.SUCCESS


def _shut_down(binding: ModuleType) -> None:
    try:
        binding.nvmlShutdown()
    except binding.NVMLError:
        return  # it was down already, or the driver is gone; either way there is no more to do


def _finder(binding: ModuleType) -> Callable[[str], CFunction | None]:
    # Without restype and argtypes: codes are ints, and all arguments are ctypes values.
    return lambda name: getattr(binding.nvmlLib, name, None)
