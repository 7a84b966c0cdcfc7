"""Large JSON documents without what says nothing about an answer: vectors, long texts, long lists.

Decoding megabytes in one go would keep the interpreter from everybody else for tens of
milliseconds, so a large document is first walked over in steps that take a fraction of one each.
What is left is a document of its own, small enough to be decoded at once.
"""

import re
from typing import Final

ITEMS_MAX: Final = 128
"""A list of more items becomes an empty one: a part of it could be taken for all of it."""
STRING_CHARACTERS_MAX: Final = 256
"""Of a longer string as many bytes and escapes are left: what matters is that it is not empty."""
DEPTH_MAX: Final = 256

# Each expression matches a bounded number of bytes in one call, and most often far fewer.
_RUN: Final = rb'(?:[^"\\]{1,512}+|\\.)'
_SHORT: Final = rb'(?:[^"\[\]{}]{1,256}+|"(?:[^"\\]{1,64}+|\\.){0,16}+")'
_PLAIN: Final = re.compile(rb'[^"\[\]{},]{1,32768}+')
_DROPPED: Final = re.compile(rb"(?s)(?:%b|[\[{]%b{0,16}+[\]}]){1,16}+" % (_SHORT, _SHORT))
_HEAD: Final = re.compile(rb'(?s)(?:[^"\\]|\\u[^"\\]{4}|\\.){0,%d}+' % STRING_CHARACTERS_MAX)
_TAIL: Final = re.compile(rb"(?s)%b{1,64}+" % _RUN)
_CLOSES: Final = {ord("]"): ord("["), ord("}"): ord("{")}


class UnbalancedError(ValueError):
    """Bytes that are no JSON, or nested deeper than `DEPTH_MAX`."""


def shortened(body: bytes) -> bytes:
    """Return the document with empty lists for those of many items, and the heads of long strings.

    White space is as short as can be. Keys count as strings. Whether the rest is JSON is for the
    decoder to say. Raises UnbalancedError where brackets or quotes do not match.
    """
    return _Walk(body).run()


class _Walk:
    """One walk over one document."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._out = bytearray()
        self._open: list[tuple[int, int]] = []  # what opened, and where that stands in the output
        self._items: list[int] = []  # commas of each
        self._dropping = 0  # depth of the outermost list that is too long, 0 for none

    def run(self) -> bytes:
        body, size = self._body, len(self._body)
        while self._at < size:
            skipped = (_DROPPED if self._dropping else _PLAIN).match(body, self._at)
            if skipped:
                self._keep(b" " if skipped[0].isspace() else skipped[0])
                self._at = skipped.end()
                continue
            self._take(body[self._at])
        if self._open:
            raise UnbalancedError
        return bytes(self._out)

    def _keep(self, data: bytes) -> None:
        if not self._dropping:
            self._out += data

    def _take(self, character: int) -> None:
        if character == ord('"'):
            self._string()
            return
        self._at += 1
        if character in b"[{":
            if len(self._open) >= DEPTH_MAX:
                raise UnbalancedError
            self._open.append((character, len(self._out)))
            self._items.append(0)
            self._keep(bytes((character,)))
        elif character == ord(","):
            self._comma()
        else:
            self._close(character)

    def _string(self) -> None:
        head = _HEAD.match(self._body, self._at + 1)
        assert head is not None  # it matches nothing at least
        self._at = head.end()
        while tail := _TAIL.match(self._body, self._at):
            self._at = tail.end()
        if self._body[self._at : self._at + 1] != b'"':
            raise UnbalancedError
        self._at += 1
        self._keep(b'"' + head[0] + b'"')

    def _comma(self) -> None:
        if self._open and self._open[-1][0] == ord("["):
            self._items[-1] += 1
            if self._items[-1] >= ITEMS_MAX:
                self._dropping = len(self._open)
        self._keep(b",")

    def _close(self, character: int) -> None:
        if not self._open:
            raise UnbalancedError
        opened, start = self._open.pop()
        self._items.pop()
        if opened != _CLOSES[character]:
            raise UnbalancedError
        if self._dropping > len(self._open):
            self._dropping = 0
            del self._out[start:]
            self._out += b"[]"
        else:
            self._keep(bytes((character,)))
