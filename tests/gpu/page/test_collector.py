import gzip
from collections.abc import Iterator
from dataclasses import replace

import pytest

from inferometer.gpu.fake.scenario import Fault, Scenario
from inferometer.gpu.hpc import Place
from inferometer.gpu.page.collector import FORGET_S
from inferometer.gpu.page.fields import read
from inferometer.gpu.pods.holders import Snapshot
from inferometer.gpu.quantities import Counter, Total
from inferometer.gpu.sample import DeviceView
from inferometer.web.server import Request
from support.gpu_bench import ALICE, BOB, FIRST, SECOND, Bench, held
from support.samples import Samples


def request(**headers: str) -> Request:
    return Request("GET", "/metrics", "", {k.replace("_", "-"): v for k, v in headers.items()})


def test_a_page_shows_every_device_under_dcgms_names_and_ours() -> None:
    page = Bench().page(10.0)
    assert page.value("inferometer_gpu_up", gpu="0", UUID=FIRST) == 1
    assert page.value("inferometer_gpu_devices", source="up") == 2
    (found,) = page.find("DCGM_FI_DEV_FB_RESERVED", gpu="0")
    assert found[0] == {
        "gpu": "0",
        "UUID": FIRST,
        "pci_bus_id": "00000000:1B:00.0",
        "device": "nvidia0",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": "node1",
    }
    assert found[1] == 512


def test_instances_are_shown_beside_their_device() -> None:
    page = Bench().page(10.0)
    values = dict.fromkeys(page.labels("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "GPU_I_ID"))
    assert set(values) == {"2", "3", "9", "10"}
    assert page.value("DCGM_FI_DEV_FB_FREE", GPU_I_ID="9", GPU_I_PROFILE="1g.10gb") == 7680
    assert len(page.find("inferometer_gpu_instance_info", UUID=SECOND)) == 4
    assert page.find("DCGM_FI_DEV_GPU_UTIL", gpu="1") == []
    why = {"metric": "DCGM_FI_DEV_GPU_UTIL", "reason": "mig_mode"}
    assert page.value("inferometer_gpu_metric_unsupported", gpu="1", **why) == 1


def test_compute_instances_of_one_instance_show_its_numbers_once() -> None:
    bench = Bench(Scenario(devices=1, mig=(0,)))
    (view,) = bench.machine.views()
    assert view.sample is not None
    twin = replace(view.sample.instances[0], uuid="MIG-twin", compute_instance=1)
    sample = replace(view.sample, instances=(*view.sample.instances, twin))
    bench.machine.views = lambda: [replace(view, sample=sample)]  # type: ignore[method-assign]
    page = bench.page()
    assert len(page.find("DCGM_FI_DEV_FB_USED", GPU_I_ID="2")) == 1
    assert len(page.find("inferometer_gpu_instance_info", GPU_I_ID="2")) == 2
    assert bench.books.dropped.duplicate == 0


@pytest.mark.parametrize(("kind", "state"), [("hang", "stalled"), ("lost", "lost")])
@pytest.mark.req("GX-03")
def test_what_is_stale_is_not_shown_but_state_and_xids_are(kind: str, state: str) -> None:
    faults = (Fault(5, 0, "xid", code=79), Fault(10, 0, kind, 10))
    bench = Bench(Scenario(devices=2, faults=faults))
    assert bench.page(6.0).value("inferometer_gpu_up", gpu="0") == 1
    page = bench.page(12.0)
    assert page.value("inferometer_gpu_up", gpu="0") == 0
    assert page.value("inferometer_gpu_state", gpu="0", state=state) == 1
    assert page.total("inferometer_gpu_state", gpu="0") == 1
    assert page.value("inferometer_gpu_xid_errors_total", gpu="0", xid="79") == 1
    assert page.value("DCGM_FI_DEV_XID_ERRORS", gpu="0", err_code="79") == 79
    names = {name for name, labels, _ in page if labels.get("gpu") == "0"}
    kept = {
        "info", "up", "state", "last_sample_timestamp_seconds", "xid_errors_total",
        "xid_last_seen_timestamp_seconds", "metric_unsupported", "exporter_ticks_missed_total",
        "exporter_call_inflight_seconds", "attribution_info", "attribution_error_ratio",
    }  # fmt: skip
    assert names - {f"inferometer_gpu_{name}" for name in kept} == {"DCGM_FI_DEV_XID_ERRORS"}
    assert page.value("inferometer_gpu_devices", source="up") == 1
    back = bench.page(21.0)
    assert back.value("inferometer_gpu_up", gpu="0") == 1
    assert back.find("DCGM_FI_DEV_SM_CLOCK", gpu="0")


def test_counters_do_not_fall_over_a_hang() -> None:
    bench = Bench(Scenario(devices=1, faults=(Fault(10, 0, "hang", 10),)))
    name = "inferometer_gpu_energy_joules_total"
    before = bench.page(9.0).total(name)
    assert bench.page(15.0).find(name) == []
    assert bench.page(21.0).total(name) > before > 0


def test_what_a_driver_counted_and_what_we_summed_add_up() -> None:
    bench = Bench(Scenario(devices=1))
    (view,) = bench.machine.views()
    assert view.sample is not None
    sums = {Total.ENERGY_MICROJOULES: 9_000_000}
    counts = {Counter.ENERGY_MILLIJOULES: 5000}
    name = "inferometer_gpu_energy_joules_total"
    both = replace(view, totals=sums, accumulated=counts)
    for changes in ({"counters": counts, "totals": {}}, {"counters": {}, "totals": sums}):
        told = [replace(both, sample=replace(view.sample, **changes))]
        bench.machine.views = told.copy  # type: ignore[method-assign]
        assert bench.page().value(name) == 14
    silent = replace(both, sample=replace(view.sample, counters={}, totals={}))
    bench.machine.views = lambda: [silent]  # type: ignore[method-assign]
    assert bench.page().find(name) == []


def test_one_holder_is_named_on_the_device_and_two_are_not() -> None:
    bench = Bench(Scenario(devices=1))
    bench.snapshot = held(**{FIRST: (ALICE,)})
    page = bench.page(1.0)
    assert page.value("DCGM_FI_DEV_FB_USED", pod="alice", namespace="team", container="main")
    assert page.find("inferometer_gpu_busy_seconds_total", pod="alice") == []
    bench.snapshot = held(**{FIRST: (ALICE, BOB)})
    assert bench.page(2.0).labels("DCGM_FI_DEV_FB_USED", "pod") == set()


@pytest.mark.req("GX-06")
def test_a_map_that_is_lost_takes_its_labels_with_it() -> None:
    bench = Bench(Scenario(devices=1))
    bench.snapshot = held(**{FIRST: (ALICE,)})
    assert bench.page(1.0).labels("DCGM_FI_DEV_FB_USED", "pod") == {"alice"}
    bench.snapshot = bench.snapshot.forgotten()
    page = bench.page(2.0)
    assert page.labels("DCGM_FI_DEV_FB_USED", "pod") == set()
    assert page.value("inferometer_gpu_exporter_pod_map_up") == 0


def test_shares_add_up_to_the_device() -> None:
    bench = Bench(Scenario(devices=1))
    bench.snapshot = held(**{FIRST: (ALICE,)})
    start = bench.page(1.0)
    for second in range(2, 20):
        page = bench.page(float(second))
    spent = page.total("inferometer_gpu_energy_joules_total") - start.total(
        "inferometer_gpu_energy_joules_total"
    )
    assert page.total("inferometer_gpu_share_energy_joules_total") == pytest.approx(
        spent, abs=0.002
    )
    assert page.total("inferometer_gpu_share_seconds_total") == pytest.approx(18.0)
    busy = page.value("inferometer_gpu_share_seconds_total", share="pod", pod="alice")
    assert busy == pytest.approx(
        page.total("inferometer_gpu_busy_seconds_total")
        - start.total("inferometer_gpu_busy_seconds_total")
    )
    assert page.total("inferometer_gpu_attribution_info", method="exclusive") == 1
    assert page.value("inferometer_gpu_attribution_error_ratio") == 0


def test_one_job_is_a_label_and_several_are_not() -> None:
    bench = Bench(Scenario(devices=2, mig=(1,)))
    bench.jobs = {Place(0): ("4711",), Place(1): ("1", "2"), Place(1, 2): ("3",)}
    page = bench.page(1.0)
    assert page.labels("DCGM_FI_DEV_SM_CLOCK", "hpc_job") == {"4711"}
    assert len(page.find("DCGM_FI_DEV_FB_USED", hpc_job="3", GPU_I_ID="2")) == 1
    assert page.labels("inferometer_gpu_hpc_job_info", "hpc_job") == {"4711", "1", "2", "3"}


def test_a_new_list_of_fields_holds_from_the_next_page_on() -> None:
    bench = Bench(Scenario(devices=1))
    fields = read(b"DCGM_FI_DEV_PSTATE, counter, Mine.\nDCGM_FI_DEV_BRAND, gauge, x\n", "f.csv")
    bench.collector.show(replace(bench.look, fields=fields))
    page = bench.page(1.0)
    assert {name for name, _, _ in page if name.startswith("DCGM")} == {"DCGM_FI_DEV_PSTATE"}
    assert "# HELP DCGM_FI_DEV_PSTATE Mine.\n# TYPE DCGM_FI_DEV_PSTATE counter\n" in page.text
    why = {"metric": "DCGM_FI_DEV_BRAND", "reason": "backend"}
    assert page.value("inferometer_gpu_metric_unsupported", **why) == 1


def test_families_of_ours_can_be_left_out_and_asked_for() -> None:
    fields = read(
        b"- -inferometer_gpu_memory_bytes\n- -inferometer_gpu_up\n"
        b"- +inferometer_gpu_process_memory_bytes\n- +inferometer_gpu_process_busy_ratio\n"
        b"- -inferometer_gpu_metric_unsupported\n",
        "f.yaml",
    )
    bench = Bench(Scenario(devices=1), fields=fields, processes=True)
    bench.page(1.0)
    page = bench.page(3.0)
    for name in ("memory_bytes", "up", "metric_unsupported"):
        assert page.find(f"inferometer_gpu_{name}") == []
    assert page.value("inferometer_gpu_process_memory_bytes", pid="1000000") == 20 << 30
    both = page.total("inferometer_gpu_process_busy_ratio")
    assert both == pytest.approx(page.total("DCGM_FI_PROF_GR_ENGINE_ACTIVE"), rel=0.2)


@pytest.mark.parametrize(
    ("mode", "name", "label"),
    [
        ("classic", "DCGM_FI_DEV_GPU_TEMP", "Hostname"),
        ("classic-lower", "DCGM_FI_DEV_GPU_TEMP", "hostname"),
        ("renamed", "DCGM_FI_DEV_GPU_TEMP_CELSIUS", "hostname"),
    ],
)
def test_the_name_switch_changes_names_and_not_values(mode: str, name: str, label: str) -> None:
    page = Bench(Scenario(devices=1), names=mode).page(10.0)
    assert page.value(name, **{label: "node1"}) == Bench(Scenario(devices=1)).page(10.0).value(
        "DCGM_FI_DEV_GPU_TEMP"
    )


def test_both_names_show_the_same_values_and_off_none() -> None:
    page = Bench(Scenario(devices=1), names="both").page(10.0)
    old, new = "DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_UTIL_RATIO"
    assert page.value(old, Hostname="node1") == page.value(new, hostname="node1")
    assert page.total("DCGM_FI_DEV_SM_CLOCK") == page.total("DCGM_FI_DEV_SM_CLOCK", gpu="0")
    assert len(page.find("DCGM_FI_DEV_SM_CLOCK")) == 1
    assert "DCGM_" not in "".join(
        name for name, _, _ in Bench(Scenario(devices=1), names="off").page(10.0)
    )


def test_what_a_scraper_accepts_changes_only_the_coding() -> None:
    bench = Bench()
    bench.page(1.0)
    for accept in ("application/openmetrics-text", "*/*", "", "application/json"):
        response = bench.collector.answer(request(accept=accept))
        assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert b"".join(response.body) == bench.collector.latest.text  # type: ignore[arg-type]
    packed = bench.collector.answer(request(accept_encoding="gzip"))
    assert ("Content-Encoding", "gzip") in packed.headers
    assert isinstance(packed.body, Iterator)
    assert gzip.decompress(b"".join(packed.body)) == bench.collector.latest.text
    assert bench.collector.latest.gzip() is bench.collector.latest.gzip()


def test_a_scrape_is_timed_to_its_last_byte() -> None:
    bench = Bench()
    bench.page(1.0)
    body = bench.collector.answer(request()).body
    assert isinstance(body, Iterator)
    for _ in body:
        bench.machine.age_s += 0.001
        assert sum(bench.books.scrape.counts) == 0
    assert sum(bench.books.scrape.counts) == 1
    assert bench.books.scrape.sum > 0


def test_a_scrape_asks_nobody() -> None:
    bench = Bench()
    bench.page(1.0)

    def refuse() -> list[DeviceView]:
        raise AssertionError

    bench.machine.views = refuse  # type: ignore[method-assign]
    assert b"".join(bench.collector.answer(request()).body)  # type: ignore[arg-type]


def test_a_page_that_cannot_be_made_leaves_the_last_one_and_its_age() -> None:
    bench = Bench()
    bench.page(1.0)
    text = bench.collector.latest.text

    def fail() -> list[DeviceView]:
        raise RuntimeError

    bench.machine.views = fail  # type: ignore[method-assign]
    bench.machine.age_s = 9.0
    bench.collector.render()
    assert bench.collector.latest.text == text
    assert bench.books.errors["render"] == 1
    assert bench.collector.age_s() == pytest.approx(8.0)


def test_a_device_that_cannot_be_shown_leaves_the_others() -> None:
    bench = Bench(Scenario(devices=2))
    first, second = bench.machine.views()
    bench.machine.views = lambda: [  # type: ignore[method-assign]
        replace(first, identity=None),  # type: ignore[arg-type]
        second,
    ]
    bench.machine.age_s = 1.0
    bench.collector.render()
    page = Samples(bench.collector.latest.text.decode())
    assert page.labels("DCGM_FI_DEV_SM_CLOCK", "gpu") == {"1"}
    assert bench.books.errors["render"] == 1


def test_shares_that_cannot_be_told_leave_the_device() -> None:
    bench = Bench(Scenario(devices=1))
    bench.page(1.0)
    # A map whose values are of no use: only what a fault of ours could make.
    bench.snapshot = Snapshot(holders=None, attributed=False, taken_s=0.0)  # type: ignore[arg-type]
    device = bench.collector._devices[FIRST]
    device.shares = None  # type: ignore[assignment]
    bench.collector.render()
    assert bench.books.errors["attribution"] == 1
    assert b"DCGM_FI_DEV_SM_CLOCK" in bench.collector.latest.text


def test_a_device_that_is_gone_for_long_is_forgotten() -> None:
    bench = Bench(Scenario(devices=1))
    bench.page(1.0)
    bench.machine.views = list  # type: ignore[method-assign]
    bench.page(2.0)
    assert set(bench.collector._devices) == {FIRST}
    page = bench.page(2.0 + FORGET_S)
    assert bench.collector._devices == {}
    assert page.value("inferometer_gpu_devices", source="up") == 0


def test_a_device_that_is_gone_has_no_job_of_the_one_that_took_its_number() -> None:
    bench = Bench(Scenario(devices=2))
    bench.jobs = {Place(0): ("4711",)}
    first, second = bench.machine.views()
    gone = replace(first, state="lost", sample=None)
    alone = [gone, second]
    bench.machine.views = alone.copy  # type: ignore[method-assign]
    page = bench.page(1.0)
    assert page.labels("DCGM_FI_DEV_XID_ERRORS", "hpc_job") == {"4711"}, "its own, while it is out"
    assert page.find("inferometer_gpu_hpc_job_info") == []
    other = replace(second, identity=replace(second.identity, index=0))
    renumbered = [gone, other]
    bench.machine.views = renumbered.copy  # type: ignore[method-assign]
    page = bench.page(2.0)
    assert len(page.find("inferometer_gpu_hpc_job_info", hpc_job="4711", UUID=SECOND)) == 1
    assert page.total("inferometer_gpu_hpc_job_info") == 1
    ((labels, _),) = page.find("DCGM_FI_DEV_XID_ERRORS", hpc_job="4711")
    assert labels["UUID"] == SECOND


def test_that_events_are_no_longer_heard_is_told_with_the_next_page() -> None:
    bench = Bench(Scenario(devices=1))
    (view,) = bench.machine.views()
    why = {"metric": "inferometer_gpu_xid_errors_total", "reason": "no_data"}
    for heard in (True, False, True):
        views = [replace(view, events_heard=heard)]
        bench.machine.views = views.copy  # type: ignore[method-assign]
        assert (bench.page().find("inferometer_gpu_metric_unsupported", **why) == []) == heard
