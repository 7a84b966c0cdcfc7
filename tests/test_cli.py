"""The command line itself: what it prints, what it imports, which exit codes it gives."""

import resource
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from inferometer.cli import COMMANDS, EXIT_CODES, Command, main

HELP_MAX_S: Final = 0.15


def python(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, check=False, timeout=60
    )


def program(folder: Path, body: str, *, extra: str = "") -> dict[str, Command]:
    """Write a program whose main() runs `body`, and return the table that knows it."""
    (folder / "prober.py").write_text(f"def main(argv):\n    {body}\n")
    return {"probe": Command("prober", extra=extra, summary="a program of the test")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "prober", raising=False)
    return tmp_path


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for name, command in COMMANDS.items():
        assert f"  {name} " in printed.out
        assert command.summary in printed.out


def test_help_imports_no_program() -> None:
    code = (
        "import sys; from inferometer.cli import main; main(['--help']);"
        "print('|', *(m for m in sys.modules if m.startswith('inferometer.')))"
    )
    done = python("-c", code)
    assert done.stdout.rpartition("|")[2].split() == ["inferometer.cli"], done


def test_help_answers_at_once() -> None:
    times_s = []
    for _ in range(5):
        began_s = cpu_of_children_s()
        assert python("-m", "inferometer.cli", "--help").returncode == 0
        times_s.append(cpu_of_children_s() - began_s)
    assert min(times_s) <= HELP_MAX_S


def cpu_of_children_s() -> float:
    """How long a child takes tells how busy the machine is; its CPU time does not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"inferometer {version('inferometer')}\n"


def test_version_of_a_bare_source_tree_is_unknown(tmp_path: Path) -> None:
    source = Path(sys.modules[main.__module__].__file__ or "").read_bytes()
    (tmp_path / "cli.py").write_bytes(source)
    done = python("-I", "-S", str(tmp_path / "cli.py"), "--version")
    assert (done.returncode, done.stdout) == (0, "inferometer unknown\n"), done.stderr


def test_no_command_shows_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: inferometer COMMAND")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("sidecra", "did you mean 'sidecar'?"),
        ("zzz", "inferometer --help lists the commands"),
        ("--hlep", "inferometer --help lists the commands"),
    ],
)
def test_an_unknown_command_is_refused_with_the_nearest_name(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == (
        f"inferometer: no command is called {word!r}\nhint: {hint}\n"
    )


def test_a_program_gets_its_words_and_gives_its_exit_code(folder: Path) -> None:
    commands = program(folder, "return 3 if argv == ['--listen', 'x'] else 1")
    assert main(["probe", "--listen", "x"], commands=commands) == 3


def test_a_missing_optional_package_names_the_extra(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = program(folder, "import no_such_package.part", extra="sidecar")
    assert main(["probe"], commands=commands) == 1
    assert capsys.readouterr().err == (
        "inferometer: probe needs the package 'no_such_package', which is not installed\n"
        "hint: pip install 'inferometer[sidecar]'\n"
    )


def test_a_missing_module_of_ours_is_no_missing_extra(folder: Path) -> None:
    commands = program(folder, "import inferometer.nowhere", extra="sidecar")
    with pytest.raises(ModuleNotFoundError, match=r"inferometer\.nowhere"):
        main(["probe"], commands=commands)


def test_a_missing_package_of_a_program_without_extra_is_a_fault(folder: Path) -> None:
    commands = program(folder, "import no_such_package")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        main(["probe"], commands=commands)


RAISE: Final = "from inferometer.errors import *; raise "


@pytest.mark.parametrize(
    ("body", "code", "printed"),
    [
        (
            RAISE + "SettingsError([Problem(Place('a.yaml', 3), 'is wrong', hint='mend it')])",
            2,
            "inferometer: a.yaml:3: is wrong\nhint: mend it\n",
        ),
        (
            RAISE + "WorldError('the port is taken', 'choose another')",
            1,
            "inferometer: the port is taken\nhint: choose another\n",
        ),
        ("raise KeyboardInterrupt", 130, ""),
    ],
    ids=["user", "world", "interrupt"],
)
def test_an_error_becomes_its_exit_code(
    folder: Path, body: str, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = body.replace("import *", "import Place, Problem, SettingsError, WorldError")
    assert main(["probe"], commands=program(folder, body)) == code
    assert capsys.readouterr().err == printed
    assert code in EXIT_CODES


def test_the_module_is_a_program_too() -> None:
    done = python("-m", "inferometer.cli", "nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("inferometer: no command")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_program_that_explains_itself(name: str) -> None:
    assert callable(import_module(COMMANDS[name].module).main)
    done = python("-m", "inferometer.cli", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: inferometer {name}")
