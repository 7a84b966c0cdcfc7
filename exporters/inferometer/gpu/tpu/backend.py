"""The backend for TPUs, beside the workload that uses them.

The metrics service lives in the workload's network namespace, so this backend runs as a container
of its pod. While nothing uses the TPUs there is no service, and the backend is absent.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from inferometer.gpu.backend import BackendError, Calls, Options
from inferometer.gpu.binding import pci
from inferometer.gpu.sample import Event, Identity
from inferometer.gpu.tpu.client import GONE, Client
from inferometer.gpu.tpu.device import TpuDevice
from inferometer.gpu.tpu.layout import DUTY, TOTAL, Chip, chips

NOT_RUNNING: Final = "runtime_not_running"
VENDOR: Final = "0x1ae0"
MODELS: Final[Mapping[str, str]] = {
    "0x005e": "TPU v4",
    "0x0062": "TPU v5p",
    "0x0063": "TPU v5e",
    "0x006f": "TPU v6e",
    "0x0076": "TPU 7x",
}
"""By PCI device, as in Google's tpu-info; v2 and v3 share one."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def open_backend(options: Options) -> "TpuBackend":
    """Prepare a client for each address. Raises BackendError."""
    return TpuBackend([Client(address) for address in options.tpu_addresses])


class TpuBackend:
    """The chips of all runtimes that answer."""

    name: Final = "tpu"
    devices_listed: int | None = None
    driver_version: Final = ""

    def __init__(
        self,
        clients: Sequence[Client],
        *,
        host: str | None = None,
        models: Mapping[str, int] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`host` names this machine, `models` counts its PCI devices by their number."""
        self._clients = tuple(clients)
        self._host = socket.gethostname() if host is None else host
        present = pci.kinds(VENDOR) if models is None else models
        self._model = MODELS.get(next(iter(present)), "") if len(present) == 1 else ""
        self._clock_ns = clock_ns
        self._found: dict[str, tuple[Client, Chip]] = {}

    def discover(self, _: Calls | None = None) -> Sequence[Identity]:
        """List the chips; a runtime that does not answer hides no other."""
        found: dict[str, tuple[Client, Chip]] = {}
        outcomes = []
        for client in self._clients:
            duty, memory = client.ask(DUTY), client.ask(TOTAL)
            outcomes.append(f"{client.address}: {duty.outcome}")
            if (duty.outcome in GONE) != (memory.outcome in GONE):
                # Half an answer would make other chips of them.
                found.update({u: known for u, known in self._found.items() if known[0] is client})
                continue
            for chip in chips(duty.metrics, memory.metrics):
                found[self._uuid(client, chip)] = (client, chip)
        if not found:
            raise BackendError(NOT_RUNNING, f"no chip at {', '.join(outcomes)}")
        self._found = found
        return [
            Identity(
                uuid=uuid,
                index=index,
                vendor="google",
                model=self._model or "TPU",
                busy_source="utilization",
            )
            for index, uuid in enumerate(found)
        ]

    def open_device(self, identity: Identity, calls: Calls) -> TpuDevice:
        """Return a chip that `discover` has listed."""
        client, chip = self._found[identity.uuid]
        return TpuDevice(client, chip, identity, calls, clock_ns=self._clock_ns)

    def hears(self, uuid: str) -> bool:  # noqa: ARG002 (no device of this vendor has events)
        """Return False: there are no events."""
        return False

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        """Return None: libtpu reports none."""
        del timeout_s
        return None

    def pci_devices(self) -> int | None:
        """Count the functions on the PCI bus; a chip with two cores may have two."""
        return pci.count(VENDOR, ("0x",))

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()

    def _uuid(self, client: Client, chip: Chip) -> str:
        """Name a chip: TPUs have no UUID, so by machine, port and number."""
        host, _, port = client.address.rpartition(":")
        return f"TPU-{self._host if host in LOOPBACK else host}:{port}/{chip.number}"
