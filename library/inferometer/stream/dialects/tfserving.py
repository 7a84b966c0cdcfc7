"""TensorFlow Serving and KServe's inference protocols: whole JSON, no tokens.

`POST /v1/models/M[/versions/V]:predict`, `:classify`, `:regress` (TensorFlow Serving, KServe v1)
and `/v2/models/M[/versions/V]/infer` (KServe v2: Triton, OpenVINO, MLServer). Over gRPC they are
tunnelled.
"""

from inferometer.stream.dialect import Framing
from inferometer.stream.events import Event, Failed
from inferometer.stream.reading import named, whole


class TfServing:
    """Reads whole bodies: the model's name, where the protocol has it, and errors."""

    name = "tfserving"
    framing: Framing = "opaque"
    terminated = False
    tokens_per_output: int | None = None

    def frame(self, name: bytes, data: bytes) -> list[Event]:  # noqa: ARG002  it never streams
        """Return no event."""
        return []

    def whole(self, body: bytes) -> list[Event]:
        """Return the model or the error of a body."""
        message = whole(body)
        if not isinstance(message, dict):
            return [message]
        return [Failed()] if message.get("error") else named(message.get("model_name"))
