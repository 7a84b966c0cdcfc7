"""From an outside string to a label value: clean, short, and one of a bounded number.

There is no other way into a label. Whatever a client or a server sends becomes text that every
scraper accepts, and a flood of names becomes `other`. Values last until restart, since a series
that comes and goes reads as a reset.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from inferometer.metrics.requests import CODES, NAMES_MAX

VALUE_BYTES_MAX: Final = 128
"""Length of a label value in UTF-8."""

INPUT_MAX: Final = 1024
"""Characters, or bytes, of an outside string that are looked at: more is work for an attacker."""

FREE_NAMES_MAX: Final = 16
"""Names that clients can bring in; the user's own names have room up to `NAMES_MAX`."""

UNKNOWN: Final = "unknown"
OTHER: Final = "other"

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CODES: Final = frozenset(CODES)


def clean(text: str | bytes) -> str:
    """Return `text` without control characters and surrogates, at most 128 bytes of UTF-8.

    It is cut on the boundary of a character. Bytes that are no UTF-8 become U+FFFD, lone
    surrogates `?`. The result may be empty.
    """
    if isinstance(text, bytes):
        decoded = text[:INPUT_MAX].decode("utf-8", "replace")
    elif len(text) <= VALUE_BYTES_MAX and text.isascii() and text.isprintable():
        return text  # nearly every name is clean already
    else:
        decoded = text[:INPUT_MAX].encode("utf-8", "replace").decode("utf-8")
    kept = _CONTROL.sub("", decoded)
    if len(kept) * 4 <= VALUE_BYTES_MAX:  # four bytes are the longest character
        return kept
    return kept.encode("utf-8")[:VALUE_BYTES_MAX].decode("utf-8", "ignore")


def code(status: int) -> str:
    """Return the label value of an HTTP status: the code if it is registered, else `other`."""
    text = str(status)
    return text if text in _CODES else OTHER


def _always() -> bool:
    return True


class Names:
    """Decides which names get a label value of their own.

    Listed names (configured, or told by the engine) always do. Others do once they are proven to
    exist, while fewer than `free_max` names are known and `fits()` says that there is room for
    the series of one more; the rest is `other`. A name that cannot be read is `unknown`. Used by
    one thread.
    """

    def __init__(
        self,
        listed: Iterable[str | bytes] = (),
        *,
        free_max: int = FREE_NAMES_MAX,
        fits: Callable[[], bool] = _always,
    ) -> None:
        """Know the `listed` names from the start."""
        self.overflow = 0
        self._known: dict[str, None] = {}
        self._free_max = free_max
        self._fits = fits
        self.list_more(listed)

    @property
    def known(self) -> tuple[str, ...]:
        """Return the names that have a label value, in the order in which they got it."""
        return tuple(self._known)

    def list_more(self, names: Iterable[str | bytes]) -> tuple[str, ...]:
        """Add listed names, and return those that are new; beyond `NAMES_MAX` names none is."""
        added: list[str] = []
        for name in names:
            if len(self._known) >= NAMES_MAX:
                break
            value = clean(name)
            if value and value not in self._known:
                self._known[value] = None
                added.append(value)
        return tuple(added)

    def peek(self, name: str | bytes | None) -> str:
        """Return the label value of `name` as of now; nothing is added or counted."""
        if isinstance(name, str) and name in self._known:
            return name  # what is known is clean
        value = UNKNOWN if name is None else clean(name) or UNKNOWN
        return value if value in self._known or value == UNKNOWN else OTHER

    def take(self, name: str | bytes | None, *, proven: bool) -> str:
        """Return the label value of `name` for good; call it once per request.

        A name is proven by an answer: 2xx with output. What is folded into `other` here is
        counted in `overflow`.
        """
        value = self.peek(name)
        if value != OTHER or name is None:
            return value
        if proven and len(self._known) < self._free_max and self._fits():
            value = clean(name)
            self._known[value] = None
            return value
        self.overflow += 1
        return OTHER
