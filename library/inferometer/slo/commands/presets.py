"""`inferometer slo presets`: promises that others have published, to begin a document with."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from inferometer.documents import nearest
from inferometer.errors import Place, Problem, SettingsError
from inferometer.settings import resolve
from inferometer.slo.presets import PRESETS, Preset

PROGRAM: Final = "slo presets"

_HEAD: Final = """\
apiVersion: inferometer/v1
kind: SLO
metadata: {name: NAME, owner: OWNER}
window: {rolling: 30d}
classes:
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """List promises that others have published, or print a document made of some of them.

    Names in capitals are for you to fill in; the first class that matches takes a request.
    """

    names: tuple[str, ...] = field(
        default=(), metadata={"positional": True, "metavar": "NAME (repeatable)"}
    )
    """Presets to make a document of, also as plain words. Without one all are listed."""


def main(argv: Sequence[str]) -> int:
    """Print the list or the document. Raises SettingsError for a name that is none."""
    settings = resolve(Settings, argv, environ=os.environ, program=PROGRAM)
    known = {preset.name: preset for preset in PRESETS}
    unknown = [name for name in settings.names if name not in known]
    if unknown:
        place = Place("command line")
        problems = [
            Problem(place, f"no preset is called {name!r}", nearest(name, known))
            for name in unknown
        ]
        raise SettingsError(problems)
    chosen = [known[name] for name in settings.names]
    text = _HEAD + "".join(one.text() for one in chosen) if chosen else "\n".join(_list()) + "\n"
    sys.stdout.write(text)
    return 0


def _list() -> Iterator[str]:
    width = max(len(preset.name) for preset in PRESETS)
    source = ""
    for preset in PRESETS:
        if preset.source != source:
            yield from ["", preset.source] if source else [preset.source]
            source = preset.source
        yield f"  {preset.name:{width}}  {_words(preset)}"


def _words(preset: Preset) -> str:
    of = "slices of 5 minutes" if preset.slices else "requests"
    limits = ", ".join(f"{key} {value}" for key, value in preset.good)
    return f"{preset.objective} % of {of}: {limits}"
