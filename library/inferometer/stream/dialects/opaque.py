"""What no dialect reads: unknown routes, types and encodings. Bytes only, never a guess."""

from inferometer.stream.dialect import Framing
from inferometer.stream.events import Event


class Opaque:
    """Says nothing about any answer."""

    name = "opaque"
    framing: Framing = "opaque"
    terminated = False
    tokens_per_output: int | None = None

    def frame(self, name: bytes, data: bytes) -> list[Event]:  # noqa: ARG002  nothing is read
        """Return no event."""
        return []

    def whole(self, body: bytes) -> list[Event]:  # noqa: ARG002  nothing is read
        """Return no event."""
        return []
