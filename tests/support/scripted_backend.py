"""A backend that does what a file says, in whichever process it runs: hangs, losses, resets.

`Script` writes the file, the backend looks at it in each call. Its counters are the machine's
clock in milliseconds, plus an offset, so they go on across children as a driver's do.
"""

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inferometer.gpu.backend import BackendError, Calls, DeviceError, Options
from inferometer.gpu.quantities import Counter, Gauge, Tier, Total
from inferometer.gpu.sample import DeviceState, Event, Identity, Instance, Reading, Reason

POLL_S = 0.005
EVENTS_S = 0.02
"""How long a wait for events lasts at most, so that no end has to wait for it."""
MESSAGES_FD = 3
LOST: DeviceState = "lost"


class Script:
    """The file, as the test writes it."""

    def __init__(self, path: Path, **entries: Any) -> None:
        self.path = path
        self._entries: dict[str, Any] = {"devices": 2, **entries}
        self._stamp_ns = 0
        self.set()

    def set(self, **entries: Any) -> None:
        """Change entries; the backend sees all of them at once."""
        self._entries |= entries
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self._entries))
        # The backend looks at the time of change: two changes must never show the same one.
        self._stamp_ns = max(time.time_ns(), self._stamp_ns + 1000)
        os.utime(new, ns=(self._stamp_ns, self._stamp_ns))
        new.replace(self.path)


class _Reader:
    """The file, as the backend reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, dict[str, Any]] = (0, {})  # replaced whole: threads share it

    def get(self, name: str, default: Any = None) -> Any:
        stamp_ns = self._path.stat().st_mtime_ns
        read_ns, entries = self._read
        if stamp_ns != read_ns:
            entries = json.loads(self._path.read_text())
            self._read = (stamp_ns, entries)
        return entries.get(name, default)

    def wait_while(self, name: str, member: object) -> None:
        """Hang as long as `member` is in the list of that name."""
        while member in self.get(name, ()):
            time.sleep(POLL_S)


def uuid(index: int) -> str:
    return f"GPU-{index:08d}"


class ScriptedDevice:
    def __init__(self, identity: Identity, calls: Calls, script: _Reader) -> None:
        self._plain = identity
        self._calls = calls
        self._script = script
        self._opened_ns = time.monotonic_ns()

    @property
    def identity(self) -> Identity:
        return self._plain

    def probe(self) -> Mapping[str, Reason]:
        self._calls.run("Probe", lambda: self._script.wait_while("hang_probe", self._plain.index))
        reasons: dict[str, Reason] = self._script.get("unsupported", {})
        return reasons

    def sample(self, tier: Tier) -> Reading:
        if not self._calls.due("Sample", "fast", tier):
            return Reading()
        return self._calls.run("Sample", self._read)

    def alive(self) -> bool:
        return str(self._plain.index) not in self._script.get("fail", {})

    def close(self) -> None:
        folder = self._script.get("closed")
        if folder:
            (Path(folder) / self._plain.uuid).touch()

    def _read(self) -> Reading:
        index = self._plain.index
        self._script.wait_while("hang", index)
        self._misbehave()
        failure = self._script.get("fail", {}).get(str(index))
        if failure:
            code, driver = failure.get("code"), failure.get("driver", False)
            raise DeviceError(failure["state"], "scripted", code=code, backend_lost=driver)
        now_ns = time.monotonic_ns()
        energy = now_ns // 1_000_000 + self._script.get("energy_offset", 0)
        observed = now_ns - self._opened_ns
        instances = tuple(
            Instance(
                gpu_instance=number,
                compute_instance=0,
                uuid=name,
                profile="1g.10gb",
                slices=1,
                slices_max=7,
                totals={Total.BUSY_NS: observed // 4},
            )
            for number, name in enumerate(self._script.get("instances", ()))
        )
        return Reading(
            gauges={Gauge.POWER_WATTS: 100.0 + index, Gauge.RECOVERY_ACTION: 0.0},
            counters={Counter.ENERGY_MILLIJOULES: energy},
            totals={Total.OBSERVED_NS: observed, Total.BUSY_NS: observed // 2},
            instances=instances,
        )

    def _misbehave(self) -> None:
        if self._script.get("crash") in {self._plain.index, os.getpid()}:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self._script.get("garbage"):
            os.write(MESSAGES_FD, b"\xff" * 16)
        for _ in range(self._script.get("chatter", 0)):
            os.write(2, b"a line of a library\n")


class ScriptedBackend:
    name = "nvml"
    driver_version = "999.1"

    def __init__(self, script: _Reader) -> None:
        self._script = script
        self._events_seen = 0

    @property
    def devices_listed(self) -> int | None:
        count: int | None = self._script.get("listed")
        return count

    def discover(self, _: Calls | None = None) -> Sequence[Identity]:
        self._script.wait_while("hang_discover", True)  # noqa: FBT003 (a member of a list)
        failure = self._script.get("fail_discover")
        if failure:
            raise BackendError(failure, "scripted")
        return [
            Identity(
                uuid=uuid(index),
                index=index,
                vendor="scripted",
                model="Model T",
                pci_bus_id=self._script.get("pci_bus_id", ""),
            )
            for index in range(self._script.get("devices"))
        ]

    def open_device(self, identity: Identity, calls: Calls) -> ScriptedDevice:
        if identity.index in self._script.get("fail_open", ()):
            raise DeviceError(LOST, "scripted", code=15)
        return ScriptedDevice(identity, calls, self._script)

    def hears(self, uuid: str) -> bool:
        return uuid not in self._script.get("deaf", [])

    def wait_events(self, timeout_s: float) -> Sequence[Event] | None:
        if self._script.get("no_events"):
            return None
        until_s = time.monotonic() + min(timeout_s, EVENTS_S)
        while time.monotonic() < until_s:
            failure = self._script.get("fail_events")
            if failure:
                raise BackendError(failure, "scripted")
            events = self._script.get("events", [])[self._events_seen :]
            if events:
                self._events_seen += len(events)
                return [Event(uuid(index), kind, xid) for index, kind, xid in events]
            time.sleep(POLL_S)
        return []

    def pci_devices(self) -> int | None:
        count: int | None = self._script.get("pci")
        return count

    def close(self) -> None:
        failure = self._script.get("fail_close")
        if failure:
            raise BackendError(failure, "scripted")
        folder = self._script.get("closed")
        if folder:
            (Path(folder) / "backend").touch()


def open_backend(options: Options) -> ScriptedBackend:
    assert options.scenario is not None
    script = _Reader(options.scenario)
    failure = script.get("fail_to_open")
    if failure:
        raise BackendError(failure["reason"], "scripted", code=failure.get("code"))
    return ScriptedBackend(script)
