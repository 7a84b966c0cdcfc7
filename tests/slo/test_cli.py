"""`inferometer slo` itself: which subcommands there are, and what misuse says."""

import subprocess
import sys

import pytest

from inferometer.cli import main as inferometer
from inferometer.slo.cli import COMMANDS, main


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_names_every_subcommand(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    printed = capsys.readouterr()
    for name, command in COMMANDS.items():
        assert f"  {name} " in printed.out
        assert command.summary in printed.out


@pytest.mark.parametrize("name", COMMANDS)
def test_each_subcommand_has_a_help_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: inferometer slo {name} ")


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["slo"], "a command is needed", "known here: check"),
        (["slo", "rendr"], "no command of slo is called 'rendr'", "did you mean 'render'?"),
        (["slo", "check"], "a value is needed", "give --files"),
        (["slo", "render", "x.yaml"], "--output: a value is needed", "give --output"),
    ],
)
def test_misuse_is_told_with_a_hint_and_exits_2(
    argv: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inferometer(argv) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert hint in printed


def test_help_imports_no_subcommand() -> None:
    code = (
        "import sys; from inferometer.slo.cli import main; main(['--help']);"
        "print('|', *(m for m in sys.modules if m.startswith('inferometer.slo.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.rpartition("|")[2].split() == ["inferometer.slo.cli"]
