"""`inferometer gpu-exporter record FILE`: write down what the NVIDIA driver of a machine answers.

It samples all devices as the exporter does, for a while, and writes every call into a file whose
format is in `gpu.capture`; tests replay such files. Nothing that names the machine is in it unless
`--raw` is given.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from inferometer import log
from inferometer.errors import Place, Problem, SettingsError, WorldError
from inferometer.gpu.backend import Backend, BackendError, Device, DeviceError, Options
from inferometer.gpu.capture import Writer
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.quantities import Tier
from inferometer.settings import resolve
from inferometer.stopping import Stop

if TYPE_CHECKING:
    from inferometer.gpu.nvml.library import Library

PROGRAM: Final = "gpu-exporter record"
PROCESS_TICKS: Final = 5
SLOW_TICKS: Final = 30
EVENT_WAIT_S: Final = 0.5
EVENT_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of `inferometer gpu-exporter record FILE`."""

    file: tuple[str, ...] = field(default=(), metadata={"positional": True, "metavar": "FILE"})
    """Where the capture goes; a file that exists is replaced."""

    seconds: float = field(default=60.0, metadata={"minimum": 0.1, "maximum": 86400.0})
    """How long to record. A minute has two readings of what is read every 30 s."""

    tick_s: float = field(default=1.0, metadata={"minimum": 0.2, "maximum": 60.0})
    """How often each device is read."""

    raw: bool = False
    """Leave serial numbers, UUIDs and the name of the host as they are. Without it each is replaced
    by a number, since captures are there to be handed on."""

    nvml_library: Path | None = None
    """The driver's library, where it is not on the usual path: `libnvidia-ml.so.1`."""

    mib_max: int = field(default=64, metadata={"minimum": 1, "maximum": 4096})
    """Recording ends when the file is this large. Eight GPUs take some 4 MiB a minute."""


def main(argv: Sequence[str]) -> int:
    """Record until time, file or user says to end. Raises UserError and WorldError."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    path = _path(settings)
    log.setup(PROGRAM)
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    loaded = _load(settings)  # a capture that is there is not lost where there is no driver
    with _create(path) as file:
        writer = Writer(file, bytes_max=settings.mib_max << 20)
        backend = _open(loaded, settings, writer)
        devices = _record(backend, settings, writer, stop)
        writer.end()
    ending = ", full" if writer.full else ""
    print(f"{path}: {devices} devices, {writer.calls} calls{ending}")  # noqa: T201  (its result)
    return 0


def _path(settings: Settings) -> Path:
    if len(settings.file) == 1:
        return Path(settings.file[0])
    message = f"takes one file, got {len(settings.file)}"
    raise SettingsError([Problem(Place("FILE"), message, "write: record FILE --seconds N")])


def _create(path: Path) -> BinaryIO:
    """Open the file for its owner only: a raw capture names the machine."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror}"
        raise WorldError(message) from error


def _record(backend: Backend, settings: Settings, writer: Writer, stop: Stop) -> int:
    """Record all devices; returns how many there were."""
    devices: list[Device] = []
    try:
        devices += _open_devices(backend)
        events = threading.Thread(target=_wait_for_events, args=[backend, stop], daemon=True)
        events.start()
        end_s = time.monotonic() + settings.seconds
        run(devices, settings.tick_s, lambda span_s: _rest(span_s, end_s, stop, writer))
        stop.set()
        events.join(2 * EVENT_WAIT_S + EVENT_PAUSE_S)
    finally:
        for device in devices:
            device.close()
        backend.close()
    return len(devices)


def _load(settings: Settings) -> "Library":
    """Load the driver's library. Raises WorldError."""
    from inferometer.gpu.nvml.library import load

    try:
        return load(settings.nvml_library)
    except BackendError as error:
        raise WorldError(str(error), "recording needs an NVIDIA driver and nvidia-ml-py") from error


def _open(loaded: "Library", settings: Settings, writer: Writer) -> Backend:
    """Open NVML with a recorder in front."""
    from inferometer.gpu.nvml.backend import NvmlBackend
    from inferometer.gpu.nvml.recording import Recorder

    recorded = Recorder(writer, raw=settings.raw).library(loaded)
    return NvmlBackend(recorded, Options(processes=True))


def _open_devices(backend: Backend) -> list[Device]:
    """Open and probe all devices; what one refuses is in the capture. Raises WorldError."""
    try:
        identities = backend.discover()
    except BackendError as error:
        raise WorldError(str(error)) from error
    devices = []
    for identity in identities:
        with suppress(DeviceError):
            device = backend.open_device(identity, Meter())
            devices.append(device)
            device.probe()
    return devices


def _rest(span_s: float, end_s: float, stop: Stop, writer: Writer) -> bool:
    """Wait for the next tick; returns whether there is to be one."""
    left_s = end_s - time.monotonic()
    return left_s > span_s and not stop.wait(span_s) and not writer.full


def _wait_for_events(backend: Backend, stop: Stop) -> None:
    """Wait for events, so that they are recorded; what comes back at once is asked less often."""
    began_s = time.monotonic()
    while not stop.is_set() and _can_wait(backend):
        if time.monotonic() - began_s < EVENT_WAIT_S / 2:
            stop.wait(EVENT_PAUSE_S)
        began_s = time.monotonic()


def _can_wait(backend: Backend) -> bool:
    """Wait once; returns whether there is any use in waiting again."""
    with suppress(BackendError, DeviceError):
        return backend.wait_events(EVENT_WAIT_S) is not None
    return True


def run(devices: Sequence[Device], tick_s: float, rest: Callable[[float], bool]) -> None:
    """Sample all devices tick by tick, as long as `rest(tick_s)` waits and says to go on."""
    tick = 0
    while True:
        for tier in _tiers(tick):
            for device in devices:
                with suppress(DeviceError):  # its codes are in the capture
                    device.sample(tier)
        if not rest(tick_s):
            return
        tick += 1


def _tiers(tick: int) -> Sequence[Tier]:
    tiers: list[Tier] = ["fast"]
    if tick % PROCESS_TICKS == 0:
        tiers.append("process")
    if tick % SLOW_TICKS == 0:
        tiers.append("slow")
    return tiers
