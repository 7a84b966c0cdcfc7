from pathlib import Path

import pytest

from inferometer.gpu.amd.backend import AmdBackend, open_backend
from inferometer.gpu.backend import BackendError, Options
from support.fake_amd import Board


def test_devices_are_described(opened: AmdBackend) -> None:
    first, second = opened.discover()
    assert first.uuid != second.uuid
    assert (first.vendor, first.model) == ("amd", "AMD Instinct MI300X")
    assert (first.architecture, first.pci_bus_id) == ("gfx942", "0000:c1:00.0")
    assert first.serial == "0x30D18B0F5A1B2C3D"
    assert first.vbios_version == "022.040.003.042.000001"
    assert opened.driver_version == "6.12.12"
    assert opened.wait_events(0) is None


def test_a_device_without_a_uuid_goes_by_its_address(board: Board, opened: AmdBackend) -> None:
    board.answer("get_gpu_device_uuid", {"error": 2})
    board.fail(31, gpu=1)
    assert [one.uuid for one in opened.discover()] == ["AMD-0000:c1:00.0"]


@pytest.mark.parametrize(
    ("code", "reason"), [(34, "driver_not_loaded"), (31, "driver_not_loaded"), (18, "init_failed")]
)
def test_without_a_driver_the_backend_is_absent(board: Board, code: int, reason: str) -> None:
    board.change(init=code)
    with pytest.raises(BackendError) as caught:
        open_backend(Options())
    assert (caught.value.reason, caught.value.code) == (reason, code)
    board.change(init=0)
    open_backend(Options()).close()


def test_a_listing_that_fails_ends_the_backend(board: Board, opened: AmdBackend) -> None:
    board.change(listing=34)
    with pytest.raises(BackendError) as caught:
        opened.discover()
    assert caught.value.reason == "driver_not_loaded"
    board.change(listing=7)
    with pytest.raises(BackendError) as caught:
        opened.discover()
    assert caught.value.reason == "discovery_failed"


def test_a_binding_without_its_library_is_absent_and_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """amdsmi 7.0.2 prints, then looks up what it could not load."""
    text = "print('Unable to find libamd_smi.so')\n_libraries = {}\n_libraries['libamd_smi.so']\n"
    (tmp_path / "amdsmi.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError) as caught:
        open_backend(Options())
    assert caught.value.reason == "bindings_unusable"
    assert "KeyError" in str(caught.value)
    assert capsys.readouterr().out == ""


def test_closing_twice_or_without_a_driver_is_no_error(board: Board, opened: AmdBackend) -> None:
    board.change(init=34)
    opened.close()
    board.change(init=0)


def test_functions_of_the_bus_are_counted_where_there_is_a_bus(opened: AmdBackend) -> None:
    number = opened.pci_devices()
    assert number is None or number >= 0
