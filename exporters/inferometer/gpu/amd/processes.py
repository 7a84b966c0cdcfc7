"""Processes on an AMD device. Pure."""

from collections.abc import Sequence
from typing import Final

from inferometer.gpu.amd.answers import member, number
from inferometer.gpu.binding.integrals import Integral
from inferometer.gpu.sample import Process

PROCESSES_MAX: Final = 1_024
"""As many as amdsmi lists (MAX_NUM_PROCESSES)."""
PID_MAX: Final = 1 << 22
"""Linux has none above."""


class Processes:
    """The processes of one device, with how busy they have been since we first saw them.

    A process is as busy as the share of compute units that it holds (`cu_occupancy`, a number of
    units since ROCm 7): to be verified on hardware. Its engine times stay 0 for compute, so they
    say nothing.
    """

    def __init__(self, units: int | None) -> None:
        """`units` is the device's number of compute units; without it, busy time is unknown."""
        self._units = units
        self._busy: dict[int, Integral] = {}

    def take(self, answer: object, moment_ns: int) -> tuple[Process, ...]:
        """Read `amdsmi_get_gpu_process_list`; those that have ended are forgotten."""
        rows = answer if isinstance(answer, Sequence) else ()
        busy: dict[int, Integral] = {}
        found = []
        for row in rows[:PROCESSES_MAX]:
            pid = number(row, "pid")
            if pid is None or not 0 < pid <= PID_MAX:
                continue
            integral = busy[int(pid)] = self._busy.get(int(pid), Integral())
            held = number(row, "cu_occupancy")
            integral.add(moment_ns, self._share(held))
            memory = number(member(row, "memory_usage"), "vram_mem")
            found.append(
                Process(
                    pid=int(pid),
                    memory_bytes=None if memory is None else int(memory),
                    busy_ns=integral.total if integral.started else None,
                )
            )
        self._busy = busy
        return tuple(found)

    def _share(self, held: float | None) -> float | None:
        if held is None or not self._units:
            return None
        return min(held / self._units, 1.0)
