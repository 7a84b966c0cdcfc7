"""Guards of the layout: what it costs to have several import roots, paid by tests."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from inferometer.cli import COMMANDS
from support.tree import (
    IMPORT_ROOTS,
    ROOT,
    Module,
    files,
    imports,
    modules,
    pyproject,
    python_files,
)

pytestmark = pytest.mark.checkout

FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
OVER_BUDGET: Final[dict[str, str]] = {}
"""Files and `file:function`s that may be longer, each with its reason."""

# Import name -> distribution, where they differ.
DISTRIBUTIONS: Final = {
    "opentelemetry": "opentelemetry-sdk",
    "prometheus_client": "prometheus-client",
    "pynvml": "nvidia-ml-py",
    "yaml": "pyyaml",
}


def listed(names: list[str]) -> set[str]:
    """Return the distributions that requirement lines name."""
    return {re.split(r"[\[<>=!~; ]", name)[0].lower() for name in names}


def test_no_root_holds_a_package_that_would_hide_the_others() -> None:
    for root in IMPORT_ROOTS:
        assert (ROOT / root / "inferometer").is_dir()
        assert not (ROOT / root / "inferometer" / "__init__.py").exists()


def test_every_folder_of_modules_is_a_regular_package_of_one_root() -> None:
    folders = {module.path.parent for module in modules()}
    folders -= {ROOT / root / "inferometer" for root in IMPORT_ROOTS}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()
    names = Counter(module.name for module in modules())
    assert {name for name, count in names.items() if count > 1} == set()
    homes: dict[str, set[str]] = {}
    for module in modules():
        root, _, component = module.path.relative_to(ROOT).parts[:3]
        homes.setdefault(component, set()).add(root)
    assert {name: roots for name, roots in homes.items() if len(roots) > 1} == {}


def test_a_package_says_what_it_is_and_imports_nothing() -> None:
    for module in modules():
        if module.path.name == "__init__.py":
            (only,) = module.tree.body
            assert isinstance(only, ast.Expr), module.path
            assert ast.get_docstring(module.tree), module.path


def protected() -> dict[str, set[str]]:
    """Return the modules that may import each third-party package."""
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    return {
        name: set(contract["allowed_importers"])
        for contract in contracts
        if contract["type"] == "protected"
        for name in contract["protected_modules"]
    }


def third_party(module: Module) -> set[str]:
    """Return the top-level names of what is neither ours nor the standard library's."""
    tops = {name.partition(".")[0] for name in imports(module)}
    return tops - {"inferometer"} - sys.stdlib_module_names


def test_every_third_party_import_has_its_contract() -> None:
    allowed = protected()
    for module in modules():
        for name in third_party(module):
            assert name in allowed, f"{module.name} imports {name}, which no contract names"
            assert module.name in allowed[name], f"{module.name} must not import {name}"


def test_every_third_party_import_is_a_declared_dependency() -> None:
    project = pyproject()["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    declared = listed(project["dependencies"] + extras)
    for module in modules():
        for name in third_party(module):
            assert DISTRIBUTIONS.get(name, name) in declared, (module.name, name)


def test_the_base_install_has_at_most_four_packages() -> None:
    assert len(pyproject()["project"]["dependencies"]) <= 4


IMPORT_ALL: Final = """
import importlib, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"no module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(name, error.name)
"""


def test_each_module_imports_without_extras_or_belongs_to_the_program_that_needs_one() -> None:
    project = pyproject()["project"]
    base = listed(project["dependencies"])
    names = [module.name for module in modules()]
    optional = {
        name
        for module in modules()
        for name in third_party(module)
        if DISTRIBUTIONS.get(name, name) not in base
    }
    code = IMPORT_ALL.format(missing=optional, names=names)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    extra_of = {command.module: command.extra for command in COMMANDS.values()}
    for line in done.stdout.splitlines():
        name, missing = line.split()
        extra = extra_of.get(name, "")
        assert extra, f"{name} needs {missing}, and no command would name its extra"
        assert missing in listed(project["optional-dependencies"][extra]), line


def test_files_and_functions_are_short_enough_to_be_read() -> None:
    long: list[str] = []
    for path in python_files():
        name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > FILE_LINES_MAX:
            long.append(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX:
                    long.append(f"{name}:{node.name}")
    wrong = sorted(set(long) ^ set(OVER_BUDGET))
    assert wrong == [], "too long, or an exception that is none any more:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "word",
    ["TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", "pragma: " + "no cover"],
)
def test_nothing_is_left_for_later(word: str) -> None:
    found = [path for path in python_files() if word in path.read_text(encoding="utf-8")]
    assert found == []


FOREIGN: Final = (
    # hosts of package registries: a lock or a page that names one works nowhere else
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "proxy" + r"\.golang\.org",
    "registry" + r"\.npmjs\.org",
    "index-" + "url",
    "--find-" + "links",
    # folders of the machine that something was made on
    r"(?<![\w.])/" + r"work/",
    r"(?<![\w.])/" + r"root/",
    r"(?<![\w.])/" + r"home/[a-z]",
    r"(?<![\w.])/" + r"opt/wheels",
    "bash_" + "jobs",
)
MAY_NAME: Final = {".ci/lock": "the options that keep hosts out of the lock"}


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    foreign = re.compile("|".join(FOREIGN))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line[:120]}"
        for path in files()
        if str(path.relative_to(ROOT)) not in MAY_NAME
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if foreign.search(line)
    ]
    assert found == []


def test_every_exit_code_of_a_program_is_documented() -> None:
    from inferometer.cli import EXIT_CODES

    for module in modules():
        if module.name.rpartition(".")[2] == "cli":
            undocumented = set(exit_codes(module.tree)) - set(EXIT_CODES)
            assert undocumented == set(), module.path


def exit_codes(tree: ast.Module) -> list[int]:
    """Return the constants that a program ends with: in `return`, exit calls and SystemExit."""
    values: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or node) == "int":
            values += [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
        if isinstance(node, ast.Call) and re.search(r"exit$|Exit$", ast.unparse(node.func)):
            values += node.args[:1]
    return [
        value.value
        for value in values
        if isinstance(value, ast.Constant) and isinstance(value.value, int)
    ]


def test_set_up_without_venv_says_in_one_line_what_to_install(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "basename", "id", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    python = tools / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")  # a Python without ensurepip
    python.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "setup", "python3", tmp_path / "venv"],
        env={"PATH": str(tools)},  # no apt-get, no sudo
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "setup: to go on: sudo apt-get update && sudo apt-get install -y python3-venv\n"
    )
    assert not (tmp_path / "venv").exists()
