"""Writes data as YAML that every reader reads the same way, byte for byte the same each time.

A text is plain only where no version of YAML could take it for something else; several lines
become a literal block where that is safe; all others are quoted. Mappings keep their order, and
numbers have no exponent.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

Data = str | int | Decimal | datetime | Sequence["Data"] | Mapping[str, "Data"]

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*|[0-9]+[smhd]")
# What YAML 1.1 reads as a boolean or nothing.
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_BLOCK: Final = re.compile(r"[\x21-\x7e][\x20-\x7e]*(?:\n[\x21-\x7e][\x20-\x7e]*)*")
_HARD_TO_READ: Final = frozenset('"\\\n')
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# All but what YAML calls printable, line ends of Unicode, and what must be escaped in quotes.
_SPECIAL: Final = re.compile(
    r"[^\x20\x21\x23-\x5b\x5d-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    r"\U00010000-\U0010ffff]"
)
_BYTE_MAX: Final = 0xFF
_STEP: Final = "  "


def document(data: Mapping[str, Data]) -> str:
    """Return one YAML document. Raises ValueError for a lone surrogate, which no file can hold."""
    return "\n".join(_mapping(data, "") if data else ["{}"]) + "\n"


def scalar(text: str) -> str:
    """Return a text on one line, quoted where it needs to be."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    text.encode("utf-8")
    return f'"{_SPECIAL.sub(_escaped, text)}"'


def number(value: Decimal) -> str:
    """Return a number exactly, without an exponent and without zeros that say nothing."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    code = ord(found)
    return _ESCAPES.get(found) or (f"\\x{code:02x}" if code <= _BYTE_MAX else f"\\u{code:04x}")


def _mapping(data: Mapping[str, Data], indent: str) -> Iterator[str]:
    for key, value in data.items():
        yield from _entry(f"{indent}{scalar(key)}:", value, indent)


def _entry(head: str, value: Data, indent: str) -> Iterator[str]:
    match value:
        case str() if not _HARD_TO_READ.isdisjoint(value) and _BLOCK.fullmatch(value):
            yield f"{head} |-"
            yield from (f"{indent}{_STEP}{line}" for line in value.split("\n"))
        case str():
            yield f"{head} {scalar(value)}"
        case bool():
            yield f"{head} {str(value).lower()}"
        case int():
            yield f"{head} {value}"
        case Decimal():
            yield f"{head} {number(value)}"
        case datetime():
            yield f"{head} {value:%Y-%m-%d %H:%M:%S}"
        case Mapping():
            yield head if value else f"{head} {{}}"
            yield from _mapping(value, indent + _STEP)
        case _:
            yield head if value else f"{head} []"
            yield from _items(value, indent + _STEP)


def _items(data: Sequence[Data], indent: str) -> Iterator[str]:
    for item in data:
        if isinstance(item, Mapping) and item:
            lines = list(_mapping(item, indent + _STEP))
            yield f"{indent}- {lines[0].removeprefix(indent + _STEP)}"
            yield from lines[1:]
        else:
            yield from _entry(f"{indent}-", item, indent)
