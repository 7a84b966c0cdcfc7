"""When requests come and how long they are: an extract of a public trace, replayed in a loop."""

from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from itertools import count
from typing import Final, NamedTuple

LOOP_PAUSE_S: Final = 0.5
"""Between the last request of the trace and its first one again."""


class Arrival(NamedTuple):
    """A request: seconds after the start, tokens of its prompt, tokens of its answer."""

    at_s: float
    prompt_tokens: int
    output_tokens: int


def load() -> tuple[Arrival, ...]:
    """Return the extract that comes with the package, its first request at 0 s."""
    return parse(
        (files("inferometer.demo") / "data" / "azure_llm_2023_conv.csv").read_text("ascii")
    )


def parse(text: str) -> tuple[Arrival, ...]:
    """Read `TIMESTAMP,ContextTokens,GeneratedTokens` with a header, in the order of time."""
    rows = [line.split(",") for line in text.splitlines()[1:]]
    # The trace writes ten-millionths of a second, which Python 3.11 reads up to the sixth digit.
    moments = [datetime.fromisoformat(row[0][:26]) for row in rows]
    return tuple(
        Arrival((moment - moments[0]).total_seconds(), int(prompt), int(output))
        for moment, (_, prompt, output) in zip(moments, rows, strict=True)
    )


def replay(arrivals: tuple[Arrival, ...], *, speed: float) -> Iterator[Arrival]:
    """Yield the trace again and again, `speed` times as fast as it was recorded."""
    length_s = arrivals[-1].at_s + LOOP_PAUSE_S
    for turn in count():
        for arrival in arrivals:
            yield arrival._replace(at_s=(turn * length_s + arrival.at_s) / speed)
