"""The tree of errors, and `Problem`: one fault of an input, with its place.

    InferometerError
    ├── UserError            the input is wrong: exit code 2, nothing was started
    │   ├── SettingsError    flags, environment, configuration file
    │   └── SpecError        an SLO document
    └── WorldError           the input is right, the world is not: exit code 1

The user's fault is apart from the world's, since only the first one is cured by editing a file.
Code raises or logs, never both; only a `cli.py` catches, prints and picks the exit code.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in an input something stands: `file:line:column`, counted from 1.

    `source` may also be a flag (`--listen`) or an environment variable; then `line` is 0 and only
    the source is printed. A `column` of 0 is not known and not printed.
    """

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `slo.yaml:12:7`, or less where less is known."""
        parts = [self.source, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of an input: its place, what is wrong with which value, and what to do about it.

    `message` is lower case without a final stop and shows values by `!r`; `code` is stable, so
    that tools may refer to it.
    """

    place: Place
    message: str
    hint: str = ""
    code: str = ""

    def __str__(self) -> str:
        """Return the one or two lines that are shown to the user."""
        text = f"{self.place}: {self.message}"
        return f"{text}\nhint: {self.hint}" if self.hint else text


class InferometerError(Exception):
    """Any error that inferometer raises on purpose."""


class UserError(InferometerError):
    """Wrong input. Holds every Problem found, in the order of their places."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems sorted by place; at least one is needed."""
        self.problems = tuple(sorted(problems))
        assert self.problems, "an error without a problem tells nothing"
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(UserError):
    """A flag, environment variable or configuration file is wrong."""


class SpecError(UserError):
    """An SLO document is wrong."""


class WorldError(InferometerError):
    """The input is right but something outside fails: a port in use, an unreachable server."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message and the hint that a `cli.py` prints below it."""
        self.hint = hint
        super().__init__(message)
