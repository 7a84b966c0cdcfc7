"""A pytest plugin: what tests need to run in several workers at once (pytest-xdist).

A test that compares moments would measure its neighbours. So all tests of a run share a lock, and
one marked `alone` has it for itself. Without workers nothing is locked.

Reports travel from worker to master as UTF-8. Tests that log lone surrogates on purpose would end
the worker, so what UTF-8 cannot say is escaped.
"""

import contextlib
import fcntl
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest


class Turns:
    """A lock shared by processes: many may hold it together, or one alone.

    Whoever comes takes the gate first. One that wants to be alone keeps the gate shut while it
    waits, so that newcomers cannot keep it waiting for ever.
    """

    def __init__(self, folder: Path) -> None:
        """Use two files of this folder, the same for all processes of a run."""
        self._gate = folder / "gate.lock"
        self._room = folder / "room.lock"

    @contextlib.contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """Hold the lock; the kernel lets go of it if the process dies."""
        with self._gate.open("a") as gate, self._room.open("a") as room:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield


class Alone:
    """The hook of a worker."""

    def __init__(self, turns: Turns) -> None:
        """Keep the lock."""
        self._turns = turns

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a test with its fixtures, together with others or alone."""
        with self._turns.taken(alone=item.get_closest_marker("alone") is not None):
            return (yield)


def sendable(data: object) -> object:
    """Return a report's data with each text such that UTF-8 can say it."""
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {sendable(key): sendable(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)([sendable(item) for item in data])
    return data


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Make the report of a worker fit to travel."""
    return sendable((yield))


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Register the hook in each worker of a parallel run."""
    config = session.config
    if hasattr(config, "workerinput"):
        factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
        run = factory.getbasetemp().parent  # the workers' folders lie in one folder of the run
        config.pluginmanager.register(Alone(Turns(run)), "alone")
