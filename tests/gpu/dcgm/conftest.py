import gc
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.gpu.dcgm.backend import DcgmBackend
from inferometer.gpu.dcgm.binding import Binding
from support import fake_dcgm
from support.fake_dcgm import HostEngine


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostEngine]:
    path = tmp_path / "engine.json"
    monkeypatch.setenv(fake_dcgm.VARIABLE, str(path))
    engine = HostEngine(path, gpus=2)
    yield engine
    if not engine.state["up"]:
        engine.restart()
    gc.collect()  # a handle that was left open would complain here, not in another test


@pytest.fixture
def opened(host: HostEngine) -> Iterator[DcgmBackend]:
    """A backend that may connect as often as it likes."""
    assert host.state["up"]
    binding = Binding(fake_dcgm.BINDINGS)
    backend = DcgmBackend(binding, "localhost:5555", monotonic_s=itertools.count().__next__)
    yield backend
    backend.close()
