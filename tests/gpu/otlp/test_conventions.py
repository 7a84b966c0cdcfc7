from dataclasses import replace

from inferometer.gpu.fake.scenario import Fault, Scenario
from inferometer.gpu.otlp.conventions import ROWS, Point
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import DeviceView
from support.gpu_views import Machine

READ = {row.name: row.read for row in ROWS}


def device(age_s: float = 10.0, *, mig: bool = False) -> DeviceView:
    scenario = Scenario(devices=1, mig=(0,) if mig else (), faults=(Fault(5, 0, "xid", code=31),))
    machine = Machine(scenario)
    machine.age_s = age_s
    return machine.views()[0]


def points(name: str, view: DeviceView) -> list[Point]:
    return list(READ[name](view))


def test_names_and_units_are_those_of_the_conventions() -> None:
    assert [(row.name, row.unit) for row in ROWS if row.name.startswith("hw.")] == [
        ("hw.gpu.utilization", "1"),
        ("hw.gpu.memory.usage", "By"),
        ("hw.gpu.memory.limit", "By"),
        ("hw.gpu.memory.utilization", "1"),
        ("hw.gpu.io", "By"),
        ("hw.energy", "J"),
        ("hw.power", "W"),
        ("hw.temperature", "Cel"),
        ("hw.errors", "{error}"),
        ("hw.status", "1"),
    ]


def test_a_device_is_told_by_its_attributes() -> None:
    (point,) = points("hw.power", device())
    assert point.value > 72
    assert point.attributes == {
        "hw.id": "GPU-fa4e0000-0000-4000-8000-000000000000",
        "hw.type": "gpu",
        "hw.name": "GPU 0",
        "hw.vendor": "nvidia",
        "hw.model": "NVIDIA H100 80GB HBM3",
        "hw.driver_version": "580.95.05",
        "hw.firmware_version": "96.00.74.00.01",
    }


def test_an_instance_names_its_device_as_parent() -> None:
    found = points("hw.gpu.memory.usage", device(mig=True))
    assert len(found) == 5
    assert found[1].attributes["hw.parent"] == found[0].attributes["hw.id"]
    assert found[1].attributes["hw.id"].startswith("MIG-")


def test_utilization_is_told_by_task_and_falls_back_to_the_drivers() -> None:
    view = device()
    assert view.sample is not None
    assert [p.attributes["hw.gpu.task"] for p in points("hw.gpu.utilization", view)] == [
        "general",
        "encoder",
        "decoder",
    ]
    gauges = {Gauge.UTILIZATION_PERCENT: 40.0}
    old = replace(view, sample=replace(view.sample, gauges=gauges))
    assert [p.value for p in points("hw.gpu.utilization", old)] == [0.4]
    blank = replace(view, sample=replace(view.sample, gauges={}))
    assert points("hw.gpu.utilization", blank) == points("hw.gpu.memory.utilization", blank) == []


def test_bytes_and_energy_are_what_was_counted_and_what_was_summed_by_turns() -> None:
    counts = {Counter.ENERGY_MILLIJOULES: 5000, Counter.PCIE_TRANSMIT_BYTES: 7}
    sums = {Total.ENERGY_MICROJOULES: 9_000_000, Total.PCIE_RECEIVE_BYTES: 8}
    view = replace(device(), accumulated=counts, totals=sums)
    assert view.sample is not None
    now = replace(view, sample=replace(view.sample, counters=counts, totals=sums))
    assert [p.value for p in points("hw.energy", now)] == [14]
    moved = {p.attributes["network.io.direction"]: p.value for p in points("hw.gpu.io", now)}
    assert moved == {"transmit": 7, "receive": 8}
    summed = replace(view, sample=replace(view.sample, counters={}, totals=sums))
    assert [p.value for p in points("hw.energy", summed)] == [14]


def test_sums_whose_source_is_silent_are_not_sent() -> None:
    view = device()
    assert view.sample is not None
    silent = replace(view, sample=replace(view.sample, counters={}, totals={}))
    names = ("hw.energy", "hw.gpu.io", "hw.errors", "inferometer.gpu.active")
    for name in (*names, "inferometer.gpu.throttled"):
        assert points(name, view) != []
        assert points(name, silent) == []


def test_errors_are_of_the_time_since_we_started_and_never_fall() -> None:
    view = device()
    assert view.sample is not None
    sums = {Counter.ECC_CORRECTED_VOLATILE: 3}
    for raw in (40, 2):  # the driver was loaded again
        counters = {Counter.ECC_CORRECTED_VOLATILE: raw}
        now = replace(view, accumulated=sums, sample=replace(view.sample, counters=counters))
        assert [p.value for p in points("hw.errors", now)] == [3]


def test_xids_are_not_sent_while_one_might_pass_unheard() -> None:
    assert points("inferometer.gpu.xids", replace(device(), events_heard=False)) == []


def test_errors_xids_and_status_are_told() -> None:
    view = device()
    kinds = [p.attributes["error.type"] for p in points("hw.errors", view)]
    assert kinds == ["corrected", "uncorrected"]
    (xid,) = points("inferometer.gpu.xids", view)
    assert (xid.value, xid.attributes["inferometer.gpu.xid"]) == (1, "31")
    (other,) = points("inferometer.gpu.xids", replace(view, xids={None: view.xids[31]}))
    assert other.attributes["inferometer.gpu.xid"] == "other"
    for state, word in (("ok", "ok"), ("stalled", "degraded"), ("lost", "failed")):
        told = points("hw.status", replace(view, state=state))  # type: ignore[arg-type]
        assert [p.attributes["hw.state"] for p in told if p.value] == [word]


def test_what_is_stale_is_not_sent() -> None:
    view = replace(device(), sample=None, state="stalled")
    sent = {row.name for row in ROWS if list(row.read(view))}
    assert sent == {"hw.status", "inferometer.gpu.xids"}


def test_engines_and_throttling_have_names_of_our_own() -> None:
    view = device()
    engines = [
        p.attributes["inferometer.gpu.engine"] for p in points("inferometer.gpu.active", view)
    ]
    assert engines == ["sm", "tensor", "dram"]
    assert len(points("inferometer.gpu.throttled", view)) == 2
