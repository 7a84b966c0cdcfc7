"""Guards of what the project is made of and what it ships: lock, licences, floors, wheel."""

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from support.tree import IMPORT_ROOTS, ROOT, modules, pyproject

pytestmark = pytest.mark.checkout

LOCKS: Final = ("requirements.lock", "tests/fuzz/requirements.lock", "tests/e2e/requirements.lock")

# The oldest versions without a known hole that matters here, and the advisory that says so. They
# hold for whatever is locked, also where it only came along; look again at each release.
FLOORS: Final = {
    "aiohttp": ("3.14.3", "CVE-2026-69243, CVE-2026-59881, CVE-2026-69244"),
    "h11": ("0.16", "CVE-2025-43859"),
    "h2": ("4.4.1", "CVE-2025-57804, CVE-2026-71554"),
    "starlette": ("1.3.1", "CVE-2025-62727, CVE-2026-48710, CVE-2026-54282, CVE-2026-54283"),
    "urllib3": ("2.7.0", "CVE-2025-66418, CVE-2025-66471, CVE-2026-21441, CVE-2026-44432"),
    "requests": ("2.33.0", "CVE-2024-47081, CVE-2026-25645"),
    "protobuf": ("6.33.5", "CVE-2026-0994"),
    "cryptography": ("50.0", "CVE-2026-69247"),
}

PERMISSIVE: Final = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0"})
# The test environment is not shipped, so what asks for changes to its own files does no harm.
TEST_ONLY: Final = PERMISSIVE | {"MPL-2.0", "PSF-2.0"}
# What packages without an SPDX expression write instead.
SPELLINGS: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}

# What the metadata leave out, from the file in the source.
UNNAMED: Final = {"promql-parser": {"MIT"}}


def pins(name: str) -> dict[str, Version]:
    """Return the versions that a lock file pins."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {
        canonicalize_name(found[1]): Version(found[2])
        for found in re.finditer(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)
    }


def shipped() -> list[Requirement]:
    """Return what the project asks for, extras included."""
    project = pyproject()["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += [line for line in extra if not line.startswith("inferometer")]
    return [Requirement(line) for line in lines]


def developed_with() -> list[Requirement]:
    """Return what the tests and checks ask for on top."""
    return [Requirement(line) for line in pyproject()["dependency-groups"]["dev"]]


@pytest.mark.req("SU-01")
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_file_by_its_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=8)
    entries = [entry for entry in entries if entry.strip()]
    assert len(entries) == len(pins(name)) > 0
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


def test_the_lock_holds_what_the_project_asks_for() -> None:
    locked = pins("requirements.lock")
    for wanted in shipped() + developed_with():
        version = locked.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted.name}: make lock"
        assert version in wanted.specifier, f"{wanted}: make lock"


@pytest.mark.req("SU-02")
@pytest.mark.parametrize("name", LOCKS)
def test_nothing_locked_is_older_than_the_floor_of_its_advisories(name: str) -> None:
    for package, version in pins(name).items():
        floor, advisories = FLOORS.get(package, ("0", ""))
        assert version >= Version(floor), f"{package} {version}: {advisories}"


def test_no_declared_requirement_allows_what_is_below_a_floor() -> None:
    for wanted in shipped() + developed_with():
        floor, advisories = FLOORS.get(canonicalize_name(wanted.name), (None, ""))
        if floor is not None:
            lowest = [spec.version for spec in wanted.specifier if spec.operator == ">="]
            assert lowest, f"{wanted} states no lowest version: {advisories}"
            assert Version(lowest[0]) >= Version(floor), f"{wanted}: {advisories}"


def licences(package: str) -> set[str]:
    """Return the licences that an installed package names, in SPDX's spelling."""
    metadata = distribution(package).metadata
    (text,) = metadata.get_all("License-Expression") or metadata.get_all("License") or [""]
    classified = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License :: ")
    ]
    words = re.split(r" (?:AND|OR) ", text.partition("\n")[0])
    named = {SPELLINGS.get(word, word) for word in words if word}
    if not named <= TEST_ONLY:  # free text: the classifiers are clearer
        named = set()
    said = named or {SPELLINGS.get(word, word) for word in classified}
    return said or UNNAMED.get(package, set())


@pytest.mark.req("SU-02")
def test_every_locked_package_has_a_licence_that_we_allow() -> None:
    ours = {canonicalize_name(wanted.name) for wanted in shipped()}
    for package in pins("requirements.lock"):
        allowed = PERMISSIVE if package in ours else TEST_ONLY
        found = licences(package)
        assert found, f"{package} names no licence"
        assert found <= allowed, f"{package}: {found}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    return build(folder)


def build(folder: Path) -> Path:
    """Build the wheel without leaving a trace in the tree."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_tree_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    tree = {
        str(path.relative_to(ROOT / root))
        for root in IMPORT_ROOTS
        for path in (ROOT / root / "inferometer").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    alerts = {
        f"inferometer/{path.relative_to(ROOT)}"
        for path in (ROOT / "alerts").rglob("*")
        if path.is_file()
    }
    assert held == tree | alerts
    assert {str(module.name).replace(".", "/") for module in modules()} <= {
        name.removesuffix(".py").removesuffix("/__init__") for name in held
    }


def test_the_wheel_carries_the_licence_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert b"inferometer = inferometer.cli:main" in archive.read(entry_points)
        assert [name for name in names if name.endswith("licenses/LICENSE")]


@pytest.mark.req("SU-01")
def test_the_same_source_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == wheel.read_bytes()
