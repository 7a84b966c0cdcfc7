"""Tools and files that tests take from pinned Go modules, kept in a cache outside the tree.

The module files are in tests/e2e/tools/<group>/; the binary's folder is keyed on its go.sum, so a
new version is a new folder. Building takes minutes, so it happens only where the environment says
INFEROMETER_BUILD_TOOLS=1 (as `make e2e` does); elsewhere a cached binary is used, or the test is
skipped and names the tool.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

TOOLS: Final = Path(__file__).parents[1] / "e2e" / "tools"
BUILD_WAIT_S: Final = 1500.0


@dataclass(frozen=True, slots=True)
class GoTool:
    """A main package, the group whose go.mod pins it, and the oldest Go that compiles it.

    `tags` are build tags, separated by commas: they leave out what no test needs.
    """

    group: str
    package: str
    go: tuple[int, int]
    tags: str = ""

    @property
    def name(self) -> str:
        """The name of the binary."""
        return self.package.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class GoFiles:
    """A folder inside of a module: files that are no program, and need no compiler."""

    group: str
    module: str
    folder: str
    go: tuple[int, int]

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.rpartition("/")[2]

    @property
    def version(self) -> str:
        """The version that go.mod pins."""
        text = (TOOLS / self.group / "go.mod").read_text("utf-8")
        found = re.search(rf"{re.escape(self.module)} (v\S+)", text)
        assert found is not None, self.module
        return found[1]


def cache() -> Path:
    """Return the folder of all built tools."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "inferometer", "tools")


def binary(tool: GoTool) -> Path:
    """Return the built tool; builds it where that is asked for, else skips the test."""
    return _kept(tool, _build)


def folder(files: GoFiles) -> Path:
    """Return a folder of a module; fetches it where that is asked for, else skips the test."""
    return _kept(files, _fetch)


Wanted = TypeVar("Wanted", GoTool, GoFiles)


def _kept(wanted: Wanted, make: Callable[[Wanted, Path], None]) -> Path:
    """Return what is in the cache; makes it at most once where that is asked for, else skips."""
    key = hashlib.sha256((TOOLS / wanted.group / "go.sum").read_bytes()).hexdigest()[:16]
    path = cache() / f"{wanted.group}-{key}" / wanted.name
    if path.exists():
        return path
    if os.environ.get("INFEROMETER_BUILD_TOOLS") != "1":
        pytest.skip(f"{wanted.name} is not built: make e2e")
    if not _go_is_new_enough(wanted):
        pytest.skip(f"{wanted.name} needs Go {wanted.go[0]}.{wanted.go[1]} or newer")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Path(path.parent, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file; two runs build once
        if not path.exists():
            make(wanted, path)
    return path


def _go_is_new_enough(tool: GoTool | GoFiles) -> bool:
    go = shutil.which("go")
    if go is None:
        return False
    text = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    major, minor = text.strip().removeprefix("go").split(".")[:2]
    return (int(major), int(minor.partition("rc")[0])) >= tool.go


def _build(tool: GoTool, path: Path) -> None:
    """Compile into a file beside `path`, then rename: a path that exists is a whole binary."""
    parts = path.with_suffix(".partial")
    flags = ["-mod=readonly", "-p", "2", "-trimpath", "-ldflags", "-s -w", "-tags", tool.tags]
    subprocess.run(
        ["go", "build", *flags, "-o", parts, tool.package],
        cwd=TOOLS / tool.group,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"},
        check=True,
        timeout=BUILD_WAIT_S,
    )
    parts.rename(path)


def _fetch(files: GoFiles, path: Path) -> None:
    """Copy a folder of the module whose checksum go.sum states; renamed when it is whole."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"{files.module}@{files.version}"],
        cwd=TOOLS / files.group,
        capture_output=True,
        text=True,
        check=True,
        timeout=BUILD_WAIT_S,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    parts = path.with_suffix(".partial")
    shutil.rmtree(parts, ignore_errors=True)
    shutil.copytree(Path(told["Dir"], files.folder), parts)
    parts.rename(path)
