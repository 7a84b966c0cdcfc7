import sys
from pathlib import Path

import pytest

from inferometer.gpu.backend import BackendError, Options
from inferometer.gpu.nvml import library
from inferometer.gpu.nvml.backend import open_backend
from inferometer.gpu.nvml.library import CFunction, Library
from support.fake_nvml import FakeNvml, Scenario


def test_a_library_is_found_where_the_loader_looks(tmp_path: Path) -> None:
    with FakeNvml.loaded(tmp_path, "h100") as fake:
        loaded = library.load()
        assert fake.counts().live["init"] == 1
        loaded.close()
        loaded.close()  # down already
        assert not fake.counts().live["init"]


def test_a_library_is_found_by_its_path(tmp_path: Path) -> None:
    with FakeNvml.loaded(tmp_path, "h100") as fake:
        backend = open_backend(Options(nvml_library=fake.library))
        assert [identity.model for identity in backend.discover()] == ["NVIDIA H100 80GB HBM3"]
        backend.close()


def test_a_path_without_a_library_says_so(tmp_path: Path) -> None:
    with FakeNvml.loaded(tmp_path, "h100"), pytest.raises(BackendError) as caught:
        library.load(tmp_path / "none.so")
    assert (caught.value.reason, caught.value.code) == ("library_not_found", 12)
    assert "none.so" in str(caught.value)


def test_without_pynvml_the_bindings_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(BackendError) as caught:
        library.load()
    assert caught.value.reason == "bindings_not_found"
    assert "inferometer[gpu]" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(9, "driver_not_loaded"), (18, "version_mismatch_driver"), (4, "no_permission")],
)
def test_a_library_that_cannot_come_up_says_why(tmp_path: Path, code: int, reason: str) -> None:
    scenario = Scenario.profile("h100").fail("nvmlInitWithFlags", code, device=None)
    with FakeNvml.loaded(tmp_path, scenario), pytest.raises(BackendError) as caught:
        library.load()
    assert (caught.value.reason, caught.value.code) == (reason, code)


@pytest.mark.parametrize("code", [15, 999])
def test_one_lost_device_does_not_keep_the_library_from_coming_up(
    tmp_path: Path, code: int
) -> None:
    scenario = Scenario.profile("h100").fail("nvmlInitWithFlags", code, device=None, args=(0,))
    with FakeNvml.loaded(tmp_path, scenario) as fake:
        loaded = library.load()
        assert fake.counts().live["init"] == 1
        loaded.close()


def test_both_ways_of_coming_up_failing_says_the_last_reason(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").fail("nvmlInitWithFlags", 999, device=None)
    with FakeNvml.loaded(tmp_path, scenario), pytest.raises(BackendError) as caught:
        library.load()
    assert caught.value.code == 999


def test_a_missing_symbol_is_no_function(tmp_path: Path) -> None:
    scenario = Scenario.profile("h100").set("lib.drop", "nvmlDeviceGetMemoryInfo_v2")
    with FakeNvml.loaded(tmp_path, scenario):
        loaded = library.load()
        assert loaded.function("nvmlDeviceGetMemoryInfo_v2") is None
        assert loaded.first("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo") is not None
        assert loaded.first("nvmlDeviceGetMemoryInfo_v2") is None
        loaded.close()


def test_a_function_is_looked_up_once() -> None:
    looked_up: list[str] = []

    def find(name: str) -> CFunction | None:
        looked_up.append(name)
        return None if name == "nvmlOld" else lambda: 0

    loaded = Library(find, shutdown=lambda: None)
    for _ in range(3):
        assert loaded.function("nvmlOld") is None
        assert loaded.function("nvmlNew") is not None
    assert looked_up == ["nvmlOld", "nvmlNew"]
