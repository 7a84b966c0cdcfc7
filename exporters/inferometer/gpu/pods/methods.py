"""How a device can be split, judged by what is known of it at the moment. Pure.

A device that the map gives to one container is its own, unless processes of others are seen on it:
pods can see GPUs that they never asked for. The server of MPS is nobody's process, and no evidence.
"""

from typing import Final

from inferometer.gpu.pods.shares import InstanceUse, ProcessUse
from inferometer.gpu.pods.tick import Method, Reason, Tick

HELD_NS_MAX: Final = 15_000_000_000
"""How long process data are waited for, and believed: three of their usual periods."""


class Judge:
    """Judges a device that is not cut into instances; remembers the latest process data."""

    def __init__(self, *, processes: bool) -> None:
        """Remember whether process data will come."""
        self._expected = processes
        self._latest: tuple[ProcessUse, ...] = ()
        self._age_ns = 0

    def verdict(self, tick: Tick) -> tuple[Method, Reason]:
        """Return the method for this tick, and why it cannot tell all, "" if it can."""
        self._age_ns += tick.dt_ns
        if tick.processes is not None:
            self._latest, self._age_ns = tick.processes, 0
        elif self._age_ns > HELD_NS_MAX:
            self._latest = ()
        holders = tick.holders
        if holders is None:
            return "none", "no_map"
        if len(holders) == 1 and not self._others_are_seen(tick):
            return "exclusive", _unless(tick.busy_ns is not None, "no_busy")
        if self._expected:
            return self._by_processes(tick)
        return "none", "no_processes" if holders else "no_holder"

    def _others_are_seen(self, tick: Tick) -> bool:
        assert tick.holders is not None
        return any(
            one.holder not in tick.holders
            for one in self._latest
            if one.mps != "server" and (one.holder is not None or (one.busy_ns or 0) > 0)
        )

    def _by_processes(self, tick: Tick) -> tuple[Method, Reason]:
        clients = [one for one in self._latest if one.mps == "client"]
        method: Method = "mps" if clients else "process"
        if tick.busy_ns is None:
            return method, "no_busy"
        if not any((one.busy_ns or 0) > 0 for one in clients) and any(
            (one.busy_ns or 0) > 0 for one in self._latest if one.mps == "server"
        ):
            return "mps", "mps_server_only"
        silent = self._latest and all(one.busy_ns is None for one in self._latest)
        if silent and tick.busy_ns > 0:
            return method, "mps_server_only" if clients else "no_process_utilization"
        return method, ""


def of_instances(instances: tuple[InstanceUse, ...]) -> Reason:
    """Return why a device with MIG instances cannot be told apart wholly, "" if it can."""
    if any(one.busy_ns is None for one in instances):
        return "no_gi_counters"
    if any(one.holders is None for one in instances):
        return "no_map"
    return _unless(all(len(one.holders or ()) <= 1 for one in instances), "shared_instance")


def _unless(fine: bool, reason: Reason) -> Reason:  # noqa: FBT001 - both callers read as sentences
    return "" if fine else reason
