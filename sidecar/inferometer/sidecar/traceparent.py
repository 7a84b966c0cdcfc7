"""The trace that a request says it belongs to, for exemplars: read strictly, never acted upon."""

import re
from typing import Final

from inferometer.metrics.cells import Exemplar
from inferometer.sidecar.tap import Started

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
"""W3C Trace Context, section 3.2. Only later versions than 00 may have more parts."""


def exemplar_of(started: Started) -> Exemplar | None:
    """Return the trace of a request that carries one valid, sampled `traceparent`, else None."""
    if b"traceparent" not in started.fields:
        return None
    values = started.fields.values(b"traceparent")
    found = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[1] == b"00" and found[5]) or not int(found[4], 16) & 1:
        return None
    return Exemplar(found[2].decode("ascii"), found[3].decode("ascii"), started.wall_s)
