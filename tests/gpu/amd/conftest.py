import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.gpu.amd.backend import AmdBackend
from inferometer.gpu.amd.library import Library
from support import fake_amd
from support.fake_amd import Board
from support.vendor_devices import Clock


@pytest.fixture(autouse=True)
def binding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(fake_amd.BINDINGS)
    for name in [name for name in sys.modules if name.partition(".")[0] == "amdsmi"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    path = tmp_path / "amd.json"
    monkeypatch.setenv(fake_amd.VARIABLE, str(path))
    return Board(path, gpus=2)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(board: Board, clock: Clock) -> Iterator[AmdBackend]:
    assert board.path.exists()
    backend = AmdBackend(Library(), processes=True, clock_ns=clock.now_ns)
    yield backend
    backend.close()
