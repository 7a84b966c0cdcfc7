"""The map made here: the kubelet's list, ids and claims read, pods named by their log folders.

One bad entry costs that entry and a count by reason; only a list that does not come costs the map.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from inferometer.gpu.pods import dra, ids
from inferometer.gpu.pods.apiserver import ApiError, Slices
from inferometer.gpu.pods.holders import (
    DeviceKey,
    Holder,
    MapError,
    PodName,
    Snapshot,
)
from inferometer.gpu.pods.kubelet import Kubelet
from inferometer.gpu.pods.names import LOG_ROOT, NAME, PodNames
from inferometer.gpu.pods.proto import ClaimedDevice, PluginDevices, PodResources
from inferometer.gpu.pods.unary import CallError

HOLDERS_MAX: Final = 512
"""Containers that one device is listed with; a device is cut into fewer slots than that."""

_OURS: Final = ("nvidia.com/", "amd.com/", ids.TPU_RESOURCE)
"""Resources whose ids should be of a form that we know; others have ids of every kind."""


class Direct:
    """Asks the kubelet itself; one thread only."""

    def __init__(
        self,
        kubelet: Kubelet,
        *,
        log_root: Path = LOG_ROOT,
        slices: Slices | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nothing yet. Without `slices`, claimed devices are told by their names."""
        self._kubelet = kubelet
        self._names = PodNames(log_root)
        self._slices = slices
        self._clock = clock
        self._errors: Counter[str] = Counter()

    @property
    def errors(self) -> Mapping[str, int]:
        """What was left out of maps, by reason, as running totals."""
        return self._errors

    def read(self) -> Snapshot:
        """Return the map as of now. Raises MapError."""
        taken_s = self._clock()
        try:
            pods = self._kubelet.pods()
        except CallError as error:
            raise MapError(reason=error.reason) from None
        claims = [
            claim for pod in pods for container in pod.containers for claim in container.claimed
        ]
        if not claims and self._kubelet.gate_is_shut():
            self._errors["dra_gate"] += 1
        known = self._known_slices(claims)
        holders: dict[DeviceKey, set[Holder]] = {}
        for key, holder in self._entries(pods, known):
            found = holders.setdefault(key, set())
            if len(found) < HOLDERS_MAX or holder in found:
                found.add(holder)
            else:
                self._errors["too_many"] += 1
        frozen = {key: tuple(sorted(found)) for key, found in holders.items()}
        return Snapshot(holders=frozen, pods=self._named(), taken_s=taken_s, attributed=True)

    def _entries(
        self, pods: tuple[PodResources, ...], known: dra.Slices
    ) -> Iterator[tuple[DeviceKey, Holder]]:
        """Yield who holds what; whatever is no name of Kubernetes is no label either."""
        for pod in pods:
            for container in pod.containers:
                if not (container.devices or container.claimed):
                    continue
                holder = Holder(pod.namespace, pod.name, container.name)
                if not all(NAME.fullmatch(name) for name in holder):
                    self._errors["bad_name"] += 1
                    continue
                for group in container.devices:
                    yield from ((key, holder) for key in self._plugged(group))
                for claim in container.claimed:
                    yield from ((key, holder) for key in self._claimed(claim, known))

    def _plugged(self, group: PluginDevices) -> Iterator[DeviceKey]:
        for text in group.ids:
            found = ids.parse(text, resource=group.resource)
            if found is not None:
                yield found.key
            elif group.resource.startswith(_OURS):
                self._errors["device_id"] += 1

    def _claimed(self, claim: ClaimedDevice, known: dra.Slices) -> Iterator[DeviceKey]:
        key = dra.resolve(claim, known)
        if key is not None:
            yield key
        elif dra.is_gpu(claim):
            self._errors["dra_unresolved"] += 1

    def _known_slices(self, claims: list[ClaimedDevice]) -> dra.Slices:
        if self._slices is None or not any(map(dra.is_gpu, claims)):
            return {}
        try:
            self._slices.refresh()
        except ApiError:
            self._errors["api"] += 1
        return self._slices.known

    def _named(self) -> dict[str, PodName]:
        try:
            return self._names.read()
        except OSError:
            self._errors["names"] += 1
            return {}
