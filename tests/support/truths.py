"""Recordings of dialects and the truth beside each: what a reader must make of every frame.

The form of a truth is told in tests/recordings/dialects/README.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, cast, get_args

from inferometer.stream.events import (
    Ended,
    Event,
    Failed,
    Finish,
    Finished,
    Kind,
    Named,
    Output,
    Phase,
    Rejected,
    Reported,
    Skipped,
    Usage,
)

FOLDER = Path(__file__).parents[1] / "recordings" / "dialects"

Frame = tuple[bytes, bytes]


def typed(events: Iterable[Event]) -> list[tuple[object, ...]]:
    """Return events as tuples that start with their type.

    Events are tuples, and `Ended() == Failed()` since both are empty, so never compare them bare.
    """
    return [(type(event).__name__, *event) for event in events]


class Recording(NamedTuple):
    """One recorded answer: its bytes and, frame by frame, what they mean."""

    dialect: str
    path: Path
    body: bytes
    truth: list[list[Event]]

    @property
    def whole(self) -> bool:
        """Whether it is a body that was not streamed."""
        return self.path.suffix == ".json"

    @property
    def events(self) -> list[Event]:
        """All events of all frames."""
        return [event for frame in self.truth for event in frame]

    def frames(self) -> list[Frame]:
        """Return the name and data of each frame, cut by the simplest rules that do."""
        if self.path.suffix == ".sse":
            return list(_sse(self.body))
        if self.path.suffix == ".ndjson":
            return [(b"", line) for line in self.body.splitlines()]
        return [(b"", self.body)]


def recordings(dialect: str | None = None) -> list[Recording]:
    """Return all recordings, or those of one dialect, in a stable order."""
    truths = sorted(FOLDER.glob(f"{dialect or '*'}/*.truth"))
    return [_recording(truth) for truth in truths]


def _recording(truth: Path) -> Recording:
    (path,) = (p for p in truth.parent.glob(truth.stem + ".*") if p != truth)
    lines = truth.read_text("utf-8").splitlines()
    return Recording(
        truth.parent.name, path, path.read_bytes(), [list(_events(line)) for line in lines]
    )


def _sse(body: bytes) -> Iterator[Frame]:
    for block in body.split(b"\n\n"):
        fields = [line.partition(b":") for line in block.splitlines() if line[:1] != b":"]
        values = {name: value.removeprefix(b" ") for name, _, value in fields}
        if b"error" in values:  # llama.cpp's old field
            yield b"error", values[b"error"]
        elif values.get(b"data"):
            yield values.get(b"event", b""), values[b"data"]


def _events(line: str) -> Iterator[Event]:
    for said in line.split("; "):
        if said != "-":
            yield _event(said)


PLAIN: Final[Mapping[str, Event]] = {
    "failed": Failed(),
    "ended": Ended(),
    "rejected": Rejected(),
    "skipped malformed": Skipped("malformed"),
}


def _event(said: str) -> Event:
    if said in PLAIN:
        return PLAIN[said]
    word, *rest = said.split(" ")
    match word:
        case "named":
            event: Event = Named(rest[0])
        case "reported":
            event = Reported(cast("Phase", rest[0]), float(rest[1]))
        case "finished":
            event = Finished(cast("Finish", rest[0]), int(rest[1][1:]) if rest[1:] else None)
        case "usage":
            counts = [None if n == "?" else int(n) for n in rest[:4]]
            event = Usage(counts[0], counts[1], counts[2], counts[3], rest[4:] != ["running"])
        case _:
            event = _output(word)
    return event


def _output(word: str) -> Output:
    word, _, tokens = word.partition("*")
    word, _, index = word.partition("@")
    assert word in get_args(Kind), word
    return Output(cast("Kind", word), int(index or 0), int(tokens) if tokens else None)
