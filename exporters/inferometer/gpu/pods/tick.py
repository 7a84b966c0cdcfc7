"""What goes into an attribution and what comes out of it: frozen records. Pure."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from inferometer.gpu.pods.holders import Holder
from inferometer.gpu.pods.shares import InstanceUse, ProcessUse

Method = Literal["exclusive", "process", "mig", "mps", "none"]
Reason = Literal[
    "",
    "no_map",
    "no_holder",
    "no_processes",
    "no_process_utilization",
    "process_data_late",
    "no_busy",
    "no_gi_counters",
    "shared_instance",
    "mps_server_only",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What a device did since the tick before, None where that is unknown.

    `holders` None: there is no map. `processes` None: no process data came with this tick, and
    `()`: there are no processes. `instances` None: MIG is off. `slices` are those of the whole
    device, of which instances have their part; None takes the sum over the instances. Unless
    `whole`, energy is that of a longer time than `dt_ns`, which tells nothing of idling.
    """

    dt_ns: int
    busy_ns: int | None = None
    energy_mj: int | None = None
    used_bytes: int | None = None
    holders: tuple[Holder, ...] | None = None
    processes: tuple[ProcessUse, ...] | None = None
    instances: tuple[InstanceUse, ...] | None = None
    slices: int | None = None
    whole: bool = True

    def present(self) -> set[Holder]:
        """Return every container that holds the device, or has a process on it."""
        found = set(self.holders or ())
        found.update(one.holder for one in self.processes or () if one.holder is not None)
        found.update(holder for one in self.instances or () for holder in one.holders or ())
        return found


class ShareTotal(NamedTuple):
    """A share's totals; None where there is nothing to show. `holder` is that of a pod's share."""

    share: Literal["pod", "other", "idle"]
    holder: Holder | None
    busy_ns: int | None
    energy_mj: int | None
    used_bytes: int | None


class Work(NamedTuple):
    """Time, of which some was busy, and energy: what is to be split. Energy None: unknown."""

    dt_ns: int = 0
    busy_ns: int = 0
    energy_mj: int | None = None

    def plus(self, more: "Work") -> "Work":
        """Return the sum; energy is that of the parts where it is known."""
        known = [one for one in (self.energy_mj, more.energy_mj) if one is not None]
        energy_mj = sum(known) if known else None
        return Work(self.dt_ns + more.dt_ns, self.busy_ns + more.busy_ns, energy_mj)
