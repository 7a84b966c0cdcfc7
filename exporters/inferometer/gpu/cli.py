"""`inferometer gpu-exporter`: the exporter itself, and the programs that stand behind it.

Each is imported when it is called: the map of pods is made by a container that has no use for the
rest.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple

from inferometer.gpu.settings import Settings

__all__ = ["COMMANDS", "Settings", "main"]


class Command(NamedTuple):
    """A program behind the exporter's: the module with its `Settings` and `main(argv)`."""

    module: str
    summary: str


COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "podmap": Command(
            "inferometer.gpu.mapping",
            "write which pods hold which devices, for an exporter that may not ask the kubelet",
        ),
        "record": Command(
            "inferometer.gpu.record",
            "write down what the NVIDIA driver answers, for tests that replay it",
        ),
    }
)


def main(argv: Sequence[str]) -> int:
    """Run the program that is named first, else the exporter. Raises UserError and WorldError."""
    if argv and argv[0] in COMMANDS:
        return int(import_module(COMMANDS[argv[0]].module).main(argv[1:]))
    from inferometer.gpu.start import run

    return run(argv)
