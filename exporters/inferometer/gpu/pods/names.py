"""What a pod UID is called: the folders in which the kubelet keeps logs are named so.

    /var/log/pods/<namespace>_<pod>_<uid>/<container>/

Namespaces, pods and containers have no underscore in their names. That spares us rights on the
API server. The folder of a mirror (static) pod has the hash of its file in place of the UID, just
as its cgroup has.
"""

import os
import re
from pathlib import Path
from typing import Final

from inferometer.gpu.pods.cgroups import dashed
from inferometer.gpu.pods.holders import PodName

LOG_ROOT: Final = Path("/var/log/pods")

PODS_MAX: Final = 2048
"""Pods of a node, ended ones included; further folders are not looked at."""
CONTAINERS_MAX: Final = 64
"""Containers of a pod."""

_LABEL: Final = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
NAME: Final = re.compile(_LABEL, re.ASCII)
"""A name that Kubernetes accepts for a namespace, pod or container."""
_FOLDER: Final = re.compile(
    rf"(?P<namespace>{_LABEL})_(?P<pod>{_LABEL})_(?P<uid>[0-9a-f-]{{32,36}})", re.ASCII
)


def parse(folder: str) -> tuple[str, str, str] | None:
    """Return (uid, namespace, pod) of a folder's name, None if it is of another form. Pure."""
    found = _FOLDER.fullmatch(folder) if len(folder) <= 3 * 256 else None
    if found is None:
        return None
    return dashed(found["uid"]), found["namespace"], found["pod"]


class PodNames:
    """The pods below one root; one thread only. Folders are read again when they change."""

    def __init__(self, root: Path = LOG_ROOT) -> None:
        """Read nothing yet."""
        self._root = root
        self._containers: dict[str, tuple[int, tuple[str, ...]]] = {}

    def read(self) -> dict[str, PodName]:
        """Return every pod by its UID. Raises OSError if the root cannot be read."""
        pods: dict[str, PodName] = {}
        containers: dict[str, tuple[int, tuple[str, ...]]] = {}
        with os.scandir(self._root) as entries:
            for entry in entries:
                found = parse(entry.name)
                if found is None or len(pods) >= PODS_MAX:
                    continue
                uid, namespace, pod = found
                containers[uid] = self._listed(uid, entry)
                pods[uid] = PodName(namespace, pod, containers[uid][1])
        self._containers = containers
        return pods

    def _listed(self, uid: str, entry: os.DirEntry[str]) -> tuple[int, tuple[str, ...]]:
        """Return the containers of a pod with the moment of the last change of its folder."""
        try:
            changed_ns = entry.stat().st_mtime_ns
            known = self._containers.get(uid)
            if known is not None and known[0] == changed_ns:
                return known
            with os.scandir(entry.path) as inner:
                names = sorted(one.name for one in inner if NAME.fullmatch(one.name))
        except OSError:
            return 0, ()
        return changed_ns, tuple(names[:CONTAINERS_MAX])
