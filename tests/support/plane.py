"""The measuring plane by itself: what a client recorded is put into its ring, with the moments.

So the same bytes and moments that make the truth are what is measured, and the comparison can be
exact. Wiring as in the sidecar; only the serving loop, its clock and its thread are left out.
"""

import itertools
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final

import brotli
import zstandard

from inferometer.metrics import exposition
from inferometer.metrics.build import Registry
from inferometer.sidecar.cli import make_stages
from inferometer.sidecar.fields import Fields
from inferometer.sidecar.observe import Observer
from inferometer.sidecar.settings import Settings
from inferometer.sidecar.tap import (
    Answered,
    Cause,
    Finish,
    RequestBody,
    RequestEnd,
    Ring,
    Started,
)
from support.client import Answer
from support.connection import Piece
from support.framing import parse_head
from support.samples import Samples
from support.turns import Encoding, Frame

SECOND_NS: Final = 1_000_000_000
CAUSES: Final[dict[str, Cause]] = {
    "complete": "complete",
    "short": "upstream_short",
    "reset": "upstream_short",
    "malformed": "upstream_short",
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One exchange: the request, the answer's head, and body parts with their moments.

    `status` is 0 where no answer came from upstream.
    """

    ask: bytes
    sent_ns: int
    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    pieces: tuple[Piece, ...]
    cause: Cause
    ended_ns: int

    @classmethod
    def of(cls, ask: bytes, sent_ns: int, answer: Answer) -> "Recorded":
        """Keep what a client saw."""
        return cls(
            ask=ask,
            sent_ns=sent_ns,
            status=answer.status,
            fields=tuple(answer.head.fields),
            pieces=tuple(answer.pieces),
            cause=CAUSES[answer.end],
            ended_ns=answer.pieces[-1].moment_ns if answer.pieces else answer.head_ns,
        )


@dataclass(slots=True)
class Plane:
    """A ring, an observer and a registry."""

    ring: Ring = field(default_factory=Ring)
    registry: Registry = field(default_factory=Registry)
    observer: Observer = field(init=False)

    def __post_init__(self) -> None:
        """Wire it."""
        stages = make_stages(self.registry, Settings())
        self.observer = Observer(self.ring, self.registry, stages)

    def take(self, recorded: Recorded, *, wall_s: float | None = None) -> None:
        """Put one exchange into the ring and measure it."""
        end = recorded.ask.index(b"\r\n\r\n") + 4
        head = parse_head(recorded.ask[:end])
        assert head is not None
        body = recorded.ask[end:]
        tapped = self.ring.admit()
        assert tapped is not None
        wall_s = time.time() if wall_s is None else wall_s
        started = Started(wall_s, head.method, head.target, Fields.of(head.fields))
        t0_ns = recorded.sent_ns
        self.ring.mark(tapped, t0_ns, started)
        if body:
            self.ring.offer(tapped, t0_ns, RequestBody(body), len(body))
        self.ring.mark(tapped, t0_ns, RequestEnd(len(body)))
        if recorded.status:
            self.ring.mark(tapped, t0_ns, Answered(recorded.status, Fields.of(recorded.fields)))
        for piece in recorded.pieces:
            self.ring.offer(tapped, piece.moment_ns, piece.data, len(piece.data))
        size = sum(len(piece.data) for piece in recorded.pieces)
        finish = Finish(recorded.cause, recorded.status, len(body), size, lost=False)
        self.ring.mark(tapped, recorded.ended_ns, finish)
        self.observer.tick(recorded.ended_ns + SECOND_NS)

    def samples(self) -> Samples:
        """Return what a scrape would show."""
        page = b"".join(exposition.write(self.registry, openmetrics=False))
        return Samples(page.decode())


def inflater(encoding: Encoding) -> Callable[[bytes], bytes]:
    """Return a decompressor that takes one piece after the other."""
    match encoding:
        case "gzip" | "deflate":
            return zlib.decompressobj(31 if encoding == "gzip" else 15).decompress
        case "br":
            return brotli.Decompressor().process  # type: ignore[no-any-return]  # it has no types
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress
        case "identity":
            return bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be measured of a recorded exchange: nanoseconds, exact."""

    ttft_ns: int | None
    ttfo_ns: int | None
    gaps_ns: tuple[int, ...]
    longest_gap_ns: int | None


def expect(recorded: Recorded, frames: Sequence[Frame], encoding: Encoding) -> Expected:
    """Work out from bytes and moments alone when each output event was complete."""
    inflate = inflater(encoding)
    decoded = list(accumulate(len(inflate(piece.data)) for piece in recorded.pieces))
    ends = accumulate(len(frame.data) for frame in frames)
    moments: dict[int, list[int]] = {}
    visible: list[int] = []
    for frame, end in zip(frames, ends, strict=True):
        arrived = next((i for i, total in enumerate(decoded) if total >= end), None)
        for said in frame.said if arrived is not None else ():
            moment_ns = recorded.pieces[arrived or 0].moment_ns
            moments.setdefault(said.choice, []).append(moment_ns)
            if said.kind != "reasoning":
                visible.append(moment_ns)
    gaps = [gap for times in moments.values() for gap in gaps_of(times)]
    first = min(itertools.chain(*moments.values()), default=None)
    return Expected(
        ttft_ns=None if first is None else first - recorded.sent_ns,
        ttfo_ns=min(visible) - recorded.sent_ns if visible else None,
        gaps_ns=tuple(gaps),
        longest_gap_ns=max(gaps, default=None),
    )


def gaps_of(moments: Sequence[int]) -> list[int]:
    """Return the gaps between arrivals; what came at one moment is one arrival."""
    return [b - a for a, b in pairwise(sorted(set(moments)))]
