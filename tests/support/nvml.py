"""The NVML backend over the fake driver, with the driver's frozen clock as its own."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from inferometer.gpu.backend import Options
from inferometer.gpu.child.calls import Meter
from inferometer.gpu.nvml import library
from inferometer.gpu.nvml.backend import NvmlBackend
from inferometer.gpu.nvml.clock import Clock
from inferometer.gpu.nvml.device import NvmlDevice
from inferometer.gpu.quantities import Tier
from inferometer.gpu.sample import Reading, Reason
from support.fake_nvml import FakeNvml, Scenario

START_US = 1_000_000_000
SECOND_US = 1_000_000


@dataclass
class Rig:
    """A backend on a fake driver, and its device number 0."""

    fake: FakeNvml
    backend: NvmlBackend
    device: NvmlDevice
    meter: Meter
    ahead_us: int = 0
    """How much the driver's clock was set forward."""

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, scenario: Scenario | str, options: Options | None = None
    ) -> Iterator[Self]:
        """Load the driver and open the device that is listed first; nothing is probed yet."""
        script = Scenario.profile(scenario) if isinstance(scenario, str) else scenario
        with FakeNvml.loaded(folder, script.clock(START_US)) as fake:
            clock = Clock(
                now_ns=lambda: (fake.scenario.now_us - rig.ahead_us) * 1000,
                sleep=lambda wait_s: fake.step(round(wait_s * SECOND_US)),
            )
            backend = NvmlBackend(library.load(), options or Options(processes=True), clock=clock)
            meter = Meter(clock_ns=lambda: 0)
            device = backend.open_device(backend.discover()[0], meter)
            rig = cls(fake, backend, device, meter)
            try:
                yield rig
            finally:
                device.close()
                backend.close()

    def probed(self) -> Mapping[str, Reason]:
        """Probe, and discard GPM's first results; returns what cannot be had."""
        unsupported = self.device.probe()
        self.ticks(2)
        return unsupported

    def tick(self, *, us: int = SECOND_US, tier: Tier = "fast") -> Reading:
        """Let time pass, then read a tier."""
        self.fake.step(us)
        return self.device.sample(tier)

    def ticks(self, count: int) -> Reading:
        """Read the fast tier so many times, a second apart; returns the last reading."""
        for _ in range(count):
            reading = self.tick()
        return reading

    def change(self, edit: Callable[[Scenario], object]) -> None:
        """Change the scenario, and publish it."""
        edit(self.fake.scenario)
        self.fake.publish()

    def calls(self, action: Callable[[], object]) -> Counter[str]:
        """Do something and return the driver's functions that it called, by symbol."""
        before = self.fake.counts().calls
        action()
        found: Counter[str] = Counter()
        for key, count in self.fake.counts().calls.items():
            found[key[0]] += count - before.get(key, 0)
        return +found
