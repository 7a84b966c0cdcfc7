"""One turn of a model, and what a measurement of it must find: the truth apart from any dialect.

A dialect module turns a `Turn` into `Frame`s (its bytes, and what they mean); this module turns
frames into a script with framing, encoding and pace, and a played script into a `Truth`.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

import brotli
import zstandard

from support.connection import Exchange
from support.script import LAST_CHUNK, Action, Field, Script, Step, chunk, head

Kind = Literal["text", "reasoning", "tool"]
Framing = Literal["chunked", "length", "close"]
Encoding = Literal["identity", "gzip", "deflate", "br", "zstd"]
Ending = Literal["clean", "close", "reset", "error"]
"""How an answer ends: as it should; cut by FIN or RST; by an error event instead of the rest."""


class Said(NamedTuple):
    """One output event: what kind, of which choice, of how many tokens in truth."""

    kind: Kind = "text"
    choice: int = 0
    tokens: int = 1


class Frame(NamedTuple):
    """Bytes that a server writes at once, and the output events that they complete."""

    data: bytes
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """What a model says. Every word is one output event of `tokens_each` tokens.

    `reasoning` comes before the words, `tool` (pieces of arguments) after them. With an `ending`
    other than clean, nothing but that ending follows the words: no usage, no terminator.
    """

    words: tuple[str, ...] = ("Hello", " wor", "ld, ", "grüße", " 🙂", '"q"\\')
    reasoning: tuple[str, ...] = ()
    tool: tuple[str, ...] = ()
    tokens_each: int = 1
    choices: int = 1
    input_tokens: int = 7
    usage: bool = True
    running_usage: bool = False  # running totals in every chunk (vLLM's continuous_usage_stats)
    token_ids: bool = False  # token ids or logprobs tell the number in each chunk
    ending: Ending = "clean"
    model: str = "m"

    @property
    def said(self) -> tuple[tuple[str, Said], ...]:
        """All pieces in order: reasoning, words, tool arguments; the choices take turns."""
        kinds: tuple[tuple[Kind, tuple[str, ...]], ...] = (
            ("reasoning", self.reasoning),
            ("text", self.words),
            ("tool", self.tool),
        )
        return tuple(
            (piece, Said(kind, choice, self.tokens_each))
            for kind, pieces in kinds
            for piece in pieces
            for choice in range(self.choices)
        )

    @property
    def output_tokens(self) -> int:
        """All tokens of the turn."""
        return sum(said.tokens for _, said in self.said)


def dumps(value: Any) -> bytes:
    """Write JSON as servers do: UTF-8, no spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(value: Any, event: str = "") -> bytes:
    """Write one server-sent event; bytes go in as they are."""
    data = value if isinstance(value, bytes) else dumps(value)
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + data + b"\n\n"


class Encoder:
    """Compresses frame by frame and flushes each, as a server does that wants to stream."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._zlib = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
        self._brotli = brotli.Compressor()
        self._zstd = zstandard.ZstdCompressor().compressobj()

    def frame(self, data: bytes) -> bytes:
        """Return the compressed bytes from which exactly this data can be had."""
        match self._encoding:
            case "gzip" | "deflate":
                return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
            case "br":
                return bytes(self._brotli.process(data) + self._brotli.flush())
            case "zstd":
                block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
                return self._zstd.compress(data) + self._zstd.flush(block)
            case "identity":
                return data

    def end(self) -> bytes:
        """Return what ends the compressed body."""
        match self._encoding:
            case "gzip" | "deflate":
                return self._zlib.flush()
            case "br":
                return bytes(self._brotli.finish())
            case "zstd":
                return self._zstd.flush()
            case "identity":
                return b""


@dataclass(frozen=True, slots=True)
class Manner:
    """How frames travel: framing, encoding, pace, and how TCP cuts them.

    `first_s` is the wait before the first frame, `every_s` between frames; `waits_s` sets single
    waits apart: (index of the send, seconds before it). `together` frames go into one send.
    `cut_bytes` sends each piece in segments of at most so many bytes, `cut_s` apart. `in_step`
    sends a piece only when the client has all before it (`Pair.ask_in_step`), so that no two
    ever share a read, however busy the machine is.
    """

    framing: Framing = "chunked"
    encoding: Encoding = "identity"
    first_s: float = 0.0
    every_s: float = 0.0
    waits_s: tuple[tuple[int, float], ...] = ()
    together: int = 1
    cut_bytes: int | None = None
    cut_s: float = 0.0
    in_step: bool = False
    status: int = 200
    fields: tuple[Field, ...] = ()


PLAIN: Final = Manner()


def play(
    frames: Sequence[Frame],
    content_type: str,
    manner: Manner = PLAIN,
    *,
    ending: Ending = "clean",
) -> Script:
    """Turn frames into a script. The tag of each send is the output events it completes."""
    encoder = Encoder(manner.encoding)
    pieces = [
        (encoder.frame(b"".join(f.data for f in group)), tuple(s for f in group for s in f.said))
        for group in _groups(frames, manner.together)
    ]
    cut = ending in {"close", "reset"}
    tail = b"" if cut else encoder.end()
    steps = [Step(0.0, _head(manner, content_type, sum(len(p) for p, _ in pieces) + len(tail)))]
    waits_s = dict(manner.waits_s)
    payload_bytes = 0
    for i, (piece, said) in enumerate(pieces):
        if manner.in_step and i:
            steps.append(Step(0.0, Action.AWAIT_CUE, tag=payload_bytes))
        payload_bytes += len(piece)
        wait_s = waits_s.get(i, manner.every_s if i else manner.first_s)
        steps += _sends(_framed(piece, manner.framing), said, manner, wait_s)
    steps += _end(tail, manner.framing, ending)
    return Script(tuple(steps))


def _groups(frames: Sequence[Frame], size: int) -> Iterator[Sequence[Frame]]:
    for i in range(0, len(frames), size):
        yield frames[i : i + size]


def _head(manner: Manner, content_type: str, size: int) -> bytes:
    fields: list[Field] = [("Content-Type", content_type)]
    if manner.encoding != "identity":
        fields.append(("Content-Encoding", manner.encoding))
    match manner.framing:
        case "chunked":
            fields.append(("Transfer-Encoding", "chunked"))
        case "length":
            fields.append(("Content-Length", str(size)))
        case "close":
            fields.append(("Connection", "close"))
    return head(manner.status, *fields, *manner.fields)


def _framed(piece: bytes, framing: Framing) -> bytes:
    return chunk(piece) if framing == "chunked" else piece


def _sends(data: bytes, said: tuple[Said, ...], manner: Manner, wait_s: float) -> list[Step]:
    size = manner.cut_bytes or len(data)
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    steps = [Step(manner.cut_s if i else wait_s, part) for i, part in enumerate(parts)]
    # Chunk data ends two bytes before the chunk, so the event may be whole one segment earlier.
    last = (len(data) - (3 if manner.framing == "chunked" else 1)) // size
    steps[last] = steps[last]._replace(tag=said)
    return steps


def _end(tail: bytes, framing: Framing, ending: Ending) -> list[Step]:
    if ending == "close":
        return [Step(0.0, Action.CLOSE)]
    if ending == "reset":
        # A reset overtakes bytes that the peer has not read: give it the time to read them.
        return [Step(0.2, Action.RESET)]
    steps = []
    if framing == "chunked":
        steps.append(Step(0.0, (chunk(tail) if tail else b"") + LAST_CHUNK))
    elif tail:
        steps.append(Step(0.0, tail))
    if framing == "close":
        steps.append(Step(0.0, Action.CLOSE))
    return steps


class Arrival(NamedTuple):
    """Output events that one send completed, some time between `began_ns` and `moment_ns`.

    The former is the better truth: behind the send the interpreter may first have gone to another
    thread, for some milliseconds.
    """

    began_ns: int
    moment_ns: int
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened in one exchange, as the server knows it."""

    arrivals: tuple[Arrival, ...]

    @property
    def first_ns(self) -> int | None:
        """The first output event, None if there was none."""
        return self.arrivals[0].began_ns if self.arrivals else None

    @property
    def visible_ns(self) -> int | None:
        """The first output event that is no reasoning."""
        seen = [a.began_ns for a in self.arrivals if any(s.kind != "reasoning" for s in a.said)]
        return seen[0] if seen else None

    @property
    def tokens(self) -> int:
        """All tokens that went out."""
        return sum(s.tokens for a in self.arrivals for s in a.said)

    def gaps_s(self, choice: int = 0) -> list[float]:
        """Seconds between successive arrivals of one choice."""
        moments = [a.began_ns for a in self.arrivals if any(s.choice == choice for s in a.said)]
        return [(b - a) / 1e9 for a, b in pairwise(moments)]


def truth(exchange: Exchange) -> Truth:
    """Read what a played script really did."""
    arrivals = [
        Arrival(sent.began_ns, sent.moment_ns, sent.step.tag)
        for sent in list(exchange.sent)
        if isinstance(sent.step.tag, tuple) and sent.step.tag
    ]
    return Truth(tuple(arrivals))


@cache
def brotli_bomb(size: int) -> bytes:
    """Return a brotli body that inflates to so many zero bytes."""
    return bytes(brotli.compress(bytes(size), quality=1))


@cache
def gzip_bomb(size: int) -> bytes:
    """Return a gzip body that inflates to so many zero bytes (about 1000 to 1)."""
    return gzip.compress(bytes(size), 6)
