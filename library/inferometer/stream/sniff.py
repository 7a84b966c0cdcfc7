"""Top-level keys of a JSON object, out of its first part: no tree, no recursion, linear time.

A request body can be megabytes, cut anywhere, or no JSON at all, and only a handful of its
top-level keys matter. Values that are objects or arrays are skipped by counting brackets; strings
are skipped whole, so nothing that a prompt quotes can look like a key. Reading stops where the
text is cut or stops being JSON: what came before counts. A small body that is whole and valid, the
usual one, is read by the decoder of the standard library, which is quicker and says the same.
"""

import re
from collections.abc import Collection
from json import JSONDecoder
from typing import Final, NamedTuple

NESTED: Final = object()
"""Stands for a value that is of no use here: an object, an array, something too long."""

REPEATED: Final = object()
"""Stands for the value of a key that comes more than once, so nobody knows which one counts."""

VALUE_BYTES_MAX: Final = 4096
"""Longer strings and numbers are not decoded; no name of a model is that long."""

MEMBERS_MAX: Final = 1024
"""Members of the object that are looked at; a request has some thirty."""

DECODED_BYTES_MAX: Final = 16 << 10
"""A longer text is scanned, since decoding makes objects of all that is in it, in one go."""

# An escaped character takes twelve bytes at most: a string that is no longer fits VALUE_BYTES_MAX.
_FITTING_CHARACTERS: Final = (VALUE_BYTES_MAX - 2) // 12

# Possessive quantifiers keep nothing to go back to: a cut string fails once, in linear time.
_WHITE: Final = rb"[ \t\n\r]*+"
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_OPEN: Final = re.compile(rb"(?:\xef\xbb\xbf)?+" + _WHITE + rb"{" + _WHITE, re.DOTALL)
_KEY: Final = re.compile(b"(" + _STRING + b")" + _WHITE + b":" + _WHITE, re.DOTALL)
_SCALAR: Final = re.compile(_STRING + rb"|[-+.0-9A-Za-z]++", re.DOTALL)
_END: Final = re.compile(_WHITE + b"([,}])" + _WHITE)
_PART: Final = re.compile(
    rb'[^"{}\[\]]*+(?:' + _STRING + rb"|([{\[]++)|([}\]]))",
    re.DOTALL,
)
_DECODER: Final = JSONDecoder(strict=False)
_PAIRS: Final = JSONDecoder(strict=False, object_pairs_hook=tuple)  # shows repeated keys


class Sniffed(NamedTuple):
    """The wanted keys that were found, and whether the whole object was read.

    A value is a JSON scalar, NESTED, or REPEATED. A key that is absent from a `complete` object is
    not there; otherwise it may come later.
    """

    values: dict[str, object]
    complete: bool


def sniff(text: bytes, wanted: Collection[str]) -> Sniffed:
    """Return the `wanted` top-level keys of the JSON object that `text` starts with."""
    found = _decoded(text, wanted)
    return _scanned(text, wanted) if found is None else found


def _decoded(text: bytes, wanted: Collection[str]) -> Sniffed | None:
    """Return what `_scanned` would, of an object that is small, whole and valid; else None."""
    if len(text) > DECODED_BYTES_MAX or not text.startswith(b"{"):
        return None
    try:
        members, _ = _PAIRS.raw_decode(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if len(members) > MEMBERS_MAX:
        return None
    values: dict[str, object] = {}
    for key, value in members:
        if key in wanted:
            if isinstance(value, str) and len(value) > _FITTING_CHARACTERS:
                return None
            nested = isinstance(value, (tuple, list))
            values[key] = REPEATED if key in values else NESTED if nested else value
    return Sniffed(values, complete=True)


def _scanned(text: bytes, wanted: Collection[str]) -> Sniffed:
    values: dict[str, object] = {}
    found = _OPEN.match(text)
    if found is None:
        return Sniffed(values, complete=False)
    at = found.end()
    if text.startswith(b"}", at):
        return Sniffed(values, complete=True)
    for _ in range(MEMBERS_MAX):
        name = _KEY.match(text, at)
        end = None if name is None else _value_end(text, name.end())
        after = None if end is None else _END.match(text, end)
        if name is None or end is None:
            break
        key = _name(name[1])
        if key in wanted:
            values[key] = REPEATED if key in values else _load(text[name.end() : end])
        if after is None:
            break
        if after[1] == b"}":
            return Sniffed(values, complete=True)
        at = after.end()
    return Sniffed(values, complete=False)


def _value_end(text: bytes, at: int) -> int | None:
    """Return where the value at `at` ends; None where it is cut or no JSON."""
    if text.startswith((b"{", b"["), at):
        return _nested_end(text, at)
    found = _SCALAR.match(text, at)
    if found is None or (found.end() == len(text) and not found[0].endswith(b'"')):
        return None  # a number at the very end may be cut: 12 of 128
    return found.end()


def _nested_end(text: bytes, at: int) -> int | None:
    """Return the end of the object or array at `at`; kinds of brackets are not compared."""
    depth = 0
    while (found := _PART.match(text, at)) is not None:
        at = found.end()
        depth += len(found[1] or b"")
        if found[2] is not None:
            depth -= 1
            if depth == 0:
                return at
    return None


def _name(key: bytes) -> str:
    """Return the text of a key; of one that is longer than any we want, nothing."""
    if b"\\" not in key:
        return key[1:-1].decode("utf-8", "replace")
    value = _load(key)
    return value if isinstance(value, str) else ""


def _load(text: bytes) -> object:
    """Return the value of a JSON scalar, NESTED where it is none or too long.

    Strings may hold lone surrogates, and replacement characters for bytes that are no UTF-8.
    """
    if len(text) > VALUE_BYTES_MAX or text.startswith((b"{", b"[")):
        return NESTED
    try:
        return _DECODER.decode(text.decode("utf-8", "replace"))
    except ValueError:
        return NESTED
