"""How a child is started."""

import os
import sys
from pathlib import Path

import pytest

from inferometer.gpu.backend import Options
from inferometer.gpu.orders import Pace, options_text, read_options
from inferometer.gpu.supervision.spawn import ChildCommand, environment, launch
from support.process import descriptors
from support.sidecar import wait_until


def test_options_come_through_a_command_line_unchanged() -> None:
    options = Options(
        nvml_library=Path("/a b/lib.so"),
        scenario=Path("x"),
        dcgm_bindings=Path("y"),
        tpu_addresses=("a:1", "b:2"),
        processes=True,
    )
    assert read_options(options_text(options)) == options
    assert read_options(options_text(Options())) == Options()
    assert read_options("{}") == Options()


def test_a_command_line_names_our_own_interpreter_and_not_the_working_directory() -> None:
    argv = ChildCommand(backend="nvml").argv()
    assert argv[:4] == [sys.executable, "-P", "-m", "inferometer.gpu.child"]
    assert "--module" not in argv
    assert ChildCommand(backend="nvml", module="a.b").argv()[-2:] == ["--module", "a.b"]


def test_a_child_gets_what_a_library_needs_and_no_secret() -> None:
    own = {
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/lib",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "INFEROMETER_GPU_EXPORTER_PASSWORD": "secret",
        "OTEL_EXPORTER_OTLP_HEADERS": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    assert environment(own) == {
        "MALLOC_ARENA_MAX": "2",
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/lib",
        "NVIDIA_VISIBLE_DEVICES": "all",
    }
    assert environment({"PATH": ""})["MALLOC_ARENA_MAX"] == "2"


def test_a_child_that_ends_is_reaped_and_leaves_no_descriptor() -> None:
    before = descriptors(os.getpid())
    child = launch(ChildCommand(backend="nvml", module="no.such.module", pace=Pace()))
    wait_until(lambda: child.poll() is not None, what="its end")
    assert child.poll() == 1
    child.send(15)  # nobody's process
    child.close()
    child.close()
    assert descriptors(os.getpid()) == before


def test_a_child_that_somebody_else_reaped_has_ended() -> None:
    child = launch(ChildCommand(backend="nvml", module="no.such.module"))
    os.waitpid(child.pid, 0)
    assert child.poll() == 0
    child.close()


def test_a_child_has_no_descriptor_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        ours = os.dup2(file.fileno(), 77, inheritable=False)
        child = launch(ChildCommand(backend="fake"))
        try:
            assert Path(f"/proc/{child.pid}/fd/2").exists()
            assert not Path(f"/proc/{child.pid}/fd/{ours}").exists()
        finally:
            os.close(ours)
            child.send(9)
            wait_until(lambda: child.poll() is not None, what="its end")
            child.close()


def test_a_machine_without_room_for_a_child_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors(os.getpid())
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(OSError, match="No such file"):
        launch(ChildCommand(backend="nvml"))
    assert descriptors(os.getpid()) == before
