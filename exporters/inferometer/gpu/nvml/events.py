"""XIDs and other events, and drivers that are unbound, waited for on a thread of their own.

There is one event set for all devices. A device is registered for the kinds it supports; one that
cannot be is tried again later. After the code for a lost device the set is built anew from those
that can still be registered: a set with a lost device in it only ever answers that code.
"""

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref
from typing import Final

from inferometer.gpu.backend import BackendError, DeviceError
from inferometer.gpu.nvml import codes, structs
from inferometer.gpu.nvml.library import CFunction, Library
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.sample import DeviceState, Event

XID: Final = 0x8
KINDS: Final[Mapping[int, str]] = {
    0x1: "ecc_sbe",
    0x2: "ecc_dbe",
    XID: "xid",
    0x400: "dram_retirement",
    0x800: "dram_retirement_failed",
    0x1000: "poison_nonfatal",
    0x2000: "poison_fatal",
    0x4000: "unavailable",
    0x8000: "recovery_action",
}
_WANTED: Final = sum(KINDS)
UNBIND: Final = 1
EVENTS_MAX: Final = 64
"""Events of one `wait`, so that a storm of them cannot keep it; the rest waits in the driver."""
TIMEOUT_MAX_S: Final = 1.0
RETRY_NS: Final = 60 * 10**9
"""How long a device that could not be registered is left alone."""
_SYSTEM_EVENTS_MAX: Final = 16


class Events:
    """The events of all devices of a driver."""

    def __init__(self, library: Library, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        """Nothing is registered before the first `wait`."""
        self._library = library
        self._clock = clock
        self._wait = library.first("nvmlEventSetWait_v2", "nvmlEventSetWait")
        self._data = structs.EventData()
        self._set: Handle | None = None
        self._registered: dict[int, str] = {}
        self._failed_ns: dict[int, int] = {}
        self._unable: set[int] = set()
        self._unbinding = Unbinding(library)

    def wait(self, handles: Mapping[str, Handle], timeout_s: float) -> Sequence[Event] | None:
        """Wait for events of these devices, by UUID; None if none of them can have any.

        Raises BackendError when the driver is unbound from a device, and DeviceError if no device
        can be registered for now.
        """
        if self._wait is None:
            return None
        self._register(handles)
        if self._unbinding.seen():
            reason = "driver_unbind"
            raise BackendError(reason, "the driver is being unbound from a device")
        if self._registered:
            return self._collect(self._wait, round(min(timeout_s, TIMEOUT_MAX_S) * 1000))
        if self._failed_ns or not handles:
            state: DeviceState = "ok"
            raise DeviceError(state, "no device can be registered for events")
        return None

    def hears(self, uuid: str) -> bool:
        """Return whether a device is registered, so that none so far means none."""
        return uuid in self._registered.values()

    def _collect(self, wait: CFunction, timeout_ms: int) -> list[Event]:
        """Wait for one event, then take those that are there already."""
        found: list[Event] = []
        for _ in range(EVENTS_MAX):
            code = wait(self._set, byref(self._data), ctypes.c_uint32(timeout_ms))
            timeout_ms = 0
            if code == codes.GPU_IS_LOST:
                self._start_anew()
            if code != codes.SUCCESS:
                break
            event = self._event()
            if event is not None:
                found.append(event)
        return found

    def _event(self) -> Event | None:
        """Return the event that was just waited for; None if it is of a kind nobody knows."""
        data = self._data
        kind = KINDS.get(data.kind)
        if kind is None:
            return None
        instance = data.gpu_instance
        return Event(
            uuid=self._registered.get(data.device or 0, ""),
            kind=kind,
            xid=data.data if kind == "xid" else None,
            gpu_instance=None if instance == structs.UNKNOWN_U32 else instance,
        )

    def _register(self, handles: Mapping[str, Handle]) -> None:
        """Register devices that are not yet, unless they failed not long ago."""
        now_ns = self._clock()
        for uuid, handle in handles.items():
            key = handle.value or 0
            failed_ns = self._failed_ns.get(key)
            recently = failed_ns is not None and now_ns - failed_ns < RETRY_NS
            if self._registered.get(key) == uuid or key in self._unable or recently:
                continue
            code = self._register_one(handle)
            if code == codes.SUCCESS:
                self._registered[key] = uuid
                self._failed_ns.pop(key, None)
            elif code == codes.NOT_SUPPORTED:
                self._unable.add(key)
            else:
                self._failed_ns[key] = now_ns

    def _register_one(self, handle: Handle) -> int:
        """Register a device for what it supports; returns a code."""
        supported = self._library.function("nvmlDeviceGetSupportedEventTypes")
        register = self._library.function("nvmlDeviceRegisterEvents")
        if supported is None or register is None:
            return codes.NOT_SUPPORTED
        kinds = ctypes.c_uint64()
        code = supported(handle, byref(kinds))
        if code != codes.SUCCESS:
            return code
        wanted = kinds.value & _WANTED
        if not wanted:
            return codes.NOT_SUPPORTED
        if not self._has_set():
            return codes.UNKNOWN
        return register(handle, ctypes.c_uint64(wanted), self._set)

    def _has_set(self) -> bool:
        create = self._library.function("nvmlEventSetCreate")
        if self._set is None and create is not None:
            fresh = Handle()
            if create(byref(fresh)) == codes.SUCCESS:
                self._set = fresh
        return self._set is not None

    def _start_anew(self) -> None:
        """Let go of the set; the next `wait` registers what can be registered."""
        free = self._library.function("nvmlEventSetFree")
        if self._set is not None and free is not None:
            free(self._set)
        self._set = None
        self._registered.clear()

    def close(self) -> None:
        """Free the sets; nobody may be waiting."""
        self._start_anew()
        self._unbinding.close()


class Unbinding:
    """Whether the driver is being unbound from a device, where the driver can tell (R570+)."""

    def __init__(self, library: Library) -> None:
        """Register, if that can be done."""
        self._library = library
        self._set: Handle | None = self._create()
        self._data = (structs.SystemEventData * _SYSTEM_EVENTS_MAX)()
        self._request = structs.SystemEventWait(
            version=structs.version(structs.SystemEventWait, 1),
            set=self._set,
            data=self._data,
            capacity=_SYSTEM_EVENTS_MAX,
        )

    def _create(self) -> Handle | None:
        create = self._library.function("nvmlSystemEventSetCreate")
        register = self._library.function("nvmlSystemRegisterEvents")
        if create is None or register is None:
            return None
        request = structs.SystemEventSet(version=structs.version(structs.SystemEventSet, 1))
        if create(byref(request)) != codes.SUCCESS:
            return None
        fresh = Handle(request.set)
        registration = structs.SystemEventRegistration(
            version=structs.version(structs.SystemEventRegistration, 1), kinds=UNBIND, set=fresh
        )
        if register(byref(registration)) != codes.SUCCESS:
            self._free(fresh)
            return None
        return fresh

    def _free(self, event_set: Handle) -> None:
        request = structs.SystemEventSet(
            version=structs.version(structs.SystemEventSet, 1), set=event_set
        )
        free = self._library.function("nvmlSystemEventSetFree")
        if free is not None:
            free(byref(request))

    def seen(self) -> bool:
        """Return whether a driver was unbound since the last time; does not wait."""
        wait = self._library.function("nvmlSystemEventSetWait")
        if self._set is None or wait is None:
            return False
        self._request.timeout_ms = 0
        self._request.count = 0
        if wait(byref(self._request)) != codes.SUCCESS:
            return False
        count = min(self._request.count, _SYSTEM_EVENTS_MAX)
        return any(event.kind & UNBIND for event in self._data[:count])

    def close(self) -> None:
        """Free the set."""
        if self._set is not None:
            self._free(self._set)
            self._set = None
