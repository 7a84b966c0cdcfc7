"""`inferometer slo`: a table of subcommands; the chosen one is imported when it is called."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple

from inferometer.documents import nearest
from inferometer.errors import Place, Problem, SettingsError


class Command(NamedTuple):
    """A subcommand: the module with its `Settings` and `main(argv) -> exit code`."""

    module: str
    summary: str


COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "check": Command(
            "inferometer.slo.commands.check",
            "tell everything that is wrong with documents, and how soon each SLO would be told",
        ),
        "presets": Command(
            "inferometer.slo.commands.presets",
            "list promises that others have published, and begin a document with them",
        ),
        "render": Command(
            "inferometer.slo.commands.render",
            "write documents as rules for Prometheus, Mimir and others, or as OpenSLO",
        ),
        "prove": Command(
            "inferometer.slo.commands.prove",
            "let SLOs live through incidents, and tell what alerts when, confirmed by promtool",
        ),
        "status": Command(
            "inferometer.slo.commands.status",
            "tell how SLOs stand: what was good, what is left of the budget, how fast it burns",
        ),
        "ledger": Command(
            "inferometer.slo.commands.ledger",
            "keep error budgets for longer than Prometheus keeps samples",
        ),
    }
)


def main(argv: Sequence[str]) -> int:
    """Run a subcommand. Raises UserError and WorldError."""
    name, *rest = list(argv) or [""]
    if name in {"-h", "--help"}:
        sys.stdout.write(usage())
        return 0
    if name not in COMMANDS:
        message = f"no command of slo is called {name!r}" if name else "a command is needed"
        problem = Problem(Place("inferometer slo"), message, nearest(name, COMMANDS))
        raise SettingsError([problem])
    return int(import_module(COMMANDS[name].module).main(rest))


def usage() -> str:
    """Return what `inferometer slo --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: inferometer slo COMMAND FILES [SETTINGS]",
            "       inferometer slo COMMAND --help",
            "",
            "Turn SLO documents into rules and alerts.",
            "",
            "commands:",
            *lines,
            "",
        ]
    )
