"""The proxies that take part: how each is configured, started and named with its version."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from string import Template

from benchmarks.errors import MissingError
from benchmarks.native import CACHE
from benchmarks.processes import Command, Cores, free_port, running, wait_for_port

PEERS = Path(__file__).parent / "peers"
PEERS_ENV = CACHE / "peers"
"""A virtual environment of the peers' own, made by `python -m benchmarks.install`."""

SLOW = ("litellm",)
"""Saturated by some 700 events a second: left out of loads that it would take minutes over."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything is: cores, the port of the scripted server, a folder for files."""

    cores: Cores
    upstream: int
    folder: Path
    sidecar_options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to start one proxy."""

    argv: Sequence[str]
    version: str
    port: int
    admin: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    start_s_max: float = 10.0


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs, or the way without one (`direct`, no pid).

    `version` is the name and version that tables show.
    """

    name: str
    port: int
    version: str
    pid: int | None = None
    admin: int | None = None
    start_s: float | None = None


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        message = f"{name} is not installed"
        raise MissingError(message)
    return found


def _peer(name: str) -> str:
    found = PEERS_ENV / "bin" / name
    if not found.exists():
        message = f"{name} is not installed (python -m benchmarks.install)"
        raise MissingError(message)
    return str(found)


def _first_line(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def _versions(*names: str) -> str:
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    numbers = _first_line(_peer("python"), "-c", code, *names).split()
    return ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))


def _fill(site: Site, name: str, port: int) -> str:
    values = {"PORT": port, "UPSTREAM": site.upstream, "FOLDER": site.folder}
    filled = site.folder / name
    filled.write_text(Template((PEERS / name).read_text()).safe_substitute(values))
    return str(filled)


def _nginx(site: Site) -> Recipe:
    program, port = _program("nginx"), free_port()
    number = _first_line(program, "-v").rpartition("/")[2]
    return Recipe([program, "-c", _fill(site, "nginx.conf", port)], f"nginx {number}", port)


def _ours(site: Site) -> Recipe:
    port, admin = free_port(), free_port()
    argv = [
        str(Path(sys.executable).with_name("inferometer")),
        "sidecar",
        *("--listen", f"127.0.0.1:{port}"),
        *("--upstream", f"http://127.0.0.1:{site.upstream}"),
        *("--admin", f"127.0.0.1:{admin}"),
        *("--slo", str(PEERS / "slo.yaml")),
        *site.sidecar_options,
    ]
    environ = {
        # As the image sets them: large reads would be mapped afresh each time otherwise.
        "MALLOC_MMAP_THRESHOLD_": "4194304",
        "MALLOC_TRIM_THRESHOLD_": "33554432",
    }
    return Recipe(argv, f"**inferometer** {version('inferometer')}", port, admin, environ)


def _envoy(site: Site) -> Recipe:
    program, port = _peer("envoy"), free_port()
    found = re.search(r"/(\d+\.\d+\.\d+)/", _first_line(program, "--version"))
    argv = [
        program,
        *("-c", _fill(site, "envoy.yaml", port)),
        *("--concurrency", "1", "--disable-hot-restart", "--log-level", "error"),
    ]
    return Recipe(argv, f"Envoy {found[1] if found else 'of unknown version'}", port)


def _litellm(site: Site) -> Recipe:
    port = free_port()
    argv = [
        _peer("litellm"),
        *("--config", _fill(site, "litellm.yaml", port)),
        *("--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"),
    ]
    environ = {
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the network at its start
    }
    return Recipe(argv, _versions("litellm"), port, environ=environ, start_s_max=90.0)


def _app(name: str, *packages: str) -> Callable[[Site], Recipe]:
    def recipe(site: Site) -> Recipe:
        port = free_port()
        script = str(PEERS / f"{name}_proxy.py")
        argv = [_peer("python"), script, str(port), str(site.upstream)]
        return Recipe(argv, _versions(*packages), port, start_s_max=20.0)

    return recipe


RECIPES: Mapping[str, Callable[[Site], Recipe]] = {
    "nginx": _nginx,
    "ours": _ours,
    "envoy": _envoy,
    "aiohttp": _app("aiohttp", "aiohttp", "prometheus-client", "uvloop"),
    "fastapi": _app("fastapi", "fastapi", "httpx", "uvicorn"),
    "litellm": _litellm,
}


@contextmanager
def lineup(site: Site, names: Sequence[str]) -> Iterator[tuple[list[Proxy], list[str]]]:
    """Start the named proxies; yield those that run, `direct` first, and why others do not."""
    with ExitStack() as stack:
        proxies = [Proxy("direct", site.upstream, "direct")]
        missing: list[str] = []
        for name in names:
            try:
                proxies.append(stack.enter_context(started(site, name)))
            except MissingError as problem:
                missing.append(f"{name} is left out: {problem}")
        yield proxies, missing


@contextmanager
def started(site: Site, name: str) -> Iterator[Proxy]:
    """Run one proxy, pinned, until the block ends; MissingError if it does not start."""
    recipe = RECIPES[name](site)
    log = site.folder / f"{name}.log"
    command = Command([*site.cores.for_proxy, *recipe.argv], environ=recipe.environ, log=log)
    with running(command) as pid:
        try:
            start_s = wait_for_port(recipe.port, pid=pid, timeout_s=recipe.start_s_max)
        except MissingError as problem:
            message = f"{problem}; its last words: {log.read_text()[-400:]!r}"
            raise MissingError(message) from None
        yield Proxy(name, recipe.port, recipe.version, pid, recipe.admin, start_s)
