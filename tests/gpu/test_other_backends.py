"""Each backend but NVML's, in the process that it runs in, with its supervisor beside it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from inferometer.gpu.backend import Options
from inferometer.gpu.orders import Pace
from inferometer.gpu.quantities import Counter, Gauge, Total
from inferometer.gpu.sample import DeviceView
from inferometer.gpu.states import Waits
from inferometer.gpu.supervision.spawn import ChildCommand
from inferometer.gpu.supervision.supervise import Limits, Supervisor
from support import fake_amd, fake_dcgm
from support.fake_amd import Board
from support.fake_dcgm import HostEngine
from support.sidecar import free_port
from support.tpu_runtime import Runtime
from support.vendor_devices import until

TESTS = Path(__file__).parents[1]
PACE = Pace(tick_s=0.2, slow_s=0.6, process_every=1, heartbeat_s=0.2)
LIMITS = Limits(stall_floor_s=0.8, step_s=0.05, waits=Waits(back_off_s=0.1))


class Run:
    """A supervisor with one backend."""

    def __init__(self, backend: str, options: Options, pace: Pace = PACE) -> None:
        command = ChildCommand(backend=backend, options=options, pace=pace)
        self.supervisor = Supervisor(command, limits=LIMITS)
        self.supervisor.start()

    def devices(self) -> tuple[DeviceView, ...]:
        return self.supervisor.views()

    def states(self) -> list[str]:
        return [view.state for view in self.devices()]

    def busy(self) -> bool:
        """Whether all devices are well, with time that they have been busy."""
        views = self.devices()
        return bool(views) and all(
            view.state == "ok" and view.totals.get(Total.BUSY_NS, 0) > 0 for view in views
        )


class Begin(Protocol):
    def __call__(self, backend: str, options: Options, pace: Pace = ...) -> Run: ...


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}:{fake_amd.BINDINGS}")
    runs: list[Run] = []

    def begin(backend: str, options: Options, pace: Pace = PACE) -> Run:
        runs.append(Run(backend, options, pace))
        return runs[-1]

    yield begin
    for one in runs:
        one.supervisor.stop()


@pytest.mark.req("GX-03")
def test_dcgm_counts_on_and_comes_back_after_its_host_engine(
    run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engine.json"
    monkeypatch.setenv(fake_dcgm.VARIABLE, str(path))
    host = HostEngine(path, gpus=2)
    dcgm = run("dcgm", Options(dcgm_bindings=fake_dcgm.BINDINGS))
    until(dcgm.busy)
    assert dcgm.supervisor.backend().state == "running"
    view = dcgm.devices()[0]
    assert view.sample is not None
    assert view.sample.gauges[Gauge.BAR1_TOTAL_BYTES] == 131072 << 20
    assert view.unsupported["fan_percent"] == "not_supported"
    assert Counter.ENERGY_MILLIJOULES in view.accumulated
    before = view.totals[Total.BUSY_NS]
    host.xid(31)
    until(lambda: 31 in dcgm.devices()[0].xids)
    host.change(up=False)
    until(lambda: dcgm.states() == ["stalled", "stalled"])
    assert all(view.sample is None for view in dcgm.devices())
    host.restart()
    until(lambda: dcgm.states() == ["ok", "ok"])
    assert dcgm.devices()[0].totals[Total.BUSY_NS] >= before
    assert dcgm.devices()[0].xids[31].seen == 1


@pytest.mark.req("GX-03")
def test_nothing_from_before_an_outage_is_shown_after_it(
    run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engine.json"
    monkeypatch.setenv(fake_dcgm.VARIABLE, str(path))
    host = HostEngine(path)
    options = Options(dcgm_bindings=fake_dcgm.BINDINGS)
    dcgm = run("dcgm", options, replace(PACE, slow_s=600))
    until(dcgm.busy)
    host.change(up=False)
    until(lambda: dcgm.states() == ["stalled"])
    host.set(160, 450.0)
    host.restart()
    until(lambda: dcgm.states() == ["ok"])
    view = dcgm.devices()[0]
    assert view.sample is not None
    assert view.sample.gauges[Gauge.POWER_LIMIT_WATTS] == 450


@pytest.mark.req("GX-03")
def test_dcgm_is_absent_until_there_is_a_host_engine(
    run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engine.json"
    monkeypatch.setenv(fake_dcgm.VARIABLE, str(path))
    host = HostEngine(path)
    host.change(up=False)
    dcgm = run("dcgm", Options(dcgm_bindings=fake_dcgm.BINDINGS))
    until(lambda: dcgm.supervisor.backend().reason == "host_engine_unreachable")
    assert dcgm.supervisor.backend().state == "absent"
    host.restart()
    until(dcgm.busy)


def test_amd_counts_and_lists_processes(
    run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "amd.json"
    monkeypatch.setenv(fake_amd.VARIABLE, str(path))
    board = Board(path, gpus=2)
    amd = run("amd", Options(processes=True))
    until(amd.busy)
    view = amd.devices()[1]
    assert view.identity.vendor == "amd"
    assert view.sample is not None
    assert view.sample.processes is not None
    assert view.sample.processes[0].pid == 4242
    board.fail(31, gpu=1)
    until(lambda: amd.states() == ["ok", "lost"])
    assert amd.devices()[1].sample is None


def test_amd_is_absent_where_its_binding_has_no_library(
    run: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "amdsmi.py").write_text("print('no library')\nraise KeyError('libamd_smi.so')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}")
    amd = run("amd", Options())
    until(lambda: amd.supervisor.backend().reason == "bindings_unusable")
    assert amd.supervisor.backend().state == "absent"


@pytest.mark.req("GX-03")
def test_a_tpu_is_there_while_its_runtime_is(run: Begin) -> None:
    with Runtime(free_port(), chips=2) as runtime:
        tpu = run("tpu", Options(tpu_addresses=(runtime.address,)))
        until(tpu.busy)
        port = runtime.port
    until(lambda: tpu.supervisor.backend().reason == "runtime_not_running")
    assert tpu.supervisor.backend().state in {"absent", "lost"}
    assert not any(view.sample for view in tpu.devices())
    with Runtime(port, chips=2):
        until(lambda: tpu.states() == ["ok", "ok"], within_s=30)
