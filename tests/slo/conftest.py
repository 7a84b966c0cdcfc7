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
    """Everything about the SLOs of `live_slos`, and the database that holds it."""
    made = Live(live_slos.now_s())
    return made, load(tool("2", "promtool"), made.lines(), tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="session")
def live(live_data: tuple[Live, Path]) -> Iterator[Live]:
    """A Prometheus 2.42 with all of it."""
    made, data = live_data
    with Prometheus(tool("2", "prometheus"), data) as prometheus:
        yield Live(made.now_s, prometheus.url)


@pytest.fixture(scope="session", params=VERSIONS)
def live_of_each(
    request: pytest.FixtureRequest,
    live_data: tuple[Live, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    """The same in each version of Prometheus, over a copy of the database."""
    binary = tool(request.param, "prometheus")
    made, data = live_data
    copy = shutil.copytree(data, tmp_path_factory.mktemp("copy") / "data", ignore=_ignore_lock)
    with Prometheus(binary, copy) as prometheus:
        yield Live(made.now_s, prometheus.url)


_ignore_lock = shutil.ignore_patterns("lock", "queries.active")
