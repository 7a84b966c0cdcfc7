"""Devices as the server holds them, made in this process from the fake backend at a chosen age."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

from inferometer.gpu.backend import DeviceError
from inferometer.gpu.fake.backend import Clock, FakeBackend, FakeDevice
from inferometer.gpu.fake.scenario import Scenario
from inferometer.gpu.quantities import Counter, Tier
from inferometer.gpu.sample import BackendView, CallStats, DeviceView, Sample, Xid

T = TypeVar("T")
TIERS: tuple[Tier, ...] = ("fast", "process", "slow")


class Straight:
    """Makes each call at once."""

    def due(self, name: str, declared: Tier, tier: Tier) -> bool:  # noqa: ARG002  (the protocol)
        return declared == tier

    def run(
        self,
        name: str,  # noqa: ARG002  (the protocol)
        call: Callable[[], T],
        *,
        result: Callable[[T], str] = lambda _: "ok",  # noqa: ARG002  (the protocol)
    ) -> T:
        return call()


class Machine:
    """A fake backend with a clock that stands still, seen as a supervisor shows it."""

    internal_errors = 0

    def __init__(self, scenario: Scenario | None = None, *, processes: bool = False) -> None:
        self.age_s = 0.0
        self.scenario = scenario or Scenario(devices=2, mig=(1,))
        clock = Clock(lambda: self.age_s, self._sleep)
        self._fake = FakeBackend(self.scenario, clock, processes=processes)
        self._devices = [self._fake.open_device(one, Straight()) for one in self._fake.discover()]
        self._first: dict[str, Mapping[Counter, int]] = {}
        self.extra: list[DeviceView] = []
        self.state: Literal["running", "absent", "released"] = "running"
        for device in self._devices:
            told = (device.sample(tier).counters for tier in TIERS)
            self._first[device.identity.uuid] = {k: n for one in told for k, n in one.items()}

    def _sleep(self, wait_s: float) -> None:
        self.age_s += wait_s

    def views(self) -> Sequence[DeviceView]:
        return [self._view(device) for device in self._devices] + self.extra

    def backend(self) -> BackendView:
        stats = CallStats({"ok": 9, "3": 1}, (1, 2, 3, 4, 0, 0, 0, 0, 0, 0), 0.0123)
        return BackendView(
            name="fake",
            state=self.state,
            reason="" if self.state == "running" else "library_not_found",
            devices_listed=len(self._devices),
            devices_pci=len(self._devices),
            driver_version=self._fake.driver_version,
            calls={"FakeSample": stats},
            restarts={"crashed": 1},
        )

    def _view(self, device: FakeDevice) -> DeviceView:
        identity = device.identity
        unsupported = device.probe()
        scenario = self.scenario
        xids: dict[int | None, Xid] = {
            one.code: Xid(scenario.count("xid", self.age_s, identity.index), 1000.0 + one.at_s)
            for one in scenario.faults
            if one.kind == "xid" and one.device == identity.index and one.at_s <= self.age_s
        }
        view = DeviceView(
            identity=identity,
            backend="fake",
            state="ok",
            sample=None,
            last_sample_s=1000.0 + self.age_s,
            unsupported=unsupported,
            xids=xids,
            xid_last=max((code or 0 for code in xids), default=0),
            ticks_missed={"fast": 0},
        )
        if scenario.active("hang", self.age_s, identity.index):
            return replace(view, state="stalled", call_inflight=("FakeSample", 4.0))
        try:
            readings = [device.sample(tier) for tier in TIERS]
        except DeviceError as error:
            return replace(view, state=error.state)
        fast, process, slow = readings
        sample = Sample(
            uuid=identity.uuid,
            moment_ns=int(self.age_s * 1e9),
            time_s=1000.0 + self.age_s,
            gauges={**fast.gauges, **slow.gauges},
            counters={**fast.counters, **slow.counters},
            totals=fast.totals,
            instances=fast.instances or (),
            processes=process.processes,
            processes_ns=int(self.age_s * 1e9),
            unsupported=unsupported,
        )
        first = self._first[identity.uuid]
        accumulated = {name: n - first.get(name, 0) for name, n in sample.counters.items()}
        return replace(
            view,
            sample=sample,
            accumulated=accumulated,
            totals=fast.totals,
            instance_totals={one.uuid: one.totals for one in fast.instances or ()},
            power_peak_watts=400.5,
            busy_peak_ratio=0.75,
            recovery_action=0,
        )
