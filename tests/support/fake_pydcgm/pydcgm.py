"""The names of DCGM's binding, for the host engine of the tests."""
# ruff: noqa: N802, N803 - the names are DCGM's

from support import fake_dcgm


class DcgmHandle:
    """A connection; its destructor disconnects, and raises where it cannot, as DCGM's does."""

    def __init__(
        self,
        ipAddress: str | None = None,
        unixSocketPath: str | None = None,
        timeoutMs: int = 0,
    ) -> None:
        self._handleCreated = False
        if ipAddress is None and unixSocketPath is None:
            message = "this would have started an embedded host engine"
            raise AssertionError(message)
        self.address = ipAddress or unixSocketPath
        self.handle: fake_dcgm.Connection = fake_dcgm.connect(timeout_ms=timeoutMs)
        self._handleCreated = True

    def __del__(self) -> None:
        if self._handleCreated:
            self.Shutdown()

    def Shutdown(self) -> None:
        fake_dcgm.disconnect(self.handle)
        self._handleCreated = False
