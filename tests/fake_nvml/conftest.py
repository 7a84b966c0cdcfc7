"""The driver under pynvml, with one H100 and a frozen clock."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_nvml import FakeNvml, Scenario

START_US = 1_000_000_000


@pytest.fixture
def binding() -> Any:
    return pytest.importorskip("pynvml")


@pytest.fixture
def fake(tmp_path: Path, binding: Any) -> Iterator[FakeNvml]:
    scenario = Scenario.profile("h100").clock(START_US)
    with FakeNvml.loaded(tmp_path, scenario) as fake:
        binding.nvmlInit()
        yield fake


@pytest.fixture
def device(fake: FakeNvml, binding: Any) -> Any:
    assert fake.scenario_path.exists()
    return binding.nvmlDeviceGetHandleByIndex(0)


@pytest.fixture
def code(binding: Any) -> Any:
    """Return a function that makes a call and returns its code, 0 if it raised none."""

    def code_of(function: Any, *args: Any) -> int:
        try:
            function(*args)
        except binding.NVMLError as error:
            return int(error.value)
        return 0

    return code_of
