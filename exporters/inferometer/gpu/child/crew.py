"""A child's backend with its samplers: opened, kept complete, and closed again.

`run` belongs to the main thread, which makes the calls that concern no single device: opening,
listing, closing. Each device then has a thread of its own, and so have events.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from inferometer import log
from inferometer.gpu.backend import Backend, BackendError, DeviceError
from inferometer.gpu.child.calls import Load, Meter, merge
from inferometer.gpu.child.kmsg import KernelLog, Place
from inferometer.gpu.child.kmsg import place as pci_place
from inferometer.gpu.child.outbox import Outbox
from inferometer.gpu.child.sampling import Sampler, grid
from inferometer.gpu.child.watching import DEVICES_MAX, Watch
from inferometer.gpu.clock import NS, Clock
from inferometer.gpu.messages import Bye, Condition, Failure, Found, Heartbeat, Hello
from inferometer.gpu.orders import Pace
from inferometer.gpu.sample import Identity
from inferometer.gpu.states import CODE_MISMATCH

FINISH_S: Final = 1.0
"""How long calls in hand may take to finish when the child has to end: one that is cut off by a
SIGKILL can hang a GPU's firmware (NVIDIA/dcgm-exporter#84)."""

CALLS_EVERY: Final = 5
"""Of so many heartbeats one tells of all calls that were made."""

DRIVER: Final = "driver"
"""Why a child ends for which the driver as a whole has failed."""

EVENTS: Final = "events"
"""In a heartbeat, whose call the wait for events is."""
STUCK_NS: Final = 3 * NS
"""A call of no device that takes longer is not waited for when the driver has failed."""

logger = logging.getLogger(__name__)


class Crew:
    """All that works on a backend in this process."""

    def __init__(
        self,
        load: Callable[[], Backend],
        outbox: Outbox,
        pace: Pace,
        *,
        kernel: KernelLog | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Begin with nothing; `load` opens the backend, once `run` is called."""
        self._load = load
        self._outbox = outbox
        self._pace = pace
        self._kernel = kernel
        self._clock = clock or Clock()
        self._meter = Meter(clock_ns=self._clock.monotonic_ns)
        self._watch: Watch | None = None
        self._samplers: dict[str, Sampler] = {}
        self._threads: list[threading.Thread] = []
        self._loads: dict[str, Load] = {}
        self._places: dict[Place, str] = {}
        self._pci: int | None = None
        self._failure: BackendError | None = None
        self._wake = threading.Event()
        self._ending = False
        self._beats = 0

    def run(self) -> bool:
        """Work until `end` or until the backend fails; True if it was the former."""
        backend: Backend | None = None
        watch: Watch | None = None
        try:
            backend = self._meter.run("open", self._load)
            watch = Watch(backend, self._outbox, self, kernel=self._kernel, clock=self._clock)
            self._watch = watch
            self._discover(backend)
            self._start("events", watch.run)
            self._attend(backend)
        except BackendError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 (a library may raise anything; the server is told)
            self._failure = BackendError("backend", f"{type(error).__name__}: {error}")
        failure = self._failure
        last = Failure(failure.reason, str(failure), failure.code) if failure else Bye()
        # A failure is told before closing, which may take its time, and a good end after it.
        told = failure is not None and self._outbox.send(last)
        self._close(backend, watch)
        if not told:
            self._outbox.send(last)
        return failure is None

    def end(self) -> None:
        """Tell `run` to end; from any thread."""
        self._ending = True
        self._wake.set()

    def uuids(self) -> Iterable[str]:
        """Return all devices that were found."""
        return tuple(self._samplers)

    def resting(self, uuid: str) -> bool:
        """Return whether a device is left alone, so that nobody can expect to hear of it."""
        sampler = self._samplers.get(uuid)
        return sampler is not None and sampler.resting

    def uuid_at(self, place: Place) -> str | None:
        """Return the device at this place on the PCI buses."""
        return self._places.get(place)

    def report_lost(self, uuid: str) -> None:
        """Hear that a device is lost."""
        if uuid in self._samplers:
            self._samplers[uuid].report_lost()

    def report_failure(self, error: BackendError) -> None:
        """Hear that the backend as a whole is over."""
        self._failure = error
        self._wake.set()

    def beat(self) -> None:
        """Say what is under way and how much was done; from the heartbeat's thread."""
        samplers = list(self._samplers.values())
        meters = {"": self._meter, **{s.uuid: s.meter for s in samplers}}
        in_flight = {uuid: meter.in_flight for uuid, meter in meters.items()}
        watch = self._watch
        if watch is not None:
            in_flight[EVENTS] = watch.meter.in_flight
            watch.judge()
        demoted: dict[str, str] = {}
        for meter in meters.values():
            for name, pace in meter.demoted().items():
                demoted[name] = pace if demoted.get(name) != "off" else "off"
        tells = self._beats % CALLS_EVERY == 0
        calls = merge(meter.stats() for meter in meters.values()) if tells else None
        self._beats += 1
        self._outbox.send(
            Heartbeat(
                in_flight={uuid: call for uuid, call in in_flight.items() if call},
                ticks_missed={s.uuid: s.missed for s in samplers},
                calls=calls,
                demoted=demoted,
                dropped=self._outbox.dropped,
                kernel_sequence=watch.kernel_sequence if watch is not None else -1,
            )
        )
        if self._driver_lost():
            self._wake.set()
            self._speak_for_main()

    def _speak_for_main(self) -> None:
        """Tell of the driver's failure, if the thread that does it hangs in the driver itself."""
        call = self._meter.in_flight
        if call is not None and self._clock.monotonic_ns() - call[1] > STUCK_NS:
            error = self._driver_failure()
            self._outbox.send(Failure(error.reason, str(error), error.code))

    def busy(self) -> dict[str, float]:
        """Return the devices whose calls took a part of each second, once a minute."""
        now_s = self._now_s()
        loads = {
            uuid: self._loads.setdefault(uuid, Load()).take(sampler.meter.spent_s, now_s)
            for uuid, sampler in list(self._samplers.items())
        }
        return {uuid: load for uuid, load in loads.items() if load is not None}

    def _attend(self, backend: Backend) -> None:
        next_s = self._now_s() + self._pace.slow_s
        while not self._ending and self._failure is None:
            self._wake.wait(max(0.0, next_s - self._now_s()))
            self._wake.clear()
            if self._driver_lost():
                self._failure = self._driver_failure()
            elif self._now_s() >= next_s:
                next_s += self._pace.slow_s
                self._discover_again(backend)

    def _driver_failure(self) -> BackendError:
        codes = [s.driver_code for s in list(self._samplers.values()) if s.driver_code]
        code = CODE_MISMATCH if CODE_MISMATCH in codes else next(iter(codes), None)
        return BackendError(DRIVER, "no device can be called any more", code=code)

    def _driver_lost(self) -> bool:
        """Say whether the driver fails on every device that can tell."""
        now_ns = self._clock.monotonic_ns()
        calling = [s for s in list(self._samplers.values()) if not s.silent(now_ns)]
        return bool(calling) and all(s.driver_code is not None for s in calling)

    def _discover_again(self, backend: Backend) -> None:
        """Look for new devices, unless that would mean to call one that is not well.

        Then only a change in what the kernel lists is a reason to.
        """
        now_ns = self._clock.monotonic_ns()
        well = all(sampler.well(now_ns) for sampler in self._samplers.values())
        if not well and self._meter.run("pci_devices", backend.pci_devices) == self._pci:
            return
        try:
            self._discover(backend)
        except BackendError as error:
            if not self._samplers:
                raise
            log.once(logger, error.reason, "devices cannot be listed", reason=error.reason)

    def _discover(self, backend: Backend) -> None:
        found = self._meter.run("discover", lambda: backend.discover(self._meter))[:DEVICES_MAX]
        self._pci = self._meter.run("pci_devices", backend.pci_devices)
        present = tuple(identity.uuid for identity in found)
        listed = backend.devices_listed
        self._outbox.send(Hello(backend.driver_version, present, self._pci, listed))
        for position, identity in enumerate(found):
            if identity.uuid not in self._samplers and len(self._samplers) < DEVICES_MAX:
                self._add(backend, identity, (position, len(found)))
        for uuid in self._samplers.keys() - set(present):
            self.report_lost(uuid)

    def _add(self, backend: Backend, identity: Identity, position: tuple[int, int]) -> None:
        self._outbox.send(Found(identity))
        meter = Meter(clock_ns=self._clock.monotonic_ns)
        try:
            device = backend.open_device(identity, meter)
        except DeviceError as error:  # the next discovery is another chance
            lost = error.backend_lost
            self._outbox.send(Condition(identity.uuid, error.state, error.code, lost))
            return
        rhythm = grid(self._pace, now_ns=self._clock.monotonic_ns(), position=position)
        sampler = Sampler(
            device, meter, self._outbox, rhythm=(self._pace, rhythm), clock=self._clock
        )
        where = pci_place(identity.pci_bus_id)
        if where is not None:
            self._places[where] = identity.uuid
        self._samplers[identity.uuid] = sampler
        self._start(f"device-{identity.index}", sampler.run)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / NS

    def _start(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _close(self, backend: Backend | None, watch: Watch | None) -> None:
        """End all threads and close the library, unless a call is stuck: then the kernel does."""
        until_s = time.monotonic() + FINISH_S
        if watch is not None:
            watch.report_end()
        for sampler in self._samplers.values():
            sampler.report_end()
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        if backend is not None and not any(thread.is_alive() for thread in self._threads):
            try:
                self._meter.run("close", backend.close)
            except Exception as error:  # noqa: BLE001 (the process ends, whatever this says)
                log.once(logger, type(error).__name__, "closing the library failed")
