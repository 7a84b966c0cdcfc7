"""The command `inferometer`: a table of programs that are known by name only.

A program's module is imported when its name is chosen, so `inferometer --help` imports none of
them and answers at once, and a missing optional package hurts only the program that needs it.
What a program does, and its settings, belong into its own `cli.py`.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple


class Command(NamedTuple):
    """A program: the module whose `main(argv) -> exit code` runs it.

    `extra` is the optional part of the installation it needs, empty for none; `summary` is its
    line in `inferometer --help`.
    """

    module: str
    extra: str
    summary: str


COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "sidecar": Command(
            "inferometer.sidecar.cli",
            extra="sidecar",
            summary="stand in front of a model server and measure what its users feel",
        ),
        "slo": Command(
            "inferometer.slo.cli",
            extra="",
            summary="check SLO documents, and turn them into rules and alerts",
        ),
        "gpu-exporter": Command(
            "inferometer.gpu.cli",
            extra="gpu",
            summary="show what GPUs do, under DCGM's names and our own, also while one hangs",
        ),
        "watch": Command(
            "inferometer.live.cli",
            extra="",
            summary="show running sidecars as a live page in the browser",
        ),
        "demo": Command(
            "inferometer.demo.cli",
            extra="demo",
            summary="run a model server, a sidecar, a load and the live page on this machine",
        ),
    }
)

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
LOST: Final = 3
INTERRUPTED: Final = 130

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        OK: "Done: the program ended as it was asked to, a drained sidecar included.",
        FAILED: "Failed: the input was right, but something outside was not, such as a port in "
        "use, an unreadable file or an optional package that is not installed.",
        MISUSED: "Misused: a flag, environment variable, configuration file or SLO document is "
        "wrong. Every problem was printed with its place, and nothing was started.",
        LOST: "Lost: a GPU driver is gone, or did not come in time where one is required, and only "
        "a new process or container can see it. A sidecar ends so when it is told twice to stop, "
        "which cuts its streams.",
        INTERRUPTED: "Interrupted by Ctrl-C before the program could end by itself.",
    }
)
"""What each exit code tells; `docs/reference/exit-codes.md` is made from it."""


def main(argv: Sequence[str] | None = None, *, commands: Mapping[str, Command] = COMMANDS) -> int:
    """Run the program that `argv` names (default: of this process) and return its exit code."""
    name, *rest = list(sys.argv[1:] if argv is None else argv) or [""]
    if name in commands:
        return _run(name, commands[name], rest)
    if name in {"-h", "--help"}:
        sys.stdout.write(usage(commands))
        return OK
    if name in {"-V", "--version"}:
        sys.stdout.write(f"inferometer {version()}\n")
        return OK
    if not name:
        sys.stderr.write(usage(commands))
        return MISUSED
    return _fail(MISUSED, f"no command is called {name!r}", _advice(name, commands))


def usage(commands: Mapping[str, Command]) -> str:
    """Return what `inferometer --help` prints."""
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in commands.items()]
    return "\n".join(
        [
            "usage: inferometer COMMAND [SETTINGS]",
            "       inferometer COMMAND --help",
            "       inferometer --version",
            "",
            "Know what the users of an LLM server feel, hold it to an SLO, and scale on it.",
            "",
            "commands:",
            *lines,
            "",
        ]
    )


def version() -> str:
    """Return the version of the installed package, or `unknown` where none is installed."""
    # Imported here since it costs more than all the rest of `--help`.
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("inferometer")
    except PackageNotFoundError:
        return "unknown"


def _run(name: str, command: Command, argv: list[str]) -> int:
    """Import the program and run it; what it could not handle itself becomes an exit code."""
    from inferometer.errors import UserError, WorldError

    try:
        return int(import_module(command.module).main(argv))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "inferometer"} or not command.extra:
            raise  # a broken installation or a fault of ours: the trace tells more than a hint
        hint = f"pip install 'inferometer[{command.extra}]'"
        return _fail(FAILED, f"{name} needs the package {missing!r}, which is not installed", hint)
    except UserError as error:
        return _fail(MISUSED, str(error))
    except WorldError as error:
        return _fail(FAILED, str(error), error.hint)
    except KeyboardInterrupt:
        return INTERRUPTED


def _advice(name: str, commands: Mapping[str, Command]) -> str:
    """Return the hint for an unknown command: the nearest name, or where all names are."""
    from difflib import get_close_matches

    nearest = get_close_matches(name, commands, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else "inferometer --help lists the commands"


def _fail(code: int, message: str, hint: str = "") -> int:
    """Print what went wrong, and return the exit code."""
    sys.stderr.write(f"inferometer: {message}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
