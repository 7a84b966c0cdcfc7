"""The field lines of a head, looked up where they stand.

Of most heads one or two fields are ever asked for, so no list of all is made. Both planes share
this: the relay hands the lines over as they came, and whoever measures looks into them.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

_LINE: Final = re.compile(rb"([^:\r\n]++):([^\r\n]*+)\r\n")


class Fields:
    """The field lines of one head, as they came.

    Names are asked for in lower case and found however they are written; values come without
    outer white space.
    """

    __slots__ = ("block", "folded")

    def __init__(self, block: bytes) -> None:
        """Keep lines whose grammar was checked: CRLF ends each of them and is nowhere else."""
        self.block = block
        self.folded = b"\n" + block.lower()
        """In lower case and behind a line end, so that each name stands between LF and colon."""

    @classmethod
    def of(cls, fields: Iterable[tuple[bytes, bytes]]) -> "Fields":
        """Return the lines of names and values."""
        return cls(b"".join(b"%b: %b\r\n" % field for field in fields))

    def __eq__(self, other: object) -> bool:
        """Compare the lines, byte by byte."""
        return isinstance(other, Fields) and self.block == other.block

    def __hash__(self) -> int:
        """Agree with `==`."""
        return hash(self.block)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all fields in order, names as they came."""
        for name, value in _LINE.findall(self.block):
            yield name, value.strip(b" \t")

    def __contains__(self, name: bytes) -> bool:
        """Tell whether there is a field of this name."""
        return b"\n" + name + b":" in self.folded

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all fields of this name, in order."""
        folded = self.folded
        line = b"\n" + name + b":"
        at = folded.find(line)
        found: list[bytes] = []
        while at >= 0:
            start = at + len(line)
            end = folded.find(b"\r", start)
            found.append(self.block[start - 1 : end - 1].strip(b" \t"))
            at = folded.find(line, end)
        return found


NO_FIELDS: Final = Fields(b"")
