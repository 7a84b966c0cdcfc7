import os
from pathlib import Path

import pytest

from inferometer.gpu.page.page import Dropped, Page, catalogued
from inferometer.gpu.page.selfmetrics import (
    Books,
    PodMapView,
    Process,
    WebMetrics,
    draw_backend,
    draw_books,
    draw_implausible,
    draw_pod_map,
    draw_process,
    draw_web,
)
from inferometer.gpu.sample import BackendView, CallStats, DeviceView, Identity
from inferometer.metrics.exporter import EXPORTER
from inferometer.metrics.programs import PROCESS, WEB
from support.samples import Samples

HEADS = {metric.name: catalogued(metric.name) for metric in (*EXPORTER, *WEB, *PROCESS)}
X = "inferometer_gpu_exporter_"


def samples(page: Page) -> Samples:
    return Samples(page.text(HEADS, {}).decode())


def test_a_backend_shows_its_state_one_hot_with_the_reason() -> None:
    page = Page(Dropped())
    draw_backend(page, BackendView(name="nvml", state="absent", reason="library_not_found"))
    read = samples(page)
    told = {"backend": "nvml", "state": "absent", "reason": "library_not_found"}
    assert read.value(f"{X}backend_state", **told) == 1
    assert read.value(f"{X}backend_state", backend="nvml", state="running", reason="") == 0


def test_calls_are_counted_by_result_and_time() -> None:
    stats = CallStats({"ok": 3, "15": 1}, (1, 2, 0, 0, 0, 0, 0, 0, 0, 1), 7.5)
    view = BackendView(
        name="nvml",
        state="running",
        calls={"GetFieldValues": stats},
        demoted={"FanSpeed": "slow"},
        restarts={"crashed": 2},
        messages_dropped=4,
    )
    page = Page(Dropped())
    draw_backend(page, view)
    read = samples(page)
    call = {"backend": "nvml", "call": "GetFieldValues"}
    assert read.value(f"{X}call_seconds_count", **call) == 4
    assert read.value(f"{X}call_seconds_sum", **call) == 7.5
    assert read.value(f"{X}calls_total", **call, result="15") == 1
    assert read.value(f"{X}call_demoted", backend="nvml", call="FanSpeed", tier="slow") == 1
    assert read.value(f"{X}child_restarts_total", backend="nvml", reason="crashed") == 2
    assert read.value(f"{X}messages_dropped_total", backend="nvml") == 4


def test_refused_values_are_summed_over_devices() -> None:
    views = [
        DeviceView(
            identity=Identity(uuid=str(n), index=n, vendor="nvidia", model=""),
            backend="nvml",
            state="ok",
            sample=None,
            implausible={"sm_ratio": 2},
        )
        for n in range(2)
    ]
    page = Page(Dropped())
    draw_implausible(page, views)
    assert samples(page).value(f"{X}implausible_values_total", metric="sm_ratio") == 4


def test_books_are_shown() -> None:
    books = Books("1.2")
    books.render.add(0.002)
    books.dropped.limit = 7
    books.errors["render"] += 1
    page = Page(Dropped())
    draw_books(page, books)
    read = samples(page)
    assert read.value(f"{X}build_info", version="1.2") == 1
    assert read.value(f"{X}render_seconds_count") == 1
    assert read.value(f"{X}scrape_seconds_count") == 0
    assert read.value(f"{X}series_dropped_total", reason="limit") == 7
    assert read.value(f"{X}internal_errors_total", stage="render") == 1
    assert read.value(f"{X}config_reload_success") == 1
    assert read.find(f"{X}config_reload_timestamp_seconds") == []
    books.reloaded_s = 5.0
    page = Page(Dropped())
    draw_books(page, books)
    assert samples(page).value(f"{X}config_reload_timestamp_seconds") == 5


def test_the_pod_map_is_there_only_if_asked_for() -> None:
    page = Page(Dropped())
    draw_pod_map(page, None)
    assert page.text(HEADS, {}) == b""
    draw_pod_map(page, PodMapView(None, up=False, errors={"timeout": 2}))
    read = samples(page)
    assert read.value(f"{X}pod_map_up") == 0
    assert read.value(f"{X}pod_map_errors_total", reason="timeout") == 2
    assert read.find(f"{X}pod_map_age_seconds") == []
    page = Page(Dropped())
    draw_pod_map(page, PodMapView(3.5, up=True))
    assert samples(page).value(f"{X}pod_map_age_seconds") == 3.5


def test_the_admin_port_is_shown() -> None:
    page = Page(Dropped())
    metrics: WebMetrics = {"inferometer_web_refused_total": lambda: [(("limit",), 3.0)]}
    draw_web(page, metrics, {"inferometer_web_refused_total": ("reason",)})
    assert samples(page).value("inferometer_web_refused_total", reason="limit") == 3


def test_the_process_is_read_from_the_kernel() -> None:
    page = Page(Dropped())
    draw_process(page, Process())
    read = samples(page)
    for metric in PROCESS:
        assert read.total(metric.name) > 0
    assert read.total("process_open_fds") < 1000
    assert read.total("process_start_time_seconds") > 1e9
    assert read.total("process_resident_memory_bytes") < read.total("process_virtual_memory_bytes")


@pytest.mark.parametrize("stat", [None, "1 (x) S 1", "garbage"])
def test_a_kernel_that_tells_nothing_leaves_the_process_out(
    tmp_path: Path, stat: str | None
) -> None:
    if stat is not None:
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "stat").write_text(stat)
    assert Process(tmp_path).read() == {}


def test_what_the_kernel_tells_in_part_is_shown_in_part(tmp_path: Path) -> None:
    (tmp_path / "self" / "fd").mkdir(parents=True)
    (tmp_path / "self" / "stat").write_text("7 (a) b) " + " ".join(["9"] * 40))
    found = Process(tmp_path).read()
    assert found["process_open_fds"] == 0
    assert found["process_cpu_seconds_total"] == 18 / os.sysconf("SC_CLK_TCK")
    assert "process_start_time_seconds" not in found
    assert "process_max_fds" not in found


def test_a_call_of_no_device_that_does_not_return_is_told() -> None:
    page = Page(Dropped())
    draw_backend(page, BackendView(name="nvml", state="running", calls_inflight={"discover": 4.5}))
    name = f"{X}backend_call_inflight_seconds"
    assert samples(page).value(name, backend="nvml", call="discover") == 4.5
    page = Page(Dropped())
    draw_backend(page, BackendView(name="nvml", state="running"))
    assert samples(page).find(name) == []
