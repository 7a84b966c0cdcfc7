from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferometer.gpu.hpc import Place
from inferometer.gpu.page.holding import (
    PROCESSES_MAX,
    UNKNOWN_BYTES,
    Method,
    ProcessLoad,
    Shares,
    draw_jobs,
    names_of,
    owners_of,
)
from inferometer.gpu.page.names import HolderLabels, own_labels
from inferometer.gpu.page.page import Dropped, Page
from inferometer.gpu.pods.cgroups import Cgroups
from inferometer.gpu.pods.holders import DeviceKey, PodName, Snapshot
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import Process
from support.gpu_shares import (
    HEADS,
    MIG,
    WHO,
    A,
    B,
    G,
    S,
    drawn,
    instance,
    snapshot,
    view,
    with_instances,
)
from support.samples import Samples


def test_only_a_single_holder_is_named() -> None:
    assert names_of((A,), "7") == HolderLabels("ns", "a", "main", "7")
    assert (
        names_of((A, B), "7")
        == names_of((), "7")
        == names_of(None, "7")
        == HolderLabels(hpc_job="7")
    )


def test_a_device_and_its_instances_have_owners_of_their_own() -> None:
    part = instance({})
    jobs = {Place(0, 2): ("5",)}
    whole, parts = owners_of(view(0), [part], snapshot(mig=(B,)), jobs)
    assert whole == HolderLabels()
    assert parts == ((part, HolderLabels("ns", "b", "main", "5")),)
    assert owners_of(view(0), [part], None, {})[1] == ((part, HolderLabels()),)


def test_the_holder_of_a_whole_device_has_all_its_work() -> None:
    shares = Shares(Method())
    for seconds in range(11):
        last = view(
            seconds, busy_s=seconds / 2, energy={Counter.ENERGY_MILLIJOULES: 100_000 * seconds}
        )
        shares.take(last, snapshot(A), seconds * S)
    page = drawn(shares, last)
    assert page.value(f"{G}share_seconds_total", share="pod", pod="a") == 5
    assert page.value(f"{G}share_seconds_total", share="idle") == 5
    assert page.total(f"{G}share_energy_joules_total") == 1000
    assert page.total(f"{G}attribution_info", method="exclusive") == 1


def test_energy_that_we_sum_ourselves_is_shared_to_the_millijoule() -> None:
    shares = Shares(Method())
    for seconds in range(5):
        last = view(seconds, busy_s=float(seconds), summed_uj=1500 * seconds)
        shares.take(last, snapshot(A), seconds * S)
    assert drawn(shares, last).total(f"{G}share_energy_joules_total") == 0.006


def test_without_a_map_nobody_is_named_and_it_says_why() -> None:
    shares = Shares(Method())
    for seconds in range(3):
        last = view(seconds, busy_s=float(seconds))
        shares.take(last, Snapshot(), seconds * S)
    page = drawn(shares, last)
    assert page.labels(f"{G}share_seconds_total", "pod") == set()
    assert page.total(f"{G}attribution_info", method="none", reason="no_map") == 1


def test_a_device_that_is_not_fresh_adds_and_shows_nothing() -> None:
    shares = Shares(Method())
    stale = view(1, sample=None, state="stalled")
    shares.take(stale, snapshot(A), S)
    assert len(drawn(shares, stale)) == 0


def test_time_that_does_not_pass_is_not_shared() -> None:
    shares = Shares(Method())
    for _ in range(3):
        shares.take(view(5, busy_s=2.0), snapshot(A), 5 * S)
    assert drawn(shares, view(5)).find(f"{G}share_seconds_total") == []


def test_a_tick_in_which_nobody_watched_belongs_to_the_next() -> None:
    shares = Shares(Method())
    for seconds in range(7):
        watched = seconds // 2 * 2  # the driver tells of two seconds at a time
        last = view(
            seconds,
            totals={Total.OBSERVED_NS: watched * S, Total.BUSY_NS: watched * S},
            energy={Counter.ENERGY_MILLIJOULES: 1000 * seconds},
        )
        shares.take(last, snapshot(A), seconds * S)
    page = drawn(shares, last)
    assert page.value(f"{G}share_seconds_total", share="pod", pod="a") == 6
    assert page.total(f"{G}share_energy_joules_total") == 6


def test_where_nobody_watches_energy_is_others_and_time_is_not_told() -> None:
    mig = replace(WHO, mig=True)
    shares = Shares(Method())
    for seconds in range(3):
        part = instance({Gauge.MEMORY_USED_BYTES: 40.0})
        energy = {Counter.ENERGY_MILLIJOULES: 1000 * seconds}
        last = with_instances(view(seconds, energy=energy, identity=mig, totals={}), part)
        shares.take(last, snapshot(mig=(B,)), seconds * S)
    page = drawn(shares, last)
    assert page.total(f"{G}attribution_info", method="mig", reason="no_gi_counters") == 1
    assert page.total(f"{G}share_energy_joules_total", share="other") == 2
    assert page.find(f"{G}share_seconds_total") == []
    assert page.value(f"{G}share_memory_bytes", share="pod", pod="b") == 40


def test_watching_that_has_stopped_is_not_waited_for_for_ever() -> None:
    shares = Shares(Method())
    for seconds in (0, 1, 30, 62):
        totals = {Total.OBSERVED_NS: min(seconds, 1) * S, Total.BUSY_NS: 0}
        energy = {Counter.ENERGY_MILLIJOULES: 1000 * seconds}
        last = view(seconds, energy=energy, totals=totals)
        shares.take(last, snapshot(A), seconds * S)
    page = drawn(shares, last)
    assert page.total(f"{G}share_energy_joules_total") == 62
    assert page.total(f"{G}share_seconds_total") == 1


def test_energy_of_a_gap_is_not_taken_for_that_of_idling() -> None:
    shares = Shares(Method())
    for seconds in (*range(10), *range(40, 50)):
        watched = seconds if seconds < 10 else seconds - 30
        totals = {Total.OBSERVED_NS: watched * S, Total.BUSY_NS: 0}
        energy = {Counter.ENERGY_MILLIJOULES: 100_000 * seconds}
        shares.take(view(seconds, energy=energy, totals=totals), snapshot(A), seconds * S)
    for seconds in (50, 51):
        totals = {Total.OBSERVED_NS: (seconds - 30) * S, Total.BUSY_NS: (seconds - 49) * S}
        energy = {Counter.ENERGY_MILLIJOULES: 100_000 * 50 + 400_000 * (seconds - 50)}
        last = view(seconds, energy=energy, totals=totals)
        shares.take(last, snapshot(A), seconds * S)
    page = drawn(shares, last)
    assert page.value(f"{G}share_energy_joules_total", share="pod", pod="a") == 300


def test_compute_instances_of_one_gpu_instance_share_its_numbers() -> None:
    mig = replace(WHO, mig=True)
    other = "MIG-fa4e0000-0000-4000-8000-000000000002"
    whole = Snapshot(
        holders={DeviceKey(uuid=MIG): (A,), DeviceKey(uuid=other): (A,)},
        taken_s=0.0,
        attributed=True,
    )
    shares = Shares(Method())
    for seconds in range(3):
        memory = {Gauge.MEMORY_USED_BYTES: 40.0}
        parts = (instance(memory), replace(instance(memory), compute_instance=1, uuid=other))
        one = with_instances(view(seconds, busy_s=float(seconds), identity=mig), *parts)
        worked = {Total.OBSERVED_NS: seconds * S, Total.BUSY_NS: seconds * S}
        last = replace(one, instance_totals={MIG: worked, other: {}})
        shares.take(last, whole, seconds * S)
    page = drawn(shares, last)
    assert page.total(f"{G}attribution_info", method="mig", reason="") == 1
    assert page.value(f"{G}share_seconds_total", share="pod", pod="a") == pytest.approx(2 / 7)
    assert page.value(f"{G}share_memory_bytes", share="pod", pod="a") == 40
    assert page.value(f"{G}share_memory_bytes", share="other") == 60


def test_processes_that_do_nothing_more_are_news_all_the_same(tmp_path: Path) -> None:
    uid = "5f1d2c3b-aaaa-bbbb-cccc-0123456789ab"
    for pid in (7, 8):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} (python) S" + " 1" * 30)
        (folder / "cgroup").write_text(f"0::/kubepods/pod{uid}/{'f' * 64}")
    both = replace(snapshot(A, B), pods={uid: PodName("ns", "a", ("main",))})
    shares = Shares(Method(cgroups=Cgroups(tmp_path)))
    for seconds in range(26):
        one = view(seconds, busy_s=float(min(seconds, 5)))
        assert one.sample is not None
        processes = (Process(7, 10, min(seconds // 5 * 5, 5) * S),)
        read_ns = seconds // 5 * 5 * S
        last = replace(one, sample=replace(one.sample, processes=processes, processes_ns=read_ns))
        shares.take(last, both, seconds * S)
    page = drawn(shares, last)
    assert page.total(f"{G}attribution_info", method="process", reason="") == 1
    assert page.value(f"{G}share_seconds_total", share="pod", pod="a") == 4
    assert page.value(f"{G}share_seconds_total", share="other") == 1  # of before it was known
    assert page.value(f"{G}share_seconds_total", share="idle") == 20


def test_instances_share_a_device_by_their_slices() -> None:
    mig = replace(WHO, mig=True)
    shares = Shares(Method())
    for seconds in range(4):
        part = instance({Gauge.MEMORY_USED_BYTES: 40.0})
        one = with_instances(view(seconds, busy_s=float(seconds), identity=mig), part)
        worked = {Total.OBSERVED_NS: seconds * S, Total.BUSY_NS: seconds * S}
        last = replace(one, instance_totals={MIG: worked})
        shares.take(last, snapshot(mig=(B,)), seconds * S)
    page = drawn(shares, last)
    assert page.total(f"{G}attribution_info", method="mig") == 1
    assert page.value(f"{G}share_memory_bytes", share="pod", pod="b") == 40


def test_processes_are_shown_by_what_they_did_between_two_readings() -> None:
    load = ProcessLoad()
    wanted = {f"{G}process_memory_bytes", f"{G}process_busy_ratio"}

    def look(seconds: int, *processes: Process) -> Samples:
        one = view(seconds).sample
        assert one is not None
        load.take(replace(one, processes=processes, processes_ns=one.moment_ns))
        page = Page(Dropped())
        load.draw(page, own_labels(WHO), wanted)
        return Samples(page.text(HEADS, {}).decode())

    first = look(0, Process(7, 10, 0), Process(8, UNKNOWN_BYTES, None))
    assert first.value(f"{G}process_memory_bytes", pid="7") == 10
    assert first.find(f"{G}process_memory_bytes", pid="8") == []
    assert first.find(f"{G}process_busy_ratio") == []
    second = look(4, Process(7, 20, S), Process(9, None, 5))
    assert second.value(f"{G}process_busy_ratio", pid="7") == 0.25
    assert second.labels(f"{G}process_busy_ratio", "pid") == {"7"}
    one = view(5).sample
    assert one is not None
    load.take(replace(one, processes=(), processes_ns=4 * S))
    page = Page(Dropped())
    load.draw(page, own_labels(WHO), wanted)
    again = Samples(page.text(HEADS, {}).decode())
    assert again.value(f"{G}process_busy_ratio", pid="7") == 0.25
    idle = look(6, Process(7, 20, S), Process(9, None, 5))
    assert idle.value(f"{G}process_busy_ratio", pid="7") == 0
    restarted = look(7, Process(7, 20, 5))
    assert restarted.find(f"{G}process_busy_ratio") == []


@pytest.mark.parametrize("stale", [{}, {"processes": (), "processes_ns": 0}])
def test_processes_that_were_read_long_ago_are_shown_no_more(stale: dict[str, Any]) -> None:
    load = ProcessLoad()
    wanted = {f"{G}process_memory_bytes", f"{G}process_busy_ratio"}
    first, last = view(0).sample, view(61).sample
    assert first is not None
    assert last is not None
    load.take(replace(first, processes=(Process(7, 10, 0),), processes_ns=0))
    load.take(replace(last, **stale))
    page = Page(Dropped())
    load.draw(page, own_labels(WHO), wanted)
    assert page.text(HEADS, {}) == b""


def test_only_so_many_processes_have_series() -> None:
    load = ProcessLoad()
    sample = view(0).sample
    assert sample is not None
    processes = tuple(Process(n, n, None) for n in range(1, 200))
    load.take(replace(sample, processes=processes, processes_ns=0))
    page = Page(Dropped())
    load.draw(page, own_labels(WHO), {f"{G}process_memory_bytes"})
    found = Samples(page.text(HEADS, {}).decode()).find(f"{G}process_memory_bytes")
    assert len(found) == PROCESSES_MAX
    assert min(value for _, value in found) == 200 - PROCESSES_MAX


def test_a_sample_without_processes_changes_nothing() -> None:
    load = ProcessLoad()
    sample = view(0).sample
    assert sample is not None
    load.take(sample)
    page = Page(Dropped())
    load.draw(page, own_labels(WHO), {f"{G}process_memory_bytes"})
    assert page.text(HEADS, {}) == b""


@pytest.mark.parametrize("device", [0, 1])
def test_each_job_of_a_device_is_told_once(device: int) -> None:
    page = Page(Dropped())
    jobs = {Place(device): ("1", "2"), Place(device, 3): ("2",)}
    draw_jobs(page, view(0), jobs)
    found = Samples(page.text(HEADS, {}).decode()).labels(f"{G}hpc_job_info", "hpc_job")
    assert found == ({"1", "2"} if device == 0 else set())
