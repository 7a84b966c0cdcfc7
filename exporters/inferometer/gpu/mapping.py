"""`inferometer gpu-exporter podmap FILE`: the container that may ask the kubelet, and nothing else.

It writes which pods hold which devices for an exporter that runs without such rights.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from inferometer import log
from inferometer.gpu.pods.apiserver import TOKEN, ApiServer
from inferometer.gpu.pods.podmap import Places, run_podmap
from inferometer.settings import resolve

PROGRAM: Final = "gpu-exporter podmap"
HTTPS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of `inferometer gpu-exporter podmap`: write which pods hold which devices.

    It runs beside the exporter, as root without any capability, and sees no GPU.
    """

    file: Path = field(metadata={"positional": True})
    """Where the map is written, by rename: a file in a folder that the exporter sees, too."""

    kubelet_socket: Path = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    """The kubelet's socket. Mount its folder: the kubelet makes a new socket when it starts."""

    log_root: Path = Path("/var/log/pods")
    """Folder of the pods' logs, whose names tell what a pod is called. Nothing in it is read."""

    period_s: float = field(default=5.0, metadata={"minimum": 1.0, "maximum": 300.0})
    """How often the kubelet is asked."""

    resource_slices: bool = True
    """Where claims of devices occur, ask the API server for the ResourceSlices of our node."""

    node_name: str = ""
    """The node we are on. If empty, NODE_NAME from the environment is taken; without one the API
    server is not asked."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged."""

    log_form: Literal["text", "json"] = "text"
    """How log lines are written to standard error."""


def main(argv: Sequence[str]) -> int:
    """Write the map until SIGTERM or SIGINT. Raises UserError."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    log.setup(PROGRAM, level=settings.log_level, form=settings.log_form)
    places = Places(
        kubelet_socket=settings.kubelet_socket,
        log_root=settings.log_root,
        api=api_server(settings, os.environ) if settings.resource_slices else None,
    )
    return run_podmap(places, settings.file, period_s=settings.period_s)


def api_server(
    settings: Settings, environ: Mapping[str, str], token: Path = TOKEN
) -> ApiServer | None:
    """Return the API server of the pod that we are in; None unless all is known to ask it."""
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    node = settings.node_name or environ.get("NODE_NAME", "")
    if not host or not node or not token.exists():
        return None
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    number = int(port) if port.isdecimal() else HTTPS_PORT
    return ApiServer(host=host, port=number, node=node, token_path=token)
