"""A device with what it has done, as the server holds it, for tests of whose that was."""

from dataclasses import replace

from inferometer.gpu.page.holding import Shares
from inferometer.gpu.page.names import own_labels
from inferometer.gpu.page.page import Dropped, Page, catalogued
from inferometer.gpu.pods.holders import DeviceKey, Holder, Snapshot
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import DeviceView, Identity, Instance, Sample
from inferometer.metrics.devices import DEVICES
from support.samples import Samples

HEADS = {metric.name: catalogued(metric.name) for metric in DEVICES}
UUID = "GPU-fa4e0000-0000-4000-8000-000000000000"
MIG = "MIG-fa4e0000-0000-4000-8000-000000000001"
WHO = Identity(uuid=UUID, index=0, vendor="nvidia", model="H100", minor=0)
A, B = Holder("ns", "a", "main"), Holder("ns", "b", "main")
G = "inferometer_gpu_"
S = 1_000_000_000


def snapshot(*holders: Holder, mig: tuple[Holder, ...] = ()) -> Snapshot:
    keys = {DeviceKey(uuid=UUID): holders, DeviceKey(uuid=MIG): mig}
    return Snapshot(holders=keys, taken_s=0.0, attributed=True)


def view(
    seconds: int,
    *,
    busy_s: float | None = None,
    energy: dict[Counter, int] | None = None,
    summed_uj: int | None = None,
    **changes: object,
) -> DeviceView:
    totals: dict[Total, int] = {Total.OBSERVED_NS: seconds * S}
    if busy_s is not None:
        totals[Total.BUSY_NS] = int(busy_s * S)
    if summed_uj is not None:
        totals[Total.ENERGY_MICROJOULES] = summed_uj
    sample = Sample(
        uuid=UUID,
        moment_ns=seconds * S,
        time_s=0.0,
        gauges={Gauge.MEMORY_USED_BYTES: 100.0},
        counters=energy or {},
        totals=changes.get("totals", totals),  # type: ignore[arg-type]
    )
    one = DeviceView(
        identity=WHO,
        backend="fake",
        state="ok",
        sample=sample,
        totals=totals,
        accumulated=energy or {},
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def instance(gauges: dict[Gauge, float]) -> Instance:
    return Instance(
        gpu_instance=2,
        compute_instance=0,
        uuid=MIG,
        profile="1g",
        slices=1,
        slices_max=7,
        gauges=gauges,
    )


def with_instances(one: DeviceView, *parts: Instance) -> DeviceView:
    assert one.sample is not None
    return replace(one, sample=replace(one.sample, instances=parts))


def drawn(shares: Shares, last: DeviceView) -> Samples:
    page = Page(Dropped())
    shares.draw(page, own_labels(WHO), last)
    return Samples(page.text(HEADS, {}).decode())
