"""A collector over a machine whose clock is moved by the test, with a map and jobs as it likes."""

from typing import TYPE_CHECKING, Final

from inferometer.gpu.fake.scenario import Scenario
from inferometer.gpu.page.collector import Collector, Sources
from inferometer.gpu.page.fields import Fields, default
from inferometer.gpu.page.holding import Method
from inferometer.gpu.page.names import Fixed
from inferometer.gpu.page.plan import Look
from inferometer.gpu.page.selfmetrics import Books
from inferometer.gpu.pods.holders import DeviceKey, Holder, Snapshot
from support.gpu_views import Machine
from support.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferometer.gpu.hpc import Place

FIRST: Final = "GPU-fa4e0000-0000-4000-8000-000000000000"
SECOND: Final = "GPU-fa4e0000-0000-4000-8000-000000000001"
ALICE: Final = Holder("team", "alice", "main")
BOB: Final = Holder("team", "bob", "main")


class Bench:
    """A collector over a machine whose clock is moved by the test."""

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        fields: Fields | None = None,
        names: str = "classic",
        processes: bool = False,
    ) -> None:
        self.machine = Machine(scenario, processes=processes)
        self.snapshot: Snapshot | None = None
        self.jobs: Mapping[Place, tuple[str, ...]] = {}
        self.books = Books("1.2.3")
        self.look = Look(fields or default(), names, Fixed("node1"))  # type: ignore[arg-type]
        self.collector = Collector(
            Sources([self.machine], pods=self._pods, jobs=lambda: self.jobs),
            self.look,
            books=self.books,
            method=Method(),
            clock_ns=lambda: int(self.machine.age_s * 1e9),
        )

    def _pods(self) -> Snapshot:
        return self.snapshot or Snapshot()

    def page(self, age_s: float | None = None) -> Samples:
        self.machine.age_s = self.machine.age_s if age_s is None else age_s
        self.collector.render()
        assert sum(self.books.errors.values()) == 0
        return Samples(self.collector.latest.text.decode())


def held(**holders: tuple[Holder, ...]) -> Snapshot:
    """Return a map by the UUID of devices."""
    return Snapshot(
        holders={DeviceKey(uuid=uuid): found for uuid, found in holders.items()},
        taken_s=0.0,
        attributed=True,
    )
