"""The backend for a running DCGM host engine; it never starts one of its own.

A host engine in this process would take the profiling hardware for itself, away from the one that
is meant to have it. When the host engine goes away, devices are "stalled", and each tick of any of
them tries to connect again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

from inferometer.gpu.backend import BackendError, Calls, DeviceError, Options
from inferometer.gpu.binding import pci
from inferometer.gpu.dcgm.binding import Binding, CallError
from inferometer.gpu.dcgm.device import DcgmDevice
from inferometer.gpu.dcgm.session import Session
from inferometer.gpu.sample import Event, Identity

UNREACHABLE: Final = "host_engine_unreachable"
LIBRARY_CODE: Final = -25
LIBRARY_NOT_FOUND: Final = "library_not_found"
RETRY_S: Final = 1.0
"""At most one attempt to connect in this time, of all devices together."""
XID_MAX: Final = 0xFFFF
"""Above are blanks; NVIDIA has given out some 180 codes."""
VENDOR: Final = "0x10de"
CLASSES: Final = ("0x0300", "0x0302")


def open_backend(options: Options) -> "DcgmBackend":
    """Load the binding and connect. Raises BackendError."""
    return DcgmBackend(Binding(options.dcgm_bindings), options.dcgm_address)


class DcgmBackend:
    """All devices of a host engine, over one connection."""

    name: Final = "dcgm"
    devices_listed: int | None = None

    def __init__(
        self,
        binding: Binding,
        address: str,
        *,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect. `now_s` is the wall clock, which the host engine's moments are of."""
        self._binding = binding
        self._address = address
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._closed = threading.Event()
        self._connecting = threading.Lock()
        self._tried_s = monotonic_s()
        self._xids_since_us = self._now_us()
        try:
            self._session: Session | None = self._connect()
            identities = self._session.identities()
        except CallError as error:
            reason = LIBRARY_NOT_FOUND if error.code == LIBRARY_CODE else UNREACHABLE
            raise BackendError(reason, f"{address}: {error}", code=error.code) from error
        versions = sorted({one.driver_version for one in identities} - {""})
        self._driver_version = versions[0] if versions else ""

    @property
    def driver_version(self) -> str:
        """The version of the driver, as the first device says it."""
        return self._driver_version

    def discover(self, _: Calls | None = None) -> Sequence[Identity]:
        """List the devices of the host engine."""
        try:
            session = self.session()
            return session.identities()
        except (CallError, DeviceError) as error:
            raise BackendError(UNREACHABLE, str(error), code=error.code) from error

    def open_device(self, identity: Identity, calls: Calls) -> DcgmDevice:
        """Return a device; it has no connection of its own."""
        return DcgmDevice(identity, calls, self, now_us=self._now_us)

    def hears(self, uuid: str) -> bool:  # noqa: ARG002 (it is all devices or none)
        """Return True: where events can be had, they are those of all devices."""
        return True

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        """Wait, then return the XIDs seen meanwhile; none while there is no connection.

        The host engine keeps them with their moments, so each is returned once. Raises DeviceError
        where it does not tell them; whether the connection stands is for the devices to find out.
        """
        self._closed.wait(timeout_s)
        session = self._session
        if session is None:
            return ()
        try:
            values = session.xids()
        except CallError as error:
            raise _gone(error) from error
        self._xids_since_us = session.xids_since_us
        uuids = {gpu: uuid for uuid, gpu in session.gpus.items()}
        events: list[Event] = []
        for value in values:
            uuid = uuids.get(value.entity[1])
            if uuid and isinstance(value.value, int) and 0 < value.value <= XID_MAX:
                events.append(Event(uuid, "xid", value.value))
        return events

    def pci_devices(self) -> int | None:
        """Count the GPUs on the PCI bus."""
        return pci.count(VENDOR, CLASSES)

    def close(self) -> None:
        """Disconnect."""
        self._closed.set()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def session(self) -> Session:
        """Return the session; connect again if it is lost. Raises DeviceError without one.

        Whoever comes first connects, at most for the time-out of one connection. Nobody waits for
        it: a thread that hung there would hold all the others.
        """
        session = self._session
        if session is not None:
            return session
        if self._closed.is_set() or not self._connecting.acquire(blocking=False):
            raise _gone(None)
        try:
            return self._session or self._reconnect()
        finally:
            self._connecting.release()

    def lose(self, session: Session) -> None:
        """Give a session up; a newer one stays."""
        if self._session is session:
            self._session = None
            session.close()

    def _reconnect(self) -> Session:
        """Connect if it is time; a host engine that has no GPUs yet is not ready."""
        if self._monotonic_s() - self._tried_s < RETRY_S:
            raise _gone(None)
        self._tried_s = self._monotonic_s()
        try:
            session = self._connect()
        except CallError as error:
            raise _gone(error) from error
        if not session.gpus:
            session.close()
            raise _gone(None)
        self._session = session
        return session

    def _connect(self) -> Session:
        return Session(self._binding, self._address, xids_since_us=self._xids_since_us)

    def _now_us(self) -> int:
        return int(self._now_s() * 1e6)


def _gone(error: CallError | None) -> DeviceError:
    state: Literal["stalled"] = "stalled"
    message = f"no host engine: {error}" if error else "no host engine"
    return DeviceError(state, message, code=error.code if error else None)
