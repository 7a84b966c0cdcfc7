"""Events of a backend: waited for on a thread of their own, counted, sent as running totals.

Where the kernel's log may be read, XIDs from before the thread could listen are taken from there;
later ones come from the library, so none counts twice.

The wait is a call into the driver, too, and may hang. Then, or once a device that was registered
no longer is, its events pass unheard, and that is told: no event so far means nothing any more.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from inferometer import log
from inferometer.gpu.backend import Backend, BackendError
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.child.kmsg import KernelLog, Place
from inferometer.gpu.child.outbox import Outbox
from inferometer.gpu.clock import NS, Clock
from inferometer.gpu.messages import CODES_MAX, Condition, EventTotals
from inferometer.gpu.quantities import EVENTS
from inferometer.gpu.sample import Event, Xid

WAIT_S: Final = 0.5
"""How long one wait takes when nothing happens; an end waits for it, too."""
WAIT_NAME: Final = "wait_events"
BACK_OFF_S: Final = 0.1
BACK_OFF_MAX_S: Final = 5.0
SENDS_GAP_S: Final = 0.1
"""Between two messages, so that a storm of events stays a trickle of messages."""
DEAF_NS: Final = 3 * NS
"""So long beyond its own time, a wait hangs; so long out of the set, a device is unheard."""
XID_FALLEN_OFF_BUS: Final = 79
DEVICES_MAX: Final = 128

logger = logging.getLogger(__name__)


class Tally:
    """Events of one device since the child was started."""

    def __init__(self) -> None:
        """Begin with none."""
        self._xids: dict[int | None, Xid] = {}
        self._events: dict[str, int] = {}
        self._last = 0

    def take(self, event: Event, now_s: float) -> None:
        """Count an event that came at `now_s` since the epoch."""
        if event.kind == "xid":
            code = event.xid if event.xid is not None and event.xid >= 0 else None
            self._last = code or 0
            if code not in self._xids and len(self._xids) >= CODES_MAX:
                code = None
            seen = self._xids[code].seen if code in self._xids else 0
            self._xids[code] = Xid(seen + 1, now_s)
        elif event.kind in EVENTS:
            self._events[event.kind] = self._events.get(event.kind, 0) + 1

    def totals(self, uuid: str, *, sequence: int = -1, heard: bool = True) -> EventTotals:
        """Return the counts."""
        counts = dict(self._xids), self._last, dict(self._events)
        return EventTotals(uuid, *counts, sequence, heard)


class Devices(Protocol):
    """Whom events are about."""

    def uuids(self) -> Iterable[str]:
        """Return all devices that are known."""
        ...

    def resting(self, uuid: str) -> bool:
        """Return whether a device is left alone, so that nobody can expect to hear of it."""
        ...

    def uuid_at(self, place: Place) -> str | None:
        """Return the device at this place on the PCI buses."""
        ...

    def report_lost(self, uuid: str) -> None:
        """Hear that a device is lost."""
        ...

    def report_failure(self, error: BackendError) -> None:
        """Hear that the backend as a whole is over."""
        ...


class Watch:
    """Waits for the events of a backend until it is told to end."""

    def __init__(
        self,
        backend: Backend,
        outbox: Outbox,
        devices: Devices,
        *,
        kernel: KernelLog | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Begin without a single event; `run` is for a thread of its own."""
        self._backend = backend
        self._outbox = outbox
        self._devices = devices
        self._kernel = kernel
        self._clock = clock or Clock()
        self._tallies: dict[str, Tally] = {}
        self._unsent: set[str] = set()
        self._unheard: set[str] = set()
        self._sent_s = 0.0
        self._stop = threading.Event()
        self._last_heard_ns: dict[str, int] = {}
        self._deaf = False
        self._sending = threading.Lock()  # held for writes that cannot block
        self.kernel_sequence = kernel.sequence if kernel else -1
        """Of the last line of the kernel's log that the server was told of."""
        self.meter = Meter(clock_ns=self._clock.monotonic_ns)
        """Of the wait alone, for the heartbeat."""

    def run(self) -> None:
        """Wait for events. Whatever returns too soon to have waited is asked less often."""
        delay_s = 0.0
        self._read_kernel(before=True)
        while not self._stop.wait(delay_s):
            began_s = self._monotonic_s()
            try:
                events = self.meter.run(WAIT_NAME, self._wait)
            except BackendError as error:
                self._devices.report_failure(error)
                return
            except Exception as error:  # noqa: BLE001 (whatever it is, events are not all there is)
                log.once(logger, type(error).__name__, "waiting for events failed")
                self._listen()
                self._send()
                delay_s = min(max(BACK_OFF_S, 2 * delay_s), BACK_OFF_MAX_S)
                continue
            if events is None:
                self._listen(ended=True)
                self._send(now=True)
                return
            self._take(events)
            self._read_kernel(before=False)
            self._send()
            at_once = not events and self._monotonic_s() - began_s < WAIT_S / 2
            delay_s = BACK_OFF_S if at_once else 0.0

    def _wait(self) -> Sequence[Event] | None:
        return self._backend.wait_events(WAIT_S)

    def judge(self) -> None:
        """See whether the wait hangs, and tell so; for the heartbeat's thread."""
        call = self.meter.in_flight
        late_ns = DEAF_NS + int(WAIT_S * NS)
        if self._deaf or call is None or self._clock.monotonic_ns() - call[1] <= late_ns:
            return
        self._deaf = True  # the other thread takes it back, even if it is on its way already
        with self._sending:
            for uuid in tuple(self._last_heard_ns):
                totals = self._tallies[uuid].totals(uuid, heard=False)
                self._deaf = self._outbox.send(totals) and self._deaf  # else at the next beat

    def _listen(self, *, ended: bool = False) -> None:
        """Note which devices are heard now, and have told what has changed about that."""
        if self._deaf:
            self._deaf = False
            self._unsent.update(self._last_heard_ns)
        now_ns = self._clock.monotonic_ns()
        for uuid in self._devices.uuids():
            if not ended and self._backend.hears(uuid):
                if self._tally(uuid) is not None:  # that events can be had at all is news, too
                    if uuid in self._unheard:
                        self._unheard.discard(uuid)
                        self._unsent.add(uuid)
                    self._last_heard_ns[uuid] = now_ns
            elif uuid in self._last_heard_ns and uuid not in self._unheard:
                late = now_ns - self._last_heard_ns[uuid] > DEAF_NS
                if ended or (late and not self._devices.resting(uuid)):
                    self._unheard.add(uuid)
                    self._unsent.add(uuid)

    def report_end(self) -> None:
        """Tell it to end; a wait under way is finished first."""
        self._stop.set()

    def _take(self, events: Iterable[Event]) -> None:
        self._listen()
        for event in events:
            if not self._count(event, self._clock.wall_s()):
                continue
            if event.xid == XID_FALLEN_OFF_BUS or event.kind == "fallen_off_bus":
                self._devices.report_lost(event.uuid)
                self._outbox.send(Condition(event.uuid, "lost", None, backend_lost=False))

    def _read_kernel(self, *, before: bool) -> None:
        """Take what only the kernel's log tells: before we listen all of it, then no XIDs.

        What is old says nothing of how the device is now.
        """
        for line in self._kernel.read() if self._kernel else ():
            uuid = self._devices.uuid_at(line.place)
            if uuid is None:
                continue
            event = Event(uuid, "fallen_off_bus" if line.xid is None else "xid", line.xid)
            if before:
                age_s = max(0.0, self._monotonic_s() - line.moment_s)
                self._count(event, self._clock.wall_s() - age_s)
            elif line.xid is None:
                self._take([event])

    def _count(self, event: Event, moment_s: float) -> bool:
        tally = self._tally(event.uuid)
        if tally is None:
            return False
        tally.take(event, moment_s)
        self._unsent.add(event.uuid)
        return True

    def _send(self, *, now: bool = False) -> None:
        """Send what has changed; the last message has the counts of all lines of the kernel."""
        if not now and self._monotonic_s() - self._sent_s < SENDS_GAP_S:
            return
        with self._sending:
            sequence = self._kernel.sequence if self._kernel else -1
            if self._unsent:
                self._sent_s = self._monotonic_s()
            for uuid in tuple(self._unsent):
                told = sequence if len(self._unsent) == 1 else self.kernel_sequence
                heard = uuid not in self._unheard
                totals = self._tallies[uuid].totals(uuid, sequence=told, heard=heard)
                if self._outbox.send(totals):
                    self._unsent.discard(uuid)
            if not self._unsent:
                self.kernel_sequence = sequence

    def _monotonic_s(self) -> float:
        return self._clock.monotonic_ns() / NS

    def _tally(self, uuid: str) -> Tally | None:
        if uuid not in self._tallies:
            if len(self._tallies) >= DEVICES_MAX:
                return None
            self._tallies[uuid] = Tally()
            self._unsent.add(uuid)
        return self._tallies[uuid]
