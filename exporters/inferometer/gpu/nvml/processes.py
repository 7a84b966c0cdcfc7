"""Which processes are on a device, with their memory and how busy they kept it."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from inferometer.gpu.nvml import codes, lists
from inferometer.gpu.nvml.caller import Caller
from inferometer.gpu.nvml.draft import Draft
from inferometer.gpu.nvml.library import Library
from inferometer.gpu.nvml.lists import List, Row
from inferometer.gpu.nvml.shares import Ledger, Utilization
from inferometer.gpu.nvml.structs import Handle
from inferometer.gpu.quantities import Tier
from inferometer.gpu.sample import Process, Reason

UTILIZATION_NAME: Final = "DeviceGetProcessUtilization"
MEMORY: Final = "process_memory_bytes"
BUSY: Final = "process_busy_ns"
"""What a probe calls the two things that are told of a process."""


class Target(NamedTuple):
    """A device, or one of its MIG instances, whose processes are listed."""

    handle: Handle
    gpu_instance: int | None = None


class Kind(NamedTuple):
    """A kind of list; `key` is its word in the symbol, `name` is the call's."""

    key: str
    name: str
    open: Callable[[Handle], List] | None


class Listed(NamedTuple):
    """The lists of one target."""

    target: Target
    lists: Mapping[str, List]


class Processes:
    """The processes of one device."""

    def __init__(
        self,
        library: Library,
        caller: Caller,
        *,
        clock: Callable[[], int],
        driver_version: str,
        graphics: bool,
    ) -> None:
        """Ask for graphics processes, too, if told so: it can take milliseconds."""
        kinds = ("Compute", "MPSCompute", *(["Graphics"] if graphics else []))
        self._kinds = {
            key: Kind(
                key,
                f"DeviceGet{key}RunningProcesses",
                lists.opener(library, key, driver_version=driver_version),
            )
            for key in kinds
        }
        self._library = library
        self._caller = caller
        self._clock = clock
        self._ledger = Ledger()
        self._listed: list[Listed] = []
        self._graphics: list[Row] = []
        self._utilization: Utilization | None = None
        self._asked_ns = 0

    def probe(self, handle: Handle, draft: Draft, *, mig: bool) -> Mapping[str, Reason]:
        """Find out what can be told of processes; returns what cannot, with why."""
        self.watch([Target(handle)])
        missing: dict[str, Reason] = {}
        if not mig:
            kind = self._kinds["Compute"]
            found = self._listed[0].lists.get("Compute")
            code = codes.FUNCTION_NOT_FOUND
            if found is not None:
                code = self._caller.call(kind.name, found.call)
            if code != codes.SUCCESS:
                missing[MEMORY] = codes.reason(code)
        reason = self._probe_utilization(handle, draft, mig=mig)
        if reason is not None:
            missing[BUSY] = reason
        return missing

    def watch(self, targets: list[Target]) -> None:
        """List the processes of these targets from now on."""
        if [listed.target for listed in self._listed] == targets:
            return
        self._listed = [
            Listed(
                target,
                {
                    name: kind.open(target.handle)
                    for name, kind in self._kinds.items()
                    if kind.open is not None
                },
            )
            for target in targets
        ]

    def _probe_utilization(self, handle: Handle, draft: Draft, *, mig: bool) -> Reason | None:
        self._utilization = None
        function = self._library.function(f"nvml{UTILIZATION_NAME}")
        if mig:
            return "mig_mode"
        if function is None:
            return "function_not_found"
        utilization = Utilization(function, handle, clock=self._clock)
        code = self._caller.call(UTILIZATION_NAME, utilization.call)
        if code not in {codes.SUCCESS, codes.NOT_FOUND}:
            return codes.reason(code)
        self._utilization = utilization
        self._take(code, utilization, draft=draft)
        return None

    def read(self, tier: Tier, draft: Draft) -> tuple[Process, ...] | None:
        """Return the processes if this is their tier; None if they were not looked at."""
        if "Graphics" in self._kinds:
            graphics = self._rows("Graphics", tier, declared="slow", draft=draft)
            self._graphics = self._graphics if graphics is None else graphics
        compute = self._rows("Compute", tier, declared="process", draft=draft)
        if compute is None:
            return None
        clients = self._rows("MPSCompute", tier, declared="process", draft=draft) or []
        known = self._read_utilization(tier, draft)
        rows = {(row.pid, row.gpu_instance): row for row in (*self._graphics, *clients, *compute)}
        pids = {row.pid for row in rows.values()}
        self._ledger.prune(pids)
        unlisted = [Row(pid, None, None) for pid in self._ledger.sampled() if pid not in pids]
        mps = {row.pid for row in clients}
        found = [self._process(row, mps, known=known) for row in (*rows.values(), *unlisted)]
        return tuple(sorted(found, key=lambda process: (process.pid, process.gpu_instance or 0)))

    def _process(self, row: Row, mps: set[int], *, known: bool) -> Process:
        return Process(
            pid=row.pid,
            memory_bytes=row.memory_bytes,
            busy_ns=self._ledger.busy_ns(row.pid) if known else None,
            gpu_instance=row.gpu_instance,
            mps="client" if row.pid in mps else "",
        )

    def _rows(
        self, kind_name: str, tier: Tier, *, declared: Tier, draft: Draft
    ) -> list[Row] | None:
        """Return the rows of all targets; None if not due, or if no target has an answer."""
        kind = self._kinds[kind_name]
        if not self._caller.due(kind.name, declared, tier):
            return None
        answers = [
            self._ask(kind, each, draft=draft) for each in self._listed if kind_name in each.lists
        ]
        rows = [row for answer in answers if answer is not None for row in answer]
        return rows if rows or None not in answers else None

    def _ask(self, kind: Kind, listed: Listed, *, draft: Draft) -> list[Row] | None:
        """Return the rows of one target."""
        asked = listed.lists[kind.key]
        instance = listed.target.gpu_instance
        call = self._caller.call if instance is None else self._caller.call_instance
        if call(kind.name, asked.call) != codes.SUCCESS:
            return None
        rows = asked.rows()
        if rows is None:
            draft.refusals[MEMORY] += 1
        elif instance is not None:
            return [row._replace(gpu_instance=instance) for row in rows]
        return rows

    def _read_utilization(self, tier: Tier, draft: Draft) -> bool:
        """Add to the sums what is new; returns whether sums are known at all."""
        utilization = self._utilization
        if utilization is None:
            return False
        if self._caller.due(UTILIZATION_NAME, "process", tier):
            code = self._caller.call(UTILIZATION_NAME, utilization.call)
            self._take(code, utilization, draft=draft)
        return True

    def _take(self, code: int, utilization: Utilization, *, draft: Draft) -> None:
        """Add the samples of the last call; an idle device has none, which is no error."""
        before_ns, self._asked_ns = self._asked_ns, self._clock()
        slices = utilization.slices() if code == codes.SUCCESS else []
        if slices is None:
            self._ledger.restart()
        self._ledger.take(slices or (), interval_us=(self._asked_ns - before_ns) // 1000)
        draft.refusals[BUSY] += self._ledger.refused + utilization.cursor.refused
        self._ledger.refused = utilization.cursor.refused = 0
