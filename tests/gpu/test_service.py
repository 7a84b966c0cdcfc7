import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inferometer.errors import WorldError
from inferometer.gpu.page.fields import default, load
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
from support.sidecar import wait_until


@dataclass
class Stub:
    name: str
    state: BackendState = "running"
    ever_ran: bool = True
    wants_exit: str | None = None

    def backend(self) -> BackendView:
        self.looks += 1
        return BackendView(name=self.name, state=self.state)

    internal_errors: int = 0
    calls: tuple[str, ...] = ()
    looks: int = 0

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


class Conductor(Stub):
    """Does its part in a thread once it is started, so behind the handlers; then comes SIGTERM."""

    part: Callable[[], None]
    thread: threading.Thread

    def start(self) -> None:
        super().start()
        self.thread = threading.Thread(target=self._conduct)
        self.thread.start()

    def _conduct(self) -> None:
        try:
            self.part()
        finally:  # or nothing would end the service
            send(signal.SIGTERM)


def send(number: int) -> None:
    """Send a signal to this process."""
    os.kill(os.getpid(), number)


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
    nvml, amd = Conductor("nvml"), Stub("amd")

    def part() -> None:
        send(signal.SIGHUP)
        send(signal.SIGUSR1)
        wait_until(lambda: "release" in amd.calls, what="the release")
        send(signal.SIGUSR2)
        wait_until(lambda: "resume" in amd.calls, what="the end of the release")

    nvml.part = part
    assert service(HERE, nvml, amd).run() == 0
    nvml.thread.join()
    for one in (nvml, amd):
        assert one.calls == ("start", "release", "resume", "begin_stop", "stop")
    assert signal.getsignal(signal.SIGUSR1) is ours


def test_backends_tried_in_vain_are_ended_once() -> None:
    nvml, amd = Conductor("nvml"), Stub("amd", "absent", ever_ran=False)

    def part() -> None:
        wait_until(lambda: "stop" in amd.calls, what="its end")
        looks = nvml.looks
        wait_until(lambda: nvml.looks > looks + 4, what="more looks")

    nvml.part = part
    assert service(HERE, nvml, amd).run() == 0
    nvml.thread.join()
    assert amd.calls == ("start", "stop", "begin_stop", "stop")
    assert nvml.calls == ("start", "begin_stop", "stop")


def test_fields_that_nobody_knows_are_warned_of_at_a_reload_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "fields.csv"
    file.write_text("DCGM_FI_DEV_BRAND, gauge, x\n")
    settings = replace(HERE, fields=file)
    nvml = Conductor("nvml")

    def look() -> Look:
        return Look(load(file), "classic", Fixed("n"))

    def warned() -> list[str]:
        return [vars(one)["field"] for one in caplog.records if "not known" in one.msg]

    def part() -> None:
        file.write_text("DCGM_FI_DEV_BRAND, gauge, x\nDCGM_FI_DEV_OTHER, gauge, x\n")
        send(signal.SIGHUP)
        wait_until(lambda: len(warned()) > 1, what="the warning")

    nvml.part = part
    origin = Origin(lambda: (settings, look()))
    one = Service(settings, Start(look(), (nvml,), "1.2"), origin=origin)
    assert warned() == ["DCGM_FI_DEV_BRAND"]
    assert one.run() == 0
    nvml.thread.join()
    assert warned() == ["DCGM_FI_DEV_BRAND", "DCGM_FI_DEV_OTHER"]
