"""The whole program over the fake backend: files, signals, requests of every kind."""

import gzip
import os
import re
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inferometer.web.server import Limits
from support.gpu_exporter import PROGRAM, Exporter
from support.process import descriptors, threads
from support.samples import Samples
from support.sidecar import wait_until

QUIET = "devices: 2\nmig: [1]\n"


def scenario(folder: Path, text: str = QUIET) -> tuple[str, ...]:
    """Return the flags of a machine."""
    path = folder / "scenario.yaml"
    path.write_text(text)
    return ("--backend", "fake", "--scenario", str(path), "--tick-s", "0.2")


def all_up(page: Samples) -> bool:
    running = {"backend": "fake", "state": "running"}
    return (
        page.value("inferometer_gpu_devices", source="up") == 2
        and page.value("inferometer_gpu_exporter_backend_state", **running) == 1
    )


@pytest.fixture(scope="module", autouse=True)
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter of which a device hangs; from the first test on, so that nobody waits for it."""
    text = "devices: 3\nfaults: [{at_s: 1, device: 1, fault: hang, for_s: 600}]\n"
    with Exporter(*scenario(tmp_path_factory.mktemp("hanging"), text)) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def listing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The program with `--list`, which watches devices for seconds; also from the first test on."""
    argv = [*PROGRAM, *scenario(tmp_path_factory.mktemp("list")), "--list"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()  # of no use to one that has ended


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter with two devices, a batch job on one, and a map of pods that is not there."""
    folder = tmp_path_factory.mktemp("quiet")
    jobs = folder / "jobs"
    jobs.mkdir()
    (jobs / "0").write_text("4711\n")
    flags = (*scenario(folder), "--podmap", str(folder / "absent.json"))
    with Exporter(*flags, environ={"DCGM_HPC_JOB_MAPPING_DIR": str(jobs)}) as running:
        running.wait_for(all_up)
        yield running


def test_a_scrape_shows_devices_instances_and_the_exporter(exporter: Exporter) -> None:
    page = exporter.scrape()
    assert page.labels("DCGM_FI_DEV_SM_CLOCK", "gpu") == {"0", "1"}
    assert page.labels("DCGM_FI_PROF_SM_ACTIVE", "GPU_I_ID") == {"2", "3", "9", "10"}
    state = {"backend": "fake", "state": "running"}
    assert page.value("inferometer_gpu_exporter_backend_state", **state) == 1
    assert page.total("process_resident_memory_bytes") > 0
    assert page.value("inferometer_web_connections") is not None
    assert page.total("inferometer_gpu_exporter_internal_errors_total") == 0
    assert page.value("inferometer_gpu_exporter_config_reload_success") == 1


def test_counters_grow(exporter: Exporter) -> None:
    name = "inferometer_gpu_energy_joules_total"
    before = exporter.scrape().total(name)
    exporter.wait_for(lambda page: page.total(name) > before)


@pytest.mark.req("GX-07")
@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/openmetrics-text;version=1.0.0", "q=;,;", "text/html", "a" * 5000],
)
def test_any_accept_header_gets_text(exporter: Exporter, accept: str) -> None:
    reply = exporter.get(Accept=accept)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.req("GX-07")
def test_gzip_head_and_other_methods_are_answered_right(exporter: Exporter) -> None:
    packed = exporter.get(Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert b"inferometer_gpu_up" in gzip.decompress(packed.body)
    head = exporter.get(method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        refused = exporter.get(method=method)
        assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert exporter.get("/nothing").status == 404


def test_health_readiness_and_the_page_are_there(exporter: Exporter) -> None:
    assert exporter.get("/healthz").body == b"ok\n"
    assert exporter.get("/readyz").body == b"ready\nfake running\n"
    page = exporter.get("/").body.decode()
    assert "GPU-fa4e0000" in page
    assert "<script" not in page


@pytest.mark.req("GX-07")
def test_thousands_of_idle_connections_are_bounded_and_scrapes_go_on(exporter: Exporter) -> None:
    limit = Limits().connections_max
    idle: list[socket.socket] = []
    try:
        for number in range(3000):
            one = socket.create_connection(("127.0.0.1", exporter.port), timeout=10)
            idle.append(one)
            if number % 500 == 0:
                assert exporter.get().status == 200
        assert exporter.get().status == 200
        assert descriptors(exporter.pid) < limit + 64
    finally:
        for one in idle:
            one.close()
    wait_until(lambda: exporter.scrape().total("inferometer_web_connections") < 10)


@pytest.mark.req("GX-07")
def test_scrapes_leave_nothing_behind(exporter: Exporter) -> None:
    for _ in range(20):
        exporter.get()
    before = threads(exporter.pid), descriptors(exporter.pid)
    for _ in range(300):
        assert exporter.get().status == 200
    wait_until(lambda: descriptors(exporter.pid) <= before[1] + 1)
    assert threads(exporter.pid) == before[0]


@pytest.mark.req("GX-01")
@pytest.mark.req("GX-02")
def test_a_device_that_hangs_is_told_and_holds_up_nobody(hanging: Exporter) -> None:
    stalled = hanging.wait_for(
        lambda page: (
            page.value("inferometer_gpu_state", gpu="1", state="stalled") == 1
            and page.total("inferometer_gpu_exporter_call_inflight_seconds", gpu="1") > 2
        )
    )
    assert stalled.labels("DCGM_FI_DEV_SM_CLOCK", "gpu") == {"0", "2"}
    stamp = "inferometer_gpu_last_sample_timestamp_seconds"
    fresh = stalled.total(stamp, gpu="0")
    hanging.wait_for(lambda page: page.total(stamp, gpu="0") > fresh)
    (child,) = hanging.children()
    before = threads(child)
    for _ in range(200):
        assert hanging.get().status == 200
    assert threads(child) == before
    assert hanging.get("/healthz").status == 200
    assert hanging.get("/readyz").status == 200
    hanging.stop()


@pytest.mark.req("GX-03")
def test_a_child_that_dies_is_replaced_and_counters_do_not_fall(tmp_path: Path) -> None:
    with Exporter(*scenario(tmp_path)) as exporter:
        name = "inferometer_gpu_energy_joules_total"
        before = exporter.wait_for(lambda page: all_up(page) and page.total(name) > 0)
        (child,) = exporter.children()
        os.kill(child, signal.SIGKILL)
        exporter.wait_for(lambda page: page.total("inferometer_gpu_exporter_child_restarts_total"))
        exporter.wait_for(lambda page: all_up(page) and page.total(name) > before.total(name))


def test_the_driver_is_released_and_taken_again(tmp_path: Path) -> None:
    with Exporter(*scenario(tmp_path)) as exporter:
        exporter.wait_for(all_up)
        exporter.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: b"fake released" in exporter.get("/readyz").body)
        wait_until(lambda: exporter.children() == [])
        page = exporter.wait_for(lambda page: not page.find("DCGM_FI_DEV_SM_CLOCK"))
        assert page.value("inferometer_gpu_devices", source="up") == 0
        exporter.process.send_signal(signal.SIGUSR2)
        exporter.wait_for(all_up)


def put(path: Path, text: str) -> None:
    """Replace a file as a whole: the exporter looks at it whenever it likes."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def named(log: str) -> set[str]:
    """Return the lines of the list of fields that a log names."""
    return set(re.findall(r"fields\.csv:\d+", log))


def test_a_changed_list_of_fields_is_taken_over_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    fields = tmp_path / "fields.csv"
    put(fields, "DCGM_FI_DEV_SM_CLOCK, gauge, x\n")
    with Exporter(*scenario(tmp_path), "--fields", str(fields)) as exporter:
        exporter.wait_for(lambda page: page.find("DCGM_FI_DEV_SM_CLOCK"))
        assert exporter.scrape().find("DCGM_FI_DEV_PSTATE") == []
        put(fields, "DCGM_FI_DEV_PSTATE, gauge, x\n")
        exporter.process.send_signal(signal.SIGHUP)
        page = exporter.wait_for(lambda page: page.find("DCGM_FI_DEV_PSTATE"))
        assert page.find("DCGM_FI_DEV_SM_CLOCK") == []
        put(fields, "nonsense\nmore nonsense\n")
        exporter.process.send_signal(signal.SIGHUP)
        reloaded = "inferometer_gpu_exporter_config_reload_success"
        page = exporter.wait_for(lambda page: page.value(reloaded) == 0)
        assert page.find("DCGM_FI_DEV_PSTATE")
        # Both lines, in whichever order: the log is written by a thread of its own.
        wait_until(lambda: {"fields.csv:1", "fields.csv:2"} <= named(exporter.stderr))


def test_batch_jobs_are_told(exporter: Exporter) -> None:
    page = exporter.wait_for(
        lambda page: page.labels("DCGM_FI_DEV_SM_CLOCK", "hpc_job") == {"4711"}
    )
    assert page.value("inferometer_gpu_hpc_job_info", gpu="0", hpc_job="4711") == 1


@pytest.mark.req("GX-06")
def test_a_map_that_cannot_be_had_is_counted_and_changes_nothing_else(exporter: Exporter) -> None:
    errors = "inferometer_gpu_exporter_pod_map_errors_total"
    page = exporter.wait_for(lambda page: page.total(errors) and page.find("DCGM_FI_DEV_SM_CLOCK"))
    assert page.value(errors, reason="file_missing") == page.total(errors)
    assert page.value("inferometer_gpu_exporter_pod_map_up") == 0
    assert page.labels("DCGM_FI_DEV_SM_CLOCK", "pod") == set()


def test_the_first_scrape_is_answered_before_any_device_is_known(tmp_path: Path) -> None:
    with Exporter(*scenario(tmp_path)) as exporter:
        page = exporter.scrape()
        assert page.find("inferometer_gpu_exporter_backend_state", backend="fake")
        assert page.value("inferometer_gpu_exporter_build_info") == 1


def test_a_machine_without_a_driver_is_served_too_and_openssl_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)  # what counts lines in our children needs OpenSSL itself
    absent = str(tmp_path / "libnvidia-ml.so.1")
    with Exporter("--backend", "nvml", "--nvml-library", absent) as exporter:
        state = {"backend": "nvml", "state": "absent", "reason": "library_not_found"}
        exporter.wait_for(
            lambda page: page.value("inferometer_gpu_exporter_backend_state", **state) == 1
        )
        assert exporter.get("/readyz").status == 200
        assert exporter.get("/healthz").status == 200
        with socket.create_connection(("127.0.0.1", exporter.port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            rude.sendall(b"GET")  # and then a reset, which is an error of the socket
        exporter.wait_for(lambda page: page.total("inferometer_web_connections") <= 1)
        maps = Path(f"/proc/{exporter.pid}/maps").read_text()
        assert "python" in maps
        assert "libssl" not in maps
        assert "libcrypto" not in maps


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_list_is_a_table_with_reasons(listing: subprocess.Popen[str]) -> None:
    out, _ = listing.communicate(timeout=60)
    assert listing.returncode == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert rows["DCGM_FI_DEV_GPU_UTIL"] == ["yes", "yes", "mig_mode"]
    assert rows["DCGM_FI_DEV_FAN_SPEED"] == ["not_supported", "not_supported"]


def test_wrong_lines_of_a_list_start_nothing_and_are_all_named(tmp_path: Path) -> None:
    fields = tmp_path / "f.csv"
    fields.write_text("# fine\nno field\nDCGM_FI_DEV_SM_CLOCK, gauge, x\nDCGM_X, what, x\n")
    done = run("--backend", "fake", "--fields", str(fields))
    assert done.returncode == 2
    assert f"{fields}:2:1" in done.stderr
    assert f"{fields}:4:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told_and_leaves_no_child(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(*scenario(tmp_path), "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert "cannot listen" in done.stderr


def test_a_web_configuration_that_is_wrong_starts_nothing(tmp_path: Path) -> None:
    config = tmp_path / "web.yaml"
    config.write_text("basic_users:\n  a: b\n")
    done = run(*scenario(tmp_path), "--web-config", str(config))
    assert done.returncode == 2
    assert "web.yaml:1:1" in done.stderr


def test_the_last_samples_are_pushed_before_the_end(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk.metrics")
    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        # A device that hangs makes the end as long as it may be, which leaves time for the push.
        hangs = "devices: 2\nfaults: [{at_s: 0, device: 1, fault: hang, for_s: 600}]\n"
        with Exporter(*scenario(tmp_path, hangs), "--otlp-endpoint", endpoint) as exporter:
            exporter.wait_for(
                lambda page: (
                    page.value("inferometer_gpu_devices", source="up") == 1
                    and page.total("inferometer_gpu_exporter_call_inflight_seconds", gpu="1")
                )
            )
        server.shutdown()
    assert b"hw.gpu.memory.usage" in b"".join(bodies)
    assert b"GPU-fa4e0000" in b"".join(bodies)
