"""Text Generation Inference's own API: one event for each token.

`POST /generate_stream`, `/generate` and `/`. The event of the last token also carries
`generated_text` and, if asked for, `details`; it ends the stream. Special tokens count: they are
generated, and `generated_tokens` counts them as well. Tokens that end inside a character have no
text; they come with the output that completes it.

SGLang's own `/generate` has the same route and other events. They are not read, so such a stream
is partial; read as empty it would look like one that was cut short.
"""

from typing import Final

from inferometer.stream.dialect import Framing
from inferometer.stream.events import Ended, Event, Failed, Finished, Output, Skipped
from inferometer.stream.finish import finish
from inferometer.stream.reading import Message, mapping, output, read, text, usage, whole

_MEMBERS: Final = frozenset({"token", "generated_text"})
"""Every event of TGI has them; `generated_text` is null until the last."""

_ONE: Final = Output("text", tokens=1)


class Tgi:
    """Reads the events of one answer, or its whole body. The answer names no model."""

    name = "tgi"
    framing: Framing = "sse"
    terminated = True
    tokens_per_output: int | None = 1

    def __init__(self) -> None:
        """Start reading a new answer."""
        self._held = 0  # tokens since the last output

    def frame(self, name: bytes, data: bytes) -> list[Event]:
        """Return what one event says: a token, and at the end why and after how many."""
        if name == b"error":
            return [Failed()]
        message = read(data)
        if not isinstance(message, dict):
            return [] if message is None else [message]
        if message.get("error"):
            return [Failed()]
        if message.keys().isdisjoint(_MEMBERS):
            return [Skipped("malformed")]
        piece = mapping(message.get("token")).get("text")
        events: list[Event] = []
        if text(piece):
            events.append(output("text", tokens=1 + self._held) if self._held else _ONE)
            self._held = 0
        elif piece == "":
            self._held += 1
        if isinstance(message.get("generated_text"), str):
            events += _details(message)
            events.append(Ended())
        return events

    def whole(self, body: bytes) -> list[Event]:
        """Return what a body that was not streamed says."""
        message = whole(body)
        if not isinstance(message, dict):
            return [message]
        if message.get("error"):
            return [Failed()]
        return _details(message) if "generated_text" in message else []


def _details(message: Message) -> list[Event]:
    """Return usage and finish reason; without `details` only that it ended is known."""
    details = mapping(message.get("details"))
    events = usage(details.get("input_length"), details.get("generated_tokens"))
    events.append(Finished(finish(details.get("finish_reason")) or "unknown"))
    return events
