"""TorchServe: whatever its handler writes, in chunks of its own.

`POST /predictions/M[/V]`. A handler may stream text, JSON or bytes without any mark between two
pieces, so nothing in the body is read; errors come as a status.
"""

from inferometer.stream.dialect import Framing
from inferometer.stream.events import Event


class TorchServe:
    """Says nothing about any answer: bytes, duration and status are all that is known."""

    name = "torchserve"
    framing: Framing = "opaque"
    terminated = False
    tokens_per_output: int | None = None

    def frame(self, name: bytes, data: bytes) -> list[Event]:  # noqa: ARG002  nothing is read
        """Return no event."""
        return []

    def whole(self, body: bytes) -> list[Event]:  # noqa: ARG002  nothing is read
        """Return no event: the body is the handler's, also where it is JSON."""
        return []
