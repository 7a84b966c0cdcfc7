"""Stand between this package and NVML, and write down each call: see `gpu.capture`.

It sees functions as `library.Library` hands them out, so nothing else here knows of it. Only
pynvml's own calls to initialise and shut down are not seen.
"""

import ctypes
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from inferometer.gpu.capture import Aliases, Call, Device, Writer
from inferometer.gpu.nvml import codes
from inferometer.gpu.nvml.library import CFunction, Library

SECRET_TEXT: Final = frozenset({"nvmlDeviceGetUUID", "nvmlDeviceGetSerial"})
"""Calls whose first buffer is text that names a device."""
SECRET_BYTES: Final[Mapping[str, int]] = {
    "nvmlDeviceGetGpuFabricInfo": 0,
    "nvmlDeviceGetGpuFabricInfoV": 4,
}
"""Calls whose first buffer has the 16 bytes of a fabric's UUID, and where."""
UUID_BYTES: Final = 16
LATER_OFFSET: Final = 16
"""Where a request for metrics has the later of its two samples."""


class Names:
    """Calls that tell what a handle or a buffer belongs to."""

    BY_INDEX = "nvmlDeviceGetHandleByIndex_v2"
    BY_SLOT = "nvmlDeviceGetMigDeviceHandleByIndex"
    INSTANCE = "nvmlDeviceGetGpuInstanceId"
    SAMPLE = "nvmlGpmSampleGet"
    INSTANCE_SAMPLE = "nvmlGpmMigSampleGet"
    METRICS = "nvmlGpmMetricsGet"
    EVENT = "nvmlEventSetWait_v2"


_POINTER_BYTES: Final = ctypes.sizeof(ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Clocks:
    """What time it is, for a capture."""

    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    """Of the calls, in µs since 1970."""
    timer_ns: Callable[[], int] = time.perf_counter_ns
    """For how long calls take."""


class Recorder:
    """Writes the calls of one library."""

    def __init__(self, writer: Writer, *, raw: bool, clocks: Clocks | None = None) -> None:
        """Replace what names a machine unless `raw`."""
        self._writer = writer
        self._clocks = clocks or Clocks()
        self._start_us = self._clocks.now_us()
        self._raw = raw
        self._aliases = Aliases()
        self._devices: dict[int, Device] = {}  # by handle
        self._samples: dict[int, Device] = {}  # by buffer of GPM
        self._slots: dict[tuple[int, int], int] = {}  # by (device, GPU instance)

    def library(self, loaded: Library) -> Library:
        """Return a library whose calls are written down, and write the first line."""
        host = socket.gethostname()
        if not self._raw:
            self._aliases.hide_text(host.encode())
        version = _driver_version(loaded)
        self._writer.begin(
            start_us=self._start_us, driver=version, host=host if self._raw else None
        )
        return Library(lambda name: self._find(loaded, name), shutdown=loaded.close)

    def _find(self, loaded: Library, name: str) -> CFunction | None:
        function = loaded.function(name)
        if function is None:
            self._writer.missing(name)
            return None
        return self._wrap(name, function)

    def _wrap(self, name: str, function: CFunction) -> CFunction:
        def recorded(*args: object) -> int:
            clocks = self._clocks
            t_us, before_ns = clocks.now_us() - self._start_us, clocks.timer_ns()
            code = function(*args)
            took_us = (clocks.timer_ns() - before_ns) / 1000
            self._writer.call(self._describe(name, args, code), t_us=t_us, took_us=took_us)
            return code

        return recorded

    def _describe(self, name: str, args: tuple[object, ...], code: int) -> Call:
        """Sort arguments into device, plain values and buffers."""
        device: Device = None
        plain: list[int | float | str | None] = []
        buffers: list[bytes] = []
        opaque = 0
        for arg in args:
            buffer = _buffer(arg)
            address = _address(arg)
            if buffer is not None:
                buffers.append(buffer)
            elif address in self._devices and device is None:
                device = self._devices[address]
            else:
                opaque = opaque if address is None else address
                plain.append(None if address is not None else self._plain(arg))
        call = Call(name, device, plain, code, buffers)
        if code == codes.SUCCESS:
            self._learn(call, opaque)
        return call._replace(device=self._about(call), buffers=self._hide(name, buffers))

    def _learn(self, call: Call, opaque: int) -> None:
        """Note what the handle or buffer belongs to that a call gave or filled."""
        match call:
            case Call(name=Names.BY_INDEX, args=[int(index), *_], buffers=[handle]):
                self._devices[_pointer(handle)] = index
            case Call(
                name=Names.BY_SLOT, device=int(device), args=[int(slot), *_], buffers=[handle]
            ):
                self._devices[_pointer(handle)] = (device, slot)
            case Call(name=Names.INSTANCE, device=(int(device), int(slot)), buffers=[instance]):
                self._slots[device, int.from_bytes(instance, "little")] = slot
            case Call(name=Names.SAMPLE):
                self._samples[opaque] = call.device
            case Call(name=Names.INSTANCE_SAMPLE, device=int(device), args=[int(instance), *_]):
                self._samples[opaque] = (device, self._slots.get((device, instance), 0))

    def _about(self, call: Call) -> Device:
        """Return the device that a call without a handle is about."""
        match call:
            case Call(name=Names.EVENT, code=codes.SUCCESS, buffers=[event]):
                return self._devices.get(_pointer(event))
            case Call(name=Names.METRICS, buffers=[request]):
                return self._samples.get(_pointer(request[LATER_OFFSET:]))
        return call.device

    def _plain(self, arg: object) -> int | float | str | None:
        value = getattr(arg, "value", arg)
        if isinstance(value, bytes):
            return self._text(value).decode("utf-8", "replace")
        return value if isinstance(value, int | float) else None

    def _text(self, text: bytes) -> bytes:
        return text if self._raw else self._aliases.hide_text(text)

    def _hide(self, name: str, buffers: list[bytes]) -> list[bytes]:
        if self._raw or not buffers:
            return buffers
        first, offset = buffers[0], SECRET_BYTES.get(name)
        if name in SECRET_TEXT:
            text = first.split(b"\0", 1)[0]
            buffers[0] = self._aliases.hide_text(text).ljust(len(first), b"\0")
        elif offset is not None:
            end = offset + UUID_BYTES
            hidden = self._aliases.hide_bytes(first[offset:end])
            buffers[0] = first[:offset] + hidden + first[end:]
        return [self._aliases.hide(buffer) for buffer in buffers]


def _buffer(arg: object) -> bytes | None:
    """Return the bytes behind a reference, an array or a structure; None for a plain value."""
    target: Any = getattr(arg, "_obj", arg)
    if target is not arg or isinstance(target, ctypes.Array | ctypes.Structure):
        return bytes(target)
    return None


def _pointer(data: bytes) -> int:
    return int.from_bytes(data[:_POINTER_BYTES], "little")


def _address(arg: object) -> int | None:
    """Return where a handle points; None for what is no pointer."""
    return (arg.value or 0) if isinstance(arg, ctypes.c_void_p) else None


def _driver_version(loaded: Library) -> str:
    function = loaded.function("nvmlSystemGetDriverVersion")
    text = ctypes.create_string_buffer(80)
    if function is None or function(text, ctypes.c_uint32(80)) != codes.SUCCESS:
        return ""
    return text.value.decode("utf-8", "replace")
