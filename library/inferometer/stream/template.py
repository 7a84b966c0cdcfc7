"""Recognises frames that differ from an earlier one in their payload only, without reading JSON.

Almost every frame of a stream says the same: one more piece of text. Reading its JSON costs ten
times as much as comparing what stands around the text. So a frame that reads as exactly one
`Output` becomes a template: the bytes before and after its payload. It is used only after proof:
with another payload in the same place the dialect must say the same, and with an empty one it
must not. A later payload must be a JSON string by itself; anything else is read as ever, so a
template changes no result.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from inferometer.stream.events import Event, Output

Reader = Callable[[bytes, bytes], list[Event]]
"""A dialect's `frame`."""

TEMPLATES_MAX: Final = 4
"""Templates of one answer: a stream alternates between choices, or reasoning and text."""

FRAME_BYTES_MAX: Final = 16 << 10
"""Longer frames are no templates."""

TRIES: Final = 4
"""Templates made without any of them being used before none is made any more."""

_PAYLOAD: Final = re.compile(rb"""(?x)
    "(?:content|text|delta|reasoning|reasoning_content|thinking|text_output|response
       |partial_json|arguments|refusal)"
    [ ]?:[ ]?"((?:[^"\\]|\\.)++)"
""")
TEXT: Final = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})++')
_PROBES: Final = (b"x", b"y")


class Template:
    """What stands around the payload of frames that all say `events`."""

    __slots__ = (
        "_after",
        "_before",
        "_name",
        "events",
        "raw_after",
        "raw_before",
    )

    def __init__(self, name: bytes, before: bytes, after: bytes, events: Sequence[Event]) -> None:
        """Keep the parts, as a frame and as an event of a stream as servers write it."""
        self.events = events
        self._name = name
        self._before = before
        self._after = after
        field = b"event: " + name + b"\n" if name else b""
        self.raw_before = field + b"data: " + before
        self.raw_after = after + b"\n\n"

    @property
    def choice(self) -> int:
        """The choice that they are an output of."""
        event = self.events[0]
        assert isinstance(event, Output), event
        return event.choice

    def fits_read(self, data: bytes) -> bool:
        """Tell whether a read is exactly one event of this template."""
        start, end = len(self.raw_before), len(data) - len(self.raw_after)
        return (
            data.startswith(self.raw_before)
            and data.endswith(self.raw_after)
            and TEXT.fullmatch(data, start, end) is not None
            and (data.isascii() or is_utf8(data[start:end]))
        )

    def fits(self, name: bytes, data: bytes) -> bool:
        """Tell whether a frame is of this template."""
        return (
            name == self._name
            and data.startswith(self._before)
            and data.endswith(self._after)
            and _is_text(data[len(self._before) : -len(self._after)])
        )


def _is_text(payload: bytes) -> bool:
    """Tell whether `payload` is the inside of a JSON string that is not empty."""
    return TEXT.fullmatch(payload) is not None and (payload.isascii() or is_utf8(payload))


def is_utf8(text: bytes) -> bool:
    """Tell whether bytes are whole characters of UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class Templates:
    """The templates of one answer, the latest used first."""

    __slots__ = ("_made", "_read", "_tries")

    def __init__(self, read: Reader) -> None:
        """Start without any; `read` is the dialect that proves them."""
        self._read = read
        self._made: list[Template] = []
        self._tries = TRIES

    @property
    def latest(self) -> Template | None:
        """The template that is tried first."""
        return self._made[0] if self._made else None

    def of_read(self, data: bytes) -> Sequence[Event] | None:
        """Return what a read says that is exactly one event; None where no template fits."""
        for template in self._made:
            if template.fits_read(data):
                self._tries = TRIES
                return template.events
        return None

    def of_frame(self, name: bytes, data: bytes) -> Sequence[Event] | None:
        """Return what a frame says; None where no template fits."""
        for template in self._made:
            if template.fits(name, data):
                self._tries = TRIES
                return template.events
        return None

    def learn(self, name: bytes, data: bytes, events: Sequence[Event]) -> None:
        """Make a template of a frame that was read as `events`, if that can be proven.

        Where every frame differs (a time, an index, a token's id), templates are never used and
        soon not made any more.
        """
        if len(events) != 1 or not self._tries or len(data) > FRAME_BYTES_MAX:
            return
        event = events[0]
        if type(event) is not Output or event.tokens is not None:
            return
        self._tries -= 1
        for found in _PAYLOAD.finditer(data):
            before, after = data[: found.start(1)], data[found.end(1) :]
            if self._proven(name, before, after, events):
                self._made = [Template(name, before, after, tuple(events)), *self._made]
                del self._made[TEMPLATES_MAX:]
                return

    def _proven(self, name: bytes, before: bytes, after: bytes, events: Sequence[Event]) -> bool:
        if b"\n" in before or b"\r" in before or b"\n" in after or b"\r" in after:
            return False
        same = all(self._read(name, before + probe + after) == events for probe in _PROBES)
        return same and self._read(name, before + after) == []
