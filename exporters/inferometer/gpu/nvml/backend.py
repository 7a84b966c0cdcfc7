"""NVML as a backend: the library opened, its devices listed, its events waited for."""

import ctypes
import functools
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from ctypes import byref
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from inferometer import log
from inferometer.gpu.backend import BackendError, Calls, DeviceError, Options
from inferometer.gpu.binding import pci
from inferometer.gpu.nvml import codes, library, structs
from inferometer.gpu.nvml.clock import Clock
from inferometer.gpu.nvml.device import Means, NvmlDevice
from inferometer.gpu.nvml.events import Events
from inferometer.gpu.nvml.identity import Asker, Call, bus_id, identify
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.sample import Event, Identity

PCI_VENDOR: Final = "0x10de"
PCI_CLASSES: Final = ("0x0302", "0x0300")
"""3D and VGA controllers."""
DEVICES_MAX: Final = 128

logger = logging.getLogger(__name__)


def open_backend(options: Options) -> "NvmlBackend":
    """Load and initialise NVML. Raises BackendError."""
    return NvmlBackend(library.load(options.nvml_library), options)


class NvmlBackend:
    """The NVIDIA driver of this machine."""

    name = "nvml"

    def __init__(
        self,
        loaded: Library,
        options: Options,
        *,
        clock: Clock | None = None,
        pci_devices: Path = pci.DEVICES,
    ) -> None:
        """Take over a library; `pci_devices` is sysfs' folder of PCI functions."""
        self._library = loaded
        self._means = Means(loaded, options, clock or Clock())
        self._pci_devices = pci_devices
        self._handles: dict[str, Handle] = {}
        self._known: dict[str, Identity] = {}
        self.devices_listed: int | None = None
        self._events = Events(loaded, self._means.clock.now_ns)
        self.driver_version = _driver_version(loaded)

    def discover(self, calls: Calls | None = None) -> Sequence[Identity]:
        """List the devices; one that fails never hides the others. Raises BackendError.

        One that was listed before stays listed unless the driver says that it is lost: that it
        does not tell its UUID this once says nothing of how it is.
        """
        call = functools.partial(_call, calls)
        asker = Asker(self._library, call)
        found: dict[str, Handle] = {}
        identities: list[Identity] = []
        unsure: list[_Entry] = []
        for index, handle, listed in self._listed(call):
            identity, code = None, listed
            if code == codes.SUCCESS:
                identity = identify(
                    asker,
                    handle,
                    index=index,
                    driver_version=self.driver_version,
                    known=self._known,
                )
                code = asker.code
            if identity is None:
                unsure.append(_Entry(index, handle if listed == codes.SUCCESS else None, code))
                log.once(logger, index, "a device cannot be identified", index=index, code=code)
                continue
            found[identity.uuid] = handle
            identities.append(identity)
        failures = {entry.code for entry in unsure}
        if failures and not found and failures <= codes.DRIVER_GONE:
            _fail("no device can be opened", max(failures))
        for entry in unsure:
            kept = self._kept(entry, asker, found)
            if kept is not None:
                found[kept.uuid] = entry.handle or self._handles[kept.uuid]
                identities.append(kept)
        self._known = {identity.uuid: identity for identity in identities}
        self._handles = found  # replaced whole: the event thread reads it
        return sorted(identities, key=lambda identity: identity.index)

    def _kept(self, entry: "_Entry", asker: Asker, found: Collection[str]) -> Identity | None:
        """Return which known device an entry is that does not say so itself; None if it is lost.

        It is the one at the same place on the bus or, where even that is not told, of the same
        handle or number.
        """
        where = ""
        code = entry.code
        if entry.handle is not None and codes.state(code) is None:
            where = bus_id(asker, entry.handle)
            code = asker.code
        if codes.state(code) is not None:
            return None
        for uuid, known in self._known.items():
            if where:
                same = where == known.pci_bus_id
            elif entry.handle is not None:
                same = entry.handle.value == self._handles[uuid].value
            else:
                same = entry.number == known.index
            if same and uuid not in found:
                return replace(known, index=entry.number)
        return None

    def _listed(self, call: Call) -> Iterator[tuple[int, Handle, int]]:
        """Yield (index, handle, code) of all devices that NVML lists."""
        count = self._library.function("nvmlDeviceGetCount_v2")
        by_index = self._library.function("nvmlDeviceGetHandleByIndex_v2")
        if count is None or by_index is None:
            _fail("the driver cannot list its devices", codes.FUNCTION_NOT_FOUND)
        devices = ctypes.c_uint32()
        code = call("DeviceGetCount_v2", functools.partial(count, byref(devices)))
        if code != codes.SUCCESS:
            _fail("devices cannot be listed", code)
        self.devices_listed = devices.value
        for index in range(min(devices.value, DEVICES_MAX)):
            handle = Handle()
            ask = functools.partial(by_index, ctypes.c_uint32(index), byref(handle))
            yield index, handle, call("DeviceGetHandleByIndex_v2", ask)

    def open_device(self, identity: Identity, calls: Calls) -> NvmlDevice:
        """Return a device for one sampler thread. Raises DeviceError if it is listed no more."""
        handle = self._handles.get(identity.uuid)
        if handle is None:
            raise DeviceError(codes.LOST, f"{identity.uuid} is not listed")
        return NvmlDevice(self._means, handle, identity=identity, calls=calls)

    def hears(self, uuid: str) -> bool:
        """Return whether the device is registered for events."""
        return self._events.hears(uuid)

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        """Wait for events on a thread of its own; None where no device has events."""
        return self._events.wait(self._handles, timeout_s)

    def pci_devices(self) -> int | None:
        """Return how many NVIDIA GPUs are on the bus; None if it cannot be seen."""
        return pci.count(PCI_VENDOR, PCI_CLASSES, devices=self._pci_devices)

    def close(self) -> None:
        """Shut the library down, once no device is in use."""
        self._events.close()
        self._library.close()


class _Entry(NamedTuple):
    """A device in the driver's list that does not say which it is, with the code that it gave."""

    number: int
    handle: Handle | None
    code: int


def _call(calls: Calls | None, name: str, function: Callable[[], int]) -> int:
    """Make a call, through `calls` if there are any; returns its code."""
    return function() if calls is None else calls.run(name, function, result=codes.word)


def _driver_version(loaded: Library) -> str:
    function = loaded.function("nvmlSystemGetDriverVersion")
    text = ctypes.create_string_buffer(structs.TEXT_BYTES)
    if function is None or function(text, ctypes.c_uint32(structs.TEXT_BYTES)) != codes.SUCCESS:
        return ""
    return text.value.decode("utf-8", "replace")


def _fail(what: str, code: int) -> NoReturn:
    word = codes.word(code)
    message = f"{what}: {word} ({code})"
    raise BackendError(word, message, code=code)
