"""Processes of a device, as the driver lists them -> what each did since before, and whose it is.

The driver knows pids; the cgroup knows the pod's UID; the snapshot knows what that pod is called.
"""

from inferometer.gpu.pods.cgroups import Cgroups
from inferometer.gpu.pods.holders import Holder, Snapshot, Target
from inferometer.gpu.pods.shares import ProcessUse
from inferometer.gpu.sample import Process


class Owners:
    """One device; one thread only. It must see the processes of the host (`sees_host`)."""

    def __init__(self, cgroups: Cgroups) -> None:
        """Begin with no process seen."""
        self._cgroups = cgroups
        self._busy_ns: dict[int, int] = {}
        self._given: tuple[int | None, tuple[Process, ...]] | None = None

    def uses(
        self,
        processes: tuple[Process, ...] | None,
        *,
        read_ns: int | None,
        snapshot: Snapshot,
        target: Target,
    ) -> tuple[ProcessUse, ...] | None:
        """Return what each process did, None if there are no process data that are new.

        `read_ns` is when they were read: the same moment means the same data. Without it, an equal
        list does. Also None while the snapshot has no names of pods: then no process would be
        anyone's, which is not known.
        """
        if processes is None:
            return None
        given, self._given = self._given, (read_ns, processes)
        if given is not None and (given == self._given if read_ns is None else given[0] == read_ns):
            return None
        deltas = {one.pid: self._delta(one) for one in processes}
        listed = {one.pid: self._known(one) for one in processes}
        self._busy_ns = {pid: known for pid, known in listed.items() if known is not None}
        if not snapshot.pods:
            return None
        among = snapshot.below(target) or ()
        return tuple(
            ProcessUse(
                self._holder(one.pid, snapshot, among), deltas[one.pid], one.memory_bytes, one.mps
            )
            for one in processes
        )

    def _delta(self, process: Process) -> int | None:
        """Return what was added to a total; one that fell belongs to a new process."""
        if process.busy_ns is None:
            return None
        before = self._busy_ns.get(process.pid, 0)
        return process.busy_ns - before if process.busy_ns >= before else process.busy_ns

    def _known(self, process: Process) -> int | None:
        """Return the latest total: one that is not told this time goes on from where it was."""
        before = self._busy_ns.get(process.pid)
        return before if process.busy_ns is None else process.busy_ns

    def _holder(self, pid: int, snapshot: Snapshot, among: tuple[Holder, ...]) -> Holder | None:
        membership = self._cgroups.of(pid)
        return None if membership is None else snapshot.owner(membership.pod_uid, among)
