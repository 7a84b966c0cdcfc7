"""The server's side of a backend: its child started, listened to, replaced, let go of, ended.

One thread for each backend does all of it and never waits for a child. What others may ask is
answered from records that this thread replaces whole. See `states.Lifecycle` for when a child is
due, `slots` for what becomes of its messages.
"""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from inferometer import log
from inferometer.gpu.clock import NS
from inferometer.gpu.messages import Bye, EventTotals, Failure, Heartbeat, Hello, Message
from inferometer.gpu.sample import BackendView, DeviceState, DeviceView, Sample
from inferometer.gpu.states import Lifecycle, Waits, stall_after_s
from inferometer.gpu.supervision.accumulate import Work
from inferometer.gpu.supervision.charge import Charge
from inferometer.gpu.supervision.decoding import GarbageError
from inferometer.gpu.supervision.endings import KILL_S, UNKILLABLE_S, Endings
from inferometer.gpu.supervision.slots import Slots
from inferometer.gpu.supervision.spawn import ChildCommand, Process, launch

UNBIND: Final = "driver_unbind"
"""Reason of a failure by which a backend says that the driver is about to go."""
ORDERS_MAX: Final = 8
"""Orders that wait; of more, the latest count."""
STOP_STEP_S: Final = 0.01
SHARED_CALLS: Final = ("", "events")
"""Under what a heartbeat has calls of no single device: those of the child's main thread, and of
the thread that waits for events."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long the server waits for a child."""

    stall_floor_s: float = 3.0
    """A call under way for longer, and for more than three ticks, stalls its device."""
    all_stalled_s: float = 60.0
    hung_s: float = 30.0
    """A call of no single device under way for that long, while no device answers: that thread
    can neither find devices nor say that the driver is gone."""
    silent_s: float = 10.0
    """Without a message; there is a heartbeat each second."""
    start_s: float = 180.0
    """From start to the list of devices: a driver that is loaded on demand takes seconds for
    each GPU."""
    kill_s: float = KILL_S
    unkillable_s: float = UNKILLABLE_S
    unkillable_max: int = 2
    stop_kill_s: float = 1.5
    stop_s: float = 1.75
    """From `stop` to its return, whatever the child does."""
    step_s: float = 0.25
    waits: Waits = field(default_factory=Waits)


class _End(NamedTuple):
    """How a child came to its end; `counted` is the word for the metric, "" for no restart."""

    reason: str
    counted: str = ""
    state: DeviceState | None = None
    code: int | None = None


class Supervisor:
    """One backend, kept running. `views`, `backend` and the orders are for any thread."""

    def __init__(
        self,
        command: ChildCommand,
        *,
        limits: Limits | None = None,
        launch: Callable[[ChildCommand], Process] = launch,
        on_sample: Callable[[DeviceView], None] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Begin without a child. `on_sample` is called on the supervisor's thread; it is quick."""
        self._command = command
        self._limits = limits or Limits()
        self._launch = launch
        self._on_sample = on_sample
        self._clock_ns = clock_ns
        tick_s = command.pace.tick_s
        call_max_s = stall_after_s(tick_s, self._limits.stall_floor_s)
        self._slots = Slots(command.backend, limits_s=(call_max_s, tick_s))
        self._life = Lifecycle(self._limits.waits)
        self._endings = Endings(kill_s=self._limits.kill_s, unkillable_s=self._limits.unkillable_s)
        self._work = Work()
        self._charge: Charge | None = None
        self._stalled_since_s: float | None = None
        self._shared: dict[str, tuple[str, int]] = {}
        self._restarts: dict[str, int] = {}
        self._orders: deque[Literal["release", "resume"]] = deque(maxlen=ORDERS_MAX)
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._thread = threading.Thread(
            target=self._run, name=f"gpu-{command.backend}", daemon=True
        )
        self._view = BackendView(name=command.backend, state="starting")
        self.internal_errors = 0
        """Faults of our own that were caught and left something out."""
        self.wants_exit: str | None = None
        """Why this process has to end with status 3; None while it does not."""

    def start(self) -> None:
        """Start the first child, then the thread.

        Call it from a thread that lives as long as the process, at best before there are others:
        the child ends with the thread that started it.
        """
        for end in (self._bell, self._rope):
            end.settimeout(0)
        self._selector.register(self._bell, selectors.EVENT_READ, self._answer_bell)
        self._replace_child(self._now_s())
        self._thread.start()

    def views(self) -> tuple[DeviceView, ...]:
        """Return all devices that were ever seen, by index, as they are at this moment."""
        return self._slots.views(self._clock_ns())

    def backend(self) -> BackendView:
        """Return the backend as it was a moment ago."""
        return self._view

    @property
    def child_pid(self) -> int | None:
        """The child that is listened to, None while there is none."""
        charge = self._charge
        return charge.process.pid if charge else None

    @property
    def ever_ran(self) -> bool:
        """Whether a child has had the library open."""
        return self._life.ever_ran

    def release(self) -> None:
        """Let go of the driver until `resume`, or for ten minutes; may be a signal's handler."""
        self._orders.append("release")
        self._ring()

    def resume(self) -> None:
        """Take hold of the driver again."""
        self._orders.append("resume")
        self._ring()

    def begin_stop(self) -> None:
        """Have everything end; does not wait."""
        self._stopping = True
        self._ring()

    def stop(self) -> None:
        """End everything within `stop_s`; a child that cannot be killed is left behind."""
        self.begin_stop()
        if self._thread.ident is None:
            self._close()
        else:
            self._thread.join(self._limits.stop_s)

    def _now_s(self) -> float:
        return self._clock_ns() / NS

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full: it rings already; closed: nobody is there
            self._rope.send(b".")

    def _answer_bell(self) -> None:
        with contextlib.suppress(OSError):
            self._bell.recv(ORDERS_MAX)

    def _run(self) -> None:
        while not self._stopping:
            try:
                for key, _ in self._selector.select(self._limits.step_s):
                    key.data()
                self._turn(self._now_s())
            except Exception as error:  # noqa: BLE001 (a fault of ours must not end all watching)
                self.internal_errors += 1
                log.once(logger, type(error).__name__, "a turn failed")
                time.sleep(self._limits.step_s)  # it may come back at once
        self._finish()

    def _turn(self, now_s: float) -> None:
        while self._orders:
            self._obey(self._orders.popleft(), now_s)
        self._judge_child(now_s)
        self._endings.step(now_s)
        unkillable = self._endings.unkillable(now_s)
        most = self._limits.unkillable_max
        if self._endings.alive == unkillable and self._life.due(
            now_s, unkillable=unkillable, unkillable_max=most
        ):
            self._replace_child(now_s)
        self._publish()

    def _obey(self, order: Literal["release", "resume"], now_s: float) -> None:
        if order == "resume":
            self._life.resume(now_s)
        else:
            self._let_go("operator", now_s)

    def _let_go(self, reason: str, now_s: float) -> None:
        self._life.release(reason, now_s, unbound=reason == UNBIND)
        self._end_child(_End(reason, state="stalled"), now_s)
        self._slots.expect_restart()

    def _judge_child(self, now_s: float) -> None:
        """End a child that is silent, or that none of its devices answers."""
        charge = self._charge
        if charge is None:
            return
        all_stalled = charge.opened and self._slots.all_stalled(int(now_s * NS))
        if not all_stalled:
            self._stalled_since_s = None
        elif self._stalled_since_s is None:
            self._stalled_since_s = now_s
        since_s = self._stalled_since_s
        if now_s - charge.heard_s > self._limits.silent_s:
            self._end_child(_End("silent", "silent"), now_s)
        elif since_s is not None and now_s - since_s >= self._limits.all_stalled_s:
            self._end_child(_End("stalled", "stalled"), now_s)
        elif charge.opened and self._hung(now_s):
            self._end_child(_End("hung", "hung"), now_s)
        elif not charge.opened and now_s - charge.started_s > self._limits.start_s:
            self._end_child(_End("start_timeout", "start_timeout"), now_s)

    def _hung(self, now_s: float) -> bool:
        """Say whether the child's main thread is stuck in a call and no device is well either."""
        call = self._shared.get("")
        if call is None or now_s - call[1] / NS < self._limits.hung_s:
            return False
        return not self._slots.any_well(int(now_s * NS))

    def _replace_child(self, now_s: float) -> None:
        try:
            process = self._launch(self._command.behind(self._work.kernel_sequence))
        except OSError as error:
            log.once(logger, error.errno, "no child can be started")
            self._life.ended("spawn", now_s)
            return
        self._life.spawned()
        charge = Charge(process, now_s)
        self._charge = charge
        self._stalled_since_s = None
        self._shared = {}
        self._slots.child_started()
        self._work.restart()
        register = self._selector.register
        register(process.messages_fd, selectors.EVENT_READ, lambda: self._listen(charge))
        register(process.errors_fd, selectors.EVENT_READ, lambda: self._relay(charge))

    def _relay(self, charge: Charge) -> None:
        if charge is self._charge and not charge.relay(self._command.backend, self._now_s()):
            self._selector.unregister(charge.process.errors_fd)

    def _listen(self, charge: Charge) -> None:
        if charge is not self._charge:
            return
        now_s = self._now_s()
        try:
            messages, over = charge.read()
        except GarbageError:
            self._end_child(_End("garbage", "garbage"), now_s)
            return
        for message in messages:
            charge.heard_s = now_s
            if isinstance(message, Failure):
                self._fail(charge, message, now_s)
                return
            if isinstance(message, Bye):
                self._end_child(_End("exited", "exited"), now_s)
                return
            self._hear(charge, message, now_s)
        if over:
            self._end_child(_End("crashed", "crashed"), now_s)

    def _hear(self, charge: Charge, message: Message, now_s: float) -> None:
        self._slots.take(message, int(now_s * NS))
        if isinstance(message, Sample):
            self._life.worked()
            self._tell(message.uuid)
        elif isinstance(message, Heartbeat):
            self._work.beaten(message)
            calls = message.in_flight
            self._shared = {key: calls[key] for key in SHARED_CALLS if key in calls}
        elif isinstance(message, EventTotals):
            self._work.counted(message)
        elif isinstance(message, Hello):
            if not charge.opened:
                fields = {"backend": self._command.backend, "devices": len(message.uuids)}
                logger.info("a backend runs", extra=fields)
            charge.opened = True
            self._life.opened(now_s)
            self._work.greeted(message)
            if not message.uuids:  # no device that could tell otherwise
                self._life.worked()

    def _tell(self, uuid: str) -> None:
        if self._on_sample is None:
            return
        view = self._slots.view(uuid, self._clock_ns())
        if view is None:
            return
        try:
            self._on_sample(view)
        except Exception as error:  # noqa: BLE001 (a listener's fault is not the device's)
            self.internal_errors += 1
            log.once(logger, ("on_sample", type(error).__name__), "a listener failed")

    def _fail(self, charge: Charge, failure: Failure, now_s: float) -> None:
        detail = {"reason": failure.reason, "detail": failure.detail, "code": failure.code}
        key = ("failure", failure.reason, failure.code)
        log.once(logger, key, "a backend failed", backend=self._command.backend, **detail)
        if failure.reason == UNBIND:
            self._let_go(UNBIND, now_s)
            return
        state: DeviceState | None = "lost" if self._life.ever_ran else None
        counted = "driver" if charge.opened else ""
        self._end_child(_End(failure.reason, counted, state, failure.code), now_s)

    def _end_child(self, end: _End, now_s: float) -> None:
        """End the child, if there is one; what it still does does not matter any more."""
        charge, self._charge = self._charge, None
        if charge is None:
            return
        self._selector.unregister(charge.process.messages_fd)
        with contextlib.suppress(KeyError):  # it may have been closed before
            self._selector.unregister(charge.process.errors_fd)
            charge.relay(self._command.backend, now_s)  # its last words
        charge.process.close()
        self._endings.add(charge.process, now_s)
        self._slots.child_ended(end.state)
        self._shared = {}
        self._life.ended(end.reason, now_s, code=end.code)
        if end.counted:
            self._restarts[end.counted] = self._restarts.get(end.counted, 0) + 1
            fields = {"backend": self._command.backend, "reason": end.counted}
            left_out = charge.lines_left_out
            logger.warning("a child is replaced", extra={**fields, "lines_left_out": left_out})

    def _publish(self) -> None:
        running = self._life.state == "running"
        self._view = BackendView(
            name=self._command.backend,
            state=self._life.state,
            reason=self._life.reason,
            devices_listed=self._slots.expected if running else None,
            devices_pci=self._work.devices_pci,
            driver_version=self._work.driver_version,
            calls=self._work.calls,
            demoted=self._work.demoted,
            restarts=dict(self._restarts),
            messages_dropped=self._work.dropped,
            calls_inflight=self._overdue(),
        )
        if self._life.exit_code is not None:
            self.wants_exit = (
                f"{self._command.backend}: the driver has answered nothing but code "
                f"{self._life.exit_code} for a minute; only a new container gets its library back"
            )

    def _overdue(self) -> dict[str, float]:
        """Return the calls of no single device that a device would count as stalled with."""
        if self._charge is None:
            return {}
        now_ns = self._clock_ns()
        ages_s = {name: (now_ns - since_ns) / NS for name, since_ns in self._shared.values()}
        return {n: age_s for n, age_s in ages_s.items() if age_s > self._limits.stall_floor_s}

    def _finish(self) -> None:
        """End the child within the time there is, and let go of everything."""
        began_s = self._now_s()
        self._end_child(_End("stopped"), began_s)
        self._endings.hurry(began_s + self._limits.stop_kill_s)
        while self._endings.alive and self._now_s() < began_s + self._limits.stop_s:
            self._endings.step(self._now_s())
            time.sleep(STOP_STEP_S)
        self._endings.hurry(began_s)  # on a busy machine the moment may have been slept through
        self._endings.step(self._now_s())
        self._close()

    def _close(self) -> None:
        self._selector.close()
        self._bell.close()
        self._rope.close()
