"""The source tree as data: its roots, modules and files, for the guards that keep it in order."""

import ast
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
IMPORT_ROOTS: Final = ("library", "exporters", "sidecar")


@cache
def pyproject() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Module:
    """A module of ours: its import path, and its file."""

    name: str
    path: Path

    @property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))


def modules() -> Iterator[Module]:
    """Yield every module of every root; a package is its `__init__`."""
    for root in IMPORT_ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            parts = path.relative_to(ROOT / root).with_suffix("").parts
            yield Module(".".join(parts).removesuffix(".__init__"), path)


def imports(module: Module) -> Iterator[str]:
    """Yield what a module imports, wherever in it, as absolute dotted names."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            yield node.module


@cache
def files() -> tuple[Path, ...]:
    """Return every file that git tracks or would track, but no binary ones."""
    found = _listed_by_git() if shutil.which("git") and (ROOT / ".git").exists() else _walked()
    paths = sorted(path for path in found if path.is_file())
    return tuple(path for path in paths if b"\0" not in path.read_bytes()[:8192])


def _listed_by_git() -> set[Path]:
    # A checkout may belong to another user than the one who tests it.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(
        [*git, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return {ROOT / name for name in listed.stdout.decode().split("\0") if name}


def _walked() -> set[Path]:
    """Return the files of an unpacked archive, without what tools and Python leave behind."""
    tops = (path for path in ROOT.iterdir() if path.name not in {"build", "dist"})
    kept = [path for path in tops if not path.name.startswith(".") or path.name == ".ci"]
    inside = {path for top in kept for path in ([top] if top.is_file() else top.rglob("*"))}
    return {path for path in inside if "__pycache__" not in path.parts}


def python_files() -> Iterator[Path]:
    """Yield every Python file of the repository."""
    yield from (path for path in files() if path.suffix == ".py")
