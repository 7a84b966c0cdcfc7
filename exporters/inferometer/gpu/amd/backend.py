"""The backend for AMD devices."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from inferometer.gpu.amd.answers import text
from inferometer.gpu.amd.device import ADDRESS, ASIC, AmdDevice, Lists
from inferometer.gpu.amd.library import NO_DRIVER, NOT_LOADED, CallError, Library
from inferometer.gpu.backend import BackendError, Calls, Options
from inferometer.gpu.binding import pci
from inferometer.gpu.sample import Event, Identity

VENDOR: Final = "0x1002"
CLASSES: Final = ("0x0300", "0x0302", "0x0380", "0x1200")
"""Of the PCI bus: VGA, 3D and other displays, and processing accelerators (MI300)."""
FAILED: Final = "discovery_failed"


def open_backend(options: Options) -> "AmdBackend":
    """Load and initialise amdsmi. Raises BackendError."""
    return AmdBackend(Library(), processes=options.processes)


class AmdBackend:
    """All devices that amdsmi lists."""

    name: Final = "amd"
    devices_listed: int | None = None

    def __init__(
        self,
        library: Library,
        *,
        processes: bool,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Take an initialised library."""
        self._library = library
        self._lists = Lists(processes, clock_ns)
        self._handles: Mapping[str, object] = {}
        self._driver_version = ""

    @property
    def driver_version(self) -> str:
        """The version of amdgpu, as the first device says it."""
        return self._driver_version

    def discover(self, _: Calls | None = None) -> Sequence[Identity]:
        """List the devices; one that tells nothing of itself is left out."""
        try:
            handles = self._library.handles()
        except CallError as error:
            reason = NOT_LOADED if error.code in NO_DRIVER else FAILED
            raise BackendError(reason, str(error), code=error.code) from error
        self.devices_listed = len(handles)
        found: dict[str, object] = {}
        identities = []
        for index, handle in enumerate(handles):
            identity = self._identify(index, handle)
            if identity is not None and identity.uuid not in found:
                found[identity.uuid] = handle
                identities.append(identity)
        self._handles = found
        self._driver_version = next(
            (one.driver_version for one in identities if one.driver_version), ""
        )
        return identities

    def open_device(self, identity: Identity, calls: Calls) -> AmdDevice:
        """Return a device that `discover` has listed."""
        handle = self._handles[identity.uuid]
        return AmdDevice(self._library, handle, identity, calls, lists=self._lists)

    def hears(self, uuid: str) -> bool:  # noqa: ARG002 (no device of this vendor has events)
        """Return False: there are no events."""
        return False

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        """Return None: what amdsmi reports as events is none of ours."""
        del timeout_s
        return None

    def pci_devices(self) -> int | None:
        """Count the devices on the PCI bus."""
        return pci.count(VENDOR, CLASSES)

    def close(self) -> None:
        """Shut the library down."""
        self._library.close()

    def _identify(self, index: int, handle: object) -> Identity | None:
        """Describe a device; without a UUID its address on the bus has to do."""
        address = self._ask(ADDRESS, handle)
        uuid = self._ask("amdsmi_get_gpu_device_uuid", handle)
        asic = self._ask(ASIC, handle)
        bdf = address if isinstance(address, str) else ""
        name = uuid if isinstance(uuid, str) and uuid else bdf and f"AMD-{bdf}"
        if not name:
            return None
        return Identity(
            uuid=name,
            index=index,
            vendor="amd",
            model=text(asic, "market_name"),
            pci_bus_id=bdf,
            architecture=text(asic, "target_graphics_version"),
            serial=text(asic, "asic_serial"),
            vbios_version=text(self._ask("amdsmi_get_gpu_vbios_info", handle), "version"),
            driver_version=text(self._ask("amdsmi_get_gpu_driver_info", handle), "driver_version"),
        )

    def _ask(self, function: str, handle: object) -> object:
        try:
            return self._library.call(function, handle)
        except CallError:
            return None
