"""The body of one answer, cut anywhere, to events: inflate, split, let the dialect read.

How a body is read is decided once, by its head or its first bytes: as a stream of frames, as one
JSON document, or not at all. Then each piece goes to the one method that stands for this. Nothing
here raises, and whatever is held has a bound.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from inferometer.stream.budget import Budget, Kept
from inferometer.stream.dialect import Call, Dialect
from inferometer.stream.dialects.anthropic import Messages
from inferometer.stream.dialects.llamacpp import LlamaCpp
from inferometer.stream.dialects.ollama import Ollama
from inferometer.stream.dialects.opaque import Opaque
from inferometer.stream.dialects.openai import Chat, Completions, Vectors
from inferometer.stream.dialects.responses import Responses
from inferometer.stream.dialects.tfserving import TfServing
from inferometer.stream.dialects.tgi import Tgi
from inferometer.stream.dialects.torchserve import TorchServe
from inferometer.stream.dialects.triton import Triton
from inferometer.stream.events import Event, Failed, Output, Skipped
from inferometer.stream.frames import Inflater
from inferometer.stream.outcome import GENERATES
from inferometer.stream.recognise import AMBIGUOUS, FRAMES_MAX, OPERATIONS, recognise
from inferometer.stream.split import Frame, Frames, LineSplitter, Splitter, SseSplitter
from inferometer.stream.summary import Answer
from inferometer.stream.template import Template, Templates

WHOLE_BYTES_MAX: Final = 4 << 20
"""How much of a body that is not streamed is kept, inflated."""

DIALECTS: Final[Mapping[str, Callable[[], Dialect]]] = {
    "openai_chat": Chat,
    "openai_completions": Completions,
    "openai_responses": Responses,
    "openai_vectors": Vectors,
    "anthropic": Messages,
    "tgi": Tgi,
    "triton": Triton,
    "ollama": Ollama,
    "llamacpp": LlamaCpp,
    "torchserve": TorchServe,
    "tfserving": TfServing,
    "opaque": Opaque,
}

Unread = Literal["route", "type", "encoding", "too_large", "malformed", "tunnel"]
"""Why a body is measured as bytes only."""

Kind = Literal["sse", "ndjson", "json", "unsure", "other"]
"""How a body is read. `unsure`: its first bytes have to tell."""

_KINDS: Final[Mapping[bytes, Kind]] = {
    b"text/event-stream": "sse",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"application/jsonl": "ndjson",
    b"application/json-lines": "ndjson",
    b"application/jsonlines": "ndjson",
    b"application/stream+json": "ndjson",
    b"application/json": "json",
    b"application/octet-stream": "unsure",
    b"text/plain": "unsure",
    b"": "unsure",
}
_SSE_STARTS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_HEAD_BYTES: Final = 8  # as many as the longest of them, with room for a byte order mark
_SWITCHING: Final = 101
_PLAIN: Final = Inflater(b"")  # keeps nothing, so that one is enough


def decoder(
    call: Call,
    *,
    status: int,
    content_type: bytes = b"",
    encoding: bytes = b"",
    budget: Budget | None = None,
) -> "Decoder":
    """Return a decoder for the body that follows a response head with these fields.

    What it keeps of a body that is not streamed comes from `budget`, which others may share.
    """
    return Decoder(call, status=status, content_type=content_type, encoding=encoding, budget=budget)


class Decoder:
    """Reads one body.

    `call` is the request's, with the dialect and operation that were recognised if its route did
    not tell. `opaque` says why a body is not read, None while it is. `streamed` is true for a
    body that is read as a stream.
    """

    def __init__(
        self,
        call: Call,
        *,
        status: int,
        content_type: bytes = b"",
        encoding: bytes = b"",
        budget: Budget | None = None,
    ) -> None:
        """Decide by the head how the body will be read. Only a 2xx has events."""
        self.call = call
        self.opaque: Unread | None = None
        self.streamed = False
        self._dialect = DIALECTS.get(call.dialect, Opaque)()
        self._templates: Templates  # these two are made once the body is read as a stream
        self._splitter: Splitter
        self._unproven: list[Frame | Skipped] | None = None  # frames of a dialect not yet certain
        self._held = Kept(budget or Budget(WHOLE_BYTES_MAX))
        self._inflater = Inflater(encoding) if encoding else _PLAIN
        self._mode: Callable[[bytes], Sequence[Event]] = self._ignore
        if status == _SWITCHING:
            self.opaque = "tunnel"
        elif 200 <= status < 300:  # noqa: PLR2004  # RFC 9110, 15.3
            self._choose(_kind(content_type))

    @property
    def terminated(self) -> bool:
        """Whether a complete stream ends with an event of its own."""
        return self._dialect.terminated

    @property
    def answer(self) -> Answer:
        """What is known of the answer as a whole."""
        return Answer(
            self.streamed, self.opaque, self._dialect.terminated, self._dialect.tokens_per_output
        )

    @property
    def usual(self) -> Template | None:
        """The template that the next read probably fits, None where reads cannot be compared.

        It holds until the next `feed`: a read that fits it may be left out of `feed` altogether.
        """
        if self._mode != self._frames or not self._inflater.identity or self._unproven is not None:
            return None
        return self._templates.latest if self._splitter.idle else None

    def feed(self, data: bytes) -> Sequence[Event]:
        """Return the events that `data` completes; the sequence is not to be changed."""
        if self._inflater.identity:
            return self._mode(data)
        if self._inflater.failed or self._mode == self._ignore:
            return ()
        data = self._inflater.feed(data)
        if self._inflater.failed:
            self._give_up("encoding")
            return (Skipped("encoding"),)
        return self._mode(data) if data else ()

    def close(self, *, clean: bool) -> Sequence[Event]:
        """Return what the end of the body completes; `clean` if its framing ended as it should.

        Their moment is that of the last byte of the body.
        """
        mode, self._mode = self._mode, self._ignore
        if mode == self._hold:
            if clean:
                return self._close_whole()
            self._held.clear()
            return ()
        if mode == self._head:
            return self._close_head(clean=clean)
        if mode != self._frames:
            return ()
        events = list(self._read(self._splitter.close(clean=clean)))
        if self._unproven is not None:
            events += self._prove([], last=True)
        return events

    def dropped(self) -> None:
        """Note that bytes of the body were lost: go on after the frame that they cut, if any."""
        if self._mode == self._frames and self._inflater.identity:
            self._splitter.lost()
            return
        self._mode = self._ignore
        self._held.clear()

    def _choose(self, kind: Kind) -> None:
        """Choose the mode by what the head says."""
        if self._inflater.failed:
            self._give_up("encoding")
        elif kind in ("sse", "ndjson"):
            self._stream(kind)
        elif self._dialect.name == "opaque":
            self._give_up("route")
        elif kind == "json":
            self._mode = self._hold
        elif kind == "unsure" and self._dialect.framing != "opaque":
            self._mode = self._head
        else:
            self._give_up("type")

    def _stream(self, kind: Kind) -> None:
        self._splitter = LineSplitter() if kind == "ndjson" else SseSplitter()
        self._templates = Templates(self._dialect.frame)
        opaque = self._dialect.framing == "opaque"
        if opaque or self.call.guessed or self._dialect.name in AMBIGUOUS:
            self._unproven = []
        else:
            self.streamed = True
        self._mode = self._frames

    def _give_up(self, reason: Unread) -> None:
        self.opaque = reason
        self._mode = self._ignore
        self._held.clear()

    def _ignore(self, _data: bytes) -> Sequence[Event]:
        return ()

    def _head(self, data: bytes) -> Sequence[Event]:
        """Wait for the first bytes, which tell how the body is read."""
        if not self._held.add(data):
            self._give_up("too_large")
        if len(self._held) < _HEAD_BYTES:
            return ()
        return self._look()

    def _look(self) -> Sequence[Event]:
        """Choose the mode by the first bytes, and read them."""
        data = self._held.take()
        start = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        if start.startswith(_SSE_STARTS):
            self._stream("sse")
        elif not start.startswith((b"{", b"[")):
            self._give_up("type")
        elif self._dialect.framing == "ndjson" and self.call.stream == "true":
            self._stream("ndjson")
        else:
            self._mode = self._hold
        return self._mode(data)

    def _close_head(self, *, clean: bool) -> Sequence[Event]:
        if not self._held:
            return ()
        events = list(self._look())
        return [*events, *self.close(clean=clean)]

    def _frames(self, data: bytes) -> Sequence[Event]:
        """Read a piece of a stream: the path of every token."""
        if self._splitter.idle:
            events = self._templates.of_read(data)
            if events is not None:
                return events
        return self._read(self._splitter.feed(data))

    def _read(self, frames: Frames) -> Sequence[Event]:
        if self._unproven is not None:
            return self._prove(frames) if frames else ()
        if len(frames) == 1:
            return self._frame(frames[0])
        return [event for frame in frames for event in self._frame(frame)]

    def _frame(self, frame: Frame | Skipped) -> Sequence[Event]:
        if isinstance(frame, Skipped):
            return (frame,)
        name, data = frame
        events = self._templates.of_frame(name, data)
        if events is None:
            events = self._dialect.frame(name, data)
            self._templates.learn(name, data, events)
        return events

    def _prove(self, frames: Frames, *, last: bool = False) -> Sequence[Event]:
        """Look for the dialect in the first frames; `last` says that no more will come."""
        held = self._unproven = [*(self._unproven or ()), *frames]
        heads = [frame.data for frame in held[:FRAMES_MAX] if isinstance(frame, Frame)]
        name = next(filter(None, map(recognise, heads)), None)
        if name is None and len(held) < FRAMES_MAX and not last:
            return ()
        self._unproven = None
        if not held and self._dialect.name != "opaque":
            self.streamed = True  # cut before its first frame: the route is all that can be known
            return ()
        if name is None and self.call.guessed:
            name = self._dialect.name  # what the route says most often
        if name is None:
            self._give_up("route" if self._dialect.name == "opaque" else "type")
            return ()
        if name != self._dialect.name:
            self._become(name)
            self._templates = Templates(self._dialect.frame)
        self.streamed = True
        return self._read(held)

    def _become(self, name: str) -> None:
        """Read on in another dialect than the route says."""
        self._dialect = DIALECTS[name]()
        operation = OPERATIONS[name] if self.call.operation == "other" else self.call.operation
        self.call = self.call._replace(dialect=name, operation=operation)

    def _hold(self, data: bytes) -> Sequence[Event]:
        """Keep a piece of a body that is read whole."""
        fits = len(self._held) + len(data) <= WHOLE_BYTES_MAX
        if not (fits and self._held.add(data)):
            self._give_up("too_large")
        return ()

    def _close_whole(self) -> Sequence[Event]:
        """Read the body; where a stream was asked for, it is one output with its last byte."""
        body = self._held.take()
        if not body or body.isspace():
            return ()
        events = self._whole(body)
        for event in events:
            if isinstance(event, Skipped):
                self._give_up(event.reason)
            elif isinstance(event, Failed):
                return events
        asked = self.call.stream == "true" and self.call.operation in GENERATES
        return [Output(), *events] if asked and self.opaque is None else events

    def _whole(self, body: bytes) -> list[Event]:
        events = self._dialect.whole(body)
        if self.call.guessed and not any(isinstance(event, Failed | Skipped) for event in events):
            name = recognise(body)
            if name is not None and name != self._dialect.name:
                self._become(name)
                return self._dialect.whole(body)
        return events


def _kind(content_type: bytes) -> Kind:
    """Return how a body of this type is read."""
    kind = _KINDS.get(content_type)
    if kind is not None:
        return kind
    media_type = content_type.partition(b";")[0].strip().lower()
    return _KINDS.get(media_type, "json" if media_type.endswith(b"+json") else "other")
