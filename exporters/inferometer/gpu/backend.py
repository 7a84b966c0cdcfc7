"""The seam between a vendor's library and everything else: what a backend must be able to do.

A backend lives in a child process. `Backend` belongs to the child's main thread, each `Device` to
one sampler thread, and events to a thread of their own; none shares a lock or a buffer, so that a
call that hangs holds nothing but its own thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from inferometer.gpu.quantities import Tier
from inferometer.gpu.sample import DeviceState, Event, Identity, Reading, Reason

T = TypeVar("T")

MODULES: Final[Mapping[str, str]] = {
    "nvml": "inferometer.gpu.nvml.backend",
    "dcgm": "inferometer.gpu.dcgm.backend",
    "amd": "inferometer.gpu.amd.backend",
    "tpu": "inferometer.gpu.tpu.backend",
    "fake": "inferometer.gpu.fake.backend",
}
"""Where each backend lives: a module with `open_backend(options: Options) -> Backend`."""


class BackendError(Exception):
    """A backend cannot be opened, or all its devices are gone. `reason` is one snake_case word.

    `code` is the vendor's own, None where it gave none.
    """

    def __init__(self, reason: str, message: str, *, code: int | None = None) -> None:
        """Keep why."""
        super().__init__(message)
        self.reason = reason
        self.code = code


class DeviceError(Exception):
    """A device cannot be read for now; it is `state` until it can. `code` as in BackendError.

    `backend_lost` says that the code means the whole driver (NVML's 1, 9, 18 and 999).
    """

    def __init__(
        self,
        state: DeviceState,
        message: str,
        *,
        code: int | None = None,
        backend_lost: bool = False,
    ) -> None:
        """Keep what state the device is in."""
        super().__init__(message)
        self.state = state
        self.code = code
        self.backend_lost = backend_lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a backend may be told. All of it comes from settings of the exporter."""

    nvml_library: Path | None = None
    scenario: Path | None = None
    dcgm_address: str = "localhost:5555"
    dcgm_bindings: Path | None = None
    tpu_addresses: tuple[str, ...] = ("localhost:8431",)
    processes: bool = False
    """Ask for processes, too: somebody can tell whose they are, or wants to see them."""
    graphics_processes: bool = False


class Calls(Protocol):
    """Where one device's calls go through, so that each is timed, counted and seen in flight."""

    def due(self, name: str, declared: Tier, tier: Tier) -> bool:
        """Return whether the call is to be made in this tier.

        It is declared for one, moves to "slow" when it takes too long, and rests when even that
        is too often.
        """
        ...

    def run(self, name: str, call: Callable[[], T], *, result: Callable[[T], str] = ...) -> T:
        """Make the call and return what it returns; `result` names the outcome, "ok" or a code.

        An exception passes through and counts as its type's name.
        """
        ...


class Device(Protocol):
    """One device. Only one thread ever calls it."""

    @property
    def identity(self) -> Identity:
        """Who it is; sources of totals are final after `probe`."""
        ...

    def probe(self) -> Mapping[str, Reason]:
        """Find out what it can tell; returns the quantities that it cannot, with the reason.

        Called at the start, after each re-initialisation and MIG change, and every 10 minutes for
        what permission was missing for.
        """
        ...

    def sample(self, tier: Tier) -> Reading:
        """Read what is due in this tier. Raises DeviceError where the device as a whole fails.

        One failing call or field leaves the others: its quantity is absent from the reading.
        """
        ...

    def alive(self) -> bool:
        """Make one cheap call and say whether the device answers; used while it is lost."""
        ...

    def close(self) -> None:
        """Let go of its buffers and handles."""
        ...


class Backend(Protocol):
    """A vendor's library, opened."""

    @property
    def name(self) -> str:
        """The name in `MODULES`."""
        ...

    @property
    def driver_version(self) -> str:
        """The version of the driver, "" if unknown."""
        ...

    @property
    def devices_listed(self) -> int | None:
        """How many devices the library counted in the last `discover`; None if it does not."""
        ...

    def discover(self, calls: Calls | None = None, /) -> Sequence[Identity]:
        """List the devices; one that fails never hides the others. Raises BackendError.

        A device that was listed before and is not lost stays listed, even if a call about it
        fails. Calls may go through `calls`, so that one that hangs is seen.
        """
        ...

    def open_device(self, identity: Identity, calls: Calls) -> Device:
        """Return a device for one sampler thread."""
        ...

    def hears(self, uuid: str) -> bool:
        """Return whether events of this device would be heard: none so far then means none.

        For the thread that waits for events, between two waits.
        """
        ...

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        """Wait for events on a thread of its own; None where this backend has no events.

        An error that comes back at once is not retried by the backend: the caller backs off.
        Raises DeviceError or BackendError.
        """
        ...

    def pci_devices(self) -> int | None:
        """Return how many PCI functions of this vendor sysfs shows; None if it cannot be seen."""
        ...

    def close(self) -> None:
        """Shut the library down, once no device is in use."""
        ...
