"""Tables for people at a terminal: columns that line up, and colours only where they are seen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TextIO

Tone = Literal["good", "worry", "bad", "faint", ""]

_CODES: Final[Mapping[Tone, str]] = {"good": "32", "worry": "33", "bad": "1;31", "faint": "2"}
_NUMERIC: Final = frozenset("0123456789-+.")


class Cell(NamedTuple):
    """A text and how it is shown where there are colours."""

    text: str
    tone: Tone = ""


class Row(NamedTuple):
    """Cells of a line, and lines that stand below it, indented."""

    cells: Sequence[Cell]
    notes: Sequence[str] = ()


def coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether colours are wanted: at a terminal that has them, unless NO_COLOR is set."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def lines(head: Sequence[str], rows: Iterable[Row], *, colours: bool) -> Iterator[str]:
    """Yield a table: words to the left, columns whose cells begin with a digit to the right."""
    known = list(rows)
    titles = Row([Cell(text, "faint") for text in head])
    widths = [
        max(len(row.cells[column].text) for row in (titles, *known)) for column in range(len(head))
    ]
    right = [
        any(row.cells[column].text[:1] in _NUMERIC for row in known if row.cells[column].text)
        for column in range(len(head))
    ]
    for row in (titles, *known):
        parts = []
        for cell, width, is_right in zip(row.cells, widths, right, strict=True):
            gap = " " * (width - len(cell.text))
            shown = _painted(cell, colours=colours)
            parts.append(f"{gap}{shown}" if is_right else f"{shown}{gap}")
        yield "  ".join(parts).rstrip()
        yield from (f"    {note}" for note in row.notes)


def _painted(cell: Cell, *, colours: bool) -> str:
    code = _CODES.get(cell.tone)
    return f"\x1b[{code}m{cell.text}\x1b[0m" if colours and code and cell.text else cell.text
