"""Devices of backends in the tests' own process, and a clock for them."""

import time
from collections.abc import Callable

from inferometer.gpu.backend import Backend, Device, DeviceError
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.sample import Reading


class Clock:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.s = 0.0
        self.ns = 0

    def now_s(self) -> float:
        return self.s

    def now_ns(self) -> int:
        return self.ns


def device(backend: Backend, *, index: int = 0, meter: Meter | None = None) -> Device:
    """Open one of the devices that a backend lists."""
    return backend.open_device(backend.discover()[index], meter or Meter())


def read(one: Device) -> Reading:
    return one.sample("fast")


def until(condition: Callable[[], bool], *, within_s: float = 20) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.05)


def samples(one: Device) -> bool:
    try:
        return bool(one.sample("fast").gauges)
    except DeviceError:
        return False
