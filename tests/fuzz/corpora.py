"""The targets and their corpora, as both the fuzzer and the test suite find them."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, cast

FOLDER: Final = Path(__file__).parent
NAMES: Final = tuple(sorted(path.stem for path in (FOLDER / "targets").glob("*.py")))


class Target(Protocol):
    """A module of `fuzz.targets`."""

    check: Callable[[bytes], None]
    """Raises whatever is wrong with how ours took this input."""

    WORDS: Sequence[bytes]
    """What mutations may put in: the words of the grammar."""


def target(name: str) -> Target:
    """Import a target."""
    return cast("Target", importlib.import_module(f"fuzz.targets.{name}"))


def seeds(name: str) -> list[Path]:
    """Return the inputs that the repository keeps for a target."""
    return sorted((FOLDER / "corpus" / name).iterdir())
