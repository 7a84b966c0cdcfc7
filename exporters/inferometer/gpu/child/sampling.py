"""One device's thread: wait for the tick, read what is due, send what is known.

A call that hangs keeps this thread and nothing else; the thread is never replaced within its
process. What a driver does wrong is a state of the device; what we do wrong is logged once, and
the next tick is another chance.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Final

from inferometer import log
from inferometer.gpu.backend import Device, DeviceError
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.child.outbox import Outbox
from inferometer.gpu.child.tiers import Grid, Latest
from inferometer.gpu.clock import NS, Clock
from inferometer.gpu.messages import Condition, Found, Message
from inferometer.gpu.orders import Pace
from inferometer.gpu.sample import Identity, Reason
from inferometer.gpu.states import Health

SILENT_NS: Final = 3 * NS
"""A call under way for this long says nothing about the driver."""
SOON_NS: Final = NS
"""How long the first tick of a device may wait."""

logger = logging.getLogger(__name__)


def grid(pace: Pace, *, now_ns: int, position: tuple[int, int]) -> Grid:
    """Return a device's rhythm; `position` is which of how many, so that ticks are spread out.

    All grids have the same origin, so a device that comes later does not meet the others. Where
    that means to wait for long, there is one tick before.
    """
    tick_ns = int(pace.tick_s * NS)
    index, devices = position
    first_ns = _next(now_ns, tick_ns, index % devices / devices)
    soon_ns = _next(now_ns, SOON_NS, index % devices / devices)
    slow_ticks = max(1, round(pace.slow_s / pace.tick_s))
    return Grid(
        first_ns=first_ns,
        tick_ns=tick_ns,
        periods={"fast": 1, "process": pace.process_every, "slow": slow_ticks},
        early_ns=soon_ns if first_ns > soon_ns + SOON_NS else None,
    )


def _next(now_ns: int, period_ns: int, phase: float) -> int:
    """Return the next moment that is this part of a period after a multiple of it."""
    shift_ns = int(period_ns * phase)
    return now_ns + (shift_ns - now_ns) % period_ns


class Sampler:
    """Reads one device. All but the properties and the `report_`s belong to its own thread."""

    def __init__(
        self,
        device: Device,
        meter: Meter,
        outbox: Outbox,
        *,
        rhythm: tuple[Pace, Grid],
        clock: Clock,
    ) -> None:
        """Take charge of a device that nobody else will call."""
        pace, self._grid = rhythm
        self._device = device
        self._outbox = outbox
        self._clock = clock
        self._permission_s = pace.permission_s
        self._permission_at_s = 0.0
        self._health = Health(alive_s=pace.alive_s, permission_s=pace.permission_s)
        self._latest = Latest()
        self._unsupported: Mapping[str, Reason] = {}
        self._shape: tuple[bool, frozenset[str]] | None = None
        self._told: dict[str, Message] = {}
        self._stop = threading.Event()  # its own: samplers share no lock
        self._lost = False
        self._failed = False
        self.uuid = device.identity.uuid
        self.meter = meter

    def run(self) -> None:
        """Read the device until `report_end`, then close it."""
        while not self._wait():
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 (one device's fault must not end the others)
                log.once(logger, type(error).__name__, "a tick failed", device=self.uuid)
            self._grid.advance(self._clock.monotonic_ns())
        try:
            self._device.close()
        except Exception as error:  # noqa: BLE001 (the process ends, whatever this says)
            log.once(logger, type(error).__name__, "closing a device failed", device=self.uuid)

    @property
    def identity(self) -> Identity:
        """Who the device is."""
        return self._device.identity

    @property
    def missed(self) -> dict[str, int]:
        """Ticks that were left out, by tier."""
        return dict(self._grid.missed)

    @property
    def driver_code(self) -> int | None:
        """The code with which the whole driver fails; 0 for one without a code, None for none."""
        return self._health.driver_code

    def well(self, now_ns: int) -> bool:
        """Say whether the device may be called by others, too."""
        return self._health.state == "ok" and not self.silent(now_ns)

    @property
    def resting(self) -> bool:
        """Say whether the device is left alone, since it is lost or lets nobody in."""
        return self._health.resting

    def silent(self, now_ns: int) -> bool:
        """Say whether the device cannot tell how the driver is: it hangs or is left alone."""
        call = self.meter.in_flight
        return self._health.resting or (call is not None and now_ns - call[1] > SILENT_NS)

    def report_lost(self) -> None:
        """Tell it that the device is lost, as others have seen."""
        self._lost = True

    def report_end(self) -> None:
        """Tell it to end; a call under way is finished first."""
        self._stop.set()

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / NS

    def _wait(self) -> bool:
        wait_ns = self._grid.due_ns - self._clock.monotonic_ns()
        return self._stop.wait(max(0, wait_ns) / NS)

    def _turn(self) -> None:
        try:
            self._tick()
        except DeviceError as error:
            lost = error.backend_lost
            self._failed = True
            self._health.failed(error.state, self._now_s(), code=error.code, driver=lost)
        self._tell("identity", Found(self.identity))
        self._tell("state", self._condition())

    def _tick(self) -> None:
        now_s = self._now_s()
        if self._lost:
            self._lost = False
            self._health.failed("lost", now_s)
        task = self._health.task(now_s)
        if task == "alive":
            self._health.answered(now_s, alive=self._alive())
        elif task is not None:
            if task == "probe":
                self._probe(now_s)
            self._read(now_s)

    def _alive(self) -> bool:
        try:
            return self._device.alive()
        except Exception:  # noqa: BLE001 (however it says that it does not answer)
            return False

    def _probe(self, now_s: float) -> None:
        self._unsupported = dict(self._device.probe())
        self._health.probed()
        self._latest.clear()  # it may be another device than before
        self._grid.all_due()
        self._permission_at_s = now_s + self._permission_s

    def _read(self, now_s: float) -> None:
        if self._failed:
            self._failed = False
            self._latest.clear()  # what a tier said before it may be long past by now
            self._grid.all_due()
        for tier in self._grid.tiers():
            reading = self._device.sample(tier)
            self._latest.take(tier, reading, read_ns=self._clock.monotonic_ns())
        self._health.completed()
        self._tell("identity", Found(self.identity))
        moment = (self._clock.monotonic_ns(), self._clock.wall_s())
        self._outbox.send(self._latest.sample(self.uuid, moment, self._reasons()))
        shape = (self.identity.mig, self._latest.instances)
        if self._shape not in (None, shape) or (
            now_s >= self._permission_at_s and "no_permission" in self._unsupported.values()
        ):
            self._health.probe_again()
        self._shape = shape

    def _condition(self) -> Condition:
        health = self._health
        return Condition(self.uuid, health.state, health.code, health.driver_code is not None)

    def _reasons(self) -> Mapping[str, Reason]:
        """Return why quantities cannot be had: what a probe said, and what is told no longer."""
        gone = self._latest.gone()
        if not gone:
            return self._unsupported
        why: Reason = "too_slow" if "off" in self.meter.demoted().values() else "no_data"
        return {**dict.fromkeys(gone, why), **self._unsupported}

    def _tell(self, what: str, message: Message) -> None:
        """Send what has changed, again and again until it went out."""
        if self._told.get(what) != message and self._outbox.send(message):
            self._told[what] = message
