"""What a user may set of `inferometer demo`; the text below each field is what `--help` says."""

from dataclasses import dataclass, field
from typing import Final

SECONDS_ALONE: Final = 20.0
"""How long the demo runs where nobody can press Ctrl-C: long enough for a hundred answers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Run a model server, a sidecar, a load and the live page on this machine, as child processes.

    At a terminal until Ctrl-C; otherwise for a while. Then it compares what was measured with what
    the server really did.
    """

    seconds: float = field(default=0.0, metadata={"minimum": 0.0, "maximum": 86_400.0})
    """How long to run; 0 is until Ctrl-C at a terminal, and 20 s without one. `DEMO_SECONDS` in
    the environment says the same."""

    speed: float = field(default=1.0, metadata={"minimum": 0.1, "maximum": 4.0})
    """How much faster than recorded the trace of requests is replayed. 1 keeps the simulated
    server busy and full at times; 1.5 is too much for it."""

    seed: int = field(default=1, metadata={"minimum": 0, "maximum": 1_000_000})
    """Chance of the simulated server and clients: the same seed gives the same pauses and faults,
    as far as timing allows."""
