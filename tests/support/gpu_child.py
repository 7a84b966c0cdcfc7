"""A supervisor with a real child over the scripted backend, quick enough for tests."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from inferometer.gpu.backend import Options
from inferometer.gpu.orders import Pace
from inferometer.gpu.quantities import Counter
from inferometer.gpu.sample import DeviceView
from inferometer.gpu.states import Waits
from inferometer.gpu.supervision.spawn import ChildCommand
from inferometer.gpu.supervision.supervise import Limits, Supervisor
from support.scripted_backend import Script
from support.sidecar import wait_until

ENERGY = Counter.ENERGY_MILLIJOULES
OPEN_S = 30.0
TICK_S = 0.1
MODULE = "support.scripted_backend"
PACE = Pace(
    tick_s=TICK_S, slow_s=0.4, alive_s=0.3, permission_s=0.3, heartbeat_s=0.1, process_every=2
)
WAITS = Waits(back_off_s=0.05, back_off_max_s=0.4, absent_max_s=0.4, exit_s=0.5)
LIMITS = Limits(stall_floor_s=0.5, step_s=0.05, waits=WAITS)
TESTS = Path(__file__).parents[1]


def command(script: Script, pace: Pace = PACE) -> ChildCommand:
    """Return the command of a child that does what the script says."""
    return ChildCommand(
        backend="nvml", options=Options(scenario=script.path), pace=pace, module=MODULE
    )


@contextmanager
def path_to_support() -> Iterator[None]:
    """Let children import what lies in `support`."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(TESTS)
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@contextmanager
def supervised(
    script: Script,
    *,
    limits: Limits = LIMITS,
    pace: Pace = PACE,
    on_sample: Callable[[DeviceView], None] | None = None,
) -> Iterator[Supervisor]:
    """Yield a supervisor that has started, and stop it."""
    with path_to_support():
        supervisor = Supervisor(command(script, pace), limits=limits, on_sample=on_sample)
        supervisor.start()
        try:
            yield supervisor
        finally:
            supervisor.stop()


def states(supervisor: Supervisor) -> dict[int, str]:
    """Return each device's state by its index."""
    return {view.identity.index: view.state for view in supervisor.views()}


def children(pid: int) -> set[int]:
    """Return the processes that this one has started and not reaped."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has just ended
    return found


def alive(pid: int) -> bool:
    """Say whether a process runs; one that was not reaped yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def all_ok(supervisor: Supervisor, devices: int = 2) -> Callable[[], bool]:
    """Return whether all of so many devices are well, as a condition to wait for."""
    return lambda: states(supervisor) == dict.fromkeys(range(devices), "ok")


def up(supervisor: Supervisor, devices: int = 2) -> None:
    """Wait until all of so many devices are well."""
    wait_until(all_ok(supervisor, devices), wait_s=OPEN_S, what="all devices up")


def child_of(supervisor: Supervisor) -> int:
    """Return the process that is in service."""
    pid = supervisor.child_pid
    assert pid is not None
    assert pid in children(os.getpid())
    return pid


def energy(supervisor: Supervisor) -> list[int]:
    """Return each device's energy as it was added up."""
    return [view.accumulated.get(ENERGY, 0) for view in supervisor.views()]
