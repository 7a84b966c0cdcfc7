"""How a crew keeps its devices complete, here in a thread."""

import pytest

from inferometer.gpu.messages import (
    Condition,
    Failure,
    Hello,
)
from support.crew import Run
from support.scripted_backend import uuid
from support.sidecar import wait_until


def test_devices_are_looked_for_again(run: Run) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    run.script.set(devices=3)
    wait_until(run.sampled(2))
    run.script.set(devices=1)
    wait_until(lambda: run.last(Hello) == Hello("999.1", (uuid(0),), None))
    wait_until(lambda: Condition(uuid(2), "lost", None, backend_lost=False) in run.messages())
    crew.end()


def test_while_one_is_not_well_only_when_the_kernel_lists_others(run: Run) -> None:
    run.script.set(pci=2, fail={"1": {"state": "lost", "code": 15}})
    crew = run.start()
    wait_until(run.sampled(0))
    wait_until(lambda: Condition(uuid(1), "lost", 15, backend_lost=False) in run.messages())

    def calls(name: str) -> int:
        return crew._meter.stats()[name].results["ok"]

    def await_looks() -> None:
        before = calls("pci_devices")
        wait_until(lambda: calls("pci_devices") > before + 2)

    await_looks()  # one may have begun while all were well
    run.script.set(devices=3)
    asked = calls("discover")
    await_looks()
    assert calls("discover") == asked
    run.script.set(pci=3)
    wait_until(run.sampled(2))
    run.script.set(fail={})
    crew.end()


def test_devices_that_cannot_be_listed_any_more_end_nothing(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    crew = run.start()
    wait_until(run.sampled(0, 1))
    run.script.set(fail_discover="unknown")
    wait_until(lambda: crew._meter.stats()["discover"].results.get("BackendError", 0) > 2)
    assert sum(r.message == "devices cannot be listed" for r in caplog.records) <= 1
    run.script.set(fail_discover=None)
    crew.end()
    run.end()
    assert run.returned == [True]


def test_unless_there_are_none(run: Run) -> None:
    run.script.set(devices=0)
    run.start()
    wait_until(lambda: run.last(Hello) is not None)
    run.script.set(fail_discover="unknown")
    run.end()
    assert run.last(Failure) == Failure("unknown", "scripted", None)


def test_a_device_that_cannot_be_opened_is_tried_again(run: Run) -> None:
    run.script.set(fail_open=[0])
    crew = run.start()
    wait_until(run.sampled(1))
    assert Condition(uuid(0), "lost", 15, backend_lost=False) in run.messages()
    run.script.set(fail_open=[])
    wait_until(run.sampled(0))
    crew.end()


def test_what_the_library_counts_is_told_beside_those_that_were_found(run: Run) -> None:
    run.script.set(listed=3)
    crew = run.start()
    wait_until(lambda: run.last(Hello) == Hello("999.1", (uuid(0), uuid(1)), None, 3))
    crew.end()
