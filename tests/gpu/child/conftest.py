"""What tests of a crew share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.crew import Run
from support.scripted_backend import Script


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(Script(tmp_path / "script.json", closed=str(tmp_path)))
    yield run
    run.script.set(hang=[])
    run.crew.end()
    run.end()
    run.close()
