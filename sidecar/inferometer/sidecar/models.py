"""The model names that an engine states itself, read from an answer that passes by.

`GET /v1/models` is asked by clients and probes anyway; the sidecar asks nothing of its own. A name
that stands there has its label for certain, also after a flood of made-up names.
"""

from collections.abc import Iterable
from typing import Final

from inferometer.sidecar.tap import Answered, Started
from inferometer.stream.reading import items, whole

BYTES_MAX: Final = 256 << 10
"""Of a listing; an engine has a few models, a gateway a few hundred."""


def lists_models(started: Started, answered: Answered) -> bool:
    """Tell whether an answer is a listing that can be read."""
    if started.method != b"GET" or answered.status != 200:  # noqa: PLR2004  (OK)
        return False
    if not started.target.partition(b"?")[0].endswith(b"/v1/models"):
        return False
    types = answered.fields.values(b"content-type")
    return (
        bool(types)
        and types[-1].lower().startswith(b"application/json")
        and b"content-encoding" not in answered.fields
    )


def names_in(parts: Iterable[bytes]) -> list[str]:
    """Return the ids of a listing in OpenAI's form; none where it is no such listing."""
    listing = whole(b"".join(parts))
    if not isinstance(listing, dict):
        return []
    ids = (entry.get("id") for entry in items(listing.get("data")))
    return [name for name in ids if isinstance(name, str)]
