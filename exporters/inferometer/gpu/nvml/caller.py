"""Calls of one device: metered one by one, and judged together.

One failing call costs its own quantity. A code that speaks of the device ends the tick at once,
so that nothing else is asked of a device that is gone; and a tick in which every call fails in
the same way speaks of the permission or of the driver.
"""

from collections.abc import Callable

from inferometer.gpu.backend import Calls, DeviceError
from inferometer.gpu.nvml import codes
from inferometer.gpu.quantities import Tier


class Caller:
    """Makes the calls of one device's thread."""

    def __init__(self, calls: Calls) -> None:
        """Go through `calls`, which times them."""
        self._calls = calls
        self._seen: set[int] = set()

    def begin(self) -> None:
        """Forget the calls of the last tick."""
        self._seen.clear()

    def due(self, name: str, declared: Tier, tier: Tier) -> bool:
        """Return whether to make this call now; see `backend.Calls`."""
        return self._calls.due(name, declared, tier)

    def call(self, name: str, function: Callable[[], int]) -> int:
        """Make a call and return its code. Raises DeviceError if it speaks of the device."""
        code = self._calls.run(name, function, result=codes.word)
        self.judge(code)
        return code

    def call_instance(self, name: str, function: Callable[[], int]) -> int:
        """Make a call on a MIG instance, whose end says nothing of the device."""
        return self._calls.run(name, function, result=codes.word)

    def judge(self, code: int) -> None:
        """Take a code into account that came with a call, not as its result."""
        state = codes.state(code)
        if state is not None:
            message = f"the device answers {codes.word(code)} ({code})"
            raise DeviceError(state, message, code=code)
        self._seen.add(code)

    def end(self) -> None:
        """Raise DeviceError if each call since `begin` failed for want of permission or driver.

        For ticks that call a device in several ways only: lists of processes alone may be refused.
        """
        if not self._seen:
            return
        code = max(self._seen)
        message = f"every call answers {codes.word(code)} ({code})"
        if self._seen <= codes.DRIVER_GONE:
            raise DeviceError(codes.LOST, message, code=code, backend_lost=True)
        if self._seen <= codes.REFUSED:
            raise DeviceError(codes.UNPERMITTED, message, code=code)
