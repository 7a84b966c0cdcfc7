"""What a child is told by the server that starts it: how often to do what, and its options."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inferometer.gpu.backend import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a child does what."""

    tick_s: float = 1.0
    process_every: int = 5
    slow_s: float = 30.0
    alive_s: float = 60.0
    """Between calls to a device that is lost."""
    permission_s: float = 600.0
    """Between attempts at what permission was missing for."""
    heartbeat_s: float = 1.0


def options_text(options: Options) -> str:
    """Return options as JSON."""
    return json.dumps(asdict(options), default=str)


def read_options(text: str) -> Options:
    """Return the options of such a text."""
    given: dict[str, Any] = json.loads(text)
    for name in ("nvml_library", "scenario", "dcgm_bindings"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    if "tpu_addresses" in given:
        given["tpu_addresses"] = tuple(given["tpu_addresses"])
    return Options(**given)
