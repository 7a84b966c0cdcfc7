"""What tests of SLO rules share: documents as text, rules as files, and tools to judge them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.slo.document import Document
from inferometer.slo.names import Options
from support import live_slos, slo_rules
from support.live_slos import Live
from support.prometheus import Prometheus, load
from support.promtool import VERSIONS, Promtool, tool
from support.slo_rules import Documents, Rules


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks the Prometheus that all tests share."""
    for item in items:
        if isinstance(item, pytest.Function) and "live" in item.fixturenames:
            item.add_marker(pytest.mark.oracle)


@pytest.fixture(scope="session", autouse=True)
def spacious() -> Iterator[None]:
    """Let Go's collector wait for four times as much garbage: a fifth of promtool's time is its."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOGC", "400")
        yield


@pytest.fixture(params=VERSIONS)
def promtool(request: pytest.FixtureRequest) -> Promtool:
    return Promtool(tool(request.param, "promtool"))


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    def read(*texts: str) -> tuple[Document, ...]:
        return slo_rules.read(tmp_path / "documents", *texts)

    return read


@pytest.fixture
def rules(tmp_path: Path, documents: Documents) -> Rules:
    def write(*texts: str, options: Options | None = None) -> list[Path]:
        return slo_rules.write(tmp_path / "rules", documents(*texts), options or Options())

    return write


@pytest.fixture(scope="session")
def live_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Live, Path]:
    """Everything about the SLOs of `live_slos`, and a database of it that no server touches."""
    made = Live(live_slos.now_s())
    return made, load(tool("2", "promtool"), made.lines(), tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="session")
def debians(
    live_data: tuple[Live, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """A Prometheus 2.42 with all of it, for both fixtures below."""
    yield from serving("2", live_data, tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="session")
def live(debians: Live) -> Live:
    return debians


@pytest.fixture(scope="session", params=VERSIONS)
def live_of_each(
    request: pytest.FixtureRequest,
    live_data: tuple[Live, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    """The same in each version of Prometheus."""
    if request.param == "2":
        yield request.getfixturevalue("debians")
    else:
        yield from serving(request.param, live_data, tmp_path_factory.mktemp("copy"))


def serving(version: str, live_data: tuple[Live, Path], folder: Path) -> Iterator[Live]:
    """Yield what a Prometheus has, over a copy of the database: it is changed while it runs."""
    binary = tool(version, "prometheus")
    made, data = live_data
    copy = shutil.copytree(data, folder / "data")
    with Prometheus(binary, copy) as prometheus:
        yield Live(made.now_s, prometheus.url)
