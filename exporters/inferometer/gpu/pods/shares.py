"""Splitting what a device did in one tick among those who hold it: integers, and exact sums.

    pods + other + idle = device

holds for time (ns), energy (mJ) and memory (bytes; without idle), whatever comes in. What cannot
be told from the data goes to `other`, never to a guess, and what is unknown stays None: without
busy time there is no busy share. Pure.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from inferometer.gpu.pods.holders import Holder

MEMORY_UNKNOWN: Final = (1 << 64) - 1
"""NVML's way of saying that a process's memory is not known."""

K = TypeVar("K", bound=Hashable)
Amounts = Mapping[Holder, int]


class ProcessUse(NamedTuple):
    """What a process did since the process data before. `holder` None: it is in no known pod.

    `busy_ns` None: not known. `mps` is "client" or "server" where the driver lists it as such.
    """

    holder: Holder | None
    busy_ns: int | None
    used_bytes: int | None
    mps: str = ""


class InstanceUse(NamedTuple):
    """What a MIG instance did in a tick. `slices` are its share of the device's `Tick.slices`."""

    holders: tuple[Holder, ...] | None
    slices: int
    busy_ns: int | None
    used_bytes: int | None


class Split(NamedTuple):
    """An amount of the device, split: the parts of pods, of whoever else, and of nobody."""

    pods: Amounts
    other: int
    idle: int = 0


@dataclass(frozen=True, slots=True)
class MemorySplit:
    """Memory by pod, None where a part of it is unknown; then `other` is, too."""

    pods: Mapping[Holder, int | None] = field(default_factory=dict)
    other: int | None = None


def largest_remainder(amount: int, weights: Mapping[K, int]) -> dict[K, int]:
    """Split `amount` in proportion to the weights, as integers whose sum is exactly `amount`.

    What is left after rounding down goes to the largest remainders, of equal ones to the first.
    Weights must not be negative, and one must be positive unless the amount is 0.
    """
    total = sum(weights.values())
    assert amount == 0 or total > 0, "an amount that nobody has a weight for"
    if total == 0:
        return dict.fromkeys(weights, 0)
    parts = {key: amount * weight // total for key, weight in weights.items()}
    rest = amount - sum(parts.values())
    remainders = {key: amount * weight % total for key, weight in weights.items()}
    for key in sorted(weights, key=lambda one: -remainders[one])[:rest]:
        parts[key] += 1
    return parts


def split_busy(dt_ns: int, busy_ns: int, raw: Amounts) -> Split:
    """Split `dt_ns`, of which `busy_ns` was busy, by what each pod is seen to have used.

    Uses that add up to more than the device's are scaled down to it; what they leave is `other`.
    """
    assert 0 <= busy_ns <= dt_ns, (busy_ns, dt_ns)
    seen = sum(raw.values())
    pods = largest_remainder(busy_ns, raw) if seen > busy_ns else dict(raw)
    return Split(pods, busy_ns - sum(pods.values()), dt_ns - busy_ns)


def split_energy(energy_mj: int, busy: Split, *, floor_mj: int, payers: Sequence[Holder]) -> Split:
    """Split energy: an idle floor first, the rest in proportion to busy time, `other`'s included.

    The floor is nobody's, or is shared equally by `payers`. While nothing was busy, all that is
    above the floor is nobody's, too.
    """
    floor_mj = min(energy_mj, floor_mj)
    weights = dict.fromkeys((None, *busy.pods), busy.other)
    weights.update(busy.pods.items())
    idle = 0
    if sum(weights.values()) > 0:
        parts = largest_remainder(energy_mj - floor_mj, weights)
    else:
        parts = dict.fromkeys(weights, 0)
        idle = energy_mj - floor_mj
    if payers:
        equal = largest_remainder(floor_mj, dict.fromkeys(payers, 1))
        for holder, part in equal.items():
            parts[holder] = parts.get(holder, 0) + part
    else:
        idle += floor_mj
    other = parts.pop(None)
    return Split(
        {holder: part for holder, part in parts.items() if holder is not None}, other, idle
    )


def split_memory(used_bytes: int | None, pods: Mapping[Holder, int | None]) -> MemorySplit:
    """Split the used memory; `other` is what the pods leave.

    Pods that add up to more than the device, since they were read at another moment, are scaled
    down to it. Unknown parts leave `other` unknown, and so does an unknown total.
    """
    known = {holder: used for holder, used in pods.items() if used is not None}
    if used_bytes is None or len(known) < len(pods):
        return MemorySplit(dict(pods), None)
    seen = sum(known.values())
    if seen > used_bytes:
        return MemorySplit(dict(largest_remainder(used_bytes, known)), 0)
    return MemorySplit(dict(known), used_bytes - seen)


def busy_of_processes(processes: Sequence[ProcessUse]) -> dict[Holder, int]:
    """Return what the processes of each pod used; unknown uses are left to `other`."""
    raw: dict[Holder, int] = {}
    for one in processes:
        if one.holder is not None:
            raw[one.holder] = raw.get(one.holder, 0) + max(0, one.busy_ns or 0)
    return raw


def memory_of_processes(processes: Sequence[ProcessUse]) -> dict[Holder, int | None]:
    """Return the memory of each pod's processes, None if one of them is unknown."""
    pods: dict[Holder, int | None] = {}
    for one in processes:
        if one.holder is None:
            continue
        used, before = one.used_bytes, pods.get(one.holder, 0)
        unknown = used is None or before is None or not 0 <= used < MEMORY_UNKNOWN
        pods[one.holder] = None if unknown else (before or 0) + (used or 0)
    return pods


def busy_of_instances(
    instances: Sequence[InstanceUse], *, dt_ns: int, slices: int
) -> tuple[dict[Holder, int], int] | None:
    """Return each pod's use in time of the whole device, and the sum over all instances.

    None if an instance is unknown. The sum stands for the device, since what the driver says of
    the parent does not weigh instances by their size. An instance that several containers share
    counts in the sum only: its counters do not tell them apart.
    """
    raw: dict[Holder, int] = {}
    total = 0
    for one in instances:
        if one.busy_ns is None or slices <= 0:
            return None
        part = min(max(0, one.busy_ns), dt_ns) * max(0, one.slices) // slices
        total += part
        if one.holders is not None and len(one.holders) == 1:
            raw[one.holders[0]] = raw.get(one.holders[0], 0) + part
    return raw, min(total, dt_ns)


def memory_of_instances(instances: Sequence[InstanceUse]) -> dict[Holder, int | None]:
    """Return the memory of instances that one container has to itself."""
    uses = [
        ProcessUse(one.holders[0], None, one.used_bytes)
        for one in instances
        if one.holders is not None and len(one.holders) == 1
    ]
    return memory_of_processes(uses)
