import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from inferometer.errors import SettingsError, UserError
from inferometer.gpu.settings import Settings
from inferometer.gpu.start import asks_for_processes, check, hostname, make_look, run, version
from inferometer.settings import Address


@pytest.mark.parametrize(
    ("wrong", "flag"),
    [
        (Settings(listen=Address(path=Path("/x"))), "--listen"),
        (Settings(podmap=Path("a"), kubelet_socket=Path("b")), "--podmap"),
        (Settings(scenario=Path("x")), "--scenario"),
        (Settings(dcgm_bindings=Path("x")), "--dcgm-bindings"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: Settings, flag: str) -> None:
    with pytest.raises(SettingsError, match=flag):
        check(wrong)


def test_a_scenario_is_read_before_anything_is_started(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("devices: 0\n")
    with pytest.raises(UserError, match="devices must be"):
        check(Settings(backend=("fake",), scenario=path))
    path.write_text("devices: 2\n")
    check(Settings(backend=("fake",), scenario=path))


def test_the_node_is_never_called_after_a_pod() -> None:
    assert hostname(Settings(hostname="given"), {"NODE_NAME": "node"}) == "given"
    assert hostname(Settings(), {"NODE_NAME": "node"}) == "node"
    assert hostname(Settings(), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == ""
    assert hostname(Settings(), {}) == socket.gethostname()


def test_what_is_shown_follows_settings_and_file(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("DCGM_FI_DEV_GPU_TEMP, gauge, x\nDCGM_FI_DRIVER_VERSION, label, y\n")
    look = make_look(Settings(fields=path, hostname="n", dcgm_names="both", serial=True), {})
    assert [one.name for one in look.families] == [
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_GPU_TEMP_CELSIUS",
    ]
    assert look.fixed == ("n", (("DCGM_FI_DRIVER_VERSION", "driver_version"),))
    assert look.serial


def test_a_wrong_list_of_fields_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("one\ntwo, gauge, x\n")
    with pytest.raises(SettingsError) as caught:
        run(["--backend", "fake", "--fields", str(path)])
    assert len(caught.value.problems) == 2


def test_drivers_are_asked_for_processes_only_where_that_is_of_use(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("- +inferometer_gpu_process_memory_bytes\n")
    plain, mapped = Settings(), Settings(podmap=Path("m"))
    look, families = make_look(plain, {}), make_look(Settings(fields=path), {})
    assert not asks_for_processes(plain, look, told=True)
    assert not asks_for_processes(mapped, look, told=False)
    assert asks_for_processes(mapped, look, told=True)
    assert asks_for_processes(Settings(kubelet_socket=Path("s")), look, told=True)
    assert asks_for_processes(plain, families, told=False)
    assert not asks_for_processes(Settings(processes=False), families, told=True)


LOADED = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted({"ssl", "_hashlib", "email", "http.client", "asyncio"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("module", ["inferometer.gpu.start", "inferometer.gpu.mapping"])
def test_what_only_tls_and_passwords_need_is_not_loaded(module: str) -> None:
    # What counts lines in our children loads some of it itself.
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    argv = [sys.executable, "-c", LOADED, module]
    done = subprocess.run(argv, env=environ, capture_output=True, check=True)
    assert done.stdout == b"\n"


def test_the_version_is_that_of_the_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert version() == metadata.version("inferometer")
    monkeypatch.setattr("sys.path", ["/nowhere", ""])
    assert version() == "unknown"
