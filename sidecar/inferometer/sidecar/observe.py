"""The measuring plane: a thread of its own that empties the ring and keeps the numbers.

It wakes on a timer, so that measuring costs the serving loop one append for each chunk. Nothing
here can delay a byte: a stage that raises is counted and costs the measuring of one exchange, a
stage that hangs lets the ring fill up, which drops views of bodies and counts them.
"""

import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

from inferometer.metrics.build import Registry
from inferometer.sidecar.desk import Desk, Stages
from inferometer.sidecar.instruments import VANTAGE
from inferometer.sidecar.tap import Entry, Finish, Lag, Ring, Started, Tapped
from inferometer.sidecar.watch import SECOND_NS, Watch

BATCH_MAX: Final = 4096
"""Entries taken from the ring at once."""
GROUP: Final = 512
"""Entries in which those of one exchange are looked for together."""
SLICE: Final = 160
"""Tokens taken in one go, some 0.2 ms of work."""
BREATH_S: Final = 0.0001
"""A real sleep between slices: nothing less lets the serving loop have the interpreter at once."""
GAUGES_S: Final = 0.25
"""How often what is in flight is counted anew, and verdicts looked for without an event."""
SETTLE_NS: Final = 20_000_000
"""A verdict by deadline waits so long, lest an output read just before it be overlooked."""
SWITCH_INTERVAL_S: Final = 0.0005
"""How long this thread may keep the interpreter while the serving loop waits for it."""


class Observer:
    """Keeps all watches, and what they count with."""

    def __init__(
        self,
        ring: Ring,
        registry: Registry,
        stages: Stages,
        *,
        stall_s: float = 1.0,
        interval_s: float = 0.05,
    ) -> None:
        """Prepare to drain `ring` into `registry`; `start` begins."""
        self.ring = ring
        self.desk = Desk(registry, stages, stall_s=stall_s)
        self._registry = registry
        self._waiting_age = registry.gauge("inferometer_waiting_age_max_seconds", VANTAGE)
        self._interval_s = interval_s
        self._watches: dict[int, Watch] = {}
        self._models_in_flight: set[str] = set()
        self._entry_ns = 1000.0  # what one token costs, as an exponential mean
        self._since_breath = 0
        self._breathed_ns = 0
        self._gauges_due_ns = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    # -- the thread ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to measure, on a thread that never keeps the process alive."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread = threading.Thread(target=self._run, name="measure", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Measure what is left and end; a thread that hangs is left behind."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            time.sleep(self._interval_s)  # an event to wait for would cost two more system calls
            self._guarded_tick()

    def _guarded_tick(self) -> None:
        try:
            self.tick(time.monotonic_ns())
        except Exception as error:  # noqa: BLE001  (the last seam: the thread must go on)
            self.desk.count_error("registry", error)

    def tick(self, now_ns: int) -> None:
        """Take everything that happened before `now_ns`, then look for verdicts by deadline."""
        self._breathed_ns = time.perf_counter_ns()
        while True:
            entries = self.ring.drain(BATCH_MAX)
            if entries:
                self._take(entries)
            if len(entries) < BATCH_MAX or entries[-1][1] > now_ns:
                break
            time.sleep(BREATH_S)
        if now_ns >= self._gauges_due_ns:
            self._gauges_due_ns = now_ns + int(GAUGES_S * SECOND_NS)
            self._sweep(now_ns - SETTLE_NS)
            self._set_gauges(now_ns)

    def _take(self, entries: Sequence[Entry]) -> None:
        for start in range(0, len(entries), GROUP):
            self._take_group(entries[start : start + GROUP])

    def _take_group(self, entries: Sequence[Entry]) -> None:
        """Take the entries of one exchange after the other, those of each in their order.

        The order between exchanges changes no number, and what one of them needs stays at hand.
        """
        exchanges: dict[Tapped, list[Entry]] = {}
        for entry in entries:
            group = exchanges.get(entry[0])
            if group is None:
                exchanges[entry[0]] = [entry]
            else:
                group.append(entry)
        for tapped, group in exchanges.items():
            try:
                self._take_exchange(tapped, group)
            except Exception as error:  # noqa: BLE001  (it costs the measuring of this exchange)
                self._abandon(tapped, error)
            if self._since_breath >= SLICE:
                self._breathe()

    def _take_exchange(self, tapped: Tapped, entries: Sequence[Entry]) -> None:
        watch = tapped.watch
        if not isinstance(watch, Watch):
            _, moment_ns, first = entries[0]
            if not isinstance(first, Started):
                self._take_lag(entries)
                return
            tapped.watch = watch = Watch(self.desk, tapped, moment_ns, first)
            self._watches[id(watch)] = watch
        self._since_breath += watch.take(entries)
        if type(entries[-1][2]) is Finish:
            tapped.watch = None
            self._watches.pop(id(watch), None)
            self.desk.measure_cost.add(watch.weight * self._entry_ns / SECOND_NS)

    def _abandon(self, tapped: Tapped, error: Exception) -> None:
        """Measure an exchange no further, and nothing that is in flight with it."""
        self.desk.count_error("registry", error)
        self._watches.pop(id(tapped.watch), None)
        tapped.watch, tapped.muted = None, True

    def _take_lag(self, entries: Iterable[Entry]) -> None:
        """Take marks of no exchange."""
        for _, _, mark in entries:
            if isinstance(mark, Lag):
                self.desk.loop_lag.add(mark.duration_ns / SECOND_NS)

    def _breathe(self) -> None:
        """Let the serving loop have the interpreter, after a slice of work."""
        now_ns = time.perf_counter_ns()
        spent_ns = (now_ns - self._breathed_ns) / self._since_breath
        # A slice in which another thread ran tells nothing; a mean that follows slowly does.
        self._entry_ns += 0.05 * (min(spent_ns, 4 * self._entry_ns) - self._entry_ns)
        self._since_breath = 0
        time.sleep(BREATH_S)
        self._breathed_ns = time.perf_counter_ns()

    # -- what is in flight -----------------------------------------------------------------------

    def _sweep(self, now_ns: int) -> None:
        """Look for verdicts that have become certain without an event."""
        for watch in self._watches.values():
            if watch.panel.judges:
                watch.sweep(now_ns)
        live = (judge for watch in self._watches.values() for judge in watch.panel.judges)
        self.desk.bench.show_waiting(live, now_ns)

    def _set_gauges(self, now_ns: int) -> None:
        """Count what is in flight anew."""
        counts: dict[tuple[str, str], int] = {}
        oldest_ns = now_ns
        for watch in self._watches.values():
            if watch.tunnel:
                continue
            waiting = watch.waiting
            key = (watch.label.value, "waiting" if waiting else "streaming")
            counts[key] = counts.get(key, 0) + 1
            if waiting and watch.call is not None and watch.call.stream == "true":
                oldest_ns = min(oldest_ns, watch.t0_ns)
        self._models_in_flight.update(model for model, _ in counts)
        for model in self._models_in_flight:
            for state in ("waiting", "streaming"):
                gauge = self._registry.gauge(
                    "inferometer_requests_in_flight", VANTAGE, model, state
                )
                gauge.set(counts.get((model, state), 0))
        self._waiting_age.set((now_ns - oldest_ns) / SECOND_NS)
