"""Rules of a reload: where it happens, and what of it is taken over."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferometer.errors import Place, Problem, SettingsError
from inferometer.metrics import exposition
from inferometer.sidecar.cli import make_stages
from inferometer.sidecar.service import Origin, Service, load_documents
from inferometer.sidecar.settings import Settings
from support.samples import Samples

WAIT_S = 10.0
GOOD = """
apiVersion: inferometer/v1
kind: SLO
metadata: {name: d}
classes:
  - {name: NAME, objective: 99, good: {e2e: 60s}}
"""


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    logger = logging.getLogger("inferometer")
    before = logger.level
    yield
    logger.setLevel(before)


def write(folder: Path, name: str) -> Path:
    path = folder / "slo.yaml"
    path.write_text(GOOD.replace("NAME", name))
    return path


def samples(service: Service) -> Samples:
    return Samples(b"".join(exposition.write(service.registry, openmetrics=False)).decode())


def reloads(service: Service) -> set[tuple[str, str]]:
    found = samples(service).find("inferometer_sidecar_reloads_total")
    return {(labels["what"], labels["result"]) for labels, n in found if n}


@pytest.mark.req("LC-03")
def test_settings_and_documents_are_read_while_the_loop_serves_on(tmp_path: Path) -> None:
    path = write(tmp_path, "old")
    served = threading.Event()
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)

    def reread() -> Settings:
        assert served.wait(WAIT_S), "the loop waits for whoever reads"
        return Settings(slo=(pipe,))

    async def main() -> Service:
        documents = load_documents((path,))
        service = Service(
            Settings(slo=(path,)), documents, origin=Origin(reread), stages=make_stages
        )
        reloading = asyncio.create_task(service.reload())
        await asyncio.sleep(0)
        served.set()
        # A pipe can be opened without waiting only once somebody reads it: on another thread.
        writing = await asyncio.wait_for(asyncio.to_thread(pipe.open, "w"), WAIT_S)
        with writing:
            writing.write(GOOD.replace("NAME", "new"))
        await asyncio.wait_for(reloading, WAIT_S)
        return service

    service = asyncio.run(main())
    assert reloads(service) == {("settings", "ok"), ("slo", "ok")}
    found = samples(service).find("inferometer_slo_objective_ratio")
    assert [labels["slo"] for labels, _ in found] == ["d-new"]


def reloaded(first: Settings, then: Settings | None) -> Service:
    """Return a service after a reload; None stands for settings that are wrong."""

    def reread() -> Settings:
        if then is None:
            raise SettingsError([Problem(Place("--x"), "is wrong")])
        return then

    async def main() -> Service:
        documents = load_documents(first.slo)
        service = Service(first, documents, origin=Origin(reread), stages=make_stages)
        await service.reload()
        return service

    return asyncio.run(main())


@pytest.mark.req("LC-03")
def test_settings_are_taken_over_also_where_a_document_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path, "old")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("kind: [")
    service = reloaded(Settings(slo=(path,)), Settings(slo=(wrong,), log_level="debug"))
    assert reloads(service) == {("settings", "ok"), ("slo", "failed")}
    assert service.settings.log_level == "debug"
    assert logging.getLogger("inferometer").level == logging.DEBUG
    assert samples(service).value("inferometer_slo_objective_ratio", slo="d-old") == 0.99


@pytest.mark.req("LC-03")
def test_wrong_settings_leave_everything_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, "old")
    first = Settings(slo=(path,))
    service = reloaded(first, None)
    assert reloads(service) == {("settings", "failed")}
    assert service.settings == first
    assert samples(service).value("inferometer_slo_objective_ratio", slo="d-old") == 0.99
