import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.declared import ITEMS_MAX
from inferometer.errors import SettingsError
from inferometer.settings import (
    Address,
    adopt,
    describe,
    help_text,
    parse_address,
    reread,
    resolve,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a program that
    only tests know.

    More about it.
    """

    listen: Address = field(
        default=Address("127.0.0.1", 80), metadata={"parse": parse_address, "group": "network"}
    )
    """Where clients connect."""

    timeout_s: float = field(default=10.0, metadata={"minimum": 0.1, "maximum": 60, "reload": True})
    """How long a client may take; a slow sender
    holds a connection."""

    streams_max: int = field(default=5, metadata={"minimum": 1, "group": "limits"})
    """More are refused."""

    depth: int = field(default=0, metadata={"maximum": 9})
    verbose: bool = False
    """Tell more."""
    mode: Literal["fast", "safe"] = "safe"
    files: tuple[Path, ...] = ()
    names: tuple[str, ...] = ("a", "b")
    ca: Path | None = None
    label: str = ""
    ratio: float = 0.5
    token: str = field(default="", metadata={"secret": True, "metavar": "WORD"})


@dataclass(frozen=True)
class Strict(Settings):
    """Settings with one that has no default."""

    key: str = field(kw_only=True)
    """It must be given."""


@dataclass(frozen=True)
class Positional:
    """Settings of a program that takes words."""

    urls: tuple[str, ...] = field(default=(), metadata={"positional": True})
    config: Path | None = None


def resolved(argv: str = "", **environ: str) -> Settings:
    variables = {f"INFEROMETER_PROG_{name.upper()}": value for name, value in environ.items()}
    return resolve(Settings, argv.split(), environ=variables, program="prog")


def told(argv: str = "", **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        resolved(argv, **environ)
    return [f"{problem.code} {problem}" for problem in caught.value.problems]


def test_without_anything_the_defaults_hold() -> None:
    assert resolved() == Settings()


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("timeout_s: 1.5\nstreams_max: 7\ndepth: 3\nlisten: '[::1]:1'\n")
    settings = resolved(f"--streams-max 9 --config {path}", streams_max="8", depth="4")
    assert settings.streams_max == 9
    assert settings.depth == 4
    assert settings.timeout_s == 1.5
    assert settings.listen == Address("::1", 1)
    assert settings.mode == "safe"


def test_the_file_is_also_named_by_the_environment_and_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("# nothing\n")
    assert resolved(config=str(path)) == Settings()
    path.write_text("verbose: true\nnames: [x]\nfiles: one\ntoken: hunter2\n")
    settings = resolved(config=str(path))
    assert settings == Settings(verbose=True, names=("x",), files=(Path("one"),), token="hunter2")


@pytest.mark.parametrize(
    ("argv", "changed"),
    [
        ("--timeout-s=3", {"timeout_s": 3.0}),
        ("--depth -5", {"depth": -5}),
        ("--verbose", {"verbose": True}),
        ("--verbose=true", {"verbose": True}),
        ("--no-verbose", {}),
        ("--mode fast", {"mode": "fast"}),
        ("--files a --files=b", {"files": (Path("a"), Path("b"))}),
        ("--label=--x", {"label": "--x"}),
        ("--label=", {}),
        ("--ca x.pem", {"ca": Path("x.pem")}),
        ("--", {}),
    ],
)
def test_flags_are_read_in_all_their_forms(argv: str, changed: dict[str, object]) -> None:
    assert resolved(argv) == Settings(**changed)  # type: ignore[arg-type]


def test_variables_are_read_and_empty_ones_count_as_not_set() -> None:
    settings = resolved(names=" x, y,,z ", verbose="true", ratio="", token="hunter2")
    assert settings == Settings(names=("x", "y", "z"), verbose=True, token="hunter2")


@pytest.mark.req("LC-03")
def test_every_problem_of_every_source_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("timeout_s: 10s\nlistn: x\nmode: slow\nconfig: other.yaml\n---\nmore: 1\n")
    argv = f"--config {path} --listen :1 --timout-s 3 --streams-max 0 --streams-max 2 --ca"
    assert told(argv, depth="10", mode="fst", mood="x") == [
        "E02 --ca: its value is missing\nhint: write --ca FILE",
        (
            "E02 --listen: listen must be HOST:PORT, [IPV6]:PORT or unix:/PATH, got ':1'\n"
            "hint: for every interface write 0.0.0.0:1 or [::]:1"
        ),
        "E04 --streams-max: given 2 times\nhint: give it once",
        "E02 --streams-max: streams_max must be a whole number of 1 or more, got '0'",
        "E01 --timout-s: there is no such flag\nhint: did you mean '--timeout-s'?",
        f"E02 {path}:1:12: timeout_s must be a number from 0.1 to 60, got '10s'",
        f"E01 {path}:2:1: unknown field 'listn' in the settings file\nhint: did you mean 'listen'?",
        f"E02 {path}:3:7: mode must be one of fast, safe, got 'slow'",
        (
            f"E01 {path}:4:1: unknown field 'config' in the settings file\n"
            "hint: known here: ca, depth, files, label, listen, mode, names, ratio, streams_max, "
            "timeout_s, token, verbose"
        ),
        f"E02 {path}:6:1: a second document is not allowed\nhint: put all into the first",
        "E02 INFEROMETER_PROG_DEPTH: depth must be a whole number of 9 or less, got '10'",
        (
            "E02 INFEROMETER_PROG_MODE: mode must be one of fast, safe, got 'fst'\n"
            "hint: did you mean 'fast'?"
        ),
        (
            "E01 INFEROMETER_PROG_MOOD: there is no such setting\n"
            "hint: did you mean 'INFEROMETER_PROG_MODE'?"
        ),
    ]


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ("--zzzzzz", "E01 --zzzzzz: there is no such flag\nhint: --help lists the settings"),
        ("-v", "E01 -v: there is no such flag\nhint: --help lists the settings"),
        (
            "--verbose maybe",
            "E02 command line: unexpected word 'maybe'\nhint: settings begin with --",
        ),
        ("-- x", "E02 command line: unexpected word 'x'\nhint: settings begin with --"),
        ("-", "E02 command line: unexpected word '-'\nhint: settings begin with --"),
        (
            "--no-verbose=x",
            "E01 --no-verbose: there is no such flag\nhint: did you mean '--no-verbose'?",
        ),
        ("--verbose=x", "E02 --verbose: verbose must be true or false, got 'x'"),
        ("--ca=", "E02 --ca: ca must be the path of a file, got ''"),
        ("--ratio nan", "E02 --ratio: ratio must be a number, got 'nan'"),
        ("--mode --verbose", "E02 --mode: its value is missing\nhint: write --mode fast|safe"),
    ],
)
def test_a_wrong_flag_is_told_with_what_to_do(argv: str, problem: str) -> None:
    assert told(argv) == [problem]


def test_variables_that_kubernetes_sets_for_a_service_are_no_mistakes() -> None:
    noise = {"service_host": "x", "service_port_http": "1", "port": "tcp://x", "port_80_tcp": "x"}
    assert resolved(**noise) == Settings()
    assert told(sort="x")[0].startswith("E01 INFEROMETER_PROG_SORT: there is no such setting")
    assert told(zzzzzzzzzzzzzzzzzz="x")[0].endswith("hint: --help lists the settings")


@pytest.mark.req("PR-01")
def test_a_secret_is_taken_from_environment_and_file_only_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("token: {hunter2: 1}\n")
    problems = told(f"--token hunter2 --config {path}")
    assert problems == [
        (
            "E02 --token: a secret is not taken from a flag\nhint: other users of the machine see "
            "flags: set INFEROMETER_PROG_TOKEN, or use --config"
        ),
        f"E02 {path}:1:8: token must be a text, got a mapping",
    ]
    text = help_text(Settings, "prog", width=80)
    assert "--token" not in text
    assert "[default: none; env or file only: INFEROMETER_PROG_TOKEN]" in text


def test_a_repeatable_setting_has_a_bound() -> None:
    argv = "--names x " * ITEMS_MAX
    assert len(resolved(argv).names) == ITEMS_MAX
    assert "a list of 0 to 1000 values" in told(argv + "--names x")[0]


@pytest.mark.parametrize("content", [b"a: [", b"\xff", None])
@pytest.mark.req("LC-03")
def test_a_file_that_cannot_be_read_is_told_with_its_place(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content)
    (problem,) = told(f"--config {path}")
    assert problem.startswith(f"E05 {path}")


def test_a_wrong_config_flag_is_told_too() -> None:
    assert told("--config=") == ["E02 --config: config must be the path of a file, got ''"]


def test_a_setting_without_a_default_must_be_given() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(Strict, [], environ={}, program="prog")
    assert str(caught.value) == (
        "--key: a value is needed\nhint: give --key, INFEROMETER_PROG_KEY, or key in --config"
    )
    settings = resolve(Strict, ["--key", "x"], environ={}, program="prog")
    assert settings.key == "x"
    assert settings.listen == Address("127.0.0.1", 80)
    assert "[required; env: INFEROMETER_PROG_KEY]" in help_text(Strict, "prog", width=80)


def test_words_go_to_the_positional_setting_and_a_class_may_keep_its_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("urls: [x]\n")
    argv = ["http://a", "--config", str(path), "--", "--b"]
    settings = resolve(Positional, argv, environ={}, program="watch it")
    assert settings == Positional(urls=("http://a", "--b"), config=path)
    environ = {"INFEROMETER_WATCH_IT_URLS": "y"}
    assert resolve(Positional, [], environ=environ, program="watch it").urls == ("y",)


def test_a_reload_takes_what_may_change_and_names_what_waits_for_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("timeout_s: 1\n")
    argv = ["--config", str(path)]
    running = resolve(Settings, argv, environ={}, program="prog")
    path.write_text("timeout_s: 2\nstreams_max: 3\n")
    fresh = reread(Settings, argv, environ={}, program="prog")
    settings, pending = adopt(running, fresh)
    assert settings == Settings(timeout_s=2.0)
    assert pending == ("streams_max",)


def test_help_tells_every_setting_with_default_variable_bounds_and_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        resolve(Settings, ["--nonsense", "--help"], environ={}, program="prog")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "usage: inferometer prog [SETTINGS]\n\nSettings of a program that only tests know.\n\n"
    )
    assert (
        "network:\n\n  --listen ADDRESS\n      Where clients connect.\n"
        "      [default: 127.0.0.1:80; env: INFEROMETER_PROG_LISTEN]\n\n"
        "  --timeout-s SECONDS\n"
        "      How long a client may take; a slow sender holds a connection.\n"
    ) in text
    assert "\nlimits:\n\n  --streams-max N\n" in text
    assert "[default: 5; of 1 or more; env: INFEROMETER_PROG_STREAMS_MAX]" in text
    assert "--verbose | --no-verbose\n" in text
    assert "--mode fast|safe\n" in text
    assert "--files FILE (repeatable)\n" in text
    assert "[default: a, b; env: INFEROMETER_PROG_NAMES]" in text
    assert "more settings:\n\n  --config FILE\n" in text
    assert "may change at a reload" in " ".join(text.split())


def test_help_is_no_flag_behind_two_dashes() -> None:
    assert told("-- --help")[0].startswith("E02 command line: unexpected word '--help'")


@given(st.integers(0, 300))
def test_help_fits_the_terminal(width: int) -> None:
    text = help_text(Settings, "prog", width=width)
    assert max(map(len, text.splitlines())) <= min(max(width, 40), 100)


def test_the_reference_page_gets_a_row_for_every_setting() -> None:
    rows = {row.name: row for row in describe(Settings, "prog")}
    assert list(rows)[:2] == ["listen", "timeout_s"]
    assert list(rows)[-1] == "config"
    row = rows["timeout_s"]
    assert row.flag == "--timeout-s"
    assert row.variable == "INFEROMETER_PROG_TIMEOUT_S"
    assert row.default == "10.0"
    assert row.bounds == "from 0.1 to 60"
    assert row.doc == "How long a client may take; a slow sender holds a connection."
    assert row.reload
    assert rows["verbose"].default == "false"
    assert rows["token"].flag == ""


def test_a_class_without_source_has_settings_without_reasons() -> None:
    space: dict[str, type] = {}
    source = "@dataclass\nclass Made:\n    a: int = 1\n    'reason'\n"
    exec(source, {"dataclass": dataclass}, space)
    assert describe(space["Made"], "prog")[0].doc == ""


def test_help_of_an_installed_program_ends_with_0_and_wrong_settings_with_2(tmp_path: Path) -> None:
    program = tmp_path / "prog.py"
    program.write_text(
        "import os, sys\n"
        "from dataclasses import dataclass\n"
        "from inferometer.errors import SettingsError\n"
        "from inferometer.settings import resolve\n"
        "@dataclass(frozen=True)\n"
        "class Settings:\n"
        "    '''Settings.'''\n"
        "    n: int = 1\n"
        "    '''The reason.'''\n"
        "try:\n"
        "    print(resolve(Settings, sys.argv[1:], environ=os.environ, program='p'))\n"
        "except SettingsError as error:\n"
        "    sys.exit(2)\n"
    )

    def run(*argv: str) -> tuple[int, str]:
        command = [sys.executable, str(program), *argv]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return ended.returncode, ended.stdout

    code, text = run("--help")
    assert code == 0
    assert "The reason." in text
    assert run("--n", "2") == (0, "Settings(n=2)\n")
    assert run("--n", "x") == (2, "")
