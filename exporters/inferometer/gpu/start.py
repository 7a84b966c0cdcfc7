"""From the settings of a GPU exporter to one that runs."""

import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from inferometer import log
from inferometer.errors import Place, Problem, SettingsError
from inferometer.gpu.page import fields
from inferometer.gpu.page.names import Fixed
from inferometer.gpu.page.plan import Look
from inferometer.gpu.pods.cgroups import sees_host
from inferometer.gpu.service import Origin, Service, Start, supervisors
from inferometer.gpu.settings import Settings
from inferometer.settings import adopt, reread, resolve

PROGRAM: Final = "gpu-exporter"

_log: Final = logging.getLogger(__name__)


def run(argv: Sequence[str]) -> int:
    """Run the exporter until it is told to stop. Raises UserError and WorldError."""
    environ = os.environ
    settings = resolve(Settings, argv, environ=environ, program=PROGRAM)
    check(settings)
    look = make_look(settings, environ)
    log.setup(PROGRAM, level=settings.log_level, form=settings.log_form)
    if settings.list:
        from inferometer.gpu.page.listing import show

        return show(supervisors(settings, processes=False), look)

    processes = settings.processes and sees_host(settings.proc_root)
    asked = asks_for_processes(settings, look, told=processes)

    def fresh() -> tuple[Settings, Look]:
        again = reread(Settings, argv, environ=environ, program=PROGRAM)
        check(again)
        adopted = adopt(settings, again).settings
        look = make_look(adopted, environ)
        if look.fields.extra and not asked:
            _log.warning("families of processes are shown from the next start on")
        return adopted, look

    origin = Origin(fresh, _watched(argv, environ), _jobs_folder(settings, environ))
    kept = supervisors(settings, processes=asked)
    begin = Start(look, kept, version(), processes=processes)
    return Service(settings, begin, origin=origin).run()


def asks_for_processes(settings: Settings, look: Look, *, told: bool) -> bool:
    """Return whether drivers are asked for processes; `told`: those of the host can be told apart.

    They are where a map says whose they are, or where somebody wants to see them.
    """
    mapped = settings.podmap is not None or settings.kubelet_socket is not None
    return settings.processes and ((told and mapped) or bool(look.fields.extra))


def make_look(settings: Settings, environ: Mapping[str, str]) -> Look:
    """Return what is shown. Raises SettingsError for the list of fields."""
    chosen = fields.load(settings.fields)
    fixed = Fixed(hostname(settings, environ), chosen.labels)
    return Look(chosen, settings.dcgm_names, fixed, serial=settings.serial)


def hostname(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the name of the node, "" where only the name of a pod is known."""
    given = settings.hostname or environ.get("NODE_NAME", "")
    if given or "KUBERNETES_SERVICE_HOST" in environ:
        return given
    return socket.gethostname()


def check(settings: Settings) -> None:
    """Raise SettingsError for settings that are right by themselves but not together."""
    problems = []
    if settings.listen.path is not None:
        problems.append(Problem(Place("--listen"), "must be HOST:PORT", "scrapers use TCP"))
    if settings.podmap and settings.kubelet_socket:
        message = "is given beside --kubelet-socket"
        problems.append(Problem(Place("--podmap"), message, "take one of them"))
    for flag, given, backend in (
        ("--scenario", settings.scenario, "fake"),
        ("--dcgm-bindings", settings.dcgm_bindings, "dcgm"),
    ):
        if given and backend not in settings.backend:
            problems.append(Problem(Place(flag), f"needs --backend {backend}"))
    if problems:
        raise SettingsError(problems)
    if settings.scenario:
        from inferometer.gpu.fake import scenario

        scenario.load(settings.scenario)


def version() -> str:
    """Return the version of the installed package, or `unknown`.

    It is in a folder's name; `importlib.metadata` would take 4 MiB to find it there.
    """
    for folder in sys.path:
        for found in Path(folder).glob("inferometer-*.dist-info"):
            return found.name.removesuffix(".dist-info").partition("-")[2]
    return "unknown"


def _jobs_folder(settings: Settings, environ: Mapping[str, str]) -> Path | None:
    given = environ.get("DCGM_HPC_JOB_MAPPING_DIR", "")
    return settings.hpc_job_mapping_dir or (Path(given) if given else None)


def _watched(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the configuration file, which is looked at for changes."""
    path = environ.get("INFEROMETER_GPU_EXPORTER_CONFIG", "")
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == "--config":
            path = following
        elif word.startswith("--config="):
            path = word.removeprefix("--config=")
    return (Path(path),) if path else ()
