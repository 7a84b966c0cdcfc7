import os
import signal
import socket
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inferometer.errors import WorldError
from inferometer.gpu.page.fields import default
from inferometer.gpu.page.names import Fixed
from inferometer.gpu.page.plan import Look
from inferometer.gpu.sample import BackendState, BackendView, DeviceView
from inferometer.gpu.service import (
    LOST,
    REQUIRED_WITHIN_S,
    Origin,
    Service,
    Start,
    commands,
    needless,
    options,
    reason_to_end,
    wanted,
)
from inferometer.gpu.settings import Settings
from inferometer.settings import Address


@dataclass
class Stub:
    name: str
    state: BackendState = "running"
    ever_ran: bool = True
    wants_exit: str | None = None

    def backend(self) -> BackendView:
        return BackendView(name=self.name, state=self.state)

    internal_errors: int = 0
    calls: tuple[str, ...] = ()

    def views(self) -> list[DeviceView]:
        return []

    def start(self) -> None:
        self.calls += ("start",)

    def release(self) -> None:
        self.calls += ("release",)

    def resume(self) -> None:
        self.calls += ("resume",)

    def begin_stop(self) -> None:
        self.calls += ("begin_stop",)

    def stop(self) -> None:
        self.calls += ("stop",)


def service(settings: Settings, *stubs: Stub) -> Service:
    look = Look(default(), "classic", Fixed("n"))

    def reread() -> tuple[Settings, Look]:
        return settings, look

    return Service(settings, Start(look, stubs, "1.2"), origin=Origin(reread))


HERE = Settings(listen=Address(host="127.0.0.1", port=0))


def test_auto_is_nvml_amd_and_tpu_and_never_dcgm() -> None:
    assert wanted(("auto",)) == ("nvml", "amd", "tpu")
    assert wanted(("dcgm", "auto", "nvml")) == ("dcgm", "nvml", "amd", "tpu")


def test_each_backend_has_a_child_that_samples_in_time() -> None:
    found = commands(Settings(backend=("nvml", "fake"), tick_s=60.0), processes=False)
    assert [one.backend for one in found] == ["nvml", "fake"]
    assert {(one.pace.tick_s, one.pace.slow_s) for one in found} == {(60.0, 60.0)}


def test_only_nvidias_driver_is_looked_for_in_the_kernels_log() -> None:
    settings = Settings(backend=("nvml", "amd"), kernel_log=Path("/dev/kmsg"))
    found = {one.backend: one.kernel_log for one in commands(settings, processes=False)}
    assert found == {"nvml": Path("/dev/kmsg"), "amd": None}


def test_backends_are_told_what_the_settings_say() -> None:
    told = options(Settings(nvml_library=Path("/x"), graphics_processes=True), processes=True)
    assert (told.nvml_library, told.graphics_processes, told.processes) == (Path("/x"), True, True)


def test_a_backend_that_only_a_new_process_can_cure_ends_the_exporter() -> None:
    lost = Stub("nvml", "lost", wants_exit="the driver was replaced")
    both = [Stub("amd"), lost]
    assert reason_to_end(both, required=False, waited_s=0) == "the driver was replaced"


def test_a_gpu_is_required_within_five_minutes_only_where_it_is_required() -> None:
    absent = [Stub("nvml", "absent", ever_ran=False)]
    late = REQUIRED_WITHIN_S
    assert reason_to_end(absent, required=False, waited_s=late) is None
    assert reason_to_end(absent, required=True, waited_s=late - 1) is None
    assert "five minutes" in (reason_to_end(absent, required=True, waited_s=late) or "")
    assert reason_to_end([Stub("nvml", "lost")], required=True, waited_s=late) is None


def test_backends_that_auto_tried_in_vain_are_given_up_once_another_runs() -> None:
    nvml, amd = Stub("nvml"), Stub("amd", "absent", ever_ran=False)
    tpu = Stub("tpu", "starting", ever_ran=False)
    assert needless([nvml, amd, tpu], ("auto",)) == [amd]
    assert needless([nvml, amd], ("auto", "amd")) == []
    assert needless([amd, tpu], ("auto",)) == []
    assert needless([nvml, amd], ("nvml", "amd")) == []


def test_an_exporter_that_cannot_go_on_ends_its_backends_and_says_3() -> None:
    lost = Stub("nvml", "lost", wants_exit="the driver was replaced")
    assert service(HERE, lost).run() == LOST == 3
    assert lost.calls == ("start", "begin_stop", "stop")


def test_a_port_that_is_taken_ends_what_was_started() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one = Stub("nvml")
        with pytest.raises(WorldError, match="cannot listen"):
            service(replace(HERE, listen=Address(host="127.0.0.1", port=port)), one).run()
    assert one.calls == ("start", "begin_stop", "stop")


def test_signals_reach_every_backend_and_the_old_handlers_come_back() -> None:
    ours = signal.getsignal(signal.SIGUSR1)
    both = [Stub("nvml"), Stub("amd")]

    def tell() -> None:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)

    timer = threading.Timer(0.5, tell)
    timer.start()
    assert service(HERE, *both).run() == 0
    timer.join()
    for one in both:
        assert one.calls == ("start", "release", "resume", "begin_stop", "stop")
    assert signal.getsignal(signal.SIGUSR1) is ours


def test_backends_tried_in_vain_are_ended_once() -> None:
    nvml, amd = Stub("nvml"), Stub("amd", "absent", ever_ran=False)
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert service(HERE, nvml, amd).run() == 0
    timer.join()
    assert amd.calls == ("start", "stop", "begin_stop", "stop")
    assert nvml.calls == ("start", "begin_stop", "stop")
