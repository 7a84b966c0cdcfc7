"""What is promised of a sick driver, on the whole program over a fake `libnvidia-ml.so.1`."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from inferometer.metrics.dcgm import FAMILIES
from support.fake_nvml import FakeNvml, Scenario
from support.gpu_exporter import Exporter
from support.process import threads
from support.samples import Samples

TICK: tuple[str, ...] = ("--tick-s", "0.5", "--slow-s", "1")
UP = "inferometer_gpu_devices"
STAMP = "inferometer_gpu_last_sample_timestamp_seconds"
INFLIGHT = "inferometer_gpu_exporter_call_inflight_seconds"
MISSED = "inferometer_gpu_exporter_ticks_missed_total"
RESTARTS = "inferometer_gpu_exporter_child_restarts_total"
ENERGY = "inferometer_gpu_energy_joules_total"
HUNG = "nvmlDeviceGetMemoryInfo_v2"
SIBLINGS = "0124567"
LOST = 2


def exporter(fake: FakeNvml, *flags: str) -> Exporter:
    return Exporter("--backend", "nvml", *TICK, *flags, environ=fake.environment())


def all_up(count: int, page: Samples) -> bool:
    return page.value(UP, source="up") == count


class Node(NamedTuple):
    """An exporter and its driver."""

    fake: FakeNvml
    running: Exporter


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """An exporter for tests that follow each other: one loses a device, the next has it back."""
    fake = FakeNvml(tmp_path_factory.mktemp("node"), "h100x8")
    with exporter(fake) as running:
        running.wait_for(lambda page: all_up(8, page))
        yield Node(fake, running)


@pytest.mark.req("GX-04")
def test_every_xid_counts_and_says_when(node: Node) -> None:
    fake, running = node
    running.wait_for(lambda page: page.find("DCGM_FI_DEV_XID_ERRORS", gpu="1"))
    assert running.scrape().value("DCGM_FI_DEV_XID_ERRORS", gpu="1") == 0
    for _ in range(2):
        fake.event(1, 31)
    page = running.wait_for(
        lambda page: page.value("inferometer_gpu_xid_errors_total", gpu="1", xid="31") == 2
    )
    assert page.value("DCGM_FI_DEV_XID_ERRORS", gpu="1", err_code="31") == 31
    seen = page.total("inferometer_gpu_xid_last_seen_timestamp_seconds", gpu="1")
    assert abs(time.time() - seen) < 30


@pytest.mark.req("GX-01")
@pytest.mark.req("GX-02")
def test_one_of_eight_that_hangs_is_down_and_the_others_lose_no_tick(node: Node) -> None:
    fake, running = node
    begun = running.scrape()
    fake.scenario.hang(HUNG, device=3)
    fake.publish()
    page = running.wait_for(
        lambda page: page.value("inferometer_gpu_state", gpu="3", state="stalled") == 1
    )
    assert page.labels("DCGM_FI_DEV_SM_CLOCK", "gpu") == set(SIBLINGS)
    assert page.find("inferometer_gpu_info", gpu="3")
    running.wait_for(lambda page: page.total(INFLIGHT, gpu="3") > 3)
    (child,) = running.children()
    before = threads(child)
    for _ in range(100):
        running.scrape()
    assert threads(child) == before
    page = running.wait_for(
        lambda new: all(new.total(STAMP, gpu=gpu) > page.total(STAMP, gpu=gpu) for gpu in SIBLINGS)
    )
    for gpu in SIBLINGS:  # of more than six; a busy machine is late now and then
        assert page.total(MISSED, gpu=gpu) - begun.total(MISSED, gpu=gpu) <= 3
    fake.scenario.release(HUNG, device=3)
    fake.publish()
    back = running.wait_for(lambda page: all_up(8, page))
    assert back.total(ENERGY, gpu="3") > 0
    assert back.total(RESTARTS) == begun.total(RESTARTS)


@pytest.mark.req("GX-03")
def test_a_lost_device_is_a_state_and_the_others_go_on(node: Node) -> None:
    fake, running = node
    fake.scenario.lost(LOST)
    fake.publish()
    page = running.wait_for(
        lambda page: page.value("inferometer_gpu_state", gpu="2", state="lost") == 1
    )
    assert page.value(UP, source="up") == 7
    assert page.labels("DCGM_FI_DEV_SM_CLOCK", "gpu") == set("0134567")
    assert page.find("inferometer_gpu_info", gpu="2")


@pytest.fixture(scope="module")
def reloaded(node: Node) -> tuple[Samples, Samples]:
    """Pages from before and after a reload of the driver that lists devices the other way round."""
    fake, running = node
    before = running.scrape()
    fake.scenario.fail("*", 0, device=LOST).order(*range(7, -1, -1)).driver_reset()
    fake.publish()
    running.wait_for(lambda page: page.total(RESTARTS) > before.total(RESTARTS))
    return before, running.wait_for(lambda page: all_up(8, page))


@pytest.mark.req("GX-03")
def test_a_driver_that_is_reloaded_is_back_without_a_restart_of_ours(
    node: Node, reloaded: tuple[Samples, Samples]
) -> None:
    before, after = reloaded
    uuids = before.labels(ENERGY, "UUID")
    assert len(uuids) >= 7
    for uuid in uuids:
        assert after.total(ENERGY, UUID=uuid) >= before.total(ENERGY, UUID=uuid) > 0
    assert node.running.process.poll() is None


@pytest.mark.req("GX-05")
def test_devices_that_are_renumbered_keep_their_counters_by_uuid(
    reloaded: tuple[Samples, Samples],
) -> None:
    before, after = (
        {labels["UUID"]: int(labels["gpu"]) for labels, _ in page.find("inferometer_gpu_up")}
        for page in reloaded
    )
    assert len(before) == 8
    assert after == {uuid: 7 - gpu for uuid, gpu in before.items()}
    assert len(reloaded[1].find("inferometer_gpu_info")) == 8


@pytest.mark.req("GX-02")
def test_a_call_that_hangs_keeps_nobody_from_ending(node: Node) -> None:
    """The last one with this exporter."""
    fake, running = node
    fake.scenario.hang("*", device="*")
    fake.publish()
    hangs = [str(gpu) for gpu in range(8)]
    running.wait_for(lambda page: all(page.total(INFLIGHT, gpu=gpu) > 0.5 for gpu in hangs))
    assert running.get("/healthz").status == 200
    running.stop()


@pytest.fixture
def fake(tmp_path: Path) -> FakeNvml:
    return FakeNvml(tmp_path, "h100x8")


@pytest.mark.req("GX-03")
def test_a_driver_that_comes_late_is_waited_for(fake: FakeNvml, tmp_path: Path) -> None:
    library = tmp_path / "late" / "libnvidia-ml.so.1"
    library.parent.mkdir()
    environ = {k: v for k, v in fake.environment().items() if k != "LD_LIBRARY_PATH"}
    with Exporter(
        "--backend", "nvml", *TICK, "--nvml-library", str(library), environ=environ
    ) as running:
        state = {"backend": "nvml", "state": "absent", "reason": "library_not_found"}
        running.wait_for(
            lambda page: page.value("inferometer_gpu_exporter_backend_state", **state) == 1
        )
        shutil.copy(fake.library, library.with_suffix(".part"))
        library.with_suffix(".part").rename(library)  # a child may look at any moment
        running.wait_for(lambda page: all_up(8, page), wait_s=60)


@pytest.mark.req("GX-05")
def test_instances_that_are_cut_anew_show_within_a_slow_tick(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path, Scenario.profile("h100_mig"))
    with exporter(fake) as running:
        info = "inferometer_gpu_instance_info"
        first = running.wait_for(lambda page: page.find(info) and page.find("DCGM_FI_DEV_FB_USED"))
        before = first.labels(info, "mig_uuid")
        fake.scenario.mig(0, (1, 0, "3g.40gb"), (2, 0, "3g.40gb"))
        fake.publish()
        page = running.wait_for(
            lambda page: page.find(info) and not page.labels(info, "mig_uuid") & before
        )
        assert page.labels(info, "GPU_I_PROFILE") == {"3g.40gb"}
        fake.scenario.mig(0)
        fake.publish()
        running.wait_for(lambda page: not page.find(info))


def missing(page: Samples) -> set[str]:
    """Return the families that are neither shown nor refused."""
    refused = page.labels("inferometer_gpu_metric_unsupported", "metric")
    return {one.classic for one in FAMILIES if not page.find(one.classic)} - refused


@pytest.mark.req("GX-04")
def test_every_family_is_there_or_says_why_not(tmp_path: Path) -> None:
    fields = tmp_path / "all.csv"
    fields.write_text("".join(f"{f.classic}, {f.kind}, x\n" for f in FAMILIES))
    with exporter(FakeNvml(tmp_path, "h100"), "--fields", str(fields)) as running:
        last = running.wait_for(lambda page: all_up(1, page))

        def complete(page: Samples) -> bool:
            nonlocal last
            last = page
            return not missing(page)

        with contextlib.suppress(AssertionError):
            running.wait_for(complete)
    assert missing(last) == set()
    refused = last.labels("inferometer_gpu_metric_unsupported", "metric")
    assert refused
    assert not {family for family in refused if last.find(family)}
